"""The curves of triggering at posterior draws: productivity, decay in time and decay in space."""

import jax
import jax.numpy as jnp

from .triggering import productivity, triggering_kernel

__all__ = ["offspring_by_magnitude", "offspring_density", "offspring_rate"]


@jax.jit
def offspring_by_magnitude(values, dm):
    """Return the expected direct offspring of events, (draw, magnitude).

    Parameters
    ----------
    values : mapping
        Natural parameters, each (draw,).
    dm : (magnitude,)
        Above the reference magnitude.
    """
    return jax.vmap(productivity, (0, None))(values, dm)


@jax.jit
def offspring_rate(values, dm, delay):
    """Return the rate of direct offspring after an event, (draw, delay), in 1/day.

    Parameters
    ----------
    values : mapping
        Natural parameters, each (draw,).
    dm : float
        Magnitude of the event above the reference magnitude.
    delay : (delay,)
        Days.
    """

    def of_draw(draw):
        kernel = triggering_kernel(draw, space=False)
        log_rate = kernel.log_amplitude + kernel.magnitude_slope * dm
        return jnp.exp(log_rate - kernel.p * jnp.log(delay + kernel.c) - kernel.decay_rate * delay)

    return jax.vmap(of_draw)(values)


@jax.jit
def offspring_density(values, dm, distance):
    """Return the density of offspring in space around an event, (draw, distance), in 1/km².

    Parameters
    ----------
    values : mapping
        Natural parameters, each (draw,).
    dm : float
        Magnitude of the event above the reference magnitude.
    distance : (distance,)
        km.
    """

    def of_draw(draw):
        D = draw["d"] * jnp.exp(draw["gamma"] * dm)
        return (draw["q"] - 1) / (jnp.pi * D) * (1 + distance**2 / D) ** -draw["q"]

    return jax.vmap(of_draw)(values)
