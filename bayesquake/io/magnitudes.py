"""Magnitudes of catalogues: the range of earthquakes, the step of rounding, the edge of a cut."""

from bayesquake.model.options import number

__all__ = [
    "LARGEST_MAGNITUDE",
    "MAGNITUDE",
    "ROUNDING",
    "SAME_MAGNITUDE",
    "SMALLEST_MAGNITUDE",
]

SMALLEST_MAGNITUDE, LARGEST_MAGNITUDE = -5.0, 10.0
MAGNITUDE = number("mag", at_least=SMALLEST_MAGNITUDE, at_most=LARGEST_MAGNITUDE)
ROUNDING = number("mag", at_least=0, at_most=1)

SAME_MAGNITUDE = 1e-6
"""Bounds the rounding error of a magnitude at a cut, single precision included."""
