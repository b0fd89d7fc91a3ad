"""The reader: arrivals, stations and layers, from any of their files, joined on one plane."""

import os
import warnings

import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.errors import DatasetError, OptionError
from bayesquake.io.arrivals.dataset import ARRIVALS, read_arrivals
from bayesquake.io.catalog import source_of
from bayesquake.io.datasets import (
    checked,
    labelled,
    nearest_schema,
    opened_netcdf,
    own_dataset,
)
from bayesquake.io.stations import read_stations
from bayesquake.io.velocity_models import read_layers
from bayesquake.model.options import any_of, each, instance, number, takes
from bayesquake.physics.projection import to_plane

from ..errors import DomainError, ModelError, UndersideWarning
from ..physics.arrivals import preliminary_origin_times
from .dataset import DATA, LARGEST_COORDINATE_KM

__all__ = ["read"]

UNKNOWN_DEPTH_KM = 10.0
"""Preliminary depth, below the top of the layers, of events without one."""

SOURCE = any_of(None, instance(str, os.PathLike, xr.Dataset, what="a path or a data set"))


@takes(
    stations=SOURCE,
    layers=SOURCE,
    events=read_arrivals.options["events"],
    centre=any_of(None, each(number("degrees"), length=2)),
    best_error=read_arrivals.options["best_error"],
    duplicates=read_arrivals.options["duplicates"],
    thickest=read_layers.options["thickest"],
    format=read_arrivals.options["format"],
)
def read(
    source,
    *,
    stations=None,
    layers=None,
    events=None,
    centre=None,
    best_error=0.05,
    duplicates="refuse",
    thickest=1.0,
    format=None,
):
    """Read arrival times with the stations and layers that they belong to.

    Parameters
    ----------
    source : path, obspy.Catalog or xarray.Dataset
        Arrivals, as `bayesquake.io.arrivals.dataset.read_arrivals` takes them, or a data set of
        this model, which needs nothing else.
    stations, layers : path or xarray.Dataset
        As `bayesquake.io.stations.read_stations` and `bayesquake.io.velocity_models.read_layers`
        take them. Stations without picks are left out.
    events : path, optional
        A CSV file of preliminary hypocentres.
    centre : (longitude, latitude), optional
        Of the plane, in degrees; by default the middle of the stations.
    best_error, duplicates, format
        As `read_arrivals` takes them.
    thickest : float
        As `read_layers` takes it, km.

    Returns
    -------
    xarray.Dataset
        Of `DATA`.

    Raises
    ------
    DatasetError
        A file cannot be read; a station is not known; a place is given twice or not at all.
    DomainError
        A source lies above the layers, or an event or station far away.
    ModelError
        The layers cannot be.

    Warns
    -----
    UndersideWarning
        A layer is slower than one above it.
    """
    opened = opened_netcdf(source, format, DatasetError)
    is_read = isinstance(opened, xr.Dataset)
    if is_read and nearest_schema((ARRIVALS, DATA), opened) is DATA:
        given = {"stations": stations, "layers": layers, "events": events, "centre": centre}
        asked = {name: value for name, value in given.items() if value is not None}
        return own_dataset(DATA, opened, source_of(opened), asked)
    for name, value in {"stations": stations, "layers": layers}.items():
        if value is None:
            raise OptionError(f"read needs {name}, a path or a data set, for these arrivals")
    arrivals = read_arrivals(
        opened, events=events, best_error=best_error, duplicates=duplicates, format=format
    )
    name = source_of(arrivals)
    placed = stations_of(arrivals, read_stations(stations), name)
    values = {
        "time": arrivals["time"],
        "pick_error": arrivals["pick_error"],
        **{f"{kind}_index": arrivals[f"{kind}_index"] for kind in ("event", "station", "phase")},
        "reference_time": arrivals["reference_time"],
        **layers_of(layers, thickest),
    }
    plane, centre = on_a_plane(arrivals, placed, centre, name)
    values |= plane
    top = float(values["top"][0])
    unknown = np.full(arrivals.sizes["event"], top + UNKNOWN_DEPTH_KM)
    values["depth"] = arrivals.get("depth", unknown)
    first = "x" not in values
    if first:
        earliest = first_stations(arrivals)
        values["x"], values["y"] = (values[f"station_{axis}"][earliest] for axis in ("x", "y"))
    values = {key: np.asarray(value, float) for key, value in values.items()}
    values["origin_time"] = (
        arrivals["origin_time"].to_numpy()
        if "origin_time" in arrivals
        else preliminary_origin_times(values)
    )
    attributes = {
        "centre_longitude": centre[0],
        "centre_latitude": centre[1],
        "preliminary": "first_station" if first else "given",
        "source": name,
    }
    joined = labelled(DATA, values, **attributes).assign_coords(
        event=arrivals["event"].to_numpy(), station=arrivals["station"].to_numpy()
    )
    return checked(DATA, joined, name)


