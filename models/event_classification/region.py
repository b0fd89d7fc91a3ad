"""The target region: a polygon, on the plane or in longitude and latitude.

Convention: vertices are counter-clockwise and the first is not repeated at the end. An edge
is straight in the coordinates in which its polygon was given, and there it is decided which
events lie inside, the boundary included. Integrals use the polygon on the plane, in km; where
an edge bends under the projection it is cut into chords.
"""

import numbers
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import shapely

from bayesquake.errors import OptionError
from bayesquake.io.tables import csv_cells
from bayesquake.physics.projection import near_longitude, to_plane

from .errors import PolygonError

__all__ = [
    "BEND_KM",
    "Region",
    "bounding_box",
    "centre_of",
    "is_inside",
    "is_near",
    "open_region",
    "plane_polygon",
    "signed_area",
    "simple_polygon",
]

BEND_KM = 0.1
"""A chord departs from the projected edge by less than this."""
POINTS_PER_CHORD = 8

COLUMNS = {
    "longitude": ("longitude", "lon"),
    "latitude": ("latitude", "lat"),
    "x": ("x_km", "x"),
    "y": ("y_km", "y"),
}


class Region(NamedTuple):
    """A polygon (vertex, 2) and its coordinates: longitude and latitude in degrees, or km."""

    vertices: np.ndarray
    geographic: bool


