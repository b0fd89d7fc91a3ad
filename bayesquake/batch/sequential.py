"""Sequential Monte Carlo of many problems at once, for posteriors of several modes.

Chains seldom cross between modes; particles that come from the prior find each of them with its
share. Every problem has as many runs as it would have chains; a lane of problems goes on
until the last of them has arrived at its posterior.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from bayesquake.batch.evidence import no_evidence
from bayesquake.batch.shard import batched
from bayesquake.inference.smc import (
    LARGEST_INCREMENTS,
    MOVES,
    TARGET_ESS,
    drift_of,
    evidence_spread,
    smc_program,
    whole_likelihood,
)

__all__ = ["Tempered", "sequential_draws"]


class Tempered(NamedTuple):
    """What runs need of a target.

    Attributes
    ----------
    log_prior, log_likelihood : callable
        ``(position, data)``, of the particles at first, and what comes in share by share.
    prior_position : callable
        ``(key, data) -> position`` of a particle at first.
    """

    log_prior: Callable
    log_likelihood: Callable
    prior_position: Callable


def sequential_draws(target, keys, data, chains, draws, axes=0):
    """Draw from the posteriors of the problems of a lane.

    Parameters
    ----------
    target : bayesquake.targets.target.Target or Tempered
    keys : (problem,)
    data : pytree of (problem, ...)
    chains, draws : int
        Runs, and particles of each.
    axes : 0 or tuple of 0 and None
        Which parts of the data have the problem axis; the others are shared.

    Returns
    -------
    positions : (problem, chain, draw, dim)
        NaN where the likelihood does not enter in 1000 increments.
    log_density, acceptance : (problem, chain, draw)
    gradients : (problem,)
    evidence : Evidence
        Of the runs alone.
    """
    start, increment, settle = smc_program(
        target.log_prior, whole_likelihood(target.log_likelihood), MOVES, TARGET_ESS
    )
    run_keys, particles = batched(_from_prior(target.prior_position, chains, draws), (0, axes))(
        keys, data
    )
    state = batched(start, (0, 0, axes))(run_keys, particles, data)
    gradients = np.zeros(len(particles), int)
    for _ in range(LARGEST_INCREMENTS):
        state = batched(increment, (0, axes))(state, data)
        gradients += draws * np.asarray(state.steps).sum(axis=1)
        arrived = np.asarray(state.progress).min(axis=1) == 1
        if arrived.all():
            break
    state, changes = batched(settle, (0, axes))(state, data)
    gradients += draws * np.asarray(state.steps).sum(axis=1)
    positions = np.where(arrived[:, None, None, None], np.asarray(state.particles), np.nan)
    evidence = no_evidence(len(positions))._replace(
        smallest_ess=np.asarray(state.smallest_ess).min(axis=1),
        drift=drift_of(changes),
        spread=evidence_spread(np.asarray(state.log_evidence)),
    )
    log_density, acceptance = np.asarray(state.log_density), np.asarray(state.acceptance)
    return positions, log_density, acceptance, gradients, evidence


@functools.cache
def _from_prior(prior_position, chains, draws):
    def draw(key, data):
        key_prior, key_run = jax.random.split(key)
        keys = jax.random.split(key_prior, chains * draws)
        particles = jax.vmap(prior_position, (0, None))(keys, data)
        return jax.random.split(key_run, chains), particles.reshape(chains, draws, -1)

    return draw