def stations_of(arrivals, stations, name):
    """Return the stations of the arrivals, in their order."""
    rows = pd.Index(stations["station"].to_numpy()).get_indexer(arrivals["station"].to_numpy())
    if (rows < 0).any():
        unknown = int(np.argmax(rows < 0))
        pick = int(np.argmax(arrivals["station_index"].to_numpy() == unknown))
        raise DatasetError(
            f"{name}, pick {pick}: station {arrivals['station'].to_numpy()[unknown]} is not among "
            f"the {len(stations['station'])} stations of {source_of(stations)} "
            f"({np.count_nonzero(rows < 0)} such); add it or remove its picks"
        )
    return stations.isel(station=rows)


def layers_of(source, thickest):
    """Return tops and velocities, and warn where velocity decreases."""
    try:
        layers = read_layers(source, thickest=thickest)
    except DatasetError as problem:
        raise ModelError(str(problem)) from problem
    vp = layers["vp"].to_numpy()
    slower = np.flatnonzero(np.diff(vp) < 0)
    if slower.size:
        layer = int(slower[0]) + 1
        warnings.warn(
            f"{source_of(layers)}, layer {layer}: {vp[layer]:g} km/s is slower than the layer "
            f"above, {vp[layer - 1]:g} km/s; waves along the underside of a faster layer are not "
            "modelled, and first arrivals of sources below it may be late",
            UndersideWarning,
            stacklevel=4,
        )
    return {name: layers[name] for name in ("top", "vp", "vs")}


def on_a_plane(arrivals, stations, centre, name):
    """Return positions of stations and, if they are known, of events in km, and the centre."""
    of_events = {axis: arrivals[axis] for axis in ("x", "y") if axis in arrivals}
    if "x" in stations:
        if "latitude" in arrivals and not of_events:
            raise DatasetError(
                f"{name} places events by degrees, and {source_of(stations)} stations by km; give "
                "both alike"
            )
        placed = {f"station_{axis}": stations[axis] for axis in ("x", "y")}
        return {**placed, "station_depth": stations["z"], **of_events}, (np.nan, np.nan)
    longitude, latitude = stations["longitude"].to_numpy(), stations["latitude"].to_numpy()
    if of_events and "latitude" not in arrivals:
        raise DatasetError(
            f"{name} places events by km, and {source_of(stations)} stations by degrees; give "
            "both alike"
        )
    centre = centre or (float(np.median(longitude)), float(np.median(latitude)))
    station_x, station_y = to_plane(longitude, latitude, centre)
    placed = {
        "station_x": station_x,
        "station_y": station_y,
        "station_depth": -stations["elevation"],
    }
    if "latitude" in arrivals:
        of_events = events_near(arrivals, centre, name)
    return {**placed, **of_events}, centre


def events_near(arrivals, centre, name):
    """Return x and y (km) of events, which must not have exchanged latitudes and longitudes."""
    degrees = arrivals["longitude"].to_numpy(), arrivals["latitude"].to_numpy()
    x, y = to_plane(*degrees, centre)
    if np.isfinite(x).all() and np.median(np.hypot(x, y)) <= LARGEST_COORDINATE_KM:
        return {"x": x, "y": y}
    exchanged = np.abs(degrees[0]).max() <= 90
    if exchanged and np.median(np.hypot(*to_plane(*degrees[::-1], centre))) < LARGEST_COORDINATE_KM:
        raise DatasetError(
            f"{name}: latitude and longitude of the events seem exchanged, for so they would lie "
            "near the stations; exchange the columns"
        )
    raise DomainError(
        f"{name}: the events lie more than {LARGEST_COORDINATE_KM:g} km from the stations (event "
        f"{arrivals['event'].to_numpy()[0]}: latitude {degrees[1][0]:g}, longitude "
        f"{degrees[0][0]:g}); correct their places or the stations"
    )


def first_stations(arrivals):
    """Return the index of the station where each event's first P, or S, arrived."""
    picks = pd.DataFrame(
        {
            name: arrivals[name].to_numpy()
            for name in ("event_index", "phase_index", "time", "station_index")
        }
    )
    ordered = picks.sort_values(["event_index", "phase_index", "time"])
    return ordered.drop_duplicates("event_index")["station_index"].to_numpy().astype(int)
