"""The exceptions of this model."""

from bayesquake.errors import BayesquakeError


class OrientationError(BayesquakeError, ValueError):
    """Focal mechanisms cannot be read or break the model's conditions."""


class InconsistentPlanesError(OrientationError):
    """Two nodal planes do not belong to one focal mechanism."""


class DegenerateMarginalError(OrientationError):
    """Depths or orientations do not vary, so nothing can depend on them."""


class MechanismFormatError(OrientationError):
    """A focal mechanism or its depth is missing or unreadable."""


class SinkhornError(OrientationError):
    """The adjusting functions of the marginals did not converge."""
