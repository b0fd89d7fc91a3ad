"""What a model is: the contract between the models and the library."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Folds", "Model", "Problems", "Quantity", "SmallProblem", "Whitening"]


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A scientific quantity of a posterior.

    Attributes
    ----------
    unit : str
        Unit, "1" if dimensionless.
    meaning : str
        One line for tables, files and reports.
    dims : tuple of str
        Names of the dimensions, empty for a scalar.
    auxiliary : bool
        Whether it is only a coordinate of the representation, such as white latents: its
        convergence is shown, that of the quantities decides.
    fixed : bool
        Whether data or options may leave it the same in every draw; of any other quantity that is
        a fault.
    """

    unit: str
    meaning: str
    dims: tuple[str, ...] = ()
    auxiliary: bool = False
    fixed: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """Coordinates in which a model is sampled instead of its own unconstrained ones.

    Attributes
    ----------
    condition : callable
        ``(base_target, data, priors) -> data`` with what the map needs; where ``start`` is
        given, ``(base_target, data, priors, mode) -> data`` with the mode as plain position.
    forward, inverse : callable
        ``(sites, values, data)`` between whitened and plain unconstrained sites;
        ``forward`` also returns the log determinant of its Jacobian.
    initial : callable
        ``(key, data) -> sites``, dispersed whitened starting points.
    start : callable, optional
        ``(base_target, data, priors) -> position`` from which the mode is sought for
        ``condition``. The search then runs from the host, over one small compiled program.
    held : tuple of str
        Sites that keep their starting values in the search.
    """

    condition: Callable
    forward: Callable
    inverse: Callable
    initial: Callable
    start: Callable | None = None
    held: tuple[str, ...] = ()


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


@dataclasses.dataclass(frozen=True, eq=False)
class SmallProblem:
    """A simulated problem that is cheap to fit, for tests and first trials.

    Attributes
    ----------
    design : mapping
        Changes to the model's simulation design.
    options : mapping
        Options of ``model.prepare``.
    """

    design: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A generative model and what is needed to use it.

    Attributes
    ----------
    name, title : str
    references : tuple of str
        Papers, with DOI.
    generative : callable
        NumPyro model ``(data, priors)``; data are padded arrays, priors distributions.
    priors : mapping
        Site name to a name in `bayesquake.model.priors.PRIORS`, or to a `Prior` of the model's own.
    simulate : callable
        ``(key, design, parameters=None) -> (parameters, dataset)``.
    read : callable
        ``(source, **options) -> xarray.Dataset``, validated, with units.
    prepare : callable
        ``(dataset, **options) -> arrays``, padded to buckets.
    quantities : mapping of str to Quantity
        Every variable of the posterior, documented.
    calibrated : callable
        ``(values, arrays) -> dict`` of the scalars whose ranks and coverage are checked.
    recommended : callable
        ``arrays -> dict`` of driver settings.
    complete : callable
        ``(dataset, **options)`` checks the options before any sampling and returns
        ``(posterior, arrays, key) -> dict`` of the model's own result groups and further
        posterior variables, as `xarray.Dataset` by group name. If it takes ``priors`` it is
        given those of the fit.
    figures : mapping of str to callable
        Title to ``(result) -> matplotlib.figure.Figure``, in order of the report.
    answers : callable, optional
        ``(result) -> dict`` of what the report says first: question to answer, both one line
        of text.
    design : mapping
        Default simulation design.
    whitening : Whitening, optional
    folds : Folds, optional
    simulate_arrays : callable, optional
        ``(key, arrays, priors) -> (values, arrays)``, traceable: parameters from the prior
        distributions and data on the design of the given arrays. Calibration then
        simulates inside its compiled program.
    replicate : callable, optional
        ``(key, values, dataset, **options) -> dataset``: data as they could have been, on the
        design of a real data set, at the values of one posterior draw; it is given those
        options of ``prepare`` that it takes.
    problems : Problems, optional
        For models whose data sets hold many independent posteriors.
    small_problems : tuple of SmallProblem
        Cheap problems, one for every form of the model.
    drivers : mapping of str to callable
        The model's own drivers by name, see `bayesquake.inference.drivers`.
    """

    name: str
    title: str
    references: tuple[str, ...]
    generative: Callable
    priors: Mapping[str, Any]
    simulate: Callable
    read: Callable
    prepare: Callable
    quantities: Mapping[str, Quantity]
    calibrated: Callable
    recommended: Callable
    complete: Callable
    figures: Mapping[str, Callable]
    design: Mapping[str, Any]
    whitening: Whitening | None = None
    folds: Folds | None = None
    answers: Callable | None = None
    simulate_arrays: Callable | None = None
    replicate: Callable | None = None
    problems: Problems | None = None
    small_problems: tuple[SmallProblem, ...] = (SmallProblem(),)
    drivers: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
