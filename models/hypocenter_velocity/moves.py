"""Metropolis steps along the trade-off of depth, of all events at once, and of the velocities.

Near an interface, where a source has two depths, and where a head wave would come first if its
layer were faster, trajectories turn back at kinks of the travel times. Heavy-tailed steps lead
across.
"""

import jax
import jax.numpy as jnp
from numpyro.distributions import biject_to

from bayesquake.model.capabilities import Moves

from .model import EVENT_SITES, arrival_distribution, event_log_density
from .physics.arrivals import expected_arrivals
from .physics.precision import log_prior
from .profiles import by_station
from .velocities import velocities, velocity_priors

__all__ = ["MOVES", "step"]

SWEEPS = 6

LONGEST = 20.0
"""Steps are cut at so many standard deviations."""


def step(key, values, data, priors):
    """Return hypocentres and velocities after some sweeps over all events and the velocities.

    Each event steps along ``data.depth_move`` by a Cauchy number of standard deviations and is
    accepted by itself, for given all shared unknowns the events are independent. Then velocities
    and events step together in one of the principal directions ``data.velocity_move``, chosen with
    its length: the data tell trajectories of the others. Of two velocity profiles one is drawn for
    every station first, for given these too the events are independent.
    """
    if len(data.sign) > 1:
        key, key_label = jax.random.split(key)
        data = data._replace(member=drawn_profiles(key_label, values, data))
    of_speeds = {
        name: prior
        for name, prior in velocity_priors(values, data, priors).items()
        if name in data.velocity_move
    }
    speeds = {name: biject_to(prior.support) for name, prior in of_speeds.items()}

    def density(events, sites):
        speed = {name: bijection(sites[name]) for name, bijection in speeds.items()}
        moved = {**values, **events, **speed}
        return event_log_density(moved | velocities(moved, data), data, priors)

    def sweep(carry, key):
        events, sites, here = carry
        key_events, key_choice, key_velocities = jax.random.split(key, 3)
        length, threshold = proposed(key_events, here.shape)
        moved = {name: events[name] + length * x for name, x in depth_move.items()}
        there = density(moved, sites)
        accepted = threshold < there - here
        here = jnp.where(accepted, there, here)
        events = {name: jnp.where(accepted, moved[name], events[name]) for name in EVENT_SITES}
        if not speeds:
            return (events, sites, here), None

        direction = jax.random.categorical(key_choice, log_length)
        length, threshold = proposed(key_velocities, ())
        moved = {
            name: x + length * data.velocity_move[name][direction]
            for name, x in {**events, **sites}.items()
        }
        there = density(moved, moved)
        prior = sum(
            log_prior(of_speeds[name], moved[name]) - log_prior(of_speeds[name], sites[name])
            for name in speeds
        )
        accepted = threshold < (there - here).sum() + prior
        here = jnp.where(accepted, there, here)
        events, sites = (
            {name: jnp.where(accepted, moved[name], x) for name, x in part.items()}
            for part in (events, sites)
        )
        return (events, sites, here), None

    depth_move = dict(zip(EVENT_SITES, data.depth_move, strict=True))
    squares = [
        (data.velocity_move[name] ** 2).sum(axis=tuple(range(1, data.velocity_move[name].ndim)))
        for name in speeds
    ]
    log_length = 0.5 * jnp.log(sum(squares))
    events = {name: values[name] for name in EVENT_SITES}
    sites = {name: bijection.inv(values[name]) for name, bijection in speeds.items()}
    carry = events, sites, density(events, sites)
    (events, sites, _), _ = jax.lax.scan(sweep, carry, jax.random.split(key, SWEEPS))
    return events | {name: bijection(sites[name]) for name, bijection in speeds.items()}


def drawn_profiles(key, values, data):
    """Return one profile for every station, drawn given all else, (profile, station) of 0 and 1."""
    expected = expected_arrivals(values, data)
    fit = arrival_distribution(expected, values["sigma"], data).log_prob(data.time)
    label = jax.random.categorical(key, by_station(fit, values, data), axis=0)
    return jax.nn.one_hot(label, len(data.sign), axis=0)


def proposed(key, shape):
    """Return lengths of steps in standard deviations, and logs of what accepts them."""
    key_step, key_accept = jax.random.split(key)
    length = jnp.clip(jax.random.cauchy(key_step, shape), -LONGEST, LONGEST)
    return length, jnp.log(jax.random.uniform(key_accept, shape))


MOVES = Moves(step)
