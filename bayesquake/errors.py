"""The exceptions of bayesquake.

Every error that a user can cause is a `BayesquakeError` whose message is a
sentence to a scientist: what is wrong, where (file, row, station, site), and
what to do about it. The command line prints that sentence and exits with 2.
"""

__all__ = [
    "BayesquakeError",
    "CatalogError",
    "DriverError",
    "InitialPointError",
    "ModelNotFoundError",
    "OptionError",
    "PriorError",
    "ReferencePosteriorError",
    "ResultError",
    "SimulationError",
    "SpectraError",
]


class BayesquakeError(Exception):
    """Base class of every error raised on purpose by bayesquake."""


class CatalogError(BayesquakeError):
    """An earthquake catalogue cannot be read or breaks a model's conditions."""


class OptionError(BayesquakeError):
    """An option is unknown or its value makes no sense."""


class SpectraError(BayesquakeError, ValueError):
    """Waveforms, picks or spectra cannot be read or break a model's conditions."""


class PriorError(BayesquakeError):
    """A prior names an unknown parameter or an unknown distribution."""


class ModelNotFoundError(BayesquakeError):
    """No model or experiment of that name is installed."""


class DriverError(BayesquakeError):
    """An inference driver does not exist or does not apply to the model."""


class InitialPointError(BayesquakeError):
    """The log density is not finite where the sampler should start."""


class SimulationError(BayesquakeError):
    """A simulator cannot produce a data set for the given parameters."""


class ResultError(BayesquakeError):
    """A result file is missing, damaged or lacks a group that is needed."""


class ReferencePosteriorError(BayesquakeError):
    """A model has no reference posterior, or draws do not qualify as one."""
