"""The exceptions and warnings of this model."""

from bayesquake.errors import DatasetError


class DomainError(DatasetError):
    """A source or a station lies where the layers say nothing."""


class ModelError(DatasetError):
    """A velocity model cannot be: no speed, no order, or no S velocity where one is asked for."""


class UndersideWarning(UserWarning):
    """Velocity decreases downward: waves along the underside of a layer are not modelled."""
