"""The form of a data set: the events of a window and a polygon, with units and a content hash."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from bayesquake.errors import CatalogError
from bayesquake.io.catalog import content_hash, days_after
from bayesquake.io.datasets import Schema, Variable
from bayesquake.io.magnitudes import (
    LARGEST_MAGNITUDE,
    MAGNITUDE,
    ROUNDING,
    SAME_MAGNITUDE,
    SMALLEST_MAGNITUDE,
)
from bayesquake.model.options import LARGEST_DAYS, any_of, count, number, one_of, text

from .errors import CatalogTimeError, EmptyWindowError, OutsidePolygonError
from .region import BEND_KM, is_near, signed_area, simple_polygon

__all__ = [
    "ATTRIBUTES",
    "DATA",
    "DISTANCES",
    "EARTH_RADIUS_KM",
    "WINDOW",
    "event_dataset",
    "is_event_dataset",
]

DISTANCES = ("plane", "sphere")
EARTH_RADIUS_KM = 6371.0

ATTRIBUTES = {
    "time_days": {"units": "d", "long_name": "origin time"},
    "x_km": {"units": "km", "long_name": "plane coordinate x of the epicentre"},
    "y_km": {"units": "km", "long_name": "plane coordinate y of the epicentre"},
    "magnitude": {"units": "mag", "long_name": "magnitude"},
    "target": {"units": "1", "long_name": "whether the event is a target (1) or history (0)"},
    "longitude": {"units": "degrees_east", "long_name": "longitude of the epicentre"},
    "latitude": {"units": "degrees_north", "long_name": "latitude of the epicentre"},
    "depth": {"units": "km", "long_name": "depth of the hypocentre", "positive": "down"},
    "event_id": {"units": "1", "long_name": "identifier of the event"},
    "axis": {"units": "1", "long_name": "axis of the plane"},
    "polygon": {"units": "km", "long_name": "vertices of the target region on the plane"},
}
WINDOW = ("T0", "T1", "m_c", "delta_m")
PLACE = ("projection", "centre_longitude", "centre_latitude", "polygon_origin", "area_km2")


DAYS = number("d", at_least=-LARGEST_DAYS, at_most=LARGEST_DAYS)


def require_targets(dataset, name):
    """Require events in order, above the completeness, and targets in window and polygon."""
    T0, T1, m_c = (float(dataset.attrs[setting]) for setting in ("T0", "T1", "m_c"))
    time, target = dataset["time_days"].to_numpy(), dataset["target"].to_numpy()
    if not T0 < T1:
        raise EmptyWindowError(
            f"{name}: T1 = {T1:g} days is not after T0 = {T0:g} days; correct it"
        )
    projected = dataset.attrs.get("projection", "plane") != "plane"
    polygon = dataset["polygon"].transpose("vertex", "axis").to_numpy()
    if polygon.shape[1] != 2:
        raise CatalogError(f"{name}: the polygon has no two axes; read the catalogue again")
    polygon = simple_polygon(polygon, f"{name}, polygon")
    near = is_near(polygon, dataset["x_km"], dataset["y_km"], BEND_KM if projected else 0.0)
    magnitude = dataset["magnitude"].to_numpy()
    if epoch := dataset.attrs.get("epoch"):
        days_after(epoch, epoch)
    conditions = (
        (
            np.append(False, np.diff(time) < 0),
            "is earlier than the one before it",
            CatalogTimeError,
        ),
        (time > T1, f"lies after T1 = {T1:g} days", CatalogTimeError),
        (magnitude < m_c - SAME_MAGNITUDE, f"is smaller than m_c = {m_c:g}", CatalogError),
        ((target != 0) & (target != 1), "is neither target (1) nor history (0)", CatalogError),
        ((target == 1) & (time < T0), f"is a target before T0 = {T0:g} days", CatalogTimeError),
        ((target == 1) & ~near, "is a target outside the polygon", OutsidePolygonError),
    )
    for bad, what, error in conditions:
        if bad.any():
            raise error(
                f"{name}, event {int(np.argmax(bad))} {what} ({np.count_nonzero(bad)} such); read "
                "the catalogue again, or correct the event"
            )
    for mark in filter(None, dataset.attrs.get("marks", "").split(",")):
        require_mark(dataset, mark, name)
    if dataset.attrs["distance"] == "sphere" and not {"longitude", "latitude"} <= set(dataset):
        raise CatalogError(f"{name}: distances on the sphere need longitude and latitude; add them")


def require_mark(dataset, mark, name):
    """Require a column of finite numbers."""
    if mark not in dataset or dataset[mark].dims != ("event",):
        raise CatalogError(f"{name} has no mark {mark} by event; add it, or leave it out of marks")
    values = dataset[mark].to_numpy()
    finite = values.dtype.kind in "fiu" and np.isfinite(values)
    if not np.all(finite):
        raise CatalogError(
            f"{name}: the mark {mark} is not a finite number for every event; correct it, or leave "
            "it out of marks"
        )


def plane(meaning, *dims):
    """Return the declaration of plane coordinates."""
    return Variable("km", meaning, dims, low=-1e5, high=1e5)


DATA = Schema(
    {
        "time_days": Variable("d", "origin time", low=-LARGEST_DAYS, high=LARGEST_DAYS),
        "x_km": plane("plane coordinate x of the epicentre", "event"),
        "y_km": plane("plane coordinate y of the epicentre", "event"),
        "magnitude": Variable("mag", "magnitude", low=SMALLEST_MAGNITUDE, high=LARGEST_MAGNITUDE),
        "target": Variable("1", "whether the event is a target (1) or history (0)", low=0, high=1),
        "longitude": Variable(
            "degrees_east", "longitude", low=-360, high=360, missing=True, optional=True
        ),
        "latitude": Variable(
            "degrees_north", "latitude", low=-90, high=90, missing=True, optional=True
        ),
        "polygon": plane("vertices of the target region", "vertex", "axis"),
    },
    attributes={
        "T0": DAYS,
        "T1": DAYS,
        "m_c": MAGNITUDE,
        "delta_m": ROUNDING,
        "area_km2": number("km2", at_least=1e-6, at_most=6e8),
        "distance": one_of(*DISTANCES),
        "earth_radius_km": number("km", at_least=100, at_most=1e5),
        "m_max": MAGNITUDE,
        "marks": any_of(one_of(""), text("names of marks joined by commas")),
        "epoch": any_of(one_of(""), text("the time (UTC) of t = 0")),
        "projection": one_of("plane", "laea"),
        "centre_longitude": number("degrees", at_least=-360, at_most=360, missing=True),
        "centre_latitude": number("degrees", at_least=-90, at_most=90, missing=True),
        "polygon_origin": text("where the polygon comes from"),
        "events_after_end": count(at_least=0),
        "events_below_completeness": count(at_least=0),
    },
    defaults={
        "m_max": np.nan,
        "marks": "",
        "epoch": "",
        "projection": "plane",
        "centre_longitude": np.nan,
        "centre_latitude": np.nan,
        "polygon_origin": "given",
        "events_after_end": 0,
        "events_below_completeness": 0,
    },
    fewest={"vertex": 3, "axis": 2},
    require=require_targets,
    error=CatalogError,
)


def event_dataset(
    *,
    time_days,
    x_km,
    y_km,
    magnitude,
    target,
    polygon_km,
    T0,
    T1,
    m_c,
    delta_m,
    source="simulated",
    longitude=None,
    latitude=None,
    depth=None,
    event_id=None,
    marks: Mapping | None = None,
    epoch="",
    projection="plane",
    centre=(np.nan, np.nan),
    polygon_origin="given",
    distance="plane",
    earth_radius_km=EARTH_RADIUS_KM,
    area_km2=None,
    events_after_end=0,
    events_below_completeness=0,
):
    """Return events, window and polygon in the form that the model takes.

    Parameters
    ----------
    time_days : (event,)
        Origin times (days).
    x_km, y_km : (event,)
        Plane coordinates (km).
    magnitude : (event,)
        Magnitudes.
    target : (event,) bool
        Whether the event is a target; else it is history.
    polygon_km : (vertex, 2)
        A simple polygon on the plane (km).
    T0, T1 : float
        Window of the targets (days).
    m_c, delta_m : float
        Magnitude of completeness, and the step of the magnitudes (0 if continuous).
    source : str
        Where the events come from.
    longitude, latitude, depth : (event,), optional
        Degrees and km.
    event_id : (event,) str, optional
        Identifiers.
    marks : mapping, optional
        Further numbers (event,) by name; ``depth`` is in km.
    epoch : str
        ISO 8601 time of t = 0, or "".
    projection : {"plane", "laea"}
        Whether the plane is the catalogue's own or a projection.
    centre : (longitude, latitude)
        Centre of the projection (degrees).
    polygon_origin : str
        ``"given"`` or ``"bounding box of the events"``.
    distance, earth_radius_km
        As in `read`.
    area_km2 : float, optional
        Area of the target region; that of the polygon by default.
    events_after_end, events_below_completeness : int
        The numbers of events left out.

    Returns
    -------
    xarray.Dataset
        Variables ``time_days``, ``x_km``, ``y_km``, ``magnitude``, ``target`` (int8) and,
        where known, ``longitude``, ``latitude``, ``depth`` and the marks, all (event,);
        ``polygon`` (vertex, axis) in km, counter-clockwise, not closed. Coordinates ``axis``
        and, where known, ``event_id``. Attributes: the other arguments, the marks by name
        (joined by commas), and ``content_hash`` of all numbers that the model sees.
    """
    polygon = np.asarray(polygon_km, float)
    area = signed_area(polygon)
    polygon = polygon if area > 0 else polygon[::-1]
    area_km2 = abs(area) if area_km2 is None else float(area_km2)
    marks = {} if marks is None else dict(marks)
    columns = {
        "time_days": time_days,
        "x_km": x_km,
        "y_km": y_km,
        "magnitude": magnitude,
        "longitude": longitude,
        "latitude": latitude,
        "depth": depth,
    } | marks
    arrays = {k: np.array(v, np.float64) for k, v in columns.items() if v is not None}
    target = np.array(target, bool).astype(np.int8)
    variables: dict[str, Any] = {
        column: ("event", values, ATTRIBUTES.get(column, {"units": "1", "long_name": column}))
        for column, values in arrays.items()
    }
    variables["target"] = ("event", target, ATTRIBUTES["target"])
    variables["polygon"] = (("vertex", "axis"), polygon, ATTRIBUTES["polygon"])
    coordinates: dict[str, Any] = {"axis": ("axis", ["x", "y"], ATTRIBUTES["axis"])}
    if event_id is not None:
        coordinates["event_id"] = ("event", np.asarray(event_id, str), ATTRIBUTES["event_id"])
    window = [float(value) for value in (T0, T1, m_c, delta_m)]
    geometry = [area_km2, DISTANCES.index(distance), float(earth_radius_km)]
    hashed: list[Any] = [arrays[column] for column in ("time_days", "x_km", "y_km", "magnitude")]
    hashed += [target, polygon, window, geometry, *(arrays[mark] for mark in marks)]
    attributes = {
        **dict(zip(WINDOW, window, strict=True)),
        "epoch": epoch,
        "projection": projection,
        "centre_longitude": float(centre[0]),
        "centre_latitude": float(centre[1]),
        "polygon_origin": polygon_origin,
        "distance": distance,
        "earth_radius_km": float(earth_radius_km),
        "area_km2": area_km2,
        "marks": ",".join(marks),
        "source": source,
        "content_hash": content_hash(*hashed),
        "events_after_end": int(events_after_end),
        "events_below_completeness": int(events_below_completeness),
    }
    return xr.Dataset(variables, coordinates, attributes)


def is_event_dataset(source):
    """Tell whether a source has the form that `event_dataset` returns."""
    return (
        isinstance(source, xr.Dataset)
        and {*WINDOW, *PLACE} <= set(source.attrs)
        and "polygon" in source
    )
