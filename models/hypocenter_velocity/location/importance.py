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

ROUNDS = (1, 3, 10, 10)
"""Draws of each round, in those asked for. An event goes on to the next, with a mixture that
follows its draws, until its weights suffice."""

NARROWING = 8
"""By which a lane of such events is narrower: they are few."""


class Drawn(NamedTuple):
    """What weighted draws say of events.

    Attributes
    ----------
    mean : (event, 4)
        x, y, depth (km) and origin time (s).
    covariance : (event, 4, 4)
    pareto_k, ess : (event,)
        Of the weights.
    draws : (event, draw, 4)
        Of equal weight.
    """

    mean: Any
    covariance: Any
    pareto_k: Any
    ess: Any
    draws: Any


class Located(NamedTuple):
    """Hypocentres of events.

    Attributes
    ----------
    mode : (event, 4)
    modes : (event,)
        Modes that count.
    drawn : Drawn
    rounds : (event,)
        In which the event was drawn; 0 for sequential Monte Carlo.
    r_hat, smallest_ess, drift, spread : (event,)
        Of sequential Monte Carlo, NaN for other events, whose k-hat is NaN in turn.
    """

    mode: Any
    modes: Any
    drawn: Drawn
    rounds: Any
    r_hat: Any
    smallest_ess: Any
    drift: Any
    spread: Any


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
    tables, box = jax.tree.map(jnp.asarray, (tables, box))
    search = _search(tuple(depths))
    first, mode, modes = in_lanes(lambda picks: search(picks, tables, box), picks, width_of())

    def round_of(number, chosen, mixture, width):
        count = ROUNDS[number] * importance_draws
        program = _round(count, draws)
        keys = problem_keys(seed, numbers[chosen], number)
        given = keys, *taken((picks, first), chosen), mixture
        drawn, following = in_lanes(lambda lane: program(*lane, tables, box), given, width)
        poor = np.flatnonzero(
            (drawn.pareto_k > pareto_limit(count)) | (drawn.ess < FEWEST_EFFECTIVE)
        )
        return drawn, chosen[poor], taken(following, poor)

    everyone, width = np.arange(len(numbers)), width_of(narrowing=NARROWING)
    drawn, poor, mixture = round_of(0, everyone, first, width_of())
    rounds = np.ones(len(numbers), int)
    for number in range(1, len(ROUNDS)):
        if len(poor):
            rounds[poor] = number + 1
            again, still, mixture = round_of(number, poor, mixture, width)
            replaced(drawn, poor, again)
            poor = still
    nothing = np.full((4, len(numbers)), np.nan)
    found = Located(mode, modes, drawn, rounds, *nothing)
    if len(poor):
        keys = problem_keys(seed, numbers[poor], len(ROUNDS))
        particles = settled(keys, taken(picks, poor), tables, box, width)
        sure = np.flatnonzero(LIMITS.certify(particles.evidence))
        replaced(found, poor[sure], of_particles(taken(particles, sure), modes[poor[sure]], draws))
    return found


def replaced(found, events, again):
    """Put other draws of some events in place of those found."""

    def put(values, better):
        values[events] = better

    jax.tree.map(put, found, again)


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
        modes=modes,
        drawn=Drawn(mean, covariance, np.full(count, np.nan), evidence.ess_bulk, flat[:, kept]),
        rounds=np.zeros(count, int),
        r_hat=evidence.r_hat,
        smallest_ess=evidence.smallest_ess,
        drift=evidence.drift,
        spread=evidence.spread,
    )


@functools.cache
def _search(depths):
    """Return the compiled search of a lane of events: mixture, mode and number of modes."""

    def one(picks, tables, box):
        mixture, mass, best = searched(picks, tables, box, jnp.array(depths))
        top = jnp.argmax(mass)
        heavy = mass > mass[top] + jnp.log(SMALLEST_SHARE)
        modes = distinct_ends(mixture.centre @ mixture.root[top], heavy, SAME).sum()
        return mixture, best, modes

    return batched(one, (0, None, None))


@functools.cache
def _round(count, draws):
    """Return the compiled round of a lane of events, and the mixtures that follow its draws."""

    def one(key, picks, first, mixture, tables, box):
        def density(position):
            return log_density(position, picks, tables, box)

        key_draw, key_keep = jax.random.split(key)
        bounds = DEPTH, box.low[DEPTH], box.high[DEPTH]
        found = weighted(key_draw, density, mixture, count, *bounds)
        kept = resampled(key_keep, found, draws)
        mean, covariance = moments(found)
        drawn = Drawn(mean, covariance, found.pareto_k, found.ess, kept)
        return drawn, adapted(first, found, DEPTH)

    return batched(one, (0, 0, 0, 0, None, None))
