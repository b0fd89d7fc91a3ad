"""Pieces of this model's figures: maps, axes of time, dots of events, bands.

Convention: maps are in longitude and latitude where the catalogue has them, else in km of its
own plane; times are dates where they are absolute, else days.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.patches import Polygon

from bayesquake.physics.projection import near_longitude, to_geographic
from bayesquake.reporting.figures import BLUE, GREY, INK, VERMILION

from .background import CELLS

__all__ = [
    "CLASSES",
    "Places",
    "band",
    "cell_map",
    "draws_of",
    "event_dots",
    "history_dots",
    "links",
    "map_axis",
    "map_width",
    "moments",
    "places_of",
    "time_axis",
]

CLASSES = LinearSegmentedColormap.from_list("classes", [VERMILION, "#E9DFCB", BLUE])
"""Colours from triggered (0) to background (1)."""

LARGEST_DOT = 220.0
GROWTH = 0.85
"""Growth of the log area of a dot with magnitude."""

MOST_DRAWS = 1000
MARGIN = 0.03


class Places(NamedTuple):
    """Where a catalogue lies on a map.

    Attributes
    ----------
    x, y : (event,)
        Degrees or km.
    polygon : (vertex, 2)
    labels : tuple of str
        Of the axes.
    aspect : float
        Length of a unit of y over that of x.
    centre : (longitude, latitude) or None
        Of the projection, in degrees.
    """

    x: Any
    y: Any
    polygon: Any
    labels: Any
    aspect: float
    centre: Any


def places_of(result):
    """Return where events and polygon lie."""
    observed = result["observed_data"]
    polygon = observed["polygon"].to_numpy()
    if observed.attrs["projection"] != "laea":
        x, y = observed["x_km"].to_numpy(), observed["y_km"].to_numpy()
        return Places(x, y, polygon, ("x (km)", "y (km)"), 1.0, None)
    centre = (observed.attrs["centre_longitude"], observed.attrs["centre_latitude"])
    return Places(
        near_longitude(observed["longitude"].to_numpy(), centre[0]),
        observed["latitude"].to_numpy(),
        np.stack(on_map(polygon[:, 0], polygon[:, 1], centre), axis=-1),
        ("longitude (°)", "latitude (°)"),
        float(1 / np.cos(np.radians(centre[1]))),
        centre,
    )


def on_map(x_km, y_km, centre):
    """Return the coordinates on the map of points of the plane."""
    if centre is None:
        return x_km, y_km
    longitude, latitude = to_geographic(x_km, y_km, centre)
    return near_longitude(longitude, centre[0]), latitude


def map_width(places, height):
    """Return the width (inch) that a map of some height needs, within reason."""
    width, tall = np.ptp(places.polygon, axis=0) * (1.0, places.aspect)
    return float(np.clip(height * width / tall, 0.6 * height, 1.8 * height))


def map_axis(axis, places):
    """Outline the polygon on an axis and give it the map's limits and shape."""
    axis.add_patch(Polygon(places.polygon, fill=False, edgecolor=INK, linewidth=0.9, zorder=1))
    low, high = places.polygon.min(axis=0), places.polygon.max(axis=0)
    margin = MARGIN * (high - low)
    axis.set(
        xlim=(low[0] - margin[0], high[0] + margin[0]),
        ylim=(low[1] - margin[1], high[1] + margin[1]),
        xlabel=places.labels[0],
        ylabel=places.labels[1],
    )
    axis.set_box_aspect(float(places.aspect * (high - low)[1] / (high - low)[0]))


def moments(result, days):
    """Return times in matplotlib's numbers where they are absolute, else in days."""
    epoch = result["observed_data"].attrs["epoch"]
    days = np.asarray(days, float)
    return days + date2num(np.datetime64(epoch.rstrip("Z"))) if epoch else days


