"""The reader: from focal mechanisms with depths to P/T frames.

Convention: every number is checked before it is used, and messages name the row. Depths are in
km, positive downward; frames are (north, east, down).
"""

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.errors import InconsistentPlanesError, MechanismFormatError
from bayesquake.io.catalog import content_hash

from .arrays import standardised
from .frames import frames_of_planes

__all__ = ["ExchangedAxesWarning", "as_dataset", "read"]

FEWEST_EVENTS = 3
DEPTH_KM = (-10.0, 800.0)
"""Depths of earthquakes; others are in another unit, or no depths."""

ANGLES = {"strike": (-360.0, 360.0), "dip": (0.0, 90.0), "rake": (-360.0, 360.0)}
"""Degrees."""

DEPTH_PATTERN = r"^\s*([-+]?\d+(?:\.\d*)?)\s*(?:km)?\s*$"
ORTHONORMAL = 1e-4
"""Largest deviation of a given frame from an orthonormal one."""


class ExchangedAxesWarning(UserWarning):
    """Some events' axes named P by the convention are their T axes by the moment tensor."""


def read(source, *, axes="slip_vectors", format=None):
    """Read focal mechanisms and depths.

    Parameters
    ----------
    source : path, obspy.Catalog or xarray.Dataset
        A CSV table in the form of the Japan Meteorological Agency with the columns ``depth``
        (such as ``12km`` or 12.0), ``strike1``, ``dip1``, ``slip1`` (or ``rake1``) and the same of
        plane 2, in degrees; a NetCDF file or a data set with these variables or returned here;
        an event file that ObsPy reads, whose focal mechanisms have both nodal planes.
    axes : str
        ``"slip_vectors"``: P = (v1 - v2)/√2 and T = (v1 + v2)/√2 of the slip vectors of the planes,
        for every event, as in the study that proposed the model; ``"moment_tensor"``: the
        pressure and tension axes of the moment tensor, which for normal faults are exchanged.
    format : str, optional
        Name of an ObsPy event format; detected by default.

    Returns
    -------
    xarray.Dataset
        ``frame`` (event, axis, xyz) and ``depth`` (event,) in km. Attributes ``axes``,
        ``exchanged`` (number of events in which the two ways to tell P from T differ),
        ``source``, ``content_hash``.

    Raises
    ------
    MechanismFormatError
        A column, number, nodal plane or depth is missing or unreadable.
    InconsistentPlanesError
        Two nodal planes do not belong to one mechanism.
    DegenerateMarginalError
        All depths are equal.
    OptionError
        ``axes`` is unknown.

    Warns
    -----
    ExchangedAxesWarning
        The two ways to tell P from T differ.
    """
    given, name = open_source(source, format)
    if isinstance(given, xr.Dataset) and "frame" in given:
        return reread(given, name)
    table, rows = given if isinstance(given, tuple) else table_of_dataset(given, name)
    return from_table(table, rows, name, axes)


def as_dataset(frame, depth_km, **attributes):
    """Return frames (event, axis, xyz) and depths (km) as a data set of the model."""
    dataset = xr.Dataset(
        {
            "frame": (
                ("event", "axis", "xyz"),
                frame,
                {"units": "1", "long_name": "principal axes of the mechanism"},
            ),
            "depth": ("event", depth_km, {"units": "km", "long_name": "depth"}),
        },
        coords={
            "event": np.arange(len(depth_km)),
            "axis": ["P", "T"],
            "xyz": ["north", "east", "down"],
        },
        attrs=attributes,
    )
    dataset.attrs["content_hash"] = content_hash(frame, depth_km)
    return dataset


def open_source(source, format):
    """Return a table with the names of its rows, or a data set, and the name of the source."""
    if isinstance(source, xr.Dataset):
        return source, str(source.attrs.get("source") or "data set")
    if not isinstance(source, str | os.PathLike):
        return table_of_catalog(source, type(source).__name__), type(source).__name__
    path = Path(source)
    if not path.is_file():
        raise MechanismFormatError(f"{path} does not exist; give the path of a mechanism file")
    if path.suffix.lower() == ".nc":
        try:
            return xr.load_dataset(path), str(path)
        except (OSError, ValueError) as problem:
            raise MechanismFormatError(
                f"{path} is no NetCDF file that xarray reads ({problem}); write it again"
            ) from problem
    if path.suffix.lower() == ".csv":
        return table_of_csv(path), str(path)
    from obspy import read_events

    try:
        catalog = read_events(str(path), format=format)
    except Exception as problem:  # ObsPy raises whatever its format readers raise.
        raise MechanismFormatError(
            f"{path}: neither a .csv nor a .nc file nor one of ObsPy's event formats ({problem})"
        ) from problem
    return table_of_catalog(catalog, str(path)), str(path)


def table_of_csv(path):
    """Return the columns of a CSV table as text, and the names of its rows."""
    try:
        cells = pd.read_csv(path, dtype=str, encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, pd.errors.ParserError) as problem:
        raise MechanismFormatError(f"{path} is no CSV table in UTF-8: {problem}") from problem
    cells.columns = cells.columns.str.strip().str.lower()
    renamed = cells.rename(columns={"slip1": "rake1", "slip2": "rake2"})
    return renamed, [f"{path}, line {row + 2}" for row in range(len(cells))]


