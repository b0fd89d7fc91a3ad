"""Relocated events as hypoDD writes them.

Convention: a line has 24 columns: name; latitude, longitude (degrees), depth (km); distances from
the centroid and their errors (m) along x, y and z; origin time; magnitude; numbers of data;
residuals; and the cluster, which older files lack.

References
----------
Waldhauser & Ellsworth (2000), doi:10.1785/0120000006.
"""

import pandas as pd

from bayesquake.io.arrivals.formats import time_of
from bayesquake.io.datasets import Schema, Variable, labelled, reader
from bayesquake.io.tables import LineError, TextFormat, numbers_of, words_of

__all__ = ["RELOCATIONS", "read_relocations"]

COLUMNS = (23, 24)
METRES_PER_KM = 1000.0


def of_event(unit, meaning, low, high):
    """Return the declaration of what is known of an event."""
    return Variable(unit, meaning, ("event",), low, high)


RELOCATIONS = Schema(
    {
        "latitude": of_event("degrees_north", "latitude", -90, 90),
        "longitude": of_event("degrees_east", "longitude", -180, 360),
        "depth": of_event("km", "depth", -10, 1000),
        "origin_time": of_event("s", "origin time after 1970-01-01T00:00:00 UTC", -1e11, 1e11),
        "error_x": of_event("km", "relative error east", 0, 1000),
        "error_y": of_event("km", "relative error north", 0, 1000),
        "error_z": of_event("km", "relative error in depth", 0, 1000),
    }
)


def are_relocations(lines):
    """Return whether the first line has the columns of hypoDD."""
    found = words_of(lines)[:1]
    return bool(found) and len(found[0][1]) in COLUMNS


def relocation_cells(lines):
    """Return the cells of each event."""
    rows = {}
    for line, words in words_of(lines):
        if len(words) not in COLUMNS:
            raise LineError(line, "a relocation has 23 or 24 columns; complete it")
        numbers = numbers_of(words[1:16], line)
        moment = time_of([int(n) for n in numbers[9:14]], numbers[14], line)
        rows[line] = {
            "event": words[0],
            **dict(zip(("latitude", "longitude", "depth"), numbers[:3], strict=True)),
            "origin_time": pd.Timestamp(moment).timestamp(),
            **{
                f"error_{axis}": metres / METRES_PER_KM
                for axis, metres in zip("xyz", numbers[6:9], strict=True)
            },
        }
    return pd.DataFrame.from_dict(rows, orient="index")


@reader(RELOCATIONS, formats=[TextFormat("HYPODD_RELOC", are_relocations, relocation_cells)])
def read_relocations(table):
    """Read relocated events.

    Parameters
    ----------
    source : path or xarray.Dataset
        A ``.reloc`` file of hypoDD, a CSV file with the names of `RELOCATIONS` as columns, or a
        data set of `RELOCATIONS`.

    Returns
    -------
    xarray.Dataset
        Of `RELOCATIONS`, with the names of the events as coordinate.

    Raises
    ------
    DatasetError
        The file cannot be read, or a number is missing or impossible.
    """
    values = {name: table.numbers(name) for name in RELOCATIONS.variables}
    return labelled(RELOCATIONS, values).assign_coords(event=table.texts("event"))
