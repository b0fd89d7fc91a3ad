"""Travel times of P and S in tables of distance and depth, read by cubic splines.

A table holds the first arrivals at one depth of stations. Tables lie one after another along the
first axis of one array, so that picks at all stations read from it at once. A kink of travel times,
where one wave overtakes another, is rounded over one spacing, by some milliseconds.
"""

from math import ceil, log2
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.physics.travel_time.layered import first_arrival_time
from bayesquake.physics.travel_time.spline import spline_coefficients, spline_value

from ..data.arrays import indices
from ..physics.arrivals import REFERENCE_VPVS, distance_of

__all__ = ["Tables", "layer_tables", "s_ratio", "table_of_picks", "tabulated"]

SPACING_KM = 0.2
"""Between nodes, of distance and of depth."""

MORE_NODES = 2
"""Nodes beyond the largest distance and depth."""

NODES = 64
"""Nodes along an axis are a multiple of this, and tables a power of two, so that networks of
similar size share programs."""


class Tables(NamedTuple):
    """Coefficients of splines through travel times.

    Attributes
    ----------
    coefficients : (table * row, column)
        Rows of distance, columns of depth.
    rows : scalar
        Rows of one table.
    top : scalar
        Depth of the first column of nodes, km.
    """

    coefficients: Any
    rows: Any
    top: Any

    def travel_time(self, place, picks):
        """Return the travel times (s) of picks from a place (x, y, depth), km, in the box."""
        x, y, depth = place
        distance = distance_of(x - picks.station_x, y - picks.station_y)
        row = picks.table * self.rows + distance / SPACING_KM
        return spline_value(self.coefficients, (row, (depth - self.top) / SPACING_KM))


def s_ratio(velocities, vpvs):
    """Return the ratio that gives the velocities of S, None where they are all known."""
    if vpvs is None and np.isnan(velocities["vs"]).any():
        return REFERENCE_VPVS
    return vpvs


def layer_tables(dataset, box, vpvs):
    """Return the tables, and the number of its table and the ratio of times of every pick.

    Parameters
    ----------
    dataset : xarray.Dataset
    box : events.Box
    vpvs : float or None
        Ratio of velocities that gives those of S; None for those of the layers.
    """
    station_depth = dataset["station_depth"].to_numpy().astype(float)
    depths, of_station = np.unique(station_depth, return_inverse=True)
    vp, vs = (dataset[name].to_numpy().astype(float) for name in ("vp", "vs"))
    corners = np.stack(np.meshgrid(*zip(box.low[:2], box.high[:2], strict=True)), -1).reshape(-1, 2)
    stations = np.stack([dataset["station_x"].to_numpy(), dataset["station_y"].to_numpy()], -1)
    farthest = np.linalg.norm(stations[:, None] - corners, axis=-1).max()
    profiles = [vp] if vpvs is not None else [vp, vs]
    tables = tabulated(profiles, depths, dataset["top"].to_numpy(), farthest, box.high[2])
    return tables, table_of_picks(dataset, of_station, vpvs)


def table_of_picks(dataset, of_station, vpvs):
    """Return the number of its table and the ratio of times of every pick.

    Parameters
    ----------
    dataset : xarray.Dataset
    of_station : (station,)
        Table of P of each station. Those of S, if there are such, come after all of these.
    vpvs : float or None
        Ratio by which the times of P are those of S; None where S has tables of its own.
    """
    _, station, phase = indices(dataset)
    table = of_station[station]
    if vpvs is not None:
        return table, np.where(phase == 1, vpvs, 1.0)
    return table + phase * (of_station.max() + 1), np.ones(len(phase))


def tabulated(velocities, station_depths, tops, farthest, deepest):
    """Return the tables of some velocities and depths of stations, the latter changing faster.

    Parameters
    ----------
    velocities : (profile, layer)
        km/s.
    station_depths : (depth,)
        km.
    tops : (layer,)
        km.
    farthest, deepest : float
        Largest distance and depth of a source, km.
    """
    distance = SPACING_KM * np.arange(_nodes(farthest))
    depth = tops[0] + SPACING_KM * np.arange(_nodes(deepest - tops[0]))
    made = [
        _coefficients(distance, depth, float(station), np.asarray(tops), np.asarray(velocity))
        for velocity in velocities
        for station in station_depths
    ]
    spare = 2 ** ceil(log2(len(made))) - len(made)
    coefficients = np.concatenate([*made, *[np.zeros_like(made[0])] * spare])
    return Tables(coefficients, np.asarray(float(len(made[0]))), np.asarray(float(tops[0])))


def _nodes(length):
    return NODES * ceil((length / SPACING_KM + MORE_NODES) / NODES)


@jax.jit
def _coefficients(distance, depth, station_depth, tops, velocity):
    def of_depth(source_depth):
        return first_arrival_time(distance, source_depth, station_depth, tops, velocity)

    return spline_coefficients(jax.lax.map(of_depth, jnp.asarray(depth)).T)
