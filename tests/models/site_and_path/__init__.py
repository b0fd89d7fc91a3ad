"""Site and path terms from the attenuation that another model has found."""

from .model import MODEL

__all__ = ["MODEL"]
