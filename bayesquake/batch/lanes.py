"""Functions of many problems, run on a few at a time, and the random keys of each problem."""

import functools

import jax
import numpy as np

__all__ = ["chain_keys", "in_lanes", "problem_keys", "taken"]


def in_lanes(function, arrays, width, progress=None):
    """Apply a function of many problems to ``width`` of them at a time.

    Parameters
    ----------
    function : callable
        ``pytree of (width, ...) -> pytree of (width, ...)``.
    arrays : pytree of (problem, ...)
    width : int
        The last lane is filled up with copies of its last problem.
    progress : callable, optional
        Called as ``progress(done, problems)`` after every lane.

    Returns
    -------
    pytree of (problem, ...) NumPy arrays
    """
    problems = len(jax.tree.leaves(arrays)[0])
    parts = []
    for first in range(0, problems, width):
        kept = min(width, problems - first)
        index = first + np.minimum(np.arange(width), kept - 1)
        part = function(taken(arrays, index))
        parts.append(jax.tree.map(lambda values, kept=kept: np.asarray(values)[:kept], part))
        if progress is not None:
            progress(first + kept, problems)
    return jax.tree.map(lambda *values: np.concatenate(values), *parts)


def taken(arrays, index):
    """Return the chosen problems of a pytree of (problem, ...) arrays."""
    return jax.tree.map(lambda values: values[index], arrays)


@jax.jit
def problem_keys(seed, numbers, stream):
    """Return the key of every problem for one purpose."""
    key = jax.random.fold_in(jax.random.key(seed), stream)
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)


@functools.partial(jax.jit, static_argnums=1)
def chain_keys(keys, chains):
    """Return the keys of the chains of every problem, (problem, chain)."""
    return jax.vmap(lambda key: jax.random.split(key, chains))(keys)
