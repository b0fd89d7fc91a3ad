"""Gutenberg-Richter b-value of a catalogue of rounded magnitudes."""

from .model import MODEL

__all__ = ["MODEL"]
