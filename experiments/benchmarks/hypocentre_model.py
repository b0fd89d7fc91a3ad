r"""Locating one earthquake in a uniform half-space: the small posterior of the batch benchmark.

Arrival times of P at every station and of S at some are

.. math:: t_{jc} = t_0 + r_j / v_c + e_{jc}, \qquad r_j^2 = (x - x_j)^2 + (y - y_j)^2 + z^2,
          \qquad e_{jc} \sim \mathrm{StudentT}_4(0, s_c \sigma),

with five unknowns: x, y, depth z (km), origin time t0 (s) and noise scale σ (s). Outside the
network depth, distance and origin time trade off along curved ridges.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr

from bayesquake.model.model import Model, Quantity
from bayesquake.model.priors import Prior

__all__ = ["HYPOCENTRE", "Picks", "simulated_picks"]

STATIONS = 12
NETWORK_RADIUS_KM = 40.0
OUTSIDE_SHARE, OUTSIDE_RADII = 0.25, (1.2, 2.5)
"""Share of the events outside the network, and how far from its centre they lie, in radii."""

P_VELOCITY, S_VELOCITY = 6.0, 3.46
"""Speeds in km/s."""

S_SHARE = 0.5
"""Probability that a station's S arrival is picked."""

S_NOISE = 2.0
"""Noise scale of S arrivals over that of P."""

DEGREES_OF_FREEDOM = 4.0
QUANTITIES = {
    "x": Quantity("km", "epicentre, east of the network's centre"),
    "y": Quantity("km", "epicentre, north of the network's centre"),
    "depth": Quantity("km", "depth"),
    "t0": Quantity("s", "origin time after the first P arrival"),
    "sigma": Quantity("s", "noise scale of P arrivals"),
}


class Picks(NamedTuple):
    """Arrival times of one earthquake, P and S columns.

    Attributes
    ----------
    station : (station, 2)
        East and north coordinates (km).
    arrival : (station, phase)
        Seconds after the first P arrival; 0 where there is no pick.
    picked : (station, phase)
        1 where there is a pick.
    """

    station: Any
    arrival: Any
    picked: Any


def hypocentre(data, priors):
    """Declare the model on the picks of one earthquake."""
    x = numpyro.sample("x", priors["x"])
    y = numpyro.sample("y", priors["y"])
    depth = numpyro.sample("depth", priors["depth"])
    t0 = numpyro.sample("t0", priors["t0"])
    sigma = numpyro.sample("sigma", priors["sigma"])

    distance = jnp.sqrt((x - data.station[:, 0]) ** 2 + (y - data.station[:, 1]) ** 2 + depth**2)
    expected = t0 + distance[:, None] / jnp.array([P_VELOCITY, S_VELOCITY])
    error = dist.StudentT(DEGREES_OF_FREEDOM, expected, sigma * jnp.array([1.0, S_NOISE]))
    numpyro.sample("arrival", error.mask(data.picked == 1), obs=data.arrival)


def simulated_picks(events, seed=0):
    """Simulate earthquakes in and around one network.

    Returns
    -------
    xarray.Dataset
        Variables ``station`` (km), ``arrival`` (s) and ``picked``, with a leading event
        dimension, and the true value of every unknown.
    """
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, STATIONS)
    radius = NETWORK_RADIUS_KM * np.sqrt(rng.uniform(0, 1, STATIONS))
    station = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

    outside = rng.uniform(size=events) < OUTSIDE_SHARE
    away = NETWORK_RADIUS_KM * np.where(
        outside, rng.uniform(*OUTSIDE_RADII, events), np.sqrt(rng.uniform(0, 1, events))
    )
    azimuth = rng.uniform(0, 2 * np.pi, events)
    x, y = away * np.cos(azimuth), away * np.sin(azimuth)
    depth = np.exp(rng.normal(np.log(10.0), 0.6, events))
    sigma = np.exp(rng.normal(np.log(0.15), 0.4, events))

    offset = np.stack([x, y], axis=1)[:, None] - station
    distance = np.sqrt((offset**2).sum(axis=2) + depth[:, None] ** 2)
    arrival = distance[..., None] / np.array([P_VELOCITY, S_VELOCITY])
    scale = sigma[:, None, None] * np.array([1.0, S_NOISE])
    arrival += scale * rng.standard_t(DEGREES_OF_FREEDOM, arrival.shape)
    first = arrival[..., 0].min(axis=1)
    arrival -= first[:, None, None]
    picked = np.ones(arrival.shape)
    picked[..., 1] = rng.uniform(size=arrival.shape[:2]) < S_SHARE
    return xr.Dataset(
        {
            "station": (
                ("event", "station", "axis"),
                np.broadcast_to(station, (events, *station.shape)),
                {"units": "km"},
            ),
            "arrival": (("event", "station", "phase"), arrival * picked, {"units": "s"}),
            "picked": (("event", "station", "phase"), picked, {"units": "1"}),
            "x": ("event", x, {"units": "km"}),
            "y": ("event", y, {"units": "km"}),
            "depth": ("event", depth, {"units": "km"}),
            "t0": ("event", -first, {"units": "s"}),
            "sigma": ("event", sigma, {"units": "s"}),
        }
    )


def prepare(dataset):
    """Return the arrays of one event, or of all of them."""
    return Picks(*(np.asarray(dataset[name], float) for name in Picks._fields))


def simulate(key, design=None, parameters=None, *, priors=None):
    """Simulate one event."""
    seed = np.asarray(jax.random.key_data(key)).ravel()
    dataset = simulated_picks(1, seed).isel(event=0)
    return {name: float(dataset[name]) for name in QUANTITIES}, dataset


def read(source):
    """Return the data set itself."""
    return source


def recommended(prepared):
    """Return the settings of one fit."""
    return {"driver": "nuts", "metric": "dense"}


def calibrated(values, data):
    """Return the unknowns."""
    return {name: values[name] for name in QUANTITIES}


HYPOCENTRE = Model(
    name="hypocentre",
    title="One earthquake in a uniform half-space",
    references=(),
    declare=hypocentre,
    priors={
        "x": Prior("Normal", (("loc", 0.0), ("scale", 60.0)), "km", "x"),
        "y": Prior("Normal", (("loc", 0.0), ("scale", 60.0)), "km", "y"),
        "depth": Prior("LogNormal", (("loc", math.log(10.0)), ("scale", 0.8)), "km", "z"),
        "t0": Prior("Normal", (("loc", -5.0), ("scale", 10.0)), "s", "t0"),
        "sigma": Prior("LogNormal", (("loc", math.log(0.15)), ("scale", 0.7)), "s", "σ"),
    },
    simulator=simulate,
    read=read,
    prepare=prepare,
    quantities=QUANTITIES,
    calibrated=calibrated,
    recommended=recommended,
)
