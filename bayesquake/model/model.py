"""What a model is: the contract between the models and the library."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from bayesquake.errors import DriverError, OptionError
from bayesquake.model.capabilities import (
    Accepts,
    Coordinates,
    Folds,
    HeldSteps,
    Moves,
    Problems,
)
from bayesquake.model.options import accepted_by, defaults_of
from bayesquake.model.simulation import replicated, simulated

__all__ = ["Model", "Quantity", "Trial"]

ROLES = ("answer", "field", "latent")
"""Answers are judged and shown; fields too, by mean and spread; latents are shown alone."""


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
    role : str
        ``"answer"``; ``"field"``, so large that results hold its mean and spread instead of draws;
        ``"latent"``, only a coordinate of the representation, such as white latents: its
        convergence is shown, that of the others decides.
    fixed : bool
        Whether data or options may leave it the same in every draw; of any other quantity that is
        a fault.
    """

    unit: str
    meaning: str
    dims: tuple[str, ...] = ()
    role: str = "answer"
    fixed: bool = False

    def __post_init__(self):
        if self.role not in ROLES:
            raise ValueError(f"role = {self.role!r} must be one of {', '.join(ROLES)}")


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """A simulated problem that is cheap to fit, for tests and first tries.

    Attributes
    ----------
    design : mapping
        Changes to the model's simulation design.
    options : mapping
        Options of ``model.prepare``.
    """

    design: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def nuts_by_default(arrays):
    """Recommend the no-U-turn sampler with its own settings."""
    return {"driver": "nuts"}


