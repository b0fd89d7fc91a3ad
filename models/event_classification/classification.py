r"""Which events are background, which triggered which, and what clusters they make.

Given the parameters the classes of events are independent: event i is background with
probability :math:`\phi_i = \mu(x_i)/\lambda_i` and a child of j with :math:`p_{ij} =
g_{ij}/\lambda_i`. One categorical draw per event is therefore an exact draw of all parents, and
the forest of clusters follows by pointer jumping. Averaged over the posterior both carry the
uncertainty of the parameters.

References
----------
Zhuang, Ogata & Vere-Jones 2002, doi:10.1198/016214502760046925, with one parameter vector.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .likelihood import log_intensity, log_rates, rates
from .pairs import over_tiles, pair_rates, tile_size
from .triggering import triggering_kernel

__all__ = ["class_probabilities", "classify", "cluster_sizes", "draw_parents", "roots"]


def class_probabilities(values, data):
    """Return the probability of every background class, (class, event), one without marks.

    The rest, one minus their sum, is the probability of being triggered.
    """
    return jnp.exp(log_rates(values, data)[0] - log_intensity(values, data))


class Levelled(NamedTuple):
    """Events with the level at which the stacked rates of their parents are looked up."""

    events: Any
    level: Any
    place: Any


def draw_parents(key, values, data):
    """Draw the parent of every event, (event,): a position, or -1 for background.

    Events that the form leaves out have no parent either.

    A uniform number in [0, λ_i) falls on the background or on one of the earlier events, whose
    rates are stacked in order; a second pass over the pairs finds on which.
    """
    background, triggered = rates(values, data)
    kernel = triggering_kernel(values, space=data.events.position is not None)
    size = background.size
    level = jax.random.uniform(key, (size,)) * (background + triggered) - background

    def find(carry, sources, targets):
        stacked, parent = carry
        rate = pair_rates(kernel, targets.events, sources.events)
        above = stacked[:, None] + jnp.cumsum(rate, axis=1)
        hit = above > targets.level[:, None]
        found = (parent < 0) & hit.any(axis=1)
        return above[:, -1], jnp.where(found, sources.place[jnp.argmax(hit, axis=1)], parent)

    side = tile_size(size)
    start = (jnp.zeros(side), jnp.full(side, -1))
    stacks = Levelled(data.events, level, jnp.arange(size))
    parent = over_tiles(find, start, stacks, size)[1]
    return jnp.where((level < 0) | (data.present == 0), -1, parent)


def roots(parent):
    """Return the first ancestor of every event in every draw, (draw, event).

    Parameters
    ----------
    parent : (draw, event)
        Positions, -1 for background.
    """
    places = np.arange(parent.shape[1])
    root = np.where(parent < 0, places, parent)
    while True:
        further = np.take_along_axis(root, root, axis=1)
        if (further == root).all():
            return root
        root = further


def cluster_sizes(root):
    """Return how many events share the root of every event, (draw, event)."""
    draws, events = root.shape
    flat = root + events * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * events)[flat]


@jax.jit
def _of_draws(keys, values, data):
    def of_draw(draw):
        key, values = draw
        return class_probabilities(values, data), draw_parents(key, values, data)

    return jax.lax.map(of_draw, (keys, values))


def classify(key, values, data):
    """Return class probabilities and parents of posterior draws.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        Constrained draws, each (draw, ...).
    data : arrays.Catalogue

    Returns
    -------
    probability : (draw, class, event)
        Of the background classes.
    parent : (draw, event)
    """
    keys = jax.random.split(key, len(values["k"]))
    probability, parent = _of_draws(keys, values, data)
    return np.asarray(probability), np.asarray(parent)
