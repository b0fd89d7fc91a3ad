"""Earthquake catalogues: from CSV, ObsPy's formats or memory to one data set.

Convention: one dimension ``event``; ``time`` in days after the reference time t = 0,
which is the file's own zero where the file counts days, else the earliest event.
Coordinate ``row`` tells where in the source an event stands, so that every later
complaint can name the place. Missing or infinite numbers pass through: whether
they matter is for the model's reader to say.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.errors import CatalogError
from bayesquake.io.tables import MISSING, csv_cells, csv_header
from bayesquake.io.units import is_unit

__all__ = [
    "content_hash",
    "count_from",
    "days_after",
    "describe_event",
    "iso_time",
    "named_as_catalogue",
    "read_catalog",
    "source_of",
    "utc_times",
]

ATTRIBUTES = {
    "time": {"units": "d", "long_name": "origin time after the reference time"},
    "magnitude": {"units": "mag", "long_name": "magnitude"},
    "longitude": {"units": "degrees_east", "long_name": "longitude of the hypocentre"},
    "latitude": {"units": "degrees_north", "long_name": "latitude of the hypocentre"},
    "depth": {"units": "km", "long_name": "depth of the hypocentre", "positive": "down"},
    "x": {"units": "km", "long_name": "plane coordinate x of the epicentre"},
    "y": {"units": "km", "long_name": "plane coordinate y of the epicentre"},
}
REQUIRED = ("time", "magnitude")
LINE, INDEX = "line", "event index"

COLUMNS = {
    "t_days": ("t_days", "time_days", "days"),
    "time_utc": ("time_utc", "datetime", "origin_time"),
    "time": ("time",),
    "magnitude": ("mag", "magnitude"),
    "longitude": ("lon", "longitude"),
    "latitude": ("lat", "latitude"),
    "depth": ("depth_km", "depth"),
    "x": ("x_km", "x"),
    "y": ("y_km", "y"),
}
IDENTIFIERS = ("event_id", "id")
FORMATS_WITH_IDENTIFIERS = (None, "QUAKEML", "SCML", "SC3ML")
"""None stands for events that were made in memory."""
RANDOM_IDENTIFIER = r"smi:local/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
QUANTITY_OF_COLUMN = {name: quantity for quantity, names in COLUMNS.items() for name in names}

NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity)"

MICROSECONDS_PER_DAY = 86_400_000_000
CLOCKS_AGREE_DAYS, CLOCKS_AGREE_RELATIVE = 0.005, 1e-3
"""Printed days may differ from the UTC times by this sum: two decimals or three digits."""


def read_catalog(source, *, columns=(), optional_columns=(), format=None):
    """Read an earthquake catalogue.

    Parameters
    ----------
    source : path, obspy.Catalog or xarray.Dataset
        A CSV file with a header; any catalogue file that ObsPy reads (QuakeML, ZMAP, ...);
        a catalogue in memory; or a data set of the form returned here. The columns of a CSV
        file are found by name, in any order: ``t_days`` (days, relative to the file's own
        t = 0) or ``time_utc`` (ISO 8601, UTC), ``mag``, and optionally ``lon``, ``lat``
        (degrees) and ``depth_km``; ``time`` (days if numeric, else ISO 8601), ``magnitude``,
        ``longitude``, ``latitude`` and ``depth`` (km) serve as well, and so do ``x_km`` and
        ``y_km`` (or ``x``, ``y``) and ``event_id`` (or ``id``). A file with both
        ``t_days`` and ``time_utc`` takes t = 0 from the first and the exact times from the
        second.
    columns : sequence of str
        Further columns of numbers to carry, by their names in the CSV file or data set.
    optional_columns : sequence of str
        The same, but a column that is not there is passed over.
    format : str, optional
        ``"CSV"`` or the name of an ObsPy event format; detected by default.

    Returns
    -------
    xarray.Dataset
        Variables ``time`` (event,) in days and ``magnitude`` (event,); where known
        ``longitude``, ``latitude`` (degrees), ``depth``, ``x`` and ``y`` (km), and the further
        columns under their names. Coordinates ``row``: the line in a CSV file, else the index
        in the catalogue; and where known ``event_id``, text that is "" for an event without
        one. Attributes ``reference_time`` (ISO 8601 time of t = 0, or ""), ``time_origin``
        ("file" or "earliest event"), ``source`` and ``content_hash`` (SHA-256 of the numbers).

    Raises
    ------
    CatalogError
        The source is missing, empty or in no known form; a column is missing; a cell is no
        number or time; an event lacks an origin time or a magnitude.
    """
    if isinstance(source, xr.Dataset):
        return _from_dataset(source, columns, optional_columns)
    if isinstance(source, str | os.PathLike):
        return _from_file(Path(source), columns, optional_columns, format)
    if hasattr(source, "events"):
        return _from_obspy(source, "catalogue", columns)
    raise CatalogError(
        f"a catalogue cannot be read from {type(source).__name__}; "
        "give a file path, an obspy.Catalog or an xarray.Dataset"
    )


def named_as_catalogue(dataset, names):
    """Return a data set whose variables bear the names of a catalogue.

    Parameters
    ----------
    dataset : xarray.Dataset
    names : mapping of str to str
        The catalogue's name for that of the data set.

    Raises
    ------
    CatalogError
        A variable stands there under both names.
    """
    given = {old: new for old, new in names.items() if old in dataset}
    for old, new in given.items():
        if new in dataset:
            raise CatalogError(f"the data set has both {old} and {new}; drop one of them")
    return dataset.rename(given)


def source_of(dataset, otherwise="data set"):
    """Return what a data set says it comes from."""
    source = getattr(dataset, "attrs", {}).get("source")
    return source if isinstance(source, str) and source else otherwise


def describe_event(catalogue, index):
    """Say where an event stands, as in ``kobe.csv, line 17``.

    Parameters
    ----------
    catalogue : xarray.Dataset
        From `read_catalog`, possibly sorted or cut.
    index : int
        Position of the event along ``event``.

    Returns
    -------
    str
    """
    name = source_of(catalogue)
    if "row" not in catalogue.coords:
        return f"{name}, {INDEX} {int(index)}"
    row = catalogue["row"]
    return f"{name}, {row.attrs.get('long_name', INDEX)} {int(row[int(index)])}"


def iso_time(reference_time, days):
    """Return the ISO 8601 time (UTC) some days after a reference time.

    Parameters
    ----------
    reference_time : str
        ISO 8601 time, UTC.
    days : float
        Days after it.

    Returns
    -------
    str
        With microseconds and a final Z.
    """
    return _iso(utc_times(reference_time, days))


def utc_times(reference_time, days):
    """Return the times (UTC) some days after a reference time, to the microsecond.

    Parameters
    ----------
    reference_time : str
        ISO 8601 time, UTC.
    days : array_like
        Days after it.

    Returns
    -------
    numpy.datetime64 or array of it
    """
    microseconds = np.round(np.asarray(days, np.float64) * MICROSECONDS_PER_DAY)
    return _utc(reference_time) + microseconds.astype("timedelta64[us]")


def days_after(reference_time, moment):
    """Return the days from a reference time to a moment.

    Parameters
    ----------
    reference_time : str
        ISO 8601 time, UTC.
    moment : str, datetime, numpy.datetime64 or obspy.UTCDateTime
        UTC unless it states an offset.

    Returns
    -------
    float
        Days, negative before the reference time.

    Raises
    ------
    CatalogError
        The moment is no time.
    """
    return float(_days_between(_utc(reference_time), _utc(moment)))


def count_from(zero, days):
    """Return times counted from another zero, exact to the microsecond.

    Parameters
    ----------
    zero : float
        The new t = 0, in days after the old one.
    days : array_like
        Days after the old t = 0.

    Returns
    -------
    ndarray
        Days after the new t = 0. Where the times are whole microseconds they do not depend on
        where they were counted from before.
    """
    microseconds = np.round(np.asarray(days, np.float64) * MICROSECONDS_PER_DAY)
    return (microseconds - np.round(zero * MICROSECONDS_PER_DAY)) / MICROSECONDS_PER_DAY


def content_hash(*arrays):
    """Return the SHA-256 of numbers, as float64 in the order given.

    Parameters
    ----------
    *arrays : array_like
        Numbers of any shape; the shapes enter the hash.

    Returns
    -------
    str
        Hexadecimal digest.
    """
    digest = hashlib.sha256()
    for array in arrays:
        # Adding zero turns -0.0 into 0.0: equal numbers hash equally.
        values = np.asarray(array, "<f8") + 0.0
        digest.update(repr(values.shape).encode())
        digest.update(np.where(np.isnan(values), np.nan, values).tobytes())
    return digest.hexdigest()


def _from_file(path, columns, optional, format):
    if not os.path.isfile(path):
        reason = "is a folder" if os.path.isdir(path) else "does not exist"
        raise CatalogError(f"{path} {reason}; give the path of a catalogue file")
    if path.stat().st_size == 0:
        raise CatalogError(f"{path} is empty; a catalogue has one event per line or element")
    if format is not None:
        is_csv = str(format).upper() == "CSV"
    else:
        header, _ = csv_header(path)
        is_csv = path.suffix.lower() == ".csv" or "mag" in header or "magnitude" in header
    if is_csv:
        return _from_csv(path, columns, optional)

    import obspy

    try:
        catalog = obspy.read_events(str(path), format=format)
        if len(catalog) and catalog[0]._format == "ZMAP":
            _restore_zmap_times(catalog, path)
    except Exception as error:
        raise CatalogError(
            f"{path}: no reader understands this file ({type(error).__name__}: {error}); "
            "give a CSV file with the columns t_days or time_utc and mag, or a format that "
            "obspy.read_events knows, such as QuakeML or ZMAP"
        ) from error
    return _from_obspy(catalog, path.name, columns)


def _from_csv(path, columns, optional):
    header, header_line = csv_header(path)
    further = {name.lower(): name for name in optional if name.lower() in header}
    further |= {name.lower(): name for name in columns}
    name_of = {QUANTITY_OF_COLUMN[name]: name for name in header if name in QUANTITY_OF_COLUMN}
    lacking = [] if {"t_days", "time_utc", "time"} & set(name_of) else ["t_days or time_utc"]
    lacking += [] if "magnitude" in name_of else ["mag"]
    if lacking:
        raise CatalogError(
            f"{path}, line {header_line}: no column {' and no column '.join(lacking)} in the "
            "header; name the columns t_days or time_utc, mag [, lon, lat, depth_km]"
        )
    for column, name in further.items():
        if column not in header:
            raise CatalogError(
                f"{path}, line {header_line}: no column {name} in the header; add it"
            )
    table = _csv_cells(path, header, header_line, further)
    if "time" in name_of:
        counts_days = table["time"].str.fullmatch(NUMBER, case=False).mean() > 0.5
        name_of.setdefault("t_days" if counts_days else "time_utc", name_of.pop("time"))

    numbers = {
        quantity: _numbers(table[name], path)
        for quantity, name in name_of.items()
        if quantity != "time_utc"
    }
    days = numbers.pop("t_days", None)
    if "time_utc" in name_of:
        times = _times(table[name_of["time_utc"]], path)
        numbers["time"], reference_time = _clock_days(times, days, table.index, path)
    else:
        numbers["time"], reference_time = days, ""
    identifier = next((name for name in IDENTIFIERS if header.count(name) == 1), None)
    return _assemble(
        numbers,
        rows=(LINE, table.index),
        identifiers=None if identifier is None else table[identifier],
        further={name: _numbers(table[column], path) for column, name in further.items()},
        reference_time=reference_time,
        time_origin="earliest event" if days is None else "file",
        source=path.name,
    )


def _csv_cells(path, header, header_line, further):
    """Return the cells of the known columns as stripped strings, indexed by line."""
    table = csv_cells(path, CatalogError)
    known = [name for name in header if name in QUANTITY_OF_COLUMN]
    quantities = [QUANTITY_OF_COLUMN[name] for name in known]
    for quantity in set(quantities):
        if quantities.count(quantity) > 1:
            raise CatalogError(
                f"{path}, line {header_line}: more than one column gives the {quantity}; keep one"
            )
    for name in further:
        if header.count(name) > 1:
            raise CatalogError(
                f"{path}, line {header_line}: two columns are named {name}; keep one"
            )
    return table.loc[:, [name in (*known, *further, *IDENTIFIERS) for name in header]]


def _numbers(cells, path):
    text = cells.str.lower()
    missing = text.isin(MISSING)
    _require_readable(missing | text.str.fullmatch(NUMBER), cells, path, "a number")
    return text.mask(missing, "nan").to_numpy(str).astype(np.float64)


def _times(cells, path):
    """Return UTC times as datetime64[us], NaT where the cell is empty."""
    missing = cells.str.lower().isin(MISSING)
    times = pd.to_datetime(cells.mask(missing), format="ISO8601", utc=True, errors="coerce")
    _require_readable(missing | times.notna(), cells, path, "an ISO 8601 time")
    return times.dt.tz_localize(None).to_numpy("datetime64[us]")


def _require_readable(readable, cells, path, kind):
    if not readable.all():
        first = int(np.argmin(readable.to_numpy(bool)))
        raise CatalogError(
            f"{path}, line {cells.index[first]}, column {cells.name}: {cells.iloc[first]!r} is not "
            f"{kind}; correct the cell or remove the row"
        )


def _clock_days(times, printed_days, lines, path):
    """Return exact days after t = 0, and the time of t = 0 as text.

    ``printed_days`` (event,), if the file has them, say which moment is t = 0; being
    rounded for print, they are checked against the times but do not replace them.
    """
    if np.isnat(times).all():
        raise CatalogError(f"{path}: the column of UTC times is empty; fill it in or remove it")
    if printed_days is None:
        zero = times[~np.isnat(times)].min()
        return _days_between(zero, times), _iso(zero)

    both = ~np.isnat(times) & np.isfinite(printed_days)
    if not both.any():
        raise CatalogError(f"{path}: no row has both t_days and time_utc; remove one column")
    at_zero = both & (printed_days == 0)
    if at_zero.any():
        zero = times[at_zero][0]
    else:
        offsets = np.round(printed_days[both] * MICROSECONDS_PER_DAY).astype("timedelta64[us]")
        zero = np.sort(times[both] - offsets)[np.count_nonzero(both) // 2]
    days = np.where(np.isfinite(printed_days), _days_between(zero, times), printed_days)
    printed, exact = np.where(both, printed_days, 0), np.where(both, days, 0)
    tolerance = CLOCKS_AGREE_DAYS + CLOCKS_AGREE_RELATIVE * np.abs(exact)
    apart = (np.abs(exact - printed) > tolerance) | (printed * exact < 0)
    if apart.any():
        first = int(np.argmax(apart))
        raise CatalogError(
            f"{path}, line {lines[first]}: t_days = {printed_days[first]:g} and time_utc = "
            f"{_iso(times[first])} disagree, with t = 0 at {_iso(zero)}; "
            "correct the row or remove one of the columns"
        )
    return days, _iso(zero)


def _from_obspy(catalog, source, columns):
    if columns:
        raise CatalogError(
            f"{source}: an ObsPy catalogue has no column {columns[0]}; "
            "write the catalogue as a CSV file with that column"
        )
    if len(catalog) == 0:
        raise CatalogError(f"{source} holds no events; a catalogue needs at least one")
    origins = [event.preferred_origin() or next(iter(event.origins), None) for event in catalog]
    sizes = [event.preferred_magnitude() or next(iter(event.magnitudes), None) for event in catalog]
    times: list[Any] = [getattr(origin, "time", None) for origin in origins]
    magnitudes = [getattr(size, "mag", None) for size in sizes]
    for name, values in {"origin time": times, "magnitude": magnitudes}.items():
        lacking = next((index for index, value in enumerate(values) if value is None), None)
        if lacking is not None:
            raise CatalogError(
                f"{source}, {INDEX} {lacking} ({catalog[lacking].resource_id}): the event has no "
                f"{name}; add it or remove the event"
            )
    moments = np.array([time.ns // 1000 for time in times], "datetime64[us]")
    return _assemble(
        {
            "time": _days_between(moments.min(), moments),
            "magnitude": magnitudes,
            "longitude": _numbers_of(origins, "longitude"),
            "latitude": _numbers_of(origins, "latitude"),
            "depth": _numbers_of(origins, "depth") / 1000,
        },
        rows=(INDEX, np.arange(len(origins))),
        identifiers=[_identifier(event) for event in catalog],
        reference_time=_iso(moments.min()),
        time_origin="earliest event",
        source=source,
    )


def _identifier(event):
    """Return the identifier of an event, "" where ObsPy made up a random one on reading."""
    identifier = str(event.resource_id)
    written = getattr(event, "_format", None) in FORMATS_WITH_IDENTIFIERS
    return identifier if written or not re.fullmatch(RANDOM_IDENTIFIER, identifier) else ""


def _numbers_of(objects, name):
    """Return an attribute of every object, NaN for None."""
    return np.array([getattr(item, name, None) for item in objects], np.float64)


def _restore_zmap_times(catalog, path):
    """Set origin times from the calendar columns.

    ObsPy takes them from the decimal year, whose usual ten decimals resolve 3 ms only.
    """
    from obspy import UTCDateTime

    table = pd.read_csv(path, sep="\t", header=None).apply(pd.to_numeric, errors="coerce")
    if len(table) != len(catalog):
        return
    calendar = table[[2, 3, 4, 7, 8, 9]].to_numpy(float)
    for event, (year, month, day, hour, minute, second) in zip(catalog, calendar, strict=True):
        origin = event.origins[0]
        if origin.time is not None and month >= 1 and np.isfinite(hour + minute + second):
            midnight = UTCDateTime(int(year), int(month), int(day))
            time = midnight + 3600 * hour + 60 * minute + second
            # A decimal year rounded up across New Year no longer fits its month and day.
            if abs(time - origin.time) < 86400:
                origin.time = time


def _from_dataset(dataset, columns, optional):
    dataset = _with_days(dataset)
    further = [*columns, *(name for name in optional if name in dataset)]
    for name in (*REQUIRED, *further):
        if name not in dataset:
            raise CatalogError(
                f"the data set has no variable {name}; a catalogue has time (days) and magnitude "
                "on dimension event"
            )
        if dataset[name].dims != ("event",) or dataset[name].dtype.kind not in "fiub":
            raise CatalogError(
                f"variable {name} of the data set must be numbers on the one dimension event, not "
                f"{dataset[name].dtype} on {dataset[name].dims}"
            )
    known = [name for name in ATTRIBUTES if name in dataset and dataset[name].dims == ("event",)]
    for name in known:
        if dataset[name].dtype.kind not in "fiu":
            raise CatalogError(
                f"variable {name} of the data set must be numbers, not {dataset[name].dtype}"
            )
        units, unit = dataset[name].attrs.get("units", ""), ATTRIBUTES[name]["units"]
        if not is_unit(units, unit):
            raise CatalogError(f"the data set gives {name} in {units!r}; convert it to {unit!r}")
    rows = xr.DataArray(np.arange(dataset.sizes["event"]), dims="event")
    if "row" in dataset.coords:
        rows = dataset.coords["row"]
        if rows.dims != ("event",) or rows.dtype.kind not in "iu":
            raise CatalogError(
                "the coordinate row of the data set must be integers on the one dimension event; "
                "remove it"
            )
    identifiers = dataset.get(IDENTIFIERS[0])
    if identifiers is not None and identifiers.dims != ("event",):
        raise CatalogError(
            f"{IDENTIFIERS[0]} of the data set must be on the one dimension event, not on "
            f"{identifiers.dims}"
        )
    return _assemble(
        {name: dataset[name].to_numpy() for name in known},
        identifiers=None if identifiers is None else identifiers.to_numpy(),
        further={name: dataset[name].to_numpy() for name in further},
        rows=(rows.attrs.get("long_name", INDEX), rows.to_numpy()),
        reference_time=dataset.attrs.get("reference_time", ""),
        time_origin=dataset.attrs.get("time_origin", "file"),
        source=source_of(dataset, otherwise=""),
    )


def _with_days(dataset):
    """Return a data set whose times (UTC) are days after the earliest event."""
    if "time" not in dataset or dataset["time"].dtype.kind != "M":
        return dataset
    moments = dataset["time"].to_numpy().astype("datetime64[us]")
    if np.isnat(moments).any():
        raise CatalogError(
            f"{INDEX} {int(np.argmax(np.isnat(moments)))} of the data set: the event has no time; "
            "add it or remove the event"
        )
    days = _days_between(moments.min(), moments) if moments.size else np.empty(0)
    reference = {"reference_time": _iso(moments.min())} if moments.size else {}
    dims = dataset["time"].dims
    dataset = dataset.drop_vars("time").assign(time=(dims, days))
    return dataset.assign_attrs(reference | {"time_origin": "earliest event"})


def _assemble(columns, rows, identifiers=None, further=None, **attributes):
    meaning, numbers = rows
    arrays = {name: np.asarray(values, np.float64) for name, values in columns.items()}
    variables = {
        name: ("event", arrays[name], ATTRIBUTES[name])
        for name in ATTRIBUTES
        if name in REQUIRED or not np.isnan(arrays.get(name, np.nan)).all()
    }
    for name, values in (further or {}).items():
        if name not in ATTRIBUTES:
            described = {"units": "1", "long_name": name}
            variables[name] = ("event", np.asarray(values, np.float64), described)
    coordinates = {
        "row": ("event", np.asarray(numbers, np.int64), {"units": "1", "long_name": meaning})
    }
    if identifiers is not None and any(text := np.asarray(identifiers, str)):
        described = {"units": "1", "long_name": "identifier of the event"}
        coordinates["event_id"] = ("event", text, described)
    digest = content_hash(*(values for _, values, _ in variables.values()))
    return xr.Dataset(variables, coordinates, {**attributes, "content_hash": digest})


def _days_between(zero, times):
    """Return days after ``zero`` of datetime64[us] ``times``, NaN for NaT."""
    days = (times - zero).astype(np.int64) / MICROSECONDS_PER_DAY
    return np.where(np.isnat(times), np.nan, days)


def _iso(time):
    return np.datetime_as_string(time, unit="us") + "Z"


def _utc(moment):
    """Return a moment as datetime64[us] in UTC."""
    time = pd.to_datetime(str(moment), format="ISO8601", utc=True, errors="coerce")
    if pd.isna(time):
        raise CatalogError(
            f"{str(moment)!r} is not a time; write it as in 1995-01-16T20:46:52Z (ISO 8601, UTC)"
        )
    return time.tz_localize(None).to_datetime64().astype("datetime64[us]")
