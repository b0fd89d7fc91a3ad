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

__all__ = ["Tables", "table_time", "tabulated"]

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


def table_time(tables, table, distance, depth):
    """Return travel times (s) out of the tables of given numbers.

    Parameters
    ----------
    tables : Tables
    table, distance, depth : arrays that broadcast against one another
        Within the range for which the tables were made; distances and depths in km.
    """
    row = table * tables.rows + distance / SPACING_KM
    return spline_value(tables.coefficients, (row, (depth - tables.top) / SPACING_KM))


def _nodes(length):
    return NODES * ceil((length / SPACING_KM + MORE_NODES) / NODES)


@jax.jit
def _coefficients(distance, depth, station_depth, tops, velocity):
    def of_depth(source_depth):
        return first_arrival_time(distance, source_depth, station_depth, tops, velocity)

    return spline_coefficients(jax.lax.map(of_depth, jnp.asarray(depth)).T)
