r"""Sequential Monte Carlo of single events, from the whole box to the posterior.

Particles are uniform in the box at first; origin times follow the arrivals, normal around the mean
of arrival less travel time. The density over that of these particles comes in share by share. That
needs no search and finds every mode with its share, in some seconds an event.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.batch.evidence import evidence_of_draws
from bayesquake.batch.lanes import in_lanes
from bayesquake.batch.sequential import Tempered, sequential_draws
from bayesquake.batch.shard import batched
from bayesquake.batch.triaged import TriageSettings

from .events import AXES, log_likelihood, mean_of_picks, residuals

__all__ = ["LIMITS", "Settled", "settled"]

LIMITS = TriageSettings(chains=4)
"""Number of runs, and what speaks for them."""

PARTICLES = 500
"""Of each run."""

SHORTEST_S = 1.0
"""Smallest standard deviation of the origin times of particles at first."""


class Settled(NamedTuple):
    """Particles of events.

    Attributes
    ----------
    positions : (event, run, particle, 4)
        x, y, depth (km) and origin time (s), NaN where the posterior was not reached.
    best : (event, 4)
        The most probable of them.
    evidence : bayesquake.batch.evidence.Evidence
    """

    positions: Any
    best: Any
    evidence: Any


def settled(keys, picks, tables, box, width):
    """Draw places and origin times of events.

    Parameters
    ----------
    keys : (event,)
    picks : events.EventPicks
        With a leading axis of events.
    tables : tables.Tables
    box : events.Box
    width : int
        Events worked on together.

    Returns
    -------
    Settled
    """

    def lane(lane):
        keys, picks = lane
        data = picks, tables, box
        unbounded, height, *_, evidence = sequential_draws(
            FROM_THE_BOX, keys, data, LIMITS.chains, PARTICLES, AXES_OF_DATA
        )
        positions = np.asarray(batched(_all_placed, (0, AXES_OF_DATA))(unbounded, data))
        flat = positions.reshape(len(positions), -1, positions.shape[-1])
        highest = height.reshape(len(positions), -1).argmax(axis=1)
        return Settled(positions, flat[np.arange(len(flat)), highest], evidence)

    found = in_lanes(lane, (keys, picks), width)
    of_draws = evidence_of_draws(found.positions, None, None, (), width)
    of_runs = {name: getattr(found.evidence, name) for name in ("smallest_ess", "drift", "spread")}
    return found._replace(evidence=of_draws._replace(**of_runs))


def placed(position, data):
    """Return x, y, depth (km) and origin time (s) of an unbounded position."""
    place, origin_time, _ = _unfolded(position, data)
    return jnp.append(place, origin_time)


def _unfolded(position, data):
    """Return place, origin time and residuals (pick,) before it.

    A position holds the logits of the place in the box, and the origin time in its standard
    deviations at first.
    """
    picks, tables, box = data
    place = box.low + (box.high - box.low) * jax.nn.sigmoid(position[:AXES])
    residual = residuals(place, picks, tables)
    of_middle = residuals((box.low + box.high) / 2, picks, tables)
    variance = mean_of_picks((of_middle - mean_of_picks(of_middle, picks)) ** 2, picks)
    spread = SHORTEST_S + jnp.sqrt(variance)
    return place, mean_of_picks(residual, picks) + spread * position[AXES], residual


def _log_prior(position, data):
    place, origin_time = position[:AXES], position[AXES]
    return (jax.nn.log_sigmoid(place) + jax.nn.log_sigmoid(-place)).sum() - 0.5 * origin_time**2


def _log_likelihood(position, data):
    picks = data[0]
    _, origin_time, residual = _unfolded(position, data)
    fit = log_likelihood((residual - origin_time) / picks.scale, picks)
    return fit + 0.5 * position[AXES] ** 2


def _prior_position(key, data):
    key_place, key_time = jax.random.split(key)
    return jnp.append(jax.random.logistic(key_place, (AXES,)), jax.random.normal(key_time))


def _all_placed(positions, data):
    return jax.vmap(jax.vmap(placed, (0, None)), (0, None))(positions, data)


FROM_THE_BOX = Tempered(_log_prior, _log_likelihood, _prior_position)
AXES_OF_DATA = (0, None, None)
