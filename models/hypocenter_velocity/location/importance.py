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
from bayesquake.results.evidence import pareto_limit

from .events import log_density, searched
from .sequential import LIMITS, settled

__all__ = ["FEWEST_EFFECTIVE", "Located", "located"]

DEPTH = 2
"""Place of the depth among the coordinates."""

SMALLEST_SHARE = 0.01
"""Of the mass of the best end of a search, for another end to count as a mode."""

SAME = 1.0
"""Distance below which two ends are one mode, in standard deviations."""

FEWEST_EFFECTIVE = 100.0
"""Effective draws that an event needs."""

TIERS = ((1,), (1, 3), (3, 10, 10))
"""Draws of each round, in those asked for, that an event gets until its weights suffice."""

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
        In which the event was drawn; 0 for sequential Monte Carlo.
    draws : (event, draw, 4)
        Of equal weight.
    r_hat, smallest_ess, drift, spread : (event,)
        Of sequential Monte Carlo, NaN for other events, whose k-hat is NaN in turn.
    """

    mode: Any
    mean: Any
    covariance: Any
    pareto_k: Any
    ess: Any
    modes: Any
    rounds: Any
    draws: Any
    r_hat: Any = np.nan
    smallest_ess: Any = np.nan
    drift: Any = np.nan
    spread: Any = np.nan


def located(picks, tables, box, numbers, *, depths, importance_draws, draws, seed):
    """Locate events of padded picks of equal length.

    An event whose weights cannot be believed, or whose effective draws are few, is drawn again from
    a mixture that follows its weighted draws, and by sequential Monte Carlo if that does not do.

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

    def drawn(given, counts, width):
        program = _program(tuple(depths), counts, draws)
        return in_lanes(lambda lane: program(*lane, *shared), given, width)

    cheap, *dearer = (tuple(importance_draws * more for more in tier) for tier in TIERS)
    found = drawn(given, cheap, width_of())
    poor = poorly_drawn(found, cheap[-1])
    width = width_of(narrowing=NARROWING)
    for counts in dearer:
        if len(poor):
            replaced(found, poor, drawn(taken(given, poor), counts, width))
            poor = poor[poorly_drawn(taken(found, poor), counts[-1])]
    if len(poor):
        keys, theirs = problem_keys(seed, numbers[poor], 1), taken(picks, poor)
        particles = settled(keys, theirs, *shared, width)
        sure = np.flatnonzero(LIMITS.certify(particles.evidence))
        again = of_particles(taken(particles, sure), found.modes[poor[sure]], draws)
        replaced(found, poor[sure], again)
    return found


def poorly_drawn(found, draws):
    """Return the events whose k-hat is too large for so many draws or whose ESS is too small."""
    return np.flatnonzero((found.pareto_k > pareto_limit(draws)) | (found.ess < FEWEST_EFFECTIVE))


def replaced(found, events, again):
    """Put other draws of some events in place of those found."""
    for values, better in zip(found, again, strict=True):
        values[events] = better


def of_particles(particles, modes, draws):
    """Return what particles of sequential Monte Carlo say of events, `Located`."""
    count, runs, length, dim = particles.positions.shape
    flat = particles.positions.swapaxes(1, 2).reshape(count, runs * length, dim)
    mean = flat.mean(axis=1)
    apart = flat - mean[:, None]
    covariance = np.einsum("ena,enb->eab", apart, apart) / flat.shape[1]
    kept = np.linspace(0, flat.shape[1] - 1, draws).astype(int)
    evidence = particles.evidence
    return Located(
        mode=particles.best,
        mean=mean,
        covariance=covariance,
        pareto_k=np.full(count, np.nan),
        ess=evidence.ess_bulk,
        modes=modes,
        rounds=np.zeros(count, int),
        draws=flat[:, kept],
        r_hat=evidence.r_hat,
        smallest_ess=evidence.smallest_ess,
        drift=evidence.drift,
        spread=evidence.spread,
    )


@functools.cache
def _program(depths, counts, draws):
    """Return the compiled location of a lane of events, of so many weighted draws in each round."""

    def one(key, picks, tables, box):
        def density(position):
            return log_density(position, picks, tables, box)

        mixture, mass, best = searched(picks, tables, box, jnp.array(depths))
        top = jnp.argmax(mass)
        heavy = mass > mass[top] + jnp.log(SMALLEST_SHARE)
        modes = distinct_ends(mixture.centre @ mixture.root[top], heavy, SAME).sum()
        key_keep, *keys = jax.random.split(key, len(counts) + 1)
        bounds = DEPTH, box.low[DEPTH], box.high[DEPTH]
        found = weighted(keys[0], density, mixture, counts[0], *bounds)
        for key_round, count in zip(keys[1:], counts[1:], strict=True):
            mixture = adapted(mixture, found, DEPTH)
            found = weighted(key_round, density, mixture, count, *bounds)
        mean, covariance = moments(found)
        kept = resampled(key_keep, found, draws)
        return Located(
            best, mean, covariance, found.pareto_k, found.ess, modes, jnp.asarray(len(counts)), kept
        )

    return batched(one, (0, 0, None, None))
