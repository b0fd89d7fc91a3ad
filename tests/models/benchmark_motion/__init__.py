"""White noise and random walk of a geodetic benchmark, by evidence on a grid."""

from .model import MODEL

__all__ = ["MODEL"]
