"""The exceptions and warnings of this model."""

from bayesquake.errors import BayesquakeError, DatasetError

__all__ = [
    "CoarseCellsWarning",
    "FrictionParameterError",
    "GeometryError",
    "KernelError",
    "ResolutionError",
    "TrajectoryError",
    "UnitsError",
]


class FrictionParameterError(DatasetError):
    """A friction parameter that must be positive is not."""


class GeometryError(DatasetError):
    """A fault or a station lies where it cannot be."""


class KernelError(DatasetError):
    """A stiffness is not square, not symmetric, or gives energy away."""


class ResolutionError(DatasetError):
    """Cells are longer than the length on which rate-and-state friction is continuous."""


class CoarseCellsWarning(UserWarning):
    """Cells resolve that length poorly."""


class TrajectoryError(BayesquakeError):
    """A fault cannot be followed through all observed times."""


class UnitsError(DatasetError):
    """A column of a table does not say in which unit it is."""
