"""The exceptions of bayesquake.

Every error that a user can cause is a `BayesquakeError` whose message is a
sentence to a scientist: what is wrong, where (file, row, station, site), and
what to do about it. The command line prints that sentence and exits with 2.
"""

import difflib

__all__ = [
    "BayesquakeError",
    "CatalogError",
    "DatasetError",
    "DriverError",
    "InitialPointError",
    "ModelNotFoundError",
    "ModelUnavailableError",
    "OptionError",
    "PriorError",
    "ReferencePosteriorError",
    "ResultError",
    "SimulationError",
    "with_nearest",
]


class BayesquakeError(Exception):
    """Base class of every error raised on purpose by bayesquake."""


class CatalogError(BayesquakeError):
    """An earthquake catalogue cannot be read or breaks a model's conditions."""


class DatasetError(BayesquakeError):
    """A table or data set cannot be read or breaks a model's conditions."""


class OptionError(BayesquakeError):
    """An option is unknown or its value makes no sense."""


class PriorError(BayesquakeError):
    """A prior names an unknown parameter or an unknown distribution."""


class ModelNotFoundError(BayesquakeError):
    """No model or experiment of that name is installed."""


class ModelUnavailableError(BayesquakeError):
    """The folder of a model cannot be imported."""


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


def with_nearest(unknown, known):
    """Return unknown names, joined by commas, each with the known name that it resembles."""
    resembling = {name: difflib.get_close_matches(name, known, 1) for name in unknown}
    return ", ".join(
        f"{name} (did you mean {nearest[0]}?)" if nearest else name
        for name, nearest in resembling.items()
    )
