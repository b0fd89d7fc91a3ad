"""Weighted draws of the hypocentres of many events, a lane of them at a time."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.batch.importance import adapted, moments, resampled, weighted
from bayesquake.batch.lanes import in_lanes, problem_keys, taken
from bayesquake.batch.modes import distinct_ends
from bayesquake.batch.shard import batched, width_of
from bayesquake.results.evidence import PARETO_LIMIT

from .events import log_density, searched

__all__ = ["FEWEST_EFFECTIVE", "Located", "located"]

DEPTH = 2
"""Place of the depth among the coordinates."""

SMALLEST_SHARE = 0.01
"""Of the mass of the best end of a search, for another end to count as a mode."""

SAME = 1.0
"""Distance below which two ends are one mode, in standard deviations."""

FEWEST_EFFECTIVE = 100.0
"""Effective draws that an event needs."""

TIERS = ((1, 1), (2, 3), (3, 10))
"""Rounds, and draws of each in those asked for, that an event gets until its weights suffice."""

NARROWING = 8
"""By which a lane of such events is narrower: they are few."""


class Located(NamedTuple):
    """Hypocentres of events, with the origin time as last coordinate.

    Attributes
    ----------
    mode, mean : (event, 4)
    covariance : (event, 4, 4)
    pareto_k, ess : (event,)
        Of the weights.
    modes : (event,)
        Modes that count.
    rounds : (event,)
        In which the event was drawn.
    draws : (event, draw, 4)
        Of equal weight.
    """

    mode: Any
    mean: Any
    covariance: Any
    pareto_k: Any
    ess: Any
    modes: Any
    rounds: Any
    draws: Any


def located(picks, tables, box, numbers, *, depths, importance_draws, draws, seed):
    """Locate events of padded picks of equal length.

    An event whose weights cannot be believed, or whose effective draws are few, is drawn again from
    a mixture that follows its weighted draws.

    Parameters
    ----------
    picks : events.EventPicks
        With a leading axis of events.
    tables : tables.Tables
    box : events.Box
    numbers : (event,)
        An event's draws depend on the seed and its number.
    depths : tuple of float
        From which each event is sought, km.
    importance_draws, draws : int
        Weighted draws of an event, and draws of equal weight that are kept.
    seed : int

    Returns
    -------
    Located
    """
    given = problem_keys(seed, numbers, 0), picks
    shared = jax.tree.map(jnp.asarray, (tables, box))

    def drawn(given, rounds, count, width):
        program = _program(tuple(depths), rounds, count, draws)
        return in_lanes(lambda lane: program(*lane, *shared), given, width)

    (rounds, more), *dearer = TIERS
    found = drawn(given, rounds, more * importance_draws, width_of())
    for rounds, more in dearer:
        poor = np.flatnonzero((found.pareto_k > PARETO_LIMIT) | (found.ess < FEWEST_EFFECTIVE))
        if not len(poor):
            break
        width = width_of(narrowing=NARROWING)
        again = drawn(taken(given, poor), rounds, more * importance_draws, width)
        for values, better in zip(found, again, strict=True):
            values[poor] = better
    return found


@functools.cache
def _program(depths, rounds, count, draws):
    """Return the compiled location of a lane of events."""

    def one(key, picks, tables, box):
        def density(position):
            return log_density(position, picks, tables, box)

        mixture, mass, best = searched(picks, tables, box, jnp.array(depths))
        top = jnp.argmax(mass)
        counts = mass > mass[top] + jnp.log(SMALLEST_SHARE)
        modes = distinct_ends(mixture.centre @ mixture.root[top], counts, SAME).sum()
        key_keep, *keys = jax.random.split(key, rounds + 1)
        bounds = DEPTH, box.low[DEPTH], box.high[DEPTH]
        found = weighted(keys[0], density, mixture, count, *bounds)
        for key_round in keys[1:]:
            mixture = adapted(mixture, found, DEPTH)
            found = weighted(key_round, density, mixture, count, *bounds)
        mean, covariance = moments(found)
        kept = resampled(key_keep, found, draws)
        return Located(
            best, mean, covariance, found.pareto_k, found.ess, modes, jnp.asarray(rounds), kept
        )

    return batched(one, (0, 0, None, None))
