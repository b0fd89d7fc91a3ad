"""Arrivals, preliminary hypocentres, stations and layers as one data set.

Convention: km, s and km/s; x points east, y north and depth down, from the centre of a plane and
from sea level. Arrivals and origin times are counted from each event's reference time.
"""

import dataclasses

import numpy as np

from bayesquake.errors import DatasetError
from bayesquake.io.arrivals.dataset import ARRIVALS, require_indices
from bayesquake.io.datasets import Schema, Variable
from bayesquake.io.velocity_models import LATITUDE, LAYERS, LONGITUDE, require_increasing_tops
from bayesquake.model.options import one_of

from ..errors import DomainError

__all__ = ["DATA", "FEWEST_PICKS", "PRELIMINARY"]

LARGEST_COORDINATE_KM = 1000.0
"""Distance from the centre up to which the Earth is taken to be flat."""

FEWEST_PICKS = 4
"""Of an event: as many as a hypocentre and its origin time have unknowns."""

PRELIMINARY = ("given", "first_station")
"""Whose preliminary epicentres: a catalogue's, or that of the station where a wave came first."""


def require_hypocentres(dataset, name):
    """Require whole indices, ordered layers, sources below their top, and enough picks."""
    require_indices(dataset, name)
    require_increasing_tops(dataset, name)
    top, depth = float(dataset["top"][0]), dataset["depth"].to_numpy()
    events, stations = dataset["event"].to_numpy(), dataset["station"].to_numpy()
    if (depth < top).any():
        event = int(np.argmin(depth))
        raise DomainError(
            f"{name}, event {events[event]}: its depth, {depth[event]:g} km, is above the top of "
            f"the layers, {top:g} km; give layers that begin above all sources"
        )
    for kind, names, x, y in (("event", events, "x", "y"), ("station", stations, *OF_STATIONS)):
        distance = np.hypot(dataset[x], dataset[y]).to_numpy()
        if (distance > LARGEST_COORDINATE_KM).any():
            furthest = int(np.argmax(distance))
            raise DomainError(
                f"{name}, {kind} {names[furthest]}: {distance[furthest]:.0f} km from the centre; "
                f"flat layers serve up to {LARGEST_COORDINATE_KM:g} km: correct its place or leave "
                "it out"
            )
    counts = np.bincount(dataset["event_index"].to_numpy().astype(int), minlength=len(events))
    if (counts < FEWEST_PICKS).any():
        event = int(np.argmin(counts))
        raise DatasetError(
            f"{name}, event {events[event]}: {counts[event]} picks, {FEWEST_PICKS} are needed for "
            f"place and time ({np.count_nonzero(counts < FEWEST_PICKS)} such events); leave it out"
        )


OF_STATIONS = ("station_x", "station_y")


def of_arrivals(name, **changes):
    """Return a variable of the arrivals, as it is needed here."""
    return dataclasses.replace(ARRIVALS.variables[name], optional=False, **changes)


def of_station(meaning):
    """Return the declaration of a station's coordinate."""
    return Variable("km", meaning, ("station",), low=-1e4, high=1e4)


DATA = Schema(
    {
        "time": of_arrivals("time", low=-1e6, high=1e6),
        "pick_error": of_arrivals("pick_error"),
        **{name: of_arrivals(name) for name in ("event_index", "station_index", "phase_index")},
        "reference_time": of_arrivals("reference_time"),
        "x": of_arrivals("x", low=-1e4, high=1e4),
        "y": of_arrivals("y", low=-1e4, high=1e4),
        "depth": of_arrivals("depth"),
        "origin_time": of_arrivals("origin_time", low=-1e6, high=1e6),
        "station_x": of_station("distance east of the station"),
        "station_y": of_station("distance north of the station"),
        "station_depth": of_station("depth of the station, negative above sea level"),
        **LAYERS.variables,
    },
    attributes={
        "centre_longitude": LONGITUDE,
        "centre_latitude": LATITUDE,
        "preliminary": one_of(*PRELIMINARY),
    },
    defaults={"centre_longitude": np.nan, "centre_latitude": np.nan, "preliminary": "given"},
    fewest={"pick": FEWEST_PICKS, "station": 3},
    require=require_hypocentres,
)
