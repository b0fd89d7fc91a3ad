"""The reader: from any earthquake catalogue to the events of a window and a polygon.

Convention: an event is a target if T0 ≤ t ≤ T1 and it lies in the polygon; every other event
up to T1 is history, which may have offspring among the targets. Where times are absolute, t is
in days after T0 and the attribute ``epoch`` is the time of T0; else t keeps the catalogue's own
zero and ``epoch`` is "". Every number is validated before it is used, and what is left out is
counted.
"""

import numbers
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesquake.errors import CatalogError, OptionError
from bayesquake.io.catalog import (
    count_from,
    days_after,
    iso_time,
    named_as_catalogue,
    read_catalog,
    source_of,
)
from bayesquake.io.datasets import checked, opened_netcdf, require_attributes, require_variable
from bayesquake.io.magnitudes import MAGNITUDE, ROUNDING, SAME_MAGNITUDE
from bayesquake.model.options import (
    any_of,
    each,
    flag,
    instance,
    moment,
    one_of,
    takes,
    text,
)
from bayesquake.physics.projection import to_plane

from .caution import warn_of_suspect
from .dataset import (
    ATTRIBUTES,
    DATA,
    DISTANCES,
    EARTH_RADIUS_KM,
    event_dataset,
    is_event_dataset,
)
from .errors import (
    BelowCompletenessError,
    CatalogTimeError,
    EmptyWindowError,
    MissingMagnitudeBinError,
    OutsidePolygonError,
)
from .region import (
    BEND_KM,
    Region,
    bounding_box,
    centre_of,
    is_inside,
    is_near,
    open_region,
    plane_polygon,
    simple_polygon,
)
from .validation import (
    check_identifiers,
    locate,
    names_of_marks,
    require_finite,
)

__all__ = ["read"]

CATALOGUE_NAMES = {"time_days": "time", "x_km": "x", "y_km": "y"}


class Placement(NamedTuple):
    """Where events and polygon lie on the plane (km), and which events are inside.

    ``near`` are those inside or so close that chords in place of edges may shut them out.
    """

    x: np.ndarray
    y: np.ndarray
    polygon: np.ndarray
    inside: np.ndarray
    near: np.ndarray
    settings: dict


