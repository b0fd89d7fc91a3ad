"""Fit many simulated data sets of equal shapes with any driver.

Markov chains of all replicates run in lockstep in one compiled program. A driver that
draws at once runs replicate by replicate through its one compiled program.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.errors import DriverError, InitialPointError
from bayesquake.inference.chees import chees_program, require_chains
from bayesquake.inference.kernels.blocks import run_blocks_of_many
from bayesquake.inference.mclmc import mclmc_program, require_dimensions
from bayesquake.inference.nuts import nuts_program

__all__ = ["CHAIN_PROGRAMS", "fit_replicates"]

CHAIN_PROGRAMS = {"nuts": nuts_program, "chees": chees_program, "mclmc": mclmc_program}
"""Programs of the Markov-chain drivers."""

START_ATTEMPTS = 8
START_STREAM, RUN_STREAM = 1000, 1001
"""Indices of random streams, beyond those of the simulation attempts."""


def fit_replicates(
    driver, run, target, arrays, keys, *, chains, warmup, draws, settings, starts=None
):
    """Draw from the posterior of every replicate.

    Parameters
    ----------
    driver : str
        Its name.
    run : callable
        The driver itself.
    target : bayesquake.targets.target.Target
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

    Raises
    ------
    DriverError
        The driver does not apply, or fails on a replicate.
    InitialPointError
        A replicate has no usable starting point.
    """
    data = _conditioned(target.condition)(arrays)
    if driver not in CHAIN_PROGRAMS:
        if starts is not None:
            raise DriverError(
                f"driver {driver} chooses where it starts; choose from {', '.join(CHAIN_PROGRAMS)}"
            )
        positions, statistics = _one_by_one(run, target, data, keys, chains, draws, settings)
        return positions, statistics, data
    if driver == "chees":
        require_chains(chains)
    if driver == "mclmc":
        require_dimensions(target)
    own = {"move": target.move} if driver == "nuts" else {}
    program = CHAIN_PROGRAMS[driver](target.log_density, **settings, **own)
    stream = jax.vmap(jax.random.fold_in, (0, None))
    if starts is None:
        starts, usable = _starts(target.initial, target.log_density, chains)(
            stream(keys, START_STREAM), data
        )
        if not usable.all():
            raise InitialPointError(
                f"replicate {int(np.argmin(usable))} of the chunk has no starting point of finite "
                f"log density and gradient among {START_ATTEMPTS}; use tighter priors"
            )
    run_keys = jax.vmap(lambda key: jax.random.split(key, chains))(stream(keys, RUN_STREAM))
    made = run_blocks_of_many(program, run_keys, starts, data, warmup=warmup, draws=draws)
    return made.pop("positions"), made, data


def _one_by_one(run, target, data, keys, chains, draws, settings):
    draw_seed = jax.vmap(
        lambda key: jax.random.randint(jax.random.fold_in(key, RUN_STREAM), (), 0, 2**31 - 1)
    )
    fits = []
    for i, seed in enumerate(draw_seed(keys)):
        own = dataclasses.replace(target, data=jax.tree.map(lambda leaf, i=i: leaf[i], data))
        try:
            fits.append(run(own, chains=chains, draws=draws, seed=int(seed), **settings))
        except DriverError as problem:
            raise DriverError(f"replicate {i} of the chunk: {problem}") from problem
    statistics = {
        name: np.stack([made.statistics[name] for made in fits]) for name in fits[0].statistics
    }
    return np.stack([made.positions for made in fits]), statistics


@functools.cache
def _conditioned(condition):
    return jax.jit(jax.vmap(condition))


@functools.cache
def _starts(initial, log_density, chains):
    """Return a compiled ``(keys, data) -> starts, whether all are usable`` by replicate."""

    def of_chain(key, data):
        candidates = jax.vmap(initial, (0, None))(jax.random.split(key, START_ATTEMPTS), data)
        density, gradient = jax.vmap(jax.value_and_grad(log_density), (0, None))(candidates, data)
        usable = jnp.isfinite(density) & jnp.isfinite(gradient).all(axis=1)
        return candidates[jnp.argmax(usable)], usable.any()

    def of_replicate(key, data):
        found, usable = jax.vmap(of_chain, (0, None))(jax.random.split(key, chains), data)
        return found, usable.all()

    return jax.jit(jax.vmap(of_replicate))