def signed_area(polygon):
    """Return the area of a polygon, positive if it runs counter-clockwise.

    Parameters
    ----------
    polygon : (vertex, 2)
        Not closed.

    Returns
    -------
    float
        In the square of the coordinates' unit.
    """
    x, y = (np.asarray(polygon, float) - np.asarray(polygon, float)[0]).T
    return float(0.5 * (x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def simple_polygon(vertices, name="polygon"):
    """Return a polygon counter-clockwise and not closed, and require that it is simple.

    Parameters
    ----------
    vertices : (vertex, 2) array_like
        In either sense, closed or not.
    name : str
        What an error calls it.

    Returns
    -------
    (vertex, 2) ndarray

    Raises
    ------
    PolygonError
        A coordinate is not finite; fewer than three vertices differ; the polygon crosses or
        touches itself or has no area.
    """
    vertices = np.asarray(vertices, float)
    if not np.isfinite(vertices).all():
        first = int(np.argmin(np.isfinite(vertices).all(axis=1)))
        raise PolygonError(
            f"{name}, vertex {first + 1}: {tuple(vertices[first].tolist())} is no point; "
            "give two finite numbers"
        )
    vertices = without_repeats(vertices)
    if len(vertices) < 3:
        raise PolygonError(
            f"{name} has {len(vertices)} different vertices; a polygon needs at least three"
        )
    ring = shapely.Polygon(vertices)
    area = signed_area(vertices)
    if not ring.is_valid or area == 0:
        flat = ring.convex_hull.area == 0
        reason = "it has no area" if flat else shapely.is_valid_reason(ring)
        raise PolygonError(
            f"{name} is not a simple polygon ({reason}); order its {len(vertices)} vertices along "
            "the boundary so that no two edges meet except at a common vertex"
        )
    return vertices if area > 0 else vertices[::-1]


def without_repeats(vertices):
    """Leave out vertices equal to the next, the closing one included."""
    return vertices[(vertices != np.roll(vertices, -1, axis=0)).any(axis=1)]


def plane_polygon(region, centre):
    """Return a region's polygon on the plane.

    Parameters
    ----------
    region : Region
        Returned as it is if it lies on the plane.
    centre : (longitude, latitude)
        Centre of the projection (degrees).

    Returns
    -------
    (vertex, 2) ndarray
        km. Every edge has as many equal parts as keep its chords within 0.1 km of the
        projected edge.
    """
    if not region.geographic:
        return region.vertices
    start = region.vertices
    edge = np.roll(start, -1, axis=0) - start
    parts = np.ones(len(start), int)
    along = np.linspace(0, 1, POINTS_PER_CHORD + 1)
    while True:
        first = np.cumsum(parts) - parts
        of = np.repeat(np.arange(len(start)), parts)
        fraction = (np.arange(len(of)) - first[of])[:, None] + along
        points = start[of, None] + (fraction / parts[of, None])[..., None] * edge[of, None]
        points = np.stack(to_plane(points[..., 0], points[..., 1], centre), axis=-1)
        worst = np.maximum.reduceat(departure(points), first)
        if (worst < BEND_KM).all():
            return simple_polygon(points[:, 0], "the projected polygon")
        # The departure falls as the square of the number of parts.
        needed = np.maximum(parts + 1, np.floor(parts * np.sqrt(worst / BEND_KM)).astype(int))
        parts = np.where(worst < BEND_KM, parts, needed)


def departure(points):
    """Return the largest distance of curves (curve, point, 2) from their chords (curve,)."""
    chord = points[:, -1] - points[:, 0]
    length = np.maximum(np.linalg.norm(chord, axis=1), np.finfo(float).tiny)
    offset = points - points[:, :1]
    across = chord[:, None, 0] * offset[..., 1] - chord[:, None, 1] * offset[..., 0]
    return np.abs(across).max(axis=1) / length


def is_inside(region, x, y):
    """Tell which points lie in a region or on its boundary.

    Parameters
    ----------
    region : Region
        With its coordinates.
    x, y : (event,)
        Longitude and latitude (degrees) if the region is geographic, else km.

    Returns
    -------
    (event,) bool
    """
    polygon = shapely.Polygon(region.vertices)
    if region.geographic:
        x = near_longitude(x, polygon.centroid.x)
    shapely.prepare(polygon)
    return shapely.intersects_xy(polygon, x, y)


def is_near(polygon, x, y, distance):
    """Tell which points lie in a plane polygon or within a distance (km) of it.

    Parameters
    ----------
    polygon : (vertex, 2)
        km.
    x, y : (event,)
        km.
    distance : float
        km.

    Returns
    -------
    (event,) bool
    """
    return shapely.dwithin(shapely.Polygon(polygon), shapely.points(x, y), distance)


def centre_of(region):
    """Return the centroid of a region in its own coordinates, longitudes from -180 to 180."""
    centroid = shapely.Polygon(region.vertices).centroid
    x = near_longitude(centroid.x, 0.0) if region.geographic else centroid.x
    return float(x), float(centroid.y)


def bounding_box(x, y, geographic, name="bounding box"):
    """Return the smallest box around points.

    Parameters
    ----------
    x, y : (event,)
        Longitude and latitude (degrees) if ``geographic``, else km.
    geographic : bool
        Longitudes that straddle 180 degrees are counted to 360.
    name : str
        What an error calls the box.

    Returns
    -------
    Region

    Raises
    ------
    PolygonError
        The box has no area, or is wider than half the globe.
    """
    if geographic and np.ptp(x) > 180:
        x = np.asarray(x) % 360
        if np.ptp(x) > 180:
            raise PolygonError(
                f"{name}: the events spread over more than 180 degrees of longitude; "
                "give the polygon of a smaller region"
            )
    west, east, south, north = np.min(x), np.max(x), np.min(y), np.max(y)
    corners = [(west, south), (east, south), (east, north), (west, north)]
    return Region(simple_polygon(corners, name), geographic)


def open_region(polygon, geographic):
    """Return the region of a file or of vertices.

    Parameters
    ----------
    polygon : path or sequence
        CSV file with the columns ``longitude`` and ``latitude`` (or ``lon``, ``lat``), or
        ``x_km`` and ``y_km``; or pairs (x, y) or (longitude, latitude), also as one flat
        list of numbers.
    geographic : bool
        Whether the catalogue, and hence every polygon for it, is in longitude and latitude.

    Returns
    -------
    Region
        Along an edge the longitude takes the shorter way around the globe.

    Raises
    ------
    PolygonError
        The file or the polygon is bad.
    OptionError
        The value is neither a path nor numbers.
    """
    if isinstance(polygon, str | os.PathLike):
        name = str(polygon)
        vertices = read_vertices(Path(polygon), geographic)
    else:
        name = "polygon"
        vertices = pairs(polygon)
    if geographic:
        vertices = np.column_stack([np.unwrap(vertices[:, 0], period=360), vertices[:, 1]])
    vertices = simple_polygon(vertices, name)
    if geographic and (np.abs(vertices[:, 1]) > 90).any():
        first = int(np.argmax(np.abs(vertices[:, 1]) > 90))
        raise PolygonError(
            f"{name}: {vertices[first, 1]:g} is no latitude; give pairs (longitude, latitude) "
            "in degrees"
        )
    return Region(vertices, geographic)


def pairs(polygon):
    """Return pairs of numbers as an array (vertex, 2)."""
    try:
        vertices = np.asarray(polygon, float)
    except (TypeError, ValueError, OverflowError):
        vertices = np.empty(())
    if vertices.ndim == 1 and vertices.size % 2 == 0:
        vertices = vertices.reshape(-1, 2)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or isinstance(polygon, numbers.Number):
        raise OptionError(
            f"polygon = {polygon!r} must be the path of a CSV file or pairs of numbers, as in "
            "[(0, 0), (100, 0), (100, 100), (0, 100)]"
        )
    return vertices


def read_vertices(path, geographic):
    """Return the vertices (vertex, 2) in a CSV file."""
    if not os.path.isfile(path):
        raise PolygonError(f"{path} does not exist; give the path of a polygon's CSV file")
    table = csv_cells(path, PolygonError)
    wanted = ("longitude", "latitude") if geographic else ("x", "y")
    names = [name for w in wanted for name in table.columns if name in COLUMNS[w]]
    if len(names) > len(wanted):
        raise PolygonError(f"{path}: the columns {', '.join(names)} say the same; keep one of each")
    if len(names) < len(wanted):
        coordinates = "longitude and latitude" if geographic else "x_km and y_km"
        raise PolygonError(
            f"{path}, line 1: the catalogue's positions are {coordinates}, and the polygon has no "
            f"such columns but {', '.join(table.columns)}; give it in the catalogue's coordinates"
        )
    cells = table[names]
    vertices = cells.apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(vertices.to_numpy(float)).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise PolygonError(
            f"{path}, line {cells.index[first]}: {', '.join(cells.iloc[first])!r} is no vertex; "
            "give two numbers"
        )
    return vertices.to_numpy(float)
