r"""The precision of hypocentres, velocities, station terms and scales, in Gauss and Newton's form.

A pick is expected at :math:`\bar t_i + f_n - \sum_{m \in i} w_m f_m`, with the delay :math:`f_n =
T_n + d_n`. What it tells has the weight :math:`I / s_n^2`, with :math:`I = (\nu + 1) / (\nu + 3)`
for Student's t, 1 for normal errors, and of ln s the information :math:`2 \nu / (\nu + 3)` or 2.
The derivatives of f are a few dense columns (velocities) and one-hot ones (station terms), so that
sums over picks need no matrix of picks by unknowns.

References
----------
Lange, Little & Taylor 1989, doi:10.1080/01621459.1989.10478852 (information of Student's t)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpyro.distributions import biject_to

from bayesquake.physics.travel_time.layered import first_arrival_time

from ..model import DIRECTIONS, EVENT_SITES, error_scale, population
from ..profiles import of_profiles
from .arrivals import by_event, distance_of, station_delays
from .arrow import Arrow

__all__ = ["event_precision", "joint", "log_prior", "precision", "split"]

LOWEST_CURVATURE = 1e-6
"""Of a prior, in its unconstrained coordinate."""


class Slopes(NamedTuple):
    """Derivatives of the travel time of every pick.

    Attributes
    ----------
    place : (pick, 3)
        By the offsets of x, y and ζ.
    velocity : (pick, column)
        By ln vp of every profile and Vp/Vs, or by ln vp and ln vs.
    """

    place: Any
    velocity: Any


def split(sites):
    """Return the unconstrained sites as (event, 4) and (shared,) arrays."""
    events = jnp.stack([sites[name] for name in EVENT_SITES], axis=-1)
    shared = [sites[name].ravel() for name in shared_names(sites)]
    return events, jnp.concatenate(shared)


def joint(events, shared, sites):
    """Return sites of the shapes of others, the inverse of `split`."""
    made = {name: events[:, k] for k, name in enumerate(EVENT_SITES)}
    first = 0
    for name in shared_names(sites):
        size = sites[name].size
        made[name] = shared[first : first + size].reshape(sites[name].shape)
        first += size
    return made


def shared_names(sites):
    """Return the sites that all events share, in order."""
    return sorted(set(sites) - set(EVENT_SITES))


def log_prior(prior, site):
    """Return the log density of a prior in the unconstrained coordinate of its site."""
    bijection = biject_to(prior.support)
    value = bijection(site)
    return prior.log_prob(value) + bijection.log_abs_det_jacobian(site, value)


def event_precision(values, data, priors):
    """Return H_ii, (event, 4, 4), given all else.

    Parameters
    ----------
    values : mapping
        Of every quantity, as `bayesquake.targets.target.Target.constrain` returns them.
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution
    """
    slopes = delay_slopes(values, data)
    return _own(slopes.place, _weights(values, data), population(values).spread, data, priors)


def precision(base, position, data, priors):
    """Return H, without what station terms and sources tell of their own spreads.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
        The model in its own unconstrained coordinates.
    position : (dim,)
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution

    Returns
    -------
    Arrow
    """
    sites = base.unravel(position)
    events, shared = split(sites)

    def of_shared(shared):
        values = base.constrain(base.ravel(joint(events, shared, sites)), data)
        at_stations = station_delays(values).ravel()
        of_p = jnp.log(of_profiles(values, "vp")).ravel()
        delays = [of_p, _s_quantity(values, data), at_stations]
        return jnp.concatenate(delays), jnp.log(values["sigma"]), values["station_term"].ravel()

    values = base.constrain(position, data)
    delay_columns, sigma_columns, terms = jax.jacfwd(of_shared)(shared)
    weights = _weights(values, data)
    slopes = delay_slopes(values, data)
    sources = population(values)
    own = _own(slopes.place, weights, sources.spread, data, priors)
    coupling, common = _shared(slopes, weights, data, priors)
    common = delay_columns.T @ common @ delay_columns
    common += sigma_columns.T @ (_scale_information(values, data)[:, None] * sigma_columns)
    common += terms.T @ terms / values["tau"] ** 2
    arrow = Arrow(
        own, coupling @ delay_columns, common + jnp.diag(_curvatures(sites, values, data, priors))
    )
    return arrow if "middle" not in sites else _with_middle(arrow, sources, sites, priors)


def delay_slopes(values, data):
    """Return the `Slopes` of all picks."""

    def time(place, log_velocity, station):
        distance = distance_of(place[0] - station[0], place[1] - station[1])
        velocity = jnp.exp(log_velocity)
        return first_arrival_time(distance, place[2], station[2], data.tops, velocity)

    i, j = data.path_event, data.path_station
    place = jnp.stack([values["x"], values["y"], values["depth"]], axis=-1)[i]
    station = jnp.stack([data.station_x, data.station_y, data.station_depth], axis=-1)[j]
    along = jax.vmap(jax.value_and_grad(time, (0, 1)), (0, None, 0))
    of_each = jax.vmap(lambda velocity: along(place, jnp.log(velocity), station))
    of_p, (p_place, p_velocity) = of_each(of_profiles(values, "vp"))
    copy, is_s = (data.profile, data.path), (data.phase == 1)[:, None]
    own = jax.nn.one_hot(data.profile, len(data.sign))

    def by_profile(columns):
        return (own[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)

    if data.log_vs is None:
        ratio = jnp.where(is_s, values["vpvs"], 1.0)
        by_place = ratio * p_place[copy]
        by_ratio = jnp.where(is_s, of_p[copy][:, None], 0.0)
        velocity = [by_profile(ratio * p_velocity[copy]), by_ratio]
    else:
        _, (s_place, s_velocity) = of_each(of_profiles(values, "vs"))
        by_place = jnp.where(is_s, s_place[copy], p_place[copy])
        velocity = [
            by_profile(jnp.where(is_s, 0.0, p_velocity[copy])),
            by_profile(jnp.where(is_s, s_velocity[copy], 0.0)),
        ]
    # The depth coordinate moves the depth by the logistic function of itself.
    by_coordinate = -jnp.expm1(data.tops[0] - values["depth"])
    level = jnp.ones_like(by_coordinate)
    stretch = data.width[:3] * jnp.stack([level, level, by_coordinate], axis=-1)
    return Slopes(by_place * stretch[data.event], jnp.concatenate(velocity, axis=-1))


def _s_quantity(values, data):
    if data.log_vs is None:
        return jnp.atleast_1d(values["vpvs"])
    return jnp.log(of_profiles(values, "vs")).ravel()


def _weights(values, data):
    """Return the information of every pick on its expected arrival, (pick,), s⁻²."""
    nu = data.degrees_of_freedom
    information = 1.0 if nu is None else (nu + 1) / (nu + 3)
    return data.counted * information / error_scale(values["sigma"], data) ** 2


def _scale_information(values, data):
    """Return the information on ln σ of each phase, (phase,)."""
    nu = data.degrees_of_freedom
    information = 2.0 if nu is None else 2 * nu / (nu + 3)
    share = 1 - data.variance / error_scale(values["sigma"], data) ** 2
    return jnp.zeros(2).at[data.phase].add(data.counted * information * share**2)


def _own(place, weights, spread, data, priors):
    """Return H_ii, (event, 4, 4)."""
    rows, row = _event_rows(place, data)
    own = by_event(weights[:, None, None] * rows[:, :, None] * rows[:, None, :], data)
    own += _origin_time_precision(data, priors) * row[:, :, None] * row[:, None, :]
    curvature = [
        1 / (priors[f"{name}_shift"].variance * spread[k] ** 2) for k, name in enumerate(DIRECTIONS)
    ]
    return own + jnp.diag(jnp.stack([*curvature, 0.0]))


def _with_middle(arrow, sources, sites, priors):
    """Return an arrow with the pull of the middle of the sources on each of them."""
    events, shared = split(sites)
    place = joint(events, jnp.arange(len(shared)), sites)["middle"]
    variance = jnp.stack([priors[f"{name}_shift"].variance for name in DIRECTIONS])
    pull = 1 / (variance * sources.spread**2)
    coupling = arrow.coupling.at[:, jnp.arange(3), place].add(-pull)
    return arrow._replace(
        coupling=coupling, shared=arrow.shared.at[place, place].add(len(events) * pull)
    )


def _event_rows(place, data):
    """Return derivatives by (x, y, ζ, mean arrival) of expected picks and of origin times."""
    mean = by_event(data.weight[:, None] * place, data)
    rows = jnp.concatenate([place - mean[data.event], jnp.ones_like(place[:, :1])], axis=-1)
    return rows, jnp.concatenate([-mean, jnp.ones_like(mean[:, :1])], axis=-1)


def _origin_time_precision(data, priors):
    return 1 / (priors["origin_time_shift"].variance * data.width[3] ** 2)


def _shared(slopes, w, data, priors):
    """Return H_ig and H_gg by the columns of velocities and of (phase, station)."""
    events, stations = data.centre.shape[-1], len(data.station_x)
    column = data.phase * stations + data.station
    velocity = slopes.velocity
    rows, row = _event_rows(slopes.place, data)

    def summed(weight):
        one_hot = jnp.zeros((events, 2 * stations)).at[data.event, column].add(weight)
        return jnp.concatenate([by_event(weight[:, None] * velocity, data), one_hot], axis=-1)

    mean, weighted = summed(data.weight), summed(w)
    total = by_event(w, data)
    of_velocity = by_event(w[:, None, None] * rows[:, :, None] * velocity[:, None, :], data)
    of_terms = jnp.zeros((events, 2 * stations, 4)).at[data.event, column].add(w[:, None] * rows)
    coupling = jnp.concatenate([of_velocity, of_terms.mT], axis=-1)
    coupling -= by_event(w[:, None] * rows, data)[:, :, None] * mean[:, None, :]
    q = _origin_time_precision(data, priors)
    coupling -= q * row[:, :, None] * mean[:, None, :]

    mixed = jnp.zeros((2 * stations, velocity.shape[-1])).at[column].add(w[:, None] * velocity)
    diagonal = jnp.zeros(2 * stations).at[column].add(w)
    common = jnp.block(
        [[velocity.T @ (w[:, None] * velocity), mixed.T], [mixed, jnp.diag(diagonal)]]
    )
    crossed = weighted.T @ mean
    common -= crossed + crossed.T
    return coupling, common + mean.T @ ((total + q)[:, None] * mean)


def _curvatures(sites, values, data, priors):
    """Return the precision of shared sites by their priors and by known labels, (shared,)."""
    in_units = {
        "bend": ("bend_shift", values.get("bend_spread")),
        "mean_s_delay": ("mean_s_delay_shift", values["tau"]),
    }

    share = values.get("profile_share", 0.0)
    of_labels = len(data.station_x) * share * (1 - share)

    def curvature(name):
        return of_prior(name) + (of_labels if name == "profile_share" else 0.0)

    def of_prior(name):
        site = sites[name]
        if name in in_units:
            shift, unit = in_units[name]
            return jnp.full(site.size, 1 / (priors[shift].variance * unit**2))
        if name not in priors:
            return jnp.zeros(site.size)
        slope = jax.grad(lambda site: log_prior(priors[name], site).sum())
        second = jax.jvp(slope, (site,), (jnp.ones_like(site),))[1]
        return jnp.maximum(-second, LOWEST_CURVATURE).ravel()

    return jnp.concatenate([curvature(name) for name in shared_names(sites)])
