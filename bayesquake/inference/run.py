"""The run loop: compiled blocks, between which the host reports progress."""

import functools
import time

import jax
import numpy as np

from bayesquake.errors import InitialPointError, OptionError
from bayesquake.inference.compilation import recorded_compilations
from bayesquake.inference.draws import Draws

__all__ = ["initial_positions", "run_blocks", "positive_integer"]

ATTEMPTS = 10
"""Draws of a starting point per chain before a log density that is not finite is an error."""


def run_blocks(target, program, *, chains, warmup, draws, seed, progress=None):
    """Run a block program and keep what follows warm-up.

    The last block runs in full and is cut, so that every block is the same program.
    Ctrl-C between blocks keeps the draws made so far, once there are any.

    Returns
    -------
    Draws
    """
    chains = positive_integer("chains", chains)
    draws = positive_integer("draws", draws)
    warmup = positive_integer("warmup", warmup)
    key_start, key_run = jax.random.split(jax.random.key(seed))
    total = warmup + draws
    positions, statistics = [], []
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        start = initial_positions(target, key_start, chains)
        state = program.start(jax.random.split(key_run, chains), start, target.data)
        done = 0
        while done < total:
            try:
                state, block_positions, block_statistics = program.block(state, target.data)
                positions.append(np.asarray(block_positions))
                statistics.append(jax.tree.map(np.asarray, block_statistics))
                done += program.length
                if progress is not None:
                    progress(min(done, total), total, statistics[-1])
            except KeyboardInterrupt:
                if done <= warmup:
                    raise
                break
    kept = slice(warmup, min(done, total))

    def by_chain(blocks):
        return np.moveaxis(np.concatenate(blocks)[kept], 0, 1)

    gathered = {name: by_chain([block[name] for block in statistics]) for name in statistics[0]}
    steps = sum(int(block["n_steps"].sum()) for block in statistics)
    return Draws(
        positions=by_chain(positions),
        log_density=gathered["lp"],
        statistics=gathered,
        gradients=steps,
        compile_seconds=compiled.seconds,
        run_seconds=time.perf_counter() - began - compiled.seconds,
        notes={"warmup": warmup, "interrupted": int(done < total)},
    )


def initial_positions(target, key, chains):
    """Return dispersed starting points with a finite log density, (chain, dim).

    Raises
    ------
    InitialPointError
        A chain finds none; the message names the coordinates and their values.
    """
    initial = mapped(target.initial)
    log_density = mapped(target.log_density)
    found, usable = np.full((chains, target.dim), np.nan), np.zeros(chains, bool)
    for attempt in jax.random.split(key, ATTEMPTS):
        candidates = np.asarray(initial(jax.random.split(attempt, chains), target.data))
        finite = np.isfinite(np.asarray(log_density(candidates, target.data)))
        found = np.where(usable[:, None], found, candidates)
        usable |= finite
        if usable.all():
            return found
    chain = int(np.argmin(usable))
    values = ", ".join(
        f"{name} = {value:.4g}"
        for name, value in zip(target.coordinates, found[chain], strict=True)
    )
    raise InitialPointError(
        f"the log density of chain {chain} is not finite at any of {ATTEMPTS} starting points; "
        f"the last, in unconstrained coordinates: {values}. Check the priors and the data"
    )


@functools.cache
def mapped(function):
    """Return the compiled function mapped over its first argument, one per function."""
    return jax.jit(jax.vmap(function, (0, None)))


def positive_integer(name, value):
    """Return the value if it is a positive integer.

    Raises
    ------
    OptionError
        It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} = {value!r} must be a positive integer")
    return value
