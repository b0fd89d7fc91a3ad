r"""Travel times of P and S through velocities on a grid in three dimensions.

The eikonal equation is solved once for every station and phase, from the station outwards. The time
from a source at x is

.. math:: T_j(x) = s_j |x - x_j| \tau_j(x)

with the slowness :math:`s_j` at the station and a smooth factor :math:`\tau_j`, which is read by a
cubic spline. Between the nodes of the velocities these are linear; the uppermost go on up to the
highest station, the outermost beyond the sides. Nodes of times are closer in depth than across, for
so the velocities change.
"""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import RegularGridInterpolator

from bayesquake.batch.lanes import in_lanes
from bayesquake.batch.shard import batched, width_of
from bayesquake.errors import DatasetError
from bayesquake.io.catalog import source_of
from bayesquake.io.velocity_models import GRID
from bayesquake.physics.projection import to_geographic, to_plane, turned
from bayesquake.physics.travel_time.eikonal import time_factor
from bayesquake.physics.travel_time.spline import spline_coefficients, spline_value

from ..errors import DomainError
from ..physics.arrivals import distance_of
from .tables import table_of_picks

__all__ = ["FieldTables", "field_tables"]


class FieldTables(NamedTuple):
    """Coefficients of splines through the factors of travel times, one table for each station.

    Attributes
    ----------
    coefficients : (table * row, column, layer)
        Rows along x, columns along y, layers along depth.
    rows : scalar
        Rows of one table.
    origin : (3,)
        Place of the first node, km.
    spacing : (3,)
        Of the nodes, km.
    slowness : (table,)
        At the station, s/km.
    station_depth : (table,)
        km.
    """

    coefficients: Any
    rows: Any
    origin: Any
    spacing: Any
    slowness: Any
    station_depth: Any

    def travel_time(self, place, picks):
        """Return the travel times (s) of picks from a place (x, y, depth), km, in the box."""
        x, y, depth = place
        across = distance_of(x - picks.station_x, y - picks.station_y)
        distance = jnp.hypot(across, depth - self.station_depth[picks.table])
        row, column, layer = (
            (place[axis] - self.origin[axis]) / self.spacing[axis] for axis in range(3)
        )
        nodes = picks.table * self.rows + row, column, layer
        return self.slowness[picks.table] * distance * spline_value(self.coefficients, nodes)


FLATTER = 2
"""By which nodes are closer in depth than across."""

NARROWING = 16
"""By which a lane of grids is narrower than one of small problems."""


def field_tables(dataset, grid, box, vpvs, spacing, progress=None):
    """Return the tables, and the number of its table and the ratio of times of every pick.

    Parameters
    ----------
    dataset : xarray.Dataset
    grid : xarray.Dataset
        Of `bayesquake.io.velocity_models.GRID`.
    box : events.Box
    vpvs : float or None
        Ratio of velocities that gives those of S; None for those of the grid.
    spacing : float
        Of the nodes at which times are found, across, km; in depth they are `FLATTER` times closer.
    progress : callable, optional
        Called as ``progress(done, stations)``, for P and then for S.

    Raises
    ------
    DatasetError
        The grid is placed by degrees and the data are not, or the other way round.
    DomainError
        A station or a preliminary epicentre lies beside the grid, or the box reaches below it.
    """
    require_inside(dataset, grid, box)
    stations = np.stack(
        [dataset[name].to_numpy() for name in ("station_x", "station_y", "station_depth")], axis=-1
    )
    steps = (spacing, spacing, spacing / FLATTER)
    low = np.minimum(box.low, stations.min(axis=0)) - steps
    high = np.maximum(box.high, stations.max(axis=0)) + steps
    axes = [
        start + step * np.arange(np.ceil((end - start) / step) + 1)
        for start, end, step in zip(low, high, steps, strict=True)
    ]
    phases = ("vp",) if vpvs is not None else ("vp", "vs")
    solve = _solution(steps)
    made = [
        in_lanes(
            functools.partial(solve, jnp.asarray(1 / sampled(grid, name, axes, dataset))),
            stations - low,
            width_of(narrowing=NARROWING),
            progress,
        )
        for name in phases
    ]
    coefficients, at_station = (np.concatenate(parts) for parts in zip(*made, strict=True))
    tables = FieldTables(
        coefficients.reshape(-1, *coefficients.shape[2:]),
        np.asarray(float(coefficients.shape[1])),
        low,
        np.array(steps),
        at_station,
        np.tile(stations[:, 2], len(phases)),
    )
    return tables, table_of_picks(dataset, np.arange(len(stations)), vpvs)


def require_inside(dataset, grid, box):
    """Require that stations, preliminary epicentres and the box lie within the grid."""
    for kind, names in (("station", ("station_x", "station_y")), ("event", ("x", "y"))):
        x, y = (dataset[name].to_numpy() for name in names)
        along = along_axes(x, y, grid, dataset)
        for axis, place in zip(("x", "y"), along, strict=True):
            first, last = grid[axis].to_numpy()[[0, -1]]
            outside = (place < first) | (place > last)
            if outside.any():
                i = int(np.argmax(outside))
                raise DomainError(
                    f"{kind} {dataset[kind].to_numpy()[i]} lies at {place[i]:.1f} km along {axis} "
                    f"of the grid {source_of(grid)}, which reaches from {first:g} to {last:g} km "
                    f"({np.count_nonzero(outside)} such); leave it out or give a wider grid"
                )
    lowest = float(grid["z"][-1])
    if box.high[2] > lowest:
        raise DomainError(
            f"deepest = {box.high[2]:g} km lies below the lowest node of the grid "
            f"{source_of(grid)}, {lowest:g} km; give at most that"
        )


def along_axes(x, y, grid, dataset):
    """Return the distances (km) along both axes of a grid of places on the plane of the data."""
    own, of_grid = ({**GRID.defaults, **placed.attrs} for placed in (dataset, grid))
    ours, theirs = (
        (known["centre_longitude"], known["centre_latitude"]) for known in (own, of_grid)
    )
    by_degrees, grid_by_degrees = (not np.isnan(centre).any() for centre in (ours, theirs))
    if by_degrees != grid_by_degrees:
        raise DatasetError(
            f"the grid {source_of(grid)} has {'a' if grid_by_degrees else 'no'} centre in degrees, "
            f"and {source_of(dataset)} has {'one' if by_degrees else 'none'}; read the grid with "
            "centre= where its x and y are zero, or without if the data are in km"
        )
    if by_degrees:
        longitude, latitude = to_geographic(x, y, ours)
        x, y = to_plane(longitude, latitude, theirs)
    return turned(x, y, of_grid["rotation"])


def sampled(grid, name, axes, dataset):
    """Return velocities, (x, y, depth), km/s, at nodes on the plane of the data."""
    nodes = [grid[axis].to_numpy() for axis in ("x", "y", "z")]
    x, y = np.meshgrid(*axes[:2], indexing="ij")
    across = along_axes(x, y, grid, dataset)
    along = np.broadcast_arrays(*(place[..., None] for place in across), axes[2])
    held = [np.clip(place, node[0], node[-1]) for place, node in zip(along, nodes, strict=True)]
    return RegularGridInterpolator(nodes, grid[name].to_numpy())(np.stack(held, axis=-1))


@functools.cache
def _solution(steps):
    """Return the compiled splines of a lane of stations, and the slowness at each."""

    def one(slowness, station):
        factor, at_station = time_factor(slowness, station, steps)
        return spline_coefficients(factor), at_station

    return batched(one, (None, 0))