def nothing_derived(dataset):
    """Plan no groups beside those that every result has."""
    return lambda posterior, arrays, key: {}


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A generative model and what is needed to use it.

    What the library needs of every model comes first; all else has a default, or is a capability
    that a model may lack.

    Attributes
    ----------
    name, title : str
    references : tuple of str
        Papers, with DOI.
    declare : callable
        NumPyro model ``(arrays, priors)``; arrays are padded, priors distributions.
    priors : mapping of str to Prior
        By site.
    quantities : mapping of str to Quantity
        Every variable of the posterior, documented.
    read : callable
        ``(source, **options) -> xarray.Dataset``, made by `bayesquake.io.datasets.reader`.
    prepare : callable
        ``(dataset, **options) -> arrays``, padded to buckets, made by
        `bayesquake.io.datasets.prepared`.
    draw : callable, optional
        ``(key, values, **design) -> dataset``: data at given values of the parameters. Its
        keyword-only arguments are the design of simulated data, their defaults its own.
    design_of : callable, optional
        ``(dataset, **options) -> design`` of a real data set, for data as they could have been;
        it is given those options of ``prepare`` that it takes.
    lengths : callable
        ``design -> mapping`` of the lengths that priors with a shape name; the design by default.
    simulator : callable, optional
        ``(key, design, parameters, *, priors) -> (parameters, dataset)`` in place of ``draw``.
    replicator : callable, optional
        ``(key, values, dataset, **options) -> dataset`` in place of ``draw`` and ``design_of``.
    design : mapping
        Default simulation design; that of ``draw`` by default.
    calibrated : callable, optional
        ``(values, arrays) -> dict`` of the scalars whose ranks and coverage are checked; by default
        every element of the answers that are not large.
    recommended : callable
        ``arrays -> dict`` of the driver and its settings.
    complete : callable
        ``(dataset, **options)`` checks the options before any sampling and returns
        ``(posterior, arrays, key) -> dict`` of the model's own result groups and further
        posterior variables, as `xarray.Dataset` by group name. If it takes ``priors`` it is
        given those of the fit.
    figures : mapping of str to callable
        Title to ``(result) -> matplotlib.figure.Figure``, in order of the report.
    tables : mapping of str to callable
        Title to ``(result) -> pandas.DataFrame`` of texts, whose index has a name.
    answers : callable, optional
        ``(result) -> dict`` of what the report says first: question to answer, both one line
        of text.
    coordinates : Coordinates, optional
        In which the model is sampled.
    folds : Folds, optional
    held_steps : HeldSteps, optional
    moves : Moves, optional
    accepts : Accepts, optional
        What the model takes of another model's posterior as its data.
    simulate_arrays : callable, optional
        ``(key, arrays, priors) -> (values, arrays)``, traceable: parameters from the prior
        distributions and data on the design of the given arrays. Calibration then
        simulates inside its compiled program.
    problems : Problems, optional
        For models whose data sets hold many independent posteriors.
    trials : tuple of Trial
        Cheap problems, one for every form of the model.
    drivers : mapping of str to callable
        The model's own drivers by name, see `bayesquake.inference.drivers`.
    writers : mapping of str to callable
        ``(result, seed, progress) -> result``: what makes results of the model's own functions
        again, by the ``writer`` of their configuration.
    """

    name: str
    title: str
    references: tuple[str, ...]
    declare: Callable
    priors: Mapping[str, Any]
    quantities: Mapping[str, Quantity]
    read: Callable
    prepare: Callable
    draw: Callable | None = None
    design_of: Callable | None = None
    lengths: Callable = dict
    simulator: Callable | None = None
    replicator: Callable | None = None
    design: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    calibrated: Callable | None = None
    recommended: Callable = nuts_by_default
    complete: Callable = nothing_derived
    figures: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    tables: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    answers: Callable | None = None
    coordinates: Coordinates | None = None
    folds: Folds | None = None
    held_steps: HeldSteps | None = None
    moves: Moves | None = None
    accepts: Accepts | None = None
    simulate_arrays: Callable | None = None
    problems: Problems | None = None
    trials: tuple[Trial, ...] = (Trial(),)
    drivers: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    writers: Mapping[str, Callable] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.draw is not None and not self.design:
            object.__setattr__(self, "design", defaults_of(self.draw))

    def simulate(self, key, design=None, parameters=None, *, priors=None):
        """Simulate a data set, at parameters drawn from the prior or given.

        Parameters
        ----------
        key : jax.random.key
        design : mapping, optional
            Changes to the design.
        parameters : mapping, optional
            Values in place of draws.
        priors : mapping or path, optional
            Priors in place of the defaults.

        Returns
        -------
        parameters : dict
        dataset : xarray.Dataset

        Raises
        ------
        SimulationError
            The model has no simulator, or cannot draw such data.
        OptionError
            The design or the parameters have an unknown entry or an impossible value.
        """
        for name, given in {"design": design, "parameters": parameters}.items():
            if given is not None and not isinstance(given, Mapping):
                raise OptionError(f"{name} = {given!r:.80} must be a mapping of names to values")
        if not hasattr(key, "dtype"):
            raise OptionError(f"key = {key!r:.80} must be a jax.random.key")
        if self.simulator is not None:
            return self.simulator(key, design, parameters, priors=priors)
        return simulated(self, key, design, parameters, priors)

    @property
    def replicates(self):
        """Whether data as they could have been can be drawn on the design of real ones."""
        drawn = self.draw is not None and self.design_of is not None
        return drawn or self.replicator is not None

    def replicate(self, key, values, dataset, **options):
        """Simulate data as they could have been, on the design of a data set.

        Parameters
        ----------
        key : jax.random.key
        values : mapping
            Of one posterior draw.
        dataset : xarray.Dataset
        **options
            Of ``prepare``.

        Returns
        -------
        xarray.Dataset

        Raises
        ------
        DriverError
            The model cannot replicate data.
        """
        if not self.replicates:
            raise DriverError(
                f"{self.name} cannot replicate a real data set; calibrate at its prior"
            )
        if self.replicator is not None:
            return self.replicator(key, values, dataset, **accepted_by(self.replicator, options))
        return replicated(self, key, values, dataset, options)