@takes(
    polygon=any_of(
        None, instance(str, os.PathLike, list, tuple, np.ndarray, what="a path or pairs of numbers")
    ),
    start=any_of(None, moment()),
    end=any_of(None, moment()),
    completeness_magnitude=any_of(None, MAGNITUDE),
    magnitude_rounding=any_of(None, ROUNDING),
    cut=flag(),
    sort=flag(),
    distance=any_of(None, one_of(*DISTANCES)),
    earth_radius_km=any_of(None, DATA.attributes["earth_radius_km"]),
    area_km2=any_of(None, DATA.attributes["area_km2"]),
    marks=any_of(None, text("names of columns joined by commas"), each(text("a name"))),
    format=any_of(None, text("the name of an event format")),
)
def read(
    source,
    *,
    polygon=None,
    start=None,
    end=None,
    completeness_magnitude=None,
    magnitude_rounding=None,
    cut=False,
    sort=False,
    distance=None,
    earth_radius_km=None,
    area_km2=None,
    marks=None,
    format=None,
):
    """Read and validate a catalogue for the space-time point process.

    Parameters
    ----------
    source : path, obspy.Catalog or xarray.Dataset
        Anything `bayesquake.io.catalog.read_catalog` reads, with positions as ``x_km`` and
        ``y_km`` on a plane or else as longitude and latitude; or a data set returned here or
        by the simulator, in memory or as a NetCDF file, which then gives the defaults of all
        options. A column ``target`` (1 or 0) of a catalogue is obeyed; targets of a data set
        returned here are found anew where ``start`` or ``polygon`` is given.
    polygon : path or sequence, optional
        The target region in the coordinates of the catalogue: a CSV file with the columns
        ``longitude`` and ``latitude`` or ``x_km`` and ``y_km``, or pairs (longitude,
        latitude) or (x, y), also as one flat list. By default the bounding box of the events.
    start, end : float, str, datetime or obspy.UTCDateTime, optional
        T0 and T1, in days on the catalogue's scale or as times (UTC). By default the first
        event, or 0 where the catalogue counts days and some are negative; and the last event.
        Events after T1 are left out.
    completeness_magnitude : float, optional
        m_c; the smallest magnitude by default.
    magnitude_rounding : float
        Step δm of the magnitudes; 0 declares them continuous.
    cut : bool
        Leave out events below m_c instead of refusing them.
    sort : bool
        Sort the events by time instead of refusing an unsorted catalogue.
    distance : {"plane", "sphere"}, optional
        Distances between events on the plane (the default), or along great circles of a
        sphere, which needs longitudes and latitudes.
    earth_radius_km : float, optional
        Radius of that sphere; 6371 by default.
    area_km2 : float, optional
        Area of the target region; that of the polygon on the plane by default.
    marks : str or sequence of str, optional
        Further columns of numbers to keep, such as ``depth``.
    format : str, optional
        ``"CSV"`` or the name of an ObsPy event format; detected by default.

    Returns
    -------
    xarray.Dataset
        As described at `event_dataset`. Longitudes and latitudes are projected by Lambert's
        azimuthal equal-area projection about the centroid of the region.

    Warns
    -----
    SuspectCatalogueWarning
        The smallest magnitude is far above m_c, the window reaches far beyond the events,
        magnitudes are no multiples of the rounding step apart or above m_c, or a column
        ``target`` takes events of window and polygon for history.

    Raises
    ------
    CatalogTimeError
        A time is missing; times are out of order; a target precedes T0.
    BelowCompletenessError
        An event is smaller than m_c, without ``cut``.
    MissingMagnitudeBinError
        The rounding step is not given.
    DuplicateEventError
        Two events bear one identifier.
    OutsidePolygonError
        An event marked as target is outside the polygon.
    EmptyWindowError
        T1 ≤ T0, or there is no target.
    CatalogError
        A position, magnitude or mark is missing, or the catalogue cannot be read.
    PolygonError
        The polygon cannot be read or is not simple.
    OptionError
        The value of an option makes no sense.
    """
    marks = names_of_marks(marks)
    data = opened_netcdf(source, format, CatalogError)
    carried = data if is_event_dataset(data) else None
    if carried is not None:
        require_attributes(DATA, carried, source_of(carried))
        require_variable(DATA, carried, "polygon", source_of(carried))
    settings = {} if carried is None else carried.attrs
    marks = marks or names_of_marks(settings.get("marks", ""))
    m_c = default(completeness_magnitude, settings.get("m_c"))
    delta_m = default(magnitude_rounding, settings.get("delta_m"))
    distance = default(distance, settings.get("distance", "plane"))

    catalogue = open_catalogue(data, marks, format)
    origin = catalogue.attrs["source"]
    if data is not source or not origin:
        catalogue.attrs["source"] = "data set" if data is source else Path(source).name
    if delta_m is None or np.isnan(delta_m):
        raise MissingMagnitudeBinError(
            f"{catalogue.attrs['source']}: the step to which magnitudes are rounded is not stated; "
            "pass magnitude_rounding, such as 0.1 or 0.01, or 0 if they are continuous"
        )
    require_finite(catalogue, marks, distance)
    check_identifiers(catalogue)
    ordered = in_order(catalogue, sort)
    if carried is not None:
        check_not_wider(catalogue, settings, end, m_c)
        if start is not None or polygon is not None:
            ordered = ordered.drop_vars("target", errors="ignore")
    start, end = default(start, settings.get("T0")), default(end, settings.get("T1"))
    events, T0, T1, epoch, after = in_window(ordered, start, end)
    m_c = default(m_c, float(events["magnitude"].min()))
    events, below = above_completeness(events, m_c, cut)

    place = place_events(events, polygon, carried)
    target = find_targets(events, T0, place)
    if not target.any():
        raise EmptyWindowError(
            f"{events.attrs['source']}: none of the {target.size} events is a target, from T0 = "
            f"{T0:g} to T1 = {T1:g} days inside the polygon; widen the window or the polygon"
        )
    known = {"longitude", "latitude", "depth", "event_id"} & set(events.variables)
    dataset = event_dataset(
        time_days=events["time"],
        x_km=place.x,
        y_km=place.y,
        magnitude=events["magnitude"],
        target=target,
        polygon_km=place.polygon,
        T0=T0,
        T1=T1,
        m_c=m_c,
        delta_m=delta_m,
        source=origin,
        epoch=epoch,
        distance=distance,
        earth_radius_km=default(earth_radius_km, settings.get("earth_radius_km", EARTH_RADIUS_KM)),
        marks={mark: events[mark] for mark in marks},
        events_after_end=after + settings.get("events_after_end", 0),
        events_below_completeness=below + settings.get("events_below_completeness", 0),
        **{name: events[name] for name in known - set(marks)},
        **(place.settings if area_km2 is None else place.settings | {"area_km2": area_km2}),
    )
    dataset = checked(DATA, dataset, catalogue.attrs["source"])
    if carried is None:
        return warn_of_suspect(dataset)
    return with_others(dataset, carried, np.array_equal(events["row"], catalogue["row"]))


