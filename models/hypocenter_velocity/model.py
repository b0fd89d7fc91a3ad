r"""Hypocentres, origin times, layer velocities and station terms from arrival times.

A pick of the phase c of event i at station j, with the travel time :math:`T_c` of first arrivals in
flat layers of velocities v, is

.. math:: t_{ijc} = t_{0i} + T_c(x_i, y_i, z_i, s_j; v) + d_{cj} + e_{ijc}, \qquad
          e_{ijc} \sim \mathrm{StudentT}_5(0, s), \qquad s = \sigma_c \sigma_{ijc} / \tilde\sigma_c,

where the standard error of the pick is :math:`\sigma_{ijc}` and their median :math:`\tilde\sigma_c`
(or :math:`s^2 = \sigma_c^2 + \sigma_{ijc}^2`; or, where errors are not known, :math:`\sigma_c`).
Station terms sum to zero for each phase, :math:`d_{c\cdot} \sim \mathrm{ZeroSumNormal}(\tau)`: an
equal shift of all of them is an origin time, and P and S are taken to be delayed alike in the mean,
unless S has a mean delay of its own, :math:`\tau \varepsilon` with a standard normal ε.

Sources come from one population with the middle m and the spread ω, which the data tell:
:math:`x_i \sim N(m, \omega)`. Held loosely one by one, many hypocentres would make fast layers
probable, for these leave each of them more room.

Chains hold :math:`\bar t_i = t_{0i} + \sum_j w_{ijc} (T_c + d_{cj})`, the mean expected arrival,
which the data know well, in place of the origin time, whose prior it is given.

References
----------
Ryberg & Haberland 2019, doi:10.1093/gji/ggz177 (hypocentres, velocities and station terms at once)
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesquake.model.model import Quantity
from bayesquake.model.priors import Prior

from .physics.arrivals import by_event, depth_of, travel_times
from .profiles import log_likelihood, probable
from .velocities import velocities, velocity_priors

__all__ = [
    "DIRECTIONS",
    "EVENT_SITES",
    "PRIORS",
    "QUANTITIES",
    "arrival_distribution",
    "declare",
    "error_scale",
    "event_log_density",
    "placed",
    "population",
]

OURS = "our default"
PRIORS = {
    "middle": Prior("Normal", {"loc": 0, "scale": 0.5}, "1", "m", OURS, ("direction",)),
    "spread": Prior("LogNormal", {"loc": np.log(0.3), "scale": 1}, "1", "ω", OURS, ("direction",)),
    "x_shift": Prior("Normal", {"loc": 0, "scale": 1}, "1", "x", OURS, ("event",)),
    "y_shift": Prior("Normal", {"loc": 0, "scale": 1}, "1", "y", OURS, ("event",)),
    "depth_shift": Prior("Normal", {"loc": 0, "scale": 1}, "1", "ζ", OURS, ("event",)),
    "origin_time_shift": Prior("Normal", {"loc": 0, "scale": 3}, "s", "t0", OURS, ("event",)),
    "log_vp_change": Prior("Normal", {"loc": 0, "scale": 0.1}, "1", "ln v", OURS, ("layer",)),
    "log_vp_ends": Prior("Normal", {"loc": 0, "scale": 0.1}, "1", "e", OURS, ("end",)),
    "bend_shift": Prior("Laplace", {"loc": 0, "scale": 1}, "1", "b", OURS, ("bend",)),
    "bend_spread": Prior("LogNormal", {"loc": np.log(0.5), "scale": 0.7}, "1", "β", OURS),
    "log_vs_change": Prior("Normal", {"loc": 0, "scale": 0.1}, "1", "ln v", OURS, ("layer",)),
    "contrast": Prior("HalfNormal", {"scale": 0.05}, "1", "Δ", OURS),
    "layer_contrast": Prior("Normal", {"loc": 0, "scale": 0.03}, "1", "δ", OURS, ("layer",)),
    "profile_share": Prior("Beta", {"concentration1": 1, "concentration0": 1}, "1", "π", OURS),
    "vpvs": Prior("LogNormal", {"loc": np.log(1.73), "scale": 0.03}, "1", "κ", OURS),
    "sigma": Prior(
        "LogNormal", {"loc": np.log([0.05, 0.10]), "scale": 0.5}, "s", "σ", OURS, ("phase",)
    ),
    "tau": Prior("LogNormal", {"loc": np.log(0.1), "scale": 1.0}, "s", "τ", OURS),
    "mean_s_delay_shift": Prior("Normal", {"loc": 0, "scale": 1}, "1", "ε", OURS),
}

EVENT, LAYER = ("event",), ("layer",)
QUANTITIES = {
    "x": Quantity("km", "distance east of the centre", EVENT),
    "y": Quantity("km", "distance north of the centre", EVENT),
    "depth": Quantity("km", "depth", EVENT),
    "origin_time": Quantity("s", "origin time after the event's reference time", EVENT),
    "vp": Quantity("km/s", "velocity of P", LAYER),
    "vs": Quantity("km/s", "velocity of S", LAYER),
    "profile_vp": Quantity("km/s", "velocity of P in each profile", ("profile", "layer")),
    "profile_vs": Quantity("km/s", "velocity of S in each profile", ("profile", "layer")),
    "profile_share": Quantity("1", "share of the stations with the faster profile"),
    "station_profile": Quantity(
        "1", "probability of the faster profile at a station", ("station",), fixed=True
    ),
    "contrast": Quantity("1", "half the difference of the profiles in mean ln v"),
    "vpvs": Quantity("1", "ratio of the velocities of P and S"),
    "station_term": Quantity(
        "s", "delay of a phase at a station, of mean zero", ("phase", "station")
    ),
    "mean_s_delay": Quantity("s", "mean delay of S at the stations, less that of P"),
    "sigma": Quantity("s", "scale of the errors of a phase", ("phase",)),
    "tau": Quantity("s", "standard deviation of station terms"),
    "bend_spread": Quantity("1", "scale of the bends of ln vp"),
    "middle": Quantity("1", "middle of the sources, in widths of the prior", ("direction",)),
    "spread": Quantity("1", "spread of the sources, in widths of the prior", ("direction",)),
    "x_shift": Quantity("1", "x less that of the middle, over the spread", EVENT, "latent"),
    "y_shift": Quantity("1", "y less that of the middle, over the spread", EVENT, "latent"),
    "depth_shift": Quantity("1", "ζ less that of the middle, over the spread", EVENT, "latent"),
    "x_offset": Quantity("1", "x less the centre of the prior, in widths", EVENT, "latent"),
    "y_offset": Quantity("1", "y less the centre of the prior, in widths", EVENT, "latent"),
    "depth_offset": Quantity("1", "ζ less the centre of the prior, in widths", EVENT, "latent"),
    "origin_time_shift": Quantity("s", "origin time less its preliminary value", EVENT, "latent"),
    "mean_arrival": Quantity("s", "mean expected arrival of the picks", EVENT, "latent"),
    "log_vp_change": Quantity("1", "ln of vp over its reference", LAYER, "latent"),
    "layer_contrast": Quantity("1", "that of a layer less the mean", LAYER, "latent"),
    "log_vp_ends": Quantity("1", "ln of vp at both ends over its reference", ("end",), "latent"),
    "bend": Quantity("1", "bend of ln vp at the top of a layer", ("bend",), "latent"),
    "bend_shift": Quantity("1", "bend over the scale of the bends", ("bend",), "latent"),
    "mean_s_delay_shift": Quantity("1", "mean delay of S over τ", (), "latent"),
    "log_vs_change": Quantity("1", "ln of vs over its reference", LAYER, "latent"),
}

EVENT_SITES = ("x_offset", "y_offset", "depth_offset", "mean_arrival")
"""What chains hold of each event."""

DIRECTIONS = ("x", "y", "depth")


def declare(data, priors):
    """Declare the model on one set of picks.

    Parameters
    ----------
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution
        For shifts of hypocentres and for changes of reference velocities, that of one.
    """
    events = data.centre.shape[-1]
    sources = population(
        {}
        if data.population is None
        else {name: numpyro.sample(name, each_of(priors[name], 3)) for name in ("middle", "spread")}
    )
    offset = {}
    for k, name in enumerate(DIRECTIONS):
        prior = each_of(offset_prior(priors, name, sources), events)
        offset[EVENT_SITES[k]] = numpyro.sample(EVENT_SITES[k], prior)
        shift = (offset[EVENT_SITES[k]] - sources.middle[k]) / sources.spread[k]
        numpyro.deterministic(f"{name}_shift", shift)
    place = placed(offset, data)
    for name in DIRECTIONS:
        numpyro.deterministic(name, place[name])

    spread = {}
    if data.bends is not None:
        spread["bend_spread"] = numpyro.sample("bend_spread", priors["bend_spread"])
    sites = velocity_priors(spread, data, priors)
    speed = {name: numpyro.sample(name, prior) for name, prior in sites.items()}
    if data.bends is not None:
        numpyro.deterministic("bend_shift", speed["bend"] / spread["bend_spread"])
    speed |= velocities(speed, data)
    for name in ("vp", "vs", *(("profile_vp", "profile_vs") if len(data.sign) > 1 else ())):
        numpyro.deterministic(name, speed[name])

    sigma = numpyro.sample("sigma", each_of(priors["sigma"], 2))
    tau = numpyro.sample("tau", priors["tau"])
    terms = dist.ZeroSumNormal(tau, data.station_x.shape).expand([2]).to_event(1)
    delays = {"station_term": numpyro.sample("station_term", terms)}
    if data.s_delay is not None:
        prior = mean_s_delay_prior(priors, tau)
        delays["mean_s_delay"] = numpyro.sample("mean_s_delay", prior)
        numpyro.deterministic("mean_s_delay_shift", delays["mean_s_delay"] / tau)

    travel_time = travel_times({**place, **speed, **delays}, data)
    delay = by_event(data.weight * travel_time, data)
    prior = origin_time_prior(priors, data, delay)
    mean_arrival = numpyro.sample("mean_arrival", prior.to_event(1))
    origin_time = numpyro.deterministic("origin_time", mean_arrival - delay)
    numpyro.deterministic("origin_time_shift", (origin_time - data.centre[3]) / data.width[3])

    expected = origin_time[data.event] + travel_time
    fit = arrival_distribution(expected, sigma, data).log_prob(data.time)
    share = {}
    if len(data.sign) > 1:
        share["profile_share"] = numpyro.sample("profile_share", priors["profile_share"])
        numpyro.deterministic("station_profile", probable(fit, share, data)[1])
    numpyro.factor("time", log_likelihood(fit, share, data))


def each_of(prior, count):
    """Return the prior of an array whose elements are independent."""
    return prior.expand([count]).to_event(1)


class Sources(NamedTuple):
    """Middle and spread of all sources, (direction,), in widths of the prior."""

    middle: Any
    spread: Any


def population(values):
    """Return the `Sources` of given values; those of preliminary hypocentres if there are none."""
    return Sources(values.get("middle", jnp.zeros(3)), values.get("spread", jnp.ones(3)))


def offset_prior(priors, name, sources):
    """Return the prior of an offset, a shift in units of the spread from the middle."""
    k = DIRECTIONS.index(name)
    moved = dist.transforms.AffineTransform(sources.middle[k], sources.spread[k])
    return dist.TransformedDistribution(priors[f"{name}_shift"], moved)


def placed(offset, data):
    """Return x, y and depth (km) of offsets from what is known before."""
    x, y, depth_coordinate = (
        data.centre[k] + data.width[k] * offset[EVENT_SITES[k]] for k in range(3)
    )
    return {"x": x, "y": y, "depth": depth_of(depth_coordinate, data.tops[0])}


def mean_s_delay_prior(priors, tau):
    """Return the prior of the mean delay of S, a shift in units of the spread of station terms."""
    in_units = dist.transforms.AffineTransform(0.0, tau)
    return dist.TransformedDistribution(priors["mean_s_delay_shift"], in_units)


def origin_time_prior(priors, data, delay):
    """Return the prior of mean arrivals, the origin time and a delay (event,) after it."""
    shift = priors["origin_time_shift"].expand(delay.shape)
    later = dist.transforms.AffineTransform(data.centre[3] + delay, data.width[3])
    return dist.TransformedDistribution(shift, later)


def arrival_distribution(expected, sigma, data):
    """Return the distribution of arrivals (pick,) around expected ones, for the σ of each phase."""
    scale = error_scale(sigma, data)
    if data.degrees_of_freedom is None:
        return dist.Normal(expected, scale)
    return dist.StudentT(data.degrees_of_freedom, expected, scale)


def error_scale(sigma, data):
    """Return the scale of the error of every pick, (pick,), s."""
    return jnp.sqrt((sigma[data.phase] * data.relative) ** 2 + data.variance)


def event_log_density(values, data, priors):
    """Return what of the log density belongs to each event, (event,), given all else.

    Of two profiles each station has them by ``data.member``.

    Parameters
    ----------
    values : mapping
        The sampled sites of `EVENT_SITES`, ``middle`` and ``spread`` if there are such, ``vp``,
        ``vpvs`` or ``vs``, ``station_term``, ``mean_s_delay`` if there is one, and ``sigma``.
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution
    """
    whole = {**values, **placed(values, data)}
    travel_time = travel_times(whole, data)
    delay = by_event(data.weight * travel_time, data)
    origin_time = values["mean_arrival"] - delay
    expected = origin_time[data.event] + travel_time
    fit = arrival_distribution(expected, values["sigma"], data).log_prob(data.time)
    prior = sum(
        offset_prior(priors, name, population(values)).log_prob(values[f"{name}_offset"])
        for name in DIRECTIONS
    )
    prior += origin_time_prior(priors, data, delay).log_prob(values["mean_arrival"])
    return by_event(data.counted * fit, data) + prior
