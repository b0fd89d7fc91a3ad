r"""The expected number of targets from the window's start to every event.

:math:`\Lambda(t) = \int_{T_0}^t \int_S \lambda`. At the events of a catalogue that the model
describes, the transformed times Λ(t_i) are a unit-rate Poisson process, and the log likelihood
falls apart into :math:`\ln\lambda_i - [\Lambda(t_i) - \Lambda(t_{i-1})]`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .background import expected_background
from .inside import mass_inside
from .likelihood import expected_events, log_intensity
from .pairs import over_tiles, tile_size
from .triggering import productivity, time_fraction

__all__ = ["inside_polygon", "terms_and_times", "transformed_times"]

DELAYS = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 4000)])
"""Days at which the share of offspring that have come is tabulated for all pairs."""

LOG_STEP = np.log(DELAYS[-1] / DELAYS[1]) / (DELAYS.size - 2)


class Sources(NamedTuple):
    """Events with the expected offspring of each inside the polygon, at all times."""

    time: Any
    before: Any
    offspring: Any


def transformed_times(values, data):
    """Return Λ at every event, (event,); before the window it is negative and without meaning.

    The share of offspring is interpolated between tabulated delays, to about 1e-6.
    """
    come = time_fraction(values, 0.0, jnp.asarray(DELAYS))

    def share(delay):
        place = jnp.log(jnp.clip(delay, DELAYS[1], DELAYS[-1]) / DELAYS[1]) / LOG_STEP
        left = jnp.clip(place.astype(int), 0, DELAYS.size - 3)
        found = come[left + 1] + (place - left) * (come[left + 2] - come[left + 1])
        return jnp.where(delay > DELAYS[1], found, come[1] * delay / DELAYS[1])

    def add(total, sources, targets):
        delay = targets.time[:, None] - sources.time
        new = jnp.where(delay > 0, share(delay) - sources.before, 0.0)
        return total + new @ sources.offspring

    size = data.events.time.size
    offspring = data.present * productivity(values, data.events.dm) * inside_polygon(values, data)
    sources = Sources(data.events.time, share(data.gap_start), offspring)
    triggered = over_tiles(add, jnp.zeros(tile_size(size)), sources, size)
    background = expected_background(values, data.background, data.area, data.duration)
    return triggered + background * (1 - data.gap_end / data.duration)


def terms_and_times(values, data):
    """Return the log likelihood event by event, and the transformed times, both (event,).

    Each target has ln λ less the expected number since the target before it, the last one also
    less what is expected from then to the end of the window; other events have zero.
    """
    Lambda = transformed_times(values, data)
    is_target = data.target > 0
    reached = jnp.maximum(jax.lax.cummax(jnp.where(is_target, Lambda, 0.0)), 0.0)
    previous = jnp.concatenate([jnp.zeros(1), reached[:-1]])
    last = is_target & (jnp.cumsum(data.target) == data.target.sum())
    until = jnp.where(last, expected_events(values, data), Lambda)
    terms = jnp.where(is_target, log_intensity(values, data) - (until - previous), 0.0)
    return terms, Lambda


def inside_polygon(values, data):
    """Return the share of every event's offspring inside the polygon, (event,), 1 without it."""
    if data.polygon is None:
        return 1.0
    log_D = jnp.log(values["d"]) + values["gamma"] * data.events.dm

    def of_event(event):
        position, log_D = event
        return mass_inside(position[:, None], log_D[None], values["q"], data.polygon)[0]

    return jax.lax.map(of_event, (data.plane.T, log_D), batch_size=tile_size(log_D.size))