def default(value, otherwise):
    """Return a value, or another where it is None."""
    return otherwise if value is None else value


def open_catalogue(source, marks, format):
    """Return the catalogue of a source with marks and, where it has them, targets."""
    if isinstance(source, xr.Dataset):
        source = named_as_catalogue(source, CATALOGUE_NAMES)
        if "epoch" in source.attrs:
            source = source.assign_attrs(reference_time=source.attrs["epoch"])
    columns = [mark for mark in marks if mark != "depth"]
    return read_catalog(source, columns=columns, optional_columns=["target"], format=format)


def in_order(catalogue, sort):
    """Return the events in the order of time, which they must have unless they are sorted."""
    time = catalogue["time"].to_numpy()
    if sort:
        return catalogue.isel(event=np.argsort(time, kind="stable"))
    early = np.concatenate([[False], np.diff(time) < 0])
    if early.any():
        raise CatalogTimeError(
            f"{locate(catalogue, early)}: the event is earlier than the one before it; sort the "
            "catalogue by time or pass sort=True"
        )
    return catalogue


def in_window(events, start, end):
    """Return the events up to T1 with T0, T1 (days), the epoch and the number after T1."""
    reference_time, name = events.attrs["reference_time"], events.attrs["source"]
    time = events["time"].to_numpy()
    T0 = days_of("start", start, reference_time)
    T1 = days_of("end", end, reference_time)
    if T0 is None:
        T0 = 0.0 if time[0] < 0 else float(time[0])
    if T1 is None:
        T1 = float(time[-1])
    epoch = ""
    if reference_time:
        epoch = iso_time(reference_time, T0)
        time, T1, T0 = count_from(T0, time), float(count_from(T0, T1)), 0.0
    if not T0 < T1:
        raise EmptyWindowError(
            f"{name}: the window ends at T1 = {T1:g} days, not after T0 = {T0:g} days; give a "
            "later end or an earlier start"
        )
    after = time > T1
    events = events.assign(time=("event", time)).isel(event=~after)
    if after.all():
        raise EmptyWindowError(
            f"{name}: all {after.size} events lie after T1 = {T1:g} days; give a later end"
        )
    return events, T0, T1, epoch, int(np.count_nonzero(after))


def check_not_wider(catalogue, settings, end, m_c):
    """Require a window no longer and no deeper than that for which a data set was read."""
    T1, least, name = settings["T1"], settings["m_c"], catalogue.attrs["source"]
    end_days = days_of("end", end, catalogue.attrs["reference_time"])
    if end_days is not None and end_days > T1:
        raise CatalogError(
            f"{name} ends at T1 = {T1:g} days; read its source again for end = {end_days:g} days"
        )
    if m_c < least - SAME_MAGNITUDE:
        raise CatalogError(
            f"{name} is cut at m_c = {least:g}; read its source again for completeness_magnitude "
            f"= {m_c:g}"
        )


def days_of(option, moment, reference_time):
    """Return a moment in days on the catalogue's scale."""
    if moment is None or isinstance(moment, numbers.Real):
        return moment
    if not reference_time:
        raise OptionError(
            f"{option} = {moment!r} must be a number of days, because the catalogue gives times "
            "in days only"
        )
    try:
        return days_after(reference_time, moment)
    except CatalogError as error:
        raise OptionError(f"{option}: {error}") from error


