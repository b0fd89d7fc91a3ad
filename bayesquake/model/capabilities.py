"""What a model may bring besides its equation; each is used where it is there."""

import dataclasses
from collections.abc import Callable

__all__ = ["Accepts", "Coordinates", "Folds", "HeldSteps", "Moves", "Problems"]


@dataclasses.dataclass(frozen=True, eq=False)
class Accepts:
    """What a model takes of another model's posterior as its data, see `bayesquake.results.chain`.

    Attributes
    ----------
    quantities : tuple of str
        Scalars of the other model, in order.
    dataset : callable
        ``(mean, covariance) -> dataset`` of the Gaussian likelihood of these, (quantity,) and
        (quantity, quantity).
    """

    quantities: tuple[str, ...]
    dataset: Callable


@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
    """Coordinates in which a model is sampled instead of its own unconstrained ones.

    Attributes
    ----------
    condition : callable
        ``(base_target, data, priors) -> data`` with what the map needs; where ``start`` is
        given, ``(base_target, data, priors, mode) -> data`` with the mode as plain position.
    forward, inverse : callable
        ``(sites, values, data)`` between these and plain unconstrained sites;
        ``forward`` also returns the log determinant of its Jacobian.
    initial : callable
        ``(key, data) -> sites``, dispersed starting points in these coordinates.
    start : callable, optional
        ``(base_target, data, priors) -> position`` from which the mode is sought for
        ``condition``. The search then runs from the host, over one small compiled program.
    held : tuple of str
        Sites that keep their starting values in the search.
    on_host : callable
        ``data -> bool``, whether ``condition`` is called as it stands, not compiled as a whole: for
        searches that compile what they need themselves, of shapes that come out as they go.
    needs : tuple of str, optional
        Parameters that must not be fixed, or the coordinates around the mode take the place of
        these; all by default.
    """

    condition: Callable
    forward: Callable
    inverse: Callable
    initial: Callable
    start: Callable | None = None
    held: tuple[str, ...] = ()
    on_host: Callable = lambda data: False
    needs: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Folds:
    """Parts of the data that are independent given the parameters, for cross-validation.

    Attributes
    ----------
    count : callable
        ``arrays -> int``.
    without : callable
        ``(arrays, fold) -> arrays`` of equal shapes, with the fold left out.
    terms : callable
        ``(values, arrays) -> (fold,)`` log likelihood terms.
    """

    count: Callable
    without: Callable
    terms: Callable


@dataclasses.dataclass(frozen=True, eq=False)
class HeldSteps:
    """Steps of a numerical solution that were chosen at the mode and are held from then on.

    Attributes
    ----------
    error : callable
        ``(values, arrays) -> ratio`` of the error that the steps make at given values to the
        largest that is tolerated, or None where no steps are held.
    """

    error: Callable


@dataclasses.dataclass(frozen=True, eq=False)
class Moves:
    """A move of the model's own that chains make after every trajectory of `nuts`.

    It takes them where trajectories do not lead, such as to another mode that symmetry makes equal,
    or through parameters for which there is a cheaper sampler.

    Attributes
    ----------
    step : callable
        ``(key, values, arrays, priors) -> values`` of the sampled sites, traceable; it must leave
        the posterior invariant, as a Gibbs or Metropolis step does.
    """

    step: Callable


@dataclasses.dataclass(frozen=True, eq=False)
class Problems:
    """Independent posteriors along the leading axis of a model's arrays.

    A slice of length one of every array is a problem by itself, and every site of the model
    has the problems as its leading axis.

    Attributes
    ----------
    dim : str
        Name of the axis in data sets and results.
    independent : callable
        ``arrays -> bool``, whether these arrays are independent problems.
    exact : callable, optional
        ``arrays -> (draw, ...)``, for problems on which Markov chains fail: functions of
        arrays of one problem, ``(key, arrays, priors, count) -> (values, change)``: so many
        independent draws of the sampled sites, with a leading draw axis, and the largest move of
        their means and standard deviations, in standard deviations, when every second node of the
        rule behind them is left out, infinite where the rule fails. Where the draws move too far
        the next, dearer function is tried.
    slopes : callable, optional
        ``arrays -> slopes or None``: a function ``(position, arrays, priors) -> (value, gradient,
        precision)`` of the log posterior of one problem, where formulas beat differentiation.
        A position holds the sampled sites in the order of their names.
    initial : callable, optional
        ``(values, arrays) -> values`` of one problem: prior draws moved to where the data are,
        from which the search for modes starts.
    """

    dim: str
    independent: Callable
    exact: Callable = lambda arrays: ()
    slopes: Callable = lambda arrays: None
    initial: Callable | None = None
