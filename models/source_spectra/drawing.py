"""Pieces of this model's figures: sorted intervals, names, logarithmic axes."""

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import LogLocator, NullFormatter

from bayesquake.reporting.figures import COLOURS

__all__ = [
    "event_colours",
    "name_places",
    "plain_log_ticks",
    "sorted_intervals",
]

FEW = 12
"""Pairs or events whose names fit below an axis."""


def sorted_intervals(axis, draws, colours, order=None, opacity=1.0, width=1.4):
    """Draw medians and 90 % intervals of (draw, item) side by side, and return their order."""
    low, median, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    order = np.argsort(median) if order is None else order
    place = np.arange(len(order))
    crowding = np.clip(60 / len(order), 0.3, 1.0)
    axis.vlines(
        place,
        low[order],
        high[order],
        colors=list(colours[order]),
        linewidth=width * crowding,
        alpha=opacity * np.clip(300 / len(order), 0.35, 1.0),
    )
    axis.scatter(
        place,
        median[order],
        s=16 * crowding**2,
        c=list(colours[order]),
        alpha=opacity,
        linewidths=0,
        zorder=3,
    )
    margin = 0.02 * len(order) + 0.5
    axis.set_xlim(-margin, len(order) - 1 + margin)
    return order


def name_places(axis, names, order, unit):
    """Write the names of few items below an axis, and of many what is counted there."""
    if len(order) <= FEW:
        turned = 0 if len(order) <= 3 else 60
        axis.set_xticks(np.arange(len(order)), [str(names[i]) for i in order], rotation=turned)
    else:
        axis.set_xlabel(f"{unit}s, sorted")


def plain_log_ticks(axis):
    """Label logarithmic axes with plain numbers, also between powers of ten if these are few."""
    for side in (axis.xaxis, axis.yaxis):
        low, high = sorted(side.get_view_interval())
        if side.get_scale() == "log":
            if high < 50 * low:
                side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            side.set_major_formatter("{x:g}")
            side.set_minor_formatter(NullFormatter())


def event_colours(count):
    """Return as many colours, told apart with any colour vision if they are few."""
    if count <= len(COLOURS):
        return COLOURS[:count]
    return [tuple(colour) for colour in colormaps["viridis"](np.linspace(0, 0.95, count))]
