r"""Background events by nearest-neighbour distances, without a model of triggering.

The proximity of an event to an earlier one is :math:`\eta_{ij} = t_{ij}\, r_{ij}^{d_f}
10^{-b m_j}`. The logs of the smallest proximities of all events are a mixture of two normal
distributions, of clustered and of background events. It starts the kernel density of the
background and is what classification by a model is measured against.

References
----------
Zaliapin & Ben-Zion 2013, doi:10.1002/jgrb.50179.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import softmax
from scipy.stats import norm

from .pairs import over_tiles, squared_distance, tile_size

__all__ = ["background_probability", "log_proximity"]

FRACTAL_DIMENSION, B_VALUE = 1.6, 1.0
NEAREST_KM, NEAREST_DAYS = 0.01, 1e-5
"""Distances and delays below these count as these."""

ITERATIONS = 200

NARROWEST = 0.1
"""Smallest standard deviation of a part of the mixture, in log10 of the proximity."""

FEWEST_PROXIMITIES = 2


def log_proximity(events):
    """Return log10 of the proximity to the nearest earlier event, (event,); inf for the first."""

    def nearest(best, sources, targets):
        delay = targets.time[:, None] - sources.time
        r = jnp.sqrt(jnp.maximum(squared_distance(targets, sources), NEAREST_KM**2))
        proximity = (
            jnp.log10(jnp.maximum(delay, NEAREST_DAYS))
            + FRACTAL_DIMENSION * jnp.log10(r)
            - B_VALUE * sources.dm
        )
        return jnp.minimum(best, jnp.where(delay > 0, proximity, jnp.inf).min(axis=-1))

    size = events.time.size
    start = jnp.full(tile_size(size), jnp.inf)
    return jax.jit(lambda events: over_tiles(nearest, start, events, size))(events)


def background_probability(events, count):
    """Return the probability of every event to be background by the mixture, (event,).

    Parameters
    ----------
    events : pairs.Events
    count : int
        Number of events without padding, by which the mixture is found.
    """
    x = np.asarray(log_proximity(events))
    finite = np.isfinite(x) & (np.arange(x.size) < count)
    seen = x[finite]
    if seen.size < FEWEST_PROXIMITIES:
        return np.ones(x.size)
    mean = np.quantile(seen, [0.25, 0.75])
    sd, share = np.full(2, max(seen.std(), NARROWEST)), np.full(2, 0.5)
    for _ in range(ITERATIONS):
        log_density = np.log(share) + norm.logpdf(seen[:, None], mean, sd)
        member = softmax(log_density, axis=1).clip(1e-12)
        share = member.mean(axis=0)
        mean = (member * seen[:, None]).sum(axis=0) / member.sum(axis=0)
        variance = (member * (seen[:, None] - mean) ** 2).sum(axis=0) / member.sum(axis=0)
        sd = np.sqrt(variance.clip(NARROWEST**2))
    probability = np.ones(x.size)
    probability[finite] = member[:, np.argmax(mean)]
    return probability
