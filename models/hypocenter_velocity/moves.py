"""Metropolis steps along the trade-off of depth, of all events at once, and of single layers.

Near an interface, where a source has two depths, and where a head wave would come first if its
layer were faster, trajectories turn back at kinks of the travel times. Heavy-tailed steps lead
across.
"""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from bayesquake.model.capabilities import Moves

from .model import EVENT_SITES, event_log_density, velocities

__all__ = ["MOVES", "step"]

SWEEPS = 6

LONGEST = 20.0
"""Steps are cut at so many standard deviations."""


def step(key, values, data, priors):
    """Return hypocentres and velocities after some sweeps over all events and a random layer.

    Each event steps along ``data.depth_move`` by a Cauchy number of standard deviations and is
    accepted by itself, for given all shared unknowns the events are independent. Then one layer
    steps likewise in the length ``data.layer_move``, chosen with the square of that length: the
    data tell trajectories of the others.
    """
    layers = {name: steps for name, steps in data.layer_move.items() if name in sampled(priors)}

    def density(held):
        moved = {**values, **held}
        return event_log_density(moved | velocities(moved, data), data, priors)

    def sweep(carry, key):
        held, here = carry
        key_events, key_layer = jax.random.split(key)
        length, threshold = proposed(key_events, here.shape)
        moved = held | {
            name: held[name] + length * direction
            for name, direction in zip(EVENT_SITES, data.depth_move, strict=True)
        }
        there = density(moved)
        accepted = threshold < there - here
        here = jnp.where(accepted, there, here)
        held |= {name: jnp.where(accepted, moved[name], held[name]) for name in EVENT_SITES}

        for name, key_step in zip(layers, jax.random.split(key_layer, len(layers)), strict=True):
            key_step, key_choice = jax.random.split(key_step)
            layer = jax.random.categorical(key_choice, 2 * jnp.log(layers[name]))
            length, threshold = proposed(key_step, ())
            change = held[name].at[layer].add(length * layers[name][layer])
            there = density({**held, name: change})
            prior = priors[name].log_prob(change)[layer] - priors[name].log_prob(held[name])[layer]
            accepted = threshold < (there - here).sum() + prior
            here = jnp.where(accepted, there, here)
            held |= {name: jnp.where(accepted, change, held[name])}
        return (held, here), None

    held = {name: values[name] for name in (*EVENT_SITES, *layers)}
    (held, _), _ = jax.lax.scan(sweep, (held, density(held)), jax.random.split(key, SWEEPS))
    return held


def sampled(priors):
    """Return the names of the parameters that are not fixed."""
    return [name for name, prior in priors.items() if not isinstance(prior, dist.Delta)]


def proposed(key, shape):
    """Return lengths of steps in standard deviations, and logs of what accepts them."""
    key_step, key_accept = jax.random.split(key)
    length = jnp.clip(jax.random.cauchy(key_step, shape), -LONGEST, LONGEST)
    return length, jnp.log(jax.random.uniform(key_accept, shape))


MOVES = Moves(step)
