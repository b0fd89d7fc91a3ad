"""An amplitude of which only the size is observed: two modes that a move of the model joins."""

from .model import MODEL

__all__ = ["MODEL"]