def table_of_dataset(dataset, name):
    """Return the one-dimensional variables of a data set, and the names of its rows."""
    columns = {str(k): v.to_numpy() for k, v in dataset.data_vars.items() if v.ndim == 1}
    if len({len(column) for column in columns.values()}) > 1:
        raise MechanismFormatError(
            f"{name}: its variables have different lengths; give one event dimension"
        )
    table = pd.DataFrame(columns).rename(columns={"slip1": "rake1", "slip2": "rake2"})
    return table, [f"{name}, event {row}" for row in range(len(table))]


def table_of_catalog(catalog, name):
    """Return planes and depths of an ObsPy catalogue, and the names of its rows."""
    try:
        events = list(catalog)
        rows = [f"{name}, event {i} ({event.resource_id})" for i, event in enumerate(events)]
    except (TypeError, AttributeError) as problem:
        raise MechanismFormatError(
            f"mechanisms cannot be read from {name}; give a CSV or NetCDF file, an obspy.Catalog "
            "or an xarray.Dataset"
        ) from problem
    records = [record_of_event(event, row) for event, row in zip(events, rows, strict=True)]
    return pd.DataFrame(records), rows


def record_of_event(event, row):
    """Return planes (degrees) and depth (km) of an ObsPy event."""
    mechanism = event.preferred_focal_mechanism() or next(iter(event.focal_mechanisms), None)
    planes = getattr(mechanism, "nodal_planes", None)
    both = [getattr(planes, f"nodal_plane_{i}", None) for i in (1, 2)]
    if None in both:
        raise MechanismFormatError(
            f"{row} has no focal mechanism with two nodal planes; add them or remove the event"
        )
    origin = event.preferred_origin() or next(iter(event.origins), None)
    if origin is None or origin.depth is None:
        raise MechanismFormatError(f"{row} has no depth; add it or remove the event")
    angles = {f"{a}{i}": getattr(plane, a) for i, plane in enumerate(both, 1) for a in ANGLES}
    return angles | {"depth": origin.depth / 1000}


def from_table(table, rows, name, axes):
    """Return the data set of a table of planes and depths."""
    columns = [f"{angle}{plane}" for plane in (1, 2) for angle in ANGLES]
    missing = [column for column in ("depth", *columns) if column not in table]
    if missing:
        raise MechanismFormatError(
            f"{name} has no column {missing[0]}; it needs depth, strike, dip and rake (or slip) "
            "of both planes"
        )
    depth = numbers_of(table["depth"], "depth", rows, DEPTH_KM, DEPTH_PATTERN)
    angles = np.stack(
        [numbers_of(table[column], column, rows, ANGLES[column[:-1]]) for column in columns],
        axis=1,
    )
    check_depths(depth, name)
    frame, exchanged = frames_of_planes(angles[:, :3], angles[:, 3:], axes, rows)
    count = int(exchanged.sum())
    if count and axes == "slip_vectors":
        warn_of_exchange(name, count, len(depth))
    return as_dataset(frame, depth, axes=axes, exchanged=count, source=name)


def warn_of_exchange(name, count, events):
    """Warn that the convention names the axes of some events the other way round."""
    warnings.warn(
        f"{name}: in {count} of {events} events slip is normal, and P = (v1 - v2)/√2 is the "
        "tension axis of the moment tensor; pass axes='moment_tensor' for pressure and tension "
        "axes",
        ExchangedAxesWarning,
        stacklevel=4,
    )


def numbers_of(column, name, rows, limits, pattern=None):
    """Return a column as finite numbers within limits."""
    text = column.astype(str)
    cells = (
        text if pattern is None else text.str.extract(pattern, flags=re.IGNORECASE, expand=False)
    )
    values = pd.to_numeric(cells, errors="coerce").to_numpy(float)
    bad = ~((values >= limits[0]) & (values <= limits[1]))
    if bad.any():
        first = int(np.argmax(bad))
        unit = "km" if name == "depth" else "degrees"
        raise MechanismFormatError(
            f"{rows[first]}: {name} = {text.iloc[first]!r} is no number of {unit} from "
            f"{limits[0]:g} to {limits[1]:g} ({np.count_nonzero(bad)} such rows); correct it or "
            "remove the row"
        )
    return values


def check_depths(depth_km, name):
    """Require enough events, and depths that differ."""
    if len(depth_km) < FEWEST_EVENTS:
        raise MechanismFormatError(
            f"{name} holds {len(depth_km)} mechanisms; give at least {FEWEST_EVENTS}"
        )
    standardised(depth_km)


def reread(dataset, name):
    """Return a data set made before, checked again."""
    if "depth" not in dataset or dataset["frame"].dims != ("event", "axis", "xyz"):
        raise MechanismFormatError(
            f"{name}: needs depth (event,) and frame (event, axis, xyz); read its source again"
        )
    frame, depth = (dataset[key].to_numpy().astype(float) for key in ("frame", "depth"))
    bad = ~(np.isfinite(frame).all(axis=(1, 2)) & np.isfinite(depth))
    if bad.any():
        raise MechanismFormatError(
            f"{name}, event {int(np.argmax(bad))}: its frame or depth is not finite; remove it"
        )
    deviation = np.abs(frame @ frame.swapaxes(1, 2) - np.eye(2)).max(axis=(1, 2))
    if (deviation > ORTHONORMAL).any():
        raise InconsistentPlanesError(
            f"{name}, event {int(np.argmax(deviation))}: its axes are not orthonormal; compute "
            "them again"
        )
    check_depths(depth, name)
    kept = {key: dataset.attrs[key] for key in ("axes", "exchanged") if key in dataset.attrs}
    return as_dataset(frame, depth, **({"axes": "given", "exchanged": 0} | kept), source=name)
