"""Simulated arrivals: at given parameters, in a random network or on the design of real data."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import xarray as xr

from bayesquake.errors import OptionError, SimulationError
from bayesquake.io.datasets import labelled
from bayesquake.model.options import any_of, count, each, instance, number, takes

from .data.arrays import OPTIONS, order_of, prepare
from .data.dataset import DATA, FEWEST_PICKS
from .model import DIRECTIONS, arrival_distribution, placed, population
from .physics.arrivals import REFERENCE_VPVS, expected_arrivals
from .profiles import by_pick, right_of_line
from .velocities import velocities

__all__ = ["design_of", "draw", "lengths", "of_shifts", "offsets"]

TOPS, VP = (0.0, 3.0, 8.0, 16.0, 28.0), (4.8, 5.6, 6.0, 6.5, 7.5)
"""Layers of a crust: tops (km) and velocities of P (km/s)."""

FIXED = {"phase": 2, "direction": 3, "end": 2}

PRELIMINARY_ERROR_KM = 2.0
"""Of the preliminary places that a simulated catalogue of one population has."""

SHALLOWEST_KM = 2.0
"""Of the preliminary depths of a random design."""


@takes(
    **OPTIONS,
    events=count(at_most=100_000),
    stations=count(at_least=3, at_most=10_000),
    tops=each(number("km", at_least=-10, at_most=1000)),
    vp=each(number("km/s", at_least=0.1, at_most=12)),
    network_width=number("km", above=0, at_most=500),
    deepest=number("km", at_least=SHALLOWEST_KM, at_most=700),
    p_share=number(above=0, at_most=1),
    s_share=number(at_least=0, at_most=1),
    late_p_share=number(at_least=0, at_most=1),
    late_by=each(number("s", at_least=0, at_most=1000), length=2),
    dividing_azimuth=any_of(None, number("degrees", at_least=0, at_most=360)),
    observed=any_of(None, instance(xr.Dataset, what="a data set")),
)
def draw(
    key,
    values,
    *,
    events=10,
    stations=8,
    tops=TOPS,
    vp=VP,
    network_width=60.0,
    deepest=15.0,
    p_share=0.8,
    s_share=0.6,
    late_p_share=0.0,
    late_by=(1.0, 3.0),
    dividing_azimuth=None,
    observed=None,
    errors="student_t",
    event_prior="population",
    velocity_prior="layers",
    s_velocity="ratio",
    s_delay="zero_mean",
    profiles=1,
    pick_errors="scale",
):
    """Draw arrivals.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        Of the parameters with priors; station terms are drawn, unless they are among them. Stations
        have the faster profile with their ``station_profile`` or, without it, with the share.
    events, stations : int
    tops, vp : sequence of float
        Tops (km) and reference velocities (km/s) of the layers.
    network_width, deepest : float
        Side (km) of the square in which stations, and preliminary epicentres that sources are held
        to, are uniform, and depth (km) above which such sources are.
    p_share, s_share : float
        Shares of the arrivals that are picked.
    late_p_share : float
        Share of the P picks that are grossly wrong, as where a later wave was taken for the first.
    late_by : (float, float)
        Range of their delays, s.
    dividing_azimuth : float, optional
        Of two profiles the slower one is seen by the stations left of a line through the middle of
        the network with this azimuth (degrees east of north); by default each has one at random.
    observed : xarray.Dataset, optional
        A data set whose events, stations and picks are taken in place of random ones.
    errors, event_prior, velocity_prior, s_velocity, s_delay, profiles, pick_errors
        As `data.arrays.prepare` takes them.

    Raises
    ------
    SimulationError
        A random design gives an event fewer than four picks.
    OptionError
        There are not as many velocities as tops.
    """
    key_design, key_terms, key_errors, key_preliminary = jax.random.split(key, 4)
    random = observed is None
    if random:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key_design)).ravel())
        network = random_network(rng, events, stations, network_width, deepest)
        picks = random_picks(rng, events, stations, p_share, s_share)
        observed = labelled(DATA, {**picks, **network, **layers(tops, vp)}, source="simulated")
    options = {
        "errors": errors,
        "event_prior": event_prior,
        "velocity_prior": velocity_prior,
        "s_velocity": s_velocity,
        "s_delay": s_delay,
        "profiles": profiles,
        "pick_errors": pick_errors,
    }
    data = prepare(observed, **options)
    place = placed(offsets(values, data), data)
    if random and data.population is not None:
        observed = observed.assign(preliminary(key_preliminary, place, observed))
        data = data._replace(order=order_of(observed))
    whole = of_shifts(values, data)
    terms = values.get("station_term", station_terms(key_terms, values["tau"], data))
    whole |= {**place, **velocities(whole, data), "station_term": jnp.asarray(terms)}
    expected = by_pick(expected_arrivals(whole, data), data)
    label = seen_profiles(jax.random.fold_in(key, 4), values, data, dividing_azimuth)
    expected = jnp.take_along_axis(expected, label[by_pick(data.station, data)[:1]], axis=0)
    arrival = arrival_distribution(
        jnp.tile(expected[0], profiles), jnp.asarray(values["sigma"]), data
    )
    late = lateness(jax.random.fold_in(key_errors, 1), data, late_p_share, late_by)
    arrivals = arrival.sample(key_errors) + late
    arrivals, pick, there = (by_pick(x, data)[0] for x in (arrivals, data.place, data.mask))
    time = np.empty(observed.sizes["pick"])
    time[pick[there]] = np.asarray(arrivals)[there]
    others = {name: observed[name].to_numpy() for name in DATA.variables if name != "time"}
    made = labelled(DATA, {"time": time, **others}, source="simulated")
    names = {dim: observed[dim].to_numpy() for dim in ("event", "station")}
    return made.assign_coords(names)


def offsets(values, data):
    """Return offsets of hypocentres from what is known before, of their shifts and spread."""
    sources = population({} if data.population is None else values)
    return {
        f"{name}_offset": sources.middle[k]
        + sources.spread[k] * jnp.asarray(values[f"{name}_shift"])
        for k, name in enumerate(DIRECTIONS)
    }


def of_shifts(values, data):
    """Return values of parameters with priors, and what their shifts are in their units."""
    origin_time = data.centre[3] + data.width[3] * values["origin_time_shift"]
    made = {**values, **offsets(values, data), "origin_time": origin_time}
    if data.bends is not None:
        made["bend"] = jnp.asarray(values["bend_shift"]) * values["bend_spread"]
    if data.s_delay is not None:
        made["mean_s_delay"] = values["mean_s_delay_shift"] * values["tau"]
    return made


def design_of(
    dataset,
    *,
    errors="student_t",
    event_prior="population",
    velocity_prior="layers",
    s_velocity="ratio",
    s_delay="zero_mean",
    profiles=1,
    pick_errors="scale",
):
    """Return the design of a data set: its own events, stations and picks."""
    return {
        "observed": dataset,
        "errors": errors,
        "event_prior": event_prior,
        "velocity_prior": velocity_prior,
        "s_velocity": s_velocity,
        "s_delay": s_delay,
        "profiles": profiles,
        "pick_errors": pick_errors,
    }


def lengths(design):
    """Return the lengths that priors name."""
    observed = design["observed"]
    if observed is None:
        events, layers = design["events"], len(design["tops"])
    else:
        events, layers = observed.sizes["event"], observed.sizes["layer"]
    return {"event": events, "layer": layers, "bend": max(layers - 2, 0)} | FIXED


def station_terms(key, tau, data):
    """Return random station terms, (phase, station)."""
    shape = data.station_x.shape
    return dist.ZeroSumNormal(jnp.asarray(tau), shape).expand([2]).sample(key)


def seen_profiles(key, values, data, dividing_azimuth):
    """Return the profile through which each station is seen, (station,): drawn, or by a line."""
    if len(data.sign) == 1:
        return np.zeros(len(data.station_x), int)
    if dividing_azimuth is None:
        probability = values.get("station_profile", values["profile_share"])
        faster = jax.random.bernoulli(key, probability, data.station_x.shape)
    else:
        faster = right_of_line(np.deg2rad(dividing_azimuth), data)
    return np.asarray(faster).astype(int)


def lateness(key, data, share, late_by):
    """Return by how much every pick is late, (pick,), s: zero but for a share of those of P."""
    key_late, key_delay = jax.random.split(key)
    late = jax.random.uniform(key_late, data.phase.shape) < share
    delay = jax.random.uniform(key_delay, data.phase.shape, minval=late_by[0], maxval=late_by[1])
    return jnp.where(late & (data.phase == 0), delay, 0.0)


def preliminary(key, place, observed):
    """Return preliminary places near the true ones, as a catalogue has them."""
    wrong = PRELIMINARY_ERROR_KM * np.asarray(jax.random.normal(key, (3, len(place["x"]))))
    x, y, depth = (np.asarray(place[name]) + e for name, e in zip(DIRECTIONS, wrong, strict=True))
    top = float(observed["top"][0])
    return {"x": ("event", x), "y": ("event", y), "depth": ("event", np.maximum(depth, top))}


def layers(tops, vp):
    """Return reference layers."""
    if len(tops) != len(vp):
        raise OptionError(f"{len(tops)} tops and {len(vp)} velocities vp; give as many of each")
    return {"top": np.array(tops), "vp": np.array(vp), "vs": np.array(vp) / REFERENCE_VPVS}


def random_network(rng, events, stations, width, deepest):
    """Return stations and preliminary hypocentres, uniform in a box."""
    station_x, station_y = rng.uniform(-width / 2, width / 2, (2, stations))
    x, y = rng.uniform(-width / 2, width / 2, (2, events))
    return {
        "station_x": station_x,
        "station_y": station_y,
        "station_depth": np.zeros(stations),
        "x": x,
        "y": y,
        "depth": rng.uniform(SHALLOWEST_KM, deepest, events),
        "origin_time": np.zeros(events),
        "reference_time": np.zeros(events),
    }


def random_picks(rng, events, stations, p_share, s_share):
    """Return which arrivals are picked, without their times."""
    picked = rng.uniform(size=(events, stations, 2)) < (p_share, s_share)
    fewest = int(picked.sum(axis=(1, 2)).min())
    if fewest < FEWEST_PICKS:
        raise SimulationError(f"an event has {fewest} picks, fewer than {FEWEST_PICKS}; draw again")
    event, station, phase = np.nonzero(picked)
    return {
        "event_index": event,
        "station_index": station,
        "phase_index": phase,
        "time": np.zeros(len(event)),
        "pick_error": np.full(len(event), np.nan),
    }
