"""Fit many simulated data sets of equal shapes with any driver.

Markov chains of all replicates run in lockstep in one compiled program. A driver that
draws at once runs replicate by replicate through its one compiled program.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.inference.chees import chees_program
from bayesquake.inference.fit import driver_named
from bayesquake.inference.mclmc import mclmc_program
from bayesquake.inference.nuts import nuts_program
from bayesquake.inference.run import run_blocks_of_many

__all__ = ["CHAIN_PROGRAMS", "fit_replicates"]

CHAIN_PROGRAMS = {
    "nuts": functools.partial(
        nuts_program, metric="diagonal", target_accept=0.85, max_tree_depth=10
    ),
    "chees": functools.partial(chees_program, target_accept=0.651, max_steps=1000),
    "mclmc": functools.partial(mclmc_program, target_accept=0.9, max_steps=1000),
}
"""Programs of Markov-chain drivers by name, with their settings."""

START_ATTEMPTS = 8
START_STREAM, RUN_STREAM = 1000, 1001
"""Indices of random streams, beyond those of the simulation attempts."""


def fit_replicates(driver, target, arrays, keys, *, chains, warmup, draws, settings, starts=None):
    """Draw from the posterior of every replicate.

    Parameters
    ----------
    driver : str
        A name in `bayesquake.inference.fit.DRIVERS`.
    target : bayesquake.target.Target
        Of any replicate: only its functions are used.
    arrays : pytree of arrays (replicate, ...)
    keys : (replicate,) of keys
    chains, warmup, draws : int
        Per replicate; one-shot drivers ignore the warm-up.
    settings : dict
        Further options of the driver.
    starts : (replicate, chain, dim), optional
        Starting points of the chains in place of the target's own.

    Returns
    -------
    positions : (replicate, chain, draw, dim)
    statistics : dict of (replicate, chain, draw)
    data : pytree of arrays (replicate, ...)
        Conditioned, as the target's functions take them.
    """
    data = _conditioned(target.condition)(arrays)
    if driver not in CHAIN_PROGRAMS:
        positions, statistics = _one_by_one(driver, target, data, keys, chains, draws, settings)
        return positions, statistics, data
    program = CHAIN_PROGRAMS[driver](target.log_density, **settings)
    stream = jax.vmap(jax.random.fold_in, (0, None))
    if starts is None:
        starts = _starts(target.initial, target.log_density, chains)(
            stream(keys, START_STREAM), data
        )
    run_keys = jax.vmap(lambda key: jax.random.split(key, chains))(stream(keys, RUN_STREAM))
    made = run_blocks_of_many(program, run_keys, starts, data, warmup=warmup, draws=draws)
    return made.pop("positions"), made, data


def _one_by_one(driver, target, data, keys, chains, draws, settings):
    seeds = jax.vmap(lambda key: jax.random.randint(key, (), 0, 2**31 - 1))(keys)
    run = driver_named(driver)
    fits = [
        run(
            dataclasses.replace(target, data=jax.tree.map(lambda leaf, i=i: leaf[i], data)),
            chains=chains,
            draws=draws,
            seed=int(seed),
            **settings,
        )
        for i, seed in enumerate(seeds)
    ]
    statistics = {
        name: np.stack([made.statistics[name] for made in fits]) for name in fits[0].statistics
    }
    return np.stack([made.positions for made in fits]), statistics


@functools.cache
def _conditioned(condition):
    return jax.jit(jax.vmap(condition))


@functools.cache
def _starts(initial, log_density, chains):
    """Return a compiled ``(keys, data)`` that draws starts where the log density is finite."""

    def of_chain(key, data):
        candidates = jax.vmap(initial, (0, None))(jax.random.split(key, START_ATTEMPTS), data)
        usable = jnp.isfinite(jax.vmap(log_density, (0, None))(candidates, data))
        return candidates[jnp.argmax(usable)]

    def of_replicate(key, data):
        return jax.vmap(of_chain, (0, None))(jax.random.split(key, chains), data)

    return jax.jit(jax.vmap(of_replicate))