def above_completeness(events, m_c, cut):
    """Return the events of magnitude m_c and above, and the number below."""
    magnitude = events["magnitude"].to_numpy()
    below = magnitude < m_c - SAME_MAGNITUDE
    if below.any() and not cut:
        raise BelowCompletenessError(
            f"{locate(events, below)}: magnitude {magnitude[np.argmax(below)]:g} is below m_c = "
            f"{m_c:g}; pass cut=True to leave such events out, or lower completeness_magnitude"
        )
    if below.all():
        raise EmptyWindowError(
            f"{events.attrs['source']}: all {below.size} events are below m_c = {m_c:g}; lower "
            "completeness_magnitude"
        )
    return events.isel(event=~below), int(np.count_nonzero(below))


def place_events(events, polygon, carried):
    """Return where events and polygon lie on the plane; without a new polygon, as carried."""
    projected = carried is not None and carried.attrs["projection"] == "laea"
    if carried is not None and polygon is None:
        x, y = events["x"].to_numpy(), events["y"].to_numpy()
        name = f"{events.attrs['source']}, polygon"
        region = Region(simple_polygon(carried["polygon"].to_numpy(), name), geographic=False)
        near = is_near(region.vertices, x, y, BEND_KM) if projected else is_inside(region, x, y)
        kept = ("projection", "polygon_origin", "area_km2")
        settings = {name: carried.attrs[name] for name in kept}
        settings["centre"] = carried.attrs["centre_longitude"], carried.attrs["centre_latitude"]
        return Placement(x, y, region.vertices, is_inside(region, x, y), near, settings)

    geographic = projected or not {"x", "y"} <= set(events)
    names = ("longitude", "latitude") if geographic else ("x", "y")
    x, y = (events[name].to_numpy() for name in names)
    settings = {"polygon_origin": "bounding box of the events" if polygon is None else "given"}
    if polygon is None:
        region = bounding_box(x, y, geographic, f"{events.attrs['source']}, bounding box")
    else:
        region = open_region(polygon, geographic)
    inside = is_inside(region, x, y)
    if geographic:
        settings |= {"projection": "laea", "centre": centre_of(region)}
        x, y = to_plane(x, y, settings["centre"])
    vertices = plane_polygon(region, settings.get("centre"))
    return Placement(x, y, vertices, inside, inside, settings)


def find_targets(events, T0, place):
    """Return which events are targets: those the source marks, else those in the window."""
    early = events["time"].to_numpy() < T0
    if "target" not in events:
        return ~early & place.inside
    marked = events["target"].to_numpy()
    remedy = "mark it as history (0) or remove the column target, so that the window decides"
    odd = (marked != 0) & (marked != 1)
    if odd.any():
        raise CatalogError(
            f"{locate(events, odd)}: target is {marked[np.argmax(odd)]:g}; it must be 1 or 0"
        )
    target = marked == 1
    if (target & early).any():
        first = int(np.argmax(target & early))
        raise CatalogTimeError(
            f"{locate(events, target & early)}: the target at t = {events['time'].item(first):g} "
            f"days precedes T0 = {T0:g} days; {remedy}"
        )
    outside = target & ~place.near
    if outside.any():
        first = int(np.argmax(outside))
        raise OutsidePolygonError(
            f"{locate(events, outside)}: the target at ({place.x[first]:.6g}, "
            f"{place.y[first]:.6g}) km lies outside the polygon; {remedy}, or widen the polygon"
        )
    return target


def with_others(dataset, carried, unmoved):
    """Add what else a data set carries; what is told by event only if every event stayed."""
    others = carried.drop_vars([name for name in carried.variables if name in ATTRIBUTES])
    others = others.drop_vars([name for name in others.variables if name in dataset.variables])
    lost = {"vertex", "axis"} if unmoved else {"event", "vertex", "axis"}
    others = others.drop_dims(lost & set(others.dims))
    return dataset.merge(others).assign_attrs({**carried.attrs, **dataset.attrs})
