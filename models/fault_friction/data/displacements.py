"""Displacements of stations from a table with a row for every station and time."""

import numpy as np

from bayesquake.physics.projection import to_plane

from ..errors import GeometryError, UnitsError
from ..physics.half_space import displacement_of_slip
from ..physics.trajectory import YEAR
from .dataset import COMPONENTS

__all__ = ["displacements_of"]

SECONDS = {"s": 1.0, "h": 3600.0, "d": 86400.0, "days": 86400.0, "yr": YEAR, "years": YEAR}
METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "km": 1e3}

ALSO = {"east": ("e",), "north": ("n",), "up": ("u",)}

SAME_PLACE = 1.0
"""Places of one station that are closer than this are one, m."""


def displacements_of(table, fault, *, centre, start_time):
    """Return displacements by epoch, station and component, and how slip moves the stations.

    Parameters
    ----------
    table : bayesquake.io.tables.Table
        Its columns say their units, as in ``time_yr`` and ``east_mm``.
    fault : xarray.Dataset
        Of `dataset.FAULT`, with corners, or with displacements by unit slip of stations by name.
    centre : (longitude, latitude) or None
        Of the fault's plane.
    start_time : float
        Of the motion, in the unit of the table.

    Returns
    -------
    values : dict of arrays
    stations : (station,) array of str

    Raises
    ------
    DatasetError
        A number is missing or unreadable, a station stands at two places or twice at one time, or
        the fault does not know it.
    UnitsError
        A column does not say its unit.
    GeometryError
        A station stands below the top of the fault.
    """
    time = measured(table, "time", SECONDS) - start_time * unit_of(table, "time", SECONDS)[1]
    early = time < 0
    if early.any():
        raise table.schema.error(
            f"{table.where(int(np.argmax(early)))}: time is before start_time = {start_time:g}, "
            "when the motion begins; give an earlier one"
        )
    stations, of_station = np.unique(table.texts("station", also=("site",)), return_inverse=True)
    times, of_time = np.unique(time, return_inverse=True)
    require_once(table, of_time * len(stations) + of_station)
    shape = (len(times), len(stations), len(COMPONENTS))
    values = {name: np.full(shape, np.nan) for name in ("displacement", "displacement_error")}
    for k, component in enumerate(COMPONENTS):
        if component == "up" and not columns_of(table, ("up", *ALSO["up"]), METRES):
            continue
        moved = measured(table, component, METRES, ALSO[component], missing=True)
        values["displacement"][of_time, of_station, k] = moved
        values["displacement_error"][of_time, of_station, k] = error_of(table, component)
    return values | {"time": times} | green_of(table, fault, stations, of_station, centre), stations


def require_once(table, cell):
    """Require that no station has two rows of one time."""
    _, first, count = np.unique(cell, return_index=True, return_counts=True)
    if (count > 1).any():
        twice = cell[first[np.argmax(count > 1)]]
        one, other, *_ = np.flatnonzero(cell == twice)
        raise table.schema.error(
            f"{table.where(int(other))}: its station has this time already, "
            f"{table.where(int(one))}; keep one"
        )


def error_of(table, component):
    """Return the standard deviations of a component: its own, or those of all, m."""
    own = [f"{name}_{kind}" for name in (component, *ALSO[component]) for kind in ("error", "sd")]
    own += [f"{kind}_{name}" for name in (component, *ALSO[component]) for kind in ("sig", "sigma")]
    names = own if columns_of(table, own, METRES) else ["error", "sd", "sigma"]
    return measured(table, names[0], METRES, names[1:], missing=True, low=1e-9)


