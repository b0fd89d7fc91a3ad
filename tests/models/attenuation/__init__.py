"""Attenuation of peak ground acceleration with magnitude and distance."""

from .model import MODEL

__all__ = ["MODEL"]