def time_axis(axis, result):
    """Make x an axis of dates or days from the first event to T1, with the history shaded."""
    observed = result["observed_data"]
    T0, T1 = (observed.attrs[name] for name in ("T0", "T1"))
    first = min(float(observed["time_days"].min()), T0)
    if observed.attrs["epoch"]:
        locator = AutoDateLocator(maxticks=8)
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axis.set_xlabel("time (days)")
    margin = 0.01 * (T1 - first)
    axis.set_xlim(moments(result, [first - margin, T1 + margin]))
    if first < T0:
        shade = {"color": GREY, "alpha": 0.12, "linewidth": 0, "zorder": 0}
        axis.axvspan(*moments(result, [first - margin, T0]), **shade)


def event_dots(axis, x, y, colours, result, which, **options):
    """Draw some events as dots that grow with magnitude, the small ones on top."""
    order = np.flatnonzero(which)
    magnitude = result["observed_data"]["magnitude"].to_numpy()
    order = order[np.argsort(-magnitude[order], kind="stable")]
    colours = colours if isinstance(colours, str) else np.asarray(colours)[order]
    settings = {"edgecolors": INK, "linewidths": 0.25 if order.size < 2000 else 0.0, "zorder": 3}
    settings |= options
    return axis.scatter(x[order], y[order], s=dot_sizes(magnitude)[order], c=colours, **settings)


def dot_sizes(magnitude):
    """Return areas of dots (points²), smaller where there are many."""
    least = np.clip(5000 / magnitude.size, 2.0, 12.0)
    return np.minimum(least * np.exp(GROWTH * (magnitude - magnitude.min())), LARGEST_DOT)


def history_dots(axis, x, y, result):
    """Draw the events that are no targets, in grey."""
    history = result["observed_data"]["target"].to_numpy() == 0
    event_dots(axis, x, y, GREY, result, history, edgecolors="none", alpha=0.45, zorder=2)


def links(axis, x, y, parent, share):
    """Draw lines from children to parents, the stronger the larger their share of the draws."""
    child = np.flatnonzero(parent >= 0)
    ends = np.stack([parent[child], child], axis=1)
    colours = np.tile(to_rgba(VERMILION), (child.size, 1))
    colours[:, 3] = 0.1 + 0.7 * share[child]
    segments = np.stack([x[ends], y[ends]], axis=-1)
    axis.add_collection(LineCollection(list(segments), colors=colours, linewidths=0.8, zorder=2))


def cell_map(axis, values, posterior, result, places, **options):
    """Draw values (cell,) of the background field, cut to the polygon."""
    polygon = result["observed_data"]["polygon"].to_numpy()
    low, side = polygon.min(axis=0), np.ptp(polygon, axis=0).max() / CELLS
    centre = np.stack([posterior[name].to_numpy() for name in ("cell_x_km", "cell_y_km")])
    column, row = ((centre - low[:, None]) / side).astype(int)
    grid = np.full((row.max() + 1, column.max() + 1), np.nan)
    grid[row, column] = values
    edges = (low[i] + side * np.arange(n + 1) for i, n in enumerate(grid.T.shape))
    x_km, y_km = np.meshgrid(*edges)
    drawn = axis.pcolormesh(
        *on_map(x_km, y_km, places.centre), grid, rasterized=True, zorder=0, **options
    )
    drawn.set_clip_path(Polygon(places.polygon, transform=axis.transData))
    return drawn


def draws_of(group, names):
    """Return variables of a group that are there, each (draw, ...), evenly spaced ones if many."""
    found = {}
    for name in names:
        if name in group:
            ordered = group[name].transpose("chain", "draw", ...).to_numpy()
            found[name] = ordered.reshape(-1, *ordered.shape[2:])
    chosen = np.linspace(0, len(found[names[0]]) - 1, MOST_DRAWS).astype(int)
    return {name: values[np.unique(chosen)] for name, values in found.items()}


def band(axis, x, draws, colour, label, **options):
    """Draw the median and the 90 % band of draws (draw, x)."""
    low, median, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    axis.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0, **options)
    axis.plot(x, median, color=colour, label=label)
