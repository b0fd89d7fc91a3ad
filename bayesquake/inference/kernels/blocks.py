"""The run loop: compiled blocks, between which the host reports, writes and listens.

Every block is the same program, in warm-up too; the last one runs in full and is cut.
Ctrl-C between blocks keeps what was drawn. With a checkpoint a killed run goes on where
its last whole block ended, and its draws are those of a run left alone, bit by bit.
"""

import functools
import time

import jax
import numpy as np

from bayesquake.inference.kernels.compilation import compiled, recorded_compilations
from bayesquake.inference.kernels.starts import starting_positions
from bayesquake.results.evidence import chain_checks
from bayesquake.results.posteriors import Found

__all__ = ["run_blocks", "run_blocks_of_many"]

BLOCK_LENGTH = 100


def run_blocks(
    target, program, *, chains, warmup, draws, seed, initial="prior", progress=None, checkpoint=None
):
    """Run a block program and keep what follows warm-up.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    program : BlockProgram
    chains, warmup, draws, seed : int
    initial : {"prior", "pathfinder"}
        Where chains start: at dispersed draws of the target, or of Pathfinder's paths.
    progress : callable, optional
        Called as ``progress(done, total, statistics)`` after every block.
    checkpoint : bayesquake.results.blocks.BlockFolder, optional

    Returns
    -------
    Found
    """
    key_start, key_run = jax.random.split(jax.random.key(seed))
    total = warmup + draws
    stages = _stages(program, warmup, total)
    began = time.perf_counter()
    with recorded_compilations() as compilations:
        keys = jax.random.split(key_run, chains)
        blocks = [] if checkpoint is None else checkpoint.blocks()
        if blocks:
            shape = jax.ShapeDtypeStruct((chains, target.dim), float)
            state = checkpoint.state(jax.eval_shape(program.start, keys, shape, target.data))
        else:
            start = starting_positions(initial, target, key_start, chains)
            state = compiled(program.start)(keys, start, target.data)
        interrupted = False
        try:
            for first in range(len(blocks) * BLOCK_LENGTH, total, BLOCK_LENGTH):
                state, positions, statistics = compiled(program.block)(
                    state, target.data, stages[first : first + BLOCK_LENGTH]
                )
                statistics = jax.tree.map(np.asarray, statistics)
                blocks.append({"positions": np.asarray(positions), **statistics})
                if checkpoint is not None:
                    checkpoint.append(blocks[-1], state)
                if progress is not None:
                    progress(min(first + BLOCK_LENGTH, total), total, statistics)
        except KeyboardInterrupt:
            if len(blocks) * BLOCK_LENGTH <= warmup:
                raise
            interrupted = len(blocks) * BLOCK_LENGTH < total
    made = {
        name: np.moveaxis(np.concatenate([block[name] for block in blocks])[:total], 0, 1)
        for name in blocks[0]
    }
    kept = {name: values[:, warmup:] for name, values in made.items()}
    missing = warmup + draws - len(made["lp"][0])
    return Found(
        positions=kept.pop("positions"),
        statistics=kept,
        checks=functools.partial(chain_checks, statistics=kept, missing=missing),
        gradients=sum(int(block["n_steps"].sum()) for block in blocks) + chains,
        compile_seconds=compilations.seconds,
        run_seconds=time.perf_counter() - began - compilations.seconds,
        notes={"warmup": warmup, "interrupted": int(interrupted)},
    )


def run_blocks_of_many(program, keys, start, data, *, warmup, draws):
    """Run the chains of many posteriors of equal shapes in one program, in lockstep.

    Parameters
    ----------
    program : BlockProgram
    keys : (problem, chain) of keys
    start : (problem, chain, dim)
    data : pytree of arrays, each with a leading problem axis
    warmup, draws : int

    Returns
    -------
    dict of (problem, chain, draw, ...)
        ``positions`` and the sample statistics.
    """
    total = warmup + draws
    stages = _stages(program, warmup, total)
    state = _stacked(program.start, 0)(keys, start, data)
    blocks = []
    for first in range(0, total, BLOCK_LENGTH):
        state, positions, statistics = _stacked(program.block, None)(
            state, data, stages[first : first + BLOCK_LENGTH]
        )
        kept = slice(max(warmup - first, 0), total - first)
        block = {"positions": positions, **statistics}
        blocks.append({name: np.asarray(values)[:, kept] for name, values in block.items()})
    return {
        name: np.concatenate([block[name] for block in blocks], axis=1).swapaxes(1, 2)
        for name in blocks[0]
    }


def _stages(program, warmup, total):
    """Return the stage of every step of the run, padded to whole blocks."""
    stages = np.zeros(-(-total // BLOCK_LENGTH) * BLOCK_LENGTH, int)
    stages[:warmup] = program.stages(warmup)
    return stages


@functools.cache
def _stacked(function, last_axis):
    """Return the compiled function mapped over problems, the last argument along its axis."""
    return jax.jit(jax.vmap(function, (0, 0, last_axis)))
