"""Where Markov chains start: at dispersed draws of the target, or at the ends of paths."""

import jax
import numpy as np

from bayesquake.errors import InitialPointError
from bayesquake.inference.kernels.compilation import mapped
from bayesquake.inference.kernels.paths import pathfinder_program

__all__ = ["STARTS", "initial_positions", "pathfinder_starts", "starting_positions"]

ATTEMPTS = 10
"""Draws of a starting point per chain before a log density that is not finite is an error."""

PATH_ITERATIONS = 100


def starting_positions(initial, target, key, chains):
    """Return starting points of chains, (chain, dim).

    Parameters
    ----------
    initial : {"prior", "pathfinder"}
        Dispersed draws of the target, or of Pathfinder's paths.
    target : bayesquake.targets.target.Target
    key : jax.Array
    chains : int

    Raises
    ------
    InitialPointError
    """
    return STARTS[initial](target, key, chains)


def initial_positions(target, key, chains):
    """Return dispersed starting points of finite log density and gradient, (chain, dim).

    Raises
    ------
    InitialPointError
        A chain finds none; the message names the coordinates and their values.
    """
    initial = mapped(target.initial)
    log_density, gradient = mapped(target.log_density), mapped(target.gradient)
    found, usable = np.full((chains, target.dim), np.nan), np.zeros(chains, bool)
    for attempt in jax.random.split(key, ATTEMPTS):
        candidates = np.asarray(initial(jax.random.split(attempt, chains), target.data))
        finite = np.isfinite(np.asarray(log_density(candidates, target.data)))
        finite &= np.isfinite(np.asarray(gradient(candidates, target.data))).all(axis=1)
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
        f"the log density of chain {chain}, or its gradient, is not finite at any of "
        f"{ATTEMPTS} starting points; the last, in unconstrained coordinates: {values}. "
        "Check the priors and the data"
    )


def pathfinder_starts(target, key, chains):
    """Return starting points for Markov chains, one draw of every path, (chain, dim).

    The draw is that of a path's own Gaussian, not resampled, so that the chains start as
    dispersed as the paths ended; a path that failed gives its starting point.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    key : jax.Array
    chains : int

    Returns
    -------
    (chain, dim) array
        Positions of finite log density.

    Raises
    ------
    InitialPointError
        A chain finds no starting point of finite log density.
    """
    key_start, key_paths = jax.random.split(key)
    start = initial_positions(target, key_start, chains)
    run = pathfinder_program(target.log_density, 1, PATH_ITERATIONS)
    found = jax.tree.map(np.asarray, run(key_paths, start, target.data))
    usable = np.isfinite(found.bound) & np.isfinite(found.log_density[:, 0])
    return np.where(usable[:, None], found.positions[:, 0], start)


STARTS = {"prior": initial_positions, "pathfinder": pathfinder_starts}
