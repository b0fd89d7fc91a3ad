"""Stations: where they are, in degrees and above sea level or on a plane of kilometres.

Convention: elevations are in km above sea level, positive upward; z is in km, positive downward,
so that z = -elevation. Files of stations are

- CSV with the columns ``station``, ``latitude``, ``longitude`` and ``elevation_km`` or
  ``elevation_m``; or ``station``, ``x_km``, ``y_km`` and ``z_km`` (or ``depth_km``);
- ``HYPODD``: lines of name, latitude, longitude and, perhaps, elevation in m;
- ``NONLINLOC``: the GTSRCE lines of a control file, in degrees (LATLON) or km (XYZ).

References
----------
Waldhauser (2001), USGS Open-File Report 01-113: station files of hypoDD, elevations in m.
Lomax et al. (2000), doi:10.1007/978-94-015-9536-0_5: NonLinLoc.
"""

import numpy as np
import pandas as pd

from bayesquake.errors import DatasetError
from bayesquake.io.datasets import Schema, Variable, labelled, reader
from bayesquake.io.tables import LineError, TextFormat, numbers_of, words_of

__all__ = ["STATIONS", "read_stations"]

DEEPEST_BOREHOLE_KM, HIGHEST_KM = -15.0, 9.0

GTSRCE_WORDS = 7
"""GTSRCE, label, LATLON or XYZ, two horizontal coordinates, depth, elevation."""

GEOGRAPHIC = ("latitude", "longitude", "elevation")
LOCAL = ("x", "y", "z")


def require_one_place_each(dataset, name):
    """Require positions of one kind, whole, and names that differ."""
    for names in (GEOGRAPHIC, LOCAL):
        there = [n for n in names if n in dataset]
        if there and len(there) < len(names):
            absent = ", ".join(n for n in names if n not in there)
            raise DatasetError(f"{name} gives {', '.join(there)} of its stations but not {absent}")
    if not any(n in dataset for n in (*GEOGRAPHIC, *LOCAL)):
        raise DatasetError(
            f"{name} gives no positions of its stations; give latitude, longitude and elevation, "
            "or x, y and z"
        )
    codes = pd.Series(dataset["station"].to_numpy())
    if codes.duplicated().any():
        raise DatasetError(
            f"{name}: station {codes[codes.duplicated()].iloc[0]} stands there more than once; "
            "keep one"
        )


def place(unit, meaning, low=-np.inf, high=np.inf, also=()):
    """Return the declaration of a coordinate."""
    return Variable(unit, meaning, ("station",), low, high, optional=True, also=also)


STATIONS = Schema(
    {
        "latitude": place("degrees_north", "latitude", -90.0, 90.0, ("lat",)),
        "longitude": place("degrees_east", "longitude", -180.0, 360.0, ("lon",)),
        "elevation": place(
            "km", "height above sea level", DEEPEST_BOREHOLE_KM, HIGHEST_KM, ("elevation_km",)
        ),
        "x": place("km", "distance east", also=("x_km",)),
        "y": place("km", "distance north", also=("y_km",)),
        "z": place("km", "depth", -HIGHEST_KM, -DEEPEST_BOREHOLE_KM, ("z_km", "depth_km")),
    },
    require=require_one_place_each,
)


def are_sources(lines):
    """Return whether lines hold GTSRCE statements."""
    return any(line.lstrip().startswith("GTSRCE") for line in lines)


def source_cells(lines):
    """Return names and positions of GTSRCE lines."""
    rows = {}
    for line, words in words_of(lines):
        if words[0] != "GTSRCE":
            continue
        if len(words) < GTSRCE_WORDS or words[2] not in ("LATLON", "XYZ"):
            raise LineError(
                line,
                "GTSRCE is label, LATLON or XYZ, two coordinates, depth, elevation; correct it",
            )
        first, second, depth, elevation = numbers_of(words[3:GTSRCE_WORDS], line)
        if words[2] == "LATLON":
            where = {"latitude": first, "longitude": second, "elevation_km": elevation - depth}
        else:
            where = {"x": first, "y": second, "z": depth - elevation}
        rows[line] = {"station": words[1], **where}
    return pd.DataFrame.from_dict(rows, orient="index")


def are_hypodd(lines):
    """Return whether all lines are a name followed by two or more numbers."""
    found = words_of(lines)
    try:
        return bool(found) and all(
            len(numbers_of(words[1:4], line)) in (2, 3) for line, words in found
        )
    except LineError:
        return False


def hypodd_cells(lines):
    """Return names and positions, without elevations at sea level."""
    rows = {}
    for line, words in words_of(lines):
        if len(words) not in (3, 4):
            raise LineError(
                line, "a station is its name, latitude, longitude and, perhaps, elevation in m"
            )
        latitude, longitude, metres = numbers_of([*words[1:], "0"][:3], line)
        rows[line] = {
            "station": words[0],
            "latitude": latitude,
            "longitude": longitude,
            "elevation_km": metres / 1000,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


FORMATS = (
    TextFormat("NONLINLOC", are_sources, source_cells),
    TextFormat("HYPODD", are_hypodd, hypodd_cells),
)


@reader(STATIONS, formats=FORMATS)
def read_stations(table):
    """Read stations.

    Parameters
    ----------
    source : path or xarray.Dataset
        A file of one of the formats of this module, or a data set of `STATIONS` with the coordinate
        ``station``.

    Returns
    -------
    xarray.Dataset
        Of `STATIONS`, geographic or local, with the names as coordinate ``station``.

    Raises
    ------
    DatasetError
        The file cannot be read, a position is missing or impossible, an elevation has no unit, or a
        station stands there twice.
    """
    columns = set(table.cells)
    if "elevation" in columns:
        raise DatasetError(
            f"{table.name}: the column elevation does not say its unit; name it elevation_m or "
            "elevation_km"
        )
    values = {
        name: table.numbers(name)
        for name, variable in STATIONS.variables.items()
        if columns & {name, *variable.also}
    }
    if "elevation_m" in columns:
        metres = table.numbers(
            "elevation_m", "m", low=1000 * DEEPEST_BOREHOLE_KM, high=1000 * HIGHEST_KM
        )
        if "elevation" in values:
            raise DatasetError(f"{table.name}: two columns give the elevation; keep one")
        values["elevation"] = metres / 1000
    names = table.texts("station", also=("code", "name", "sta"))
    return labelled(STATIONS, values).assign_coords(station=names)