def green_of(table, fault, stations, of_station, centre):
    """Return the places of stations and their displacements by unit slip."""
    if "displacement_of_slip" in fault:
        known = [str(name) for name in fault["station"].to_numpy()]
        missing = [name for name in stations if name not in known]
        if missing:
            raise table.schema.error(
                f"{table.name}: the fault's displacement_of_slip has no station {missing[0]} "
                f"({len(missing)} such), only {', '.join(known)}; add it, or leave its rows out"
            )
        rows = [known.index(name) for name in stations]
        names = ("station_x", "station_y", "displacement_of_slip")
        return {name: fault[name].to_numpy()[rows] for name in names if name in fault}
    if "corners" not in fault:
        raise table.schema.error(
            f"{table.name}: the fault tells neither its corners nor displacement_of_slip; make it "
            "by fault_in_half_space, or add displacement_of_slip"
        )
    x, y = (at_stations(table, q, of_station) for q in places_of(table, centre))
    require_above(table, fault, of_station)
    green = displacement_of_slip(
        np.column_stack([x, y]),
        fault["corners"].to_numpy(),
        fault["slip_direction"].to_numpy(),
        fault.attrs["poisson_ratio"],
    )
    return {"station_x": x, "station_y": y, "displacement_of_slip": green}


def places_of(table, centre):
    """Return east and north of every row, m."""
    if not {"longitude", "latitude", "lon", "lat"} & set(table.cells):
        return measured(table, "x", METRES), measured(table, "y", METRES)
    if centre is None:
        raise table.schema.error(
            f"{table.name} places stations by degrees; give centre=(longitude, latitude), where "
            "the coordinates of the fault are zero"
        )
    longitude = table.numbers("longitude", "degrees", low=-180, high=360, also=("lon",))
    latitude = table.numbers("latitude", "degrees", low=-90, high=90, also=("lat",))
    return (1e3 * q for q in to_plane(longitude, latitude, centre))


def at_stations(table, place, of_station):
    """Return one coordinate of every station."""
    _, first = np.unique(of_station, return_index=True)
    apart = np.abs(place - place[first][of_station]) > SAME_PLACE
    if apart.any():
        row = int(np.argmax(apart))
        other = table.where(int(first[of_station[row]]))
        raise table.schema.error(
            f"{table.where(row)}: its station is elsewhere in {other}; correct one"
        )
    return place[first]


def require_above(table, fault, of_station):
    """Require stations above the top of the fault, where the table gives their heights."""
    if not columns_of(table, ("z", "height"), METRES):
        return
    height = measured(table, "z", METRES, ("height",))
    top = fault["corners"].to_numpy()[..., 2].max()
    below = height < top
    if below.any():
        row = int(np.argmax(below))
        raise GeometryError(
            f"{table.where(row)}: the station is {-height[row]:g} m deep, below the top of the "
            f"fault at {-top:g} m; heights are up, in the unit of the column"
        )


def measured(table, name, units, also=(), **limits):
    """Return a column in SI units.

    Raises
    ------
    UnitsError
        None says its unit.
    DatasetError
        There is no such column, or two.
    """
    column, factor = unit_of(table, name, units, also)
    unit = column.rsplit("_", 1)[1]
    low = limits.pop("low", -np.inf) / factor
    return factor * table.numbers(column, unit, low=low, **limits)


def unit_of(table, name, units, also=()):
    """Return the column of a quantity and its unit in SI units."""
    found = columns_of(table, (name, *also), units)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        columns = ", ".join(column for column, _ in found)
        raise table.schema.error(f"{table.name}: {columns} give one quantity; keep one")
    bare = [n for n in (name, *also) if n in table.cells]
    if bare:
        raise UnitsError(
            f"{table.name}: the column {bare[0]} does not say its unit; name it "
            + " or ".join(f"{bare[0]}_{unit}" for unit in units)
        )
    raise table.schema.error(
        f"{table.name} has no column {name}_{next(iter(units))} (or another unit), only "
        f"{', '.join(map(str, table.cells))}; add it"
    )


def columns_of(table, names, units):
    """Return those columns of some names with a unit that are there, and their units."""
    return [
        (f"{name}_{unit}", factor)
        for name in names
        for unit, factor in units.items()
        if f"{name}_{unit}" in table.cells
    ]
