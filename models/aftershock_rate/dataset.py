"""The form of a data set: the events of one aftershock window.

Convention: t is in days after the main shock, which is itself no event; the window is [0, T].
"""

import numpy as np

from bayesquake.errors import CatalogError
from bayesquake.io.datasets import Schema, Variable
from bayesquake.io.magnitudes import (
    LARGEST_MAGNITUDE,
    MAGNITUDE,
    ROUNDING,
    SAME_MAGNITUDE,
    SMALLEST_MAGNITUDE,
)
from bayesquake.model.options import number

__all__ = [
    "CUT",
    "DATA",
    "EARLIEST_DAYS",
    "END_DAYS",
    "FEWEST_EVENTS",
]

EARLIEST_DAYS = 1e-4
"""μ is constant before this time (8.6 s); the rate integral is closed-form there."""

FEWEST_EVENTS = 10

END_DAYS = number("d", above=EARLIEST_DAYS, at_most=1e5)
CUT = number("mag", at_least=SMALLEST_MAGNITUDE, at_most=LARGEST_MAGNITUDE, missing=True)
"""NaN stands for no cut."""


def require_window(dataset, name):
    """Require events in order of time, inside the window and above the cut."""
    t, magnitude = dataset["t"].to_numpy(), dataset["mag"].to_numpy()
    T, cut = float(dataset.attrs["T"]), float(dataset.attrs["Mc"])
    early = np.append(False, np.diff(t) < 0)
    if early.any():
        raise CatalogError(
            f"{name}, event {int(np.argmax(early))} is earlier than the one before it; sort the "
            "events by time"
        )
    if t[-1] > T:
        raise CatalogError(
            f"{name}, event {t.size - 1}, at t = {t[-1]:g} days, lies after the end of the window, "
            f"T = {T:g} days; correct T or remove the later events"
        )
    small = magnitude < cut - SAME_MAGNITUDE
    if small.any():
        first = int(np.argmax(small))
        raise CatalogError(
            f"{name}, event {first}: magnitude {magnitude[first]:g} is below the cut, Mc = {cut:g} "
            f"({np.count_nonzero(small)} such events); remove them or correct Mc"
        )


DATA = Schema(
    {
        "t": Variable("d", "time after the main shock", low=0.0),
        "mag": Variable("mag", "magnitude", low=SMALLEST_MAGNITUDE, high=LARGEST_MAGNITUDE),
    },
    attributes={
        "M0": MAGNITUDE,
        "T": END_DAYS,
        "Mc": CUT,
        "delta_m": ROUNDING,
    },
    fewest={"event": FEWEST_EVENTS},
    require=require_window,
    error=CatalogError,
)
