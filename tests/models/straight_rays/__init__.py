"""A field of slowness from travel times along straight rays: linear, Gaussian, exactly known."""

from .model import MODEL

__all__ = ["MODEL"]
