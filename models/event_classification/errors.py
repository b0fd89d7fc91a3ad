"""The exceptions of this model."""

from bayesquake.errors import BayesquakeError, CatalogError, SimulationError


class BelowCompletenessError(CatalogError):
    """Events lie below the magnitude of completeness."""


class CatalogTimeError(CatalogError):
    """Origin times are missing, out of order or contradict the window."""


class DuplicateEventError(CatalogError):
    """Two events bear one identifier."""


class EmptyWindowError(CatalogError):
    """The window has no length or holds no target events."""


class MissingMagnitudeBinError(CatalogError):
    """The step to which magnitudes are rounded is not stated."""


class OutsidePolygonError(CatalogError):
    """Target events lie outside the target region."""


class PolygonError(BayesquakeError):
    """A polygon cannot be read, crosses itself or has no area."""


class SupercriticalError(SimulationError):
    """Events would have one offspring or more each, and the sequence would never end."""
