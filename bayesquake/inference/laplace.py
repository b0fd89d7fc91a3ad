"""The Laplace approximation: a Gaussian at the mode, in unconstrained coordinates.

Approximate by nature: the result says so, and carries the Pareto k-hat of the
importance weights of its draws, which exceeds 0.7 where the approximation is poor.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.errors import DriverError
from bayesquake.inference.kernels.blocks import initial_positions, positive_integer
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.mode import find_mode
from bayesquake.results.posteriors import Draws

__all__ = ["laplace", "laplace_program"]

GRADIENT_TOLERANCE = 1e-2
"""Largest gradient norm accepted at a mode, in units where the posterior sd is about 1."""


def laplace(target, *, chains=4, draws=1000, starts=4, seed=0, progress=None):
    """Draw from the Gaussian approximation at the best of several modes.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    chains, draws : int
        Independent draws, arranged as chains.
    starts : int
        Dispersed starting points of the mode search.
    seed : int
    progress : callable, optional
        Called once, when done.

    Returns
    -------
    Draws
        With statistics ``log_weight``, the log importance weight of every draw.

    Raises
    ------
    DriverError
        The search found no mode, or the curvature there is not positive.
    """
    chains = positive_integer("chains", chains)
    draws = positive_integer("draws", draws)
    starts = positive_integer("starts", starts)
    key_start, key_draw = jax.random.split(jax.random.key(seed))
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        start = initial_positions(target, key_start, starts)
        run = laplace_program(target.log_density, chains * draws)
        found = jax.tree.map(np.asarray, run(key_draw, start, target.data))
    positions, log_density, log_proposal, norm, iterations, lowest = found
    if not (np.isfinite(norm) and norm < GRADIENT_TOLERANCE):
        raise DriverError(
            f"the search from {starts} starting points ended at a gradient norm of {norm:.3g}, "
            f"above {GRADIENT_TOLERANCE:g}: no mode was reached; use more starts, or driver nuts"
        )
    if not lowest > 0:
        raise DriverError(
            f"the curvature at the mode has an eigenvalue of {lowest:.3g}, so no Gaussian fits "
            "there; use driver nuts"
        )
    if progress is not None:
        progress(draws, draws, {})
    shape = (chains, draws)
    weight = (log_density - log_proposal).reshape(shape)
    return Draws(
        positions=positions.reshape(*shape, -1),
        log_density=log_density.reshape(shape),
        statistics={"lp": log_density.reshape(shape), "log_weight": weight},
        gradients=int(iterations) + 2 * target.dim,
        compile_seconds=compiled.seconds,
        run_seconds=time.perf_counter() - began - compiled.seconds,
        notes={"approximate": 1, "pareto_k": pareto_k(weight), "warmup": 0, "interrupted": 0},
    )


def pareto_k(log_weight):
    """Return the Pareto k-hat of importance weights; above 0.7 they are unreliable.

    ArviZ smooths the weights exp(-x) of the log likelihoods x that it is given.
    """
    from arviz_stats.base import array_stats

    return float(array_stats.psislw(-np.ravel(log_weight))[1])


@functools.cache
def laplace_program(log_density, count):
    """Return a compiled ``(key, starts, data)`` that finds the mode and draws around it."""

    def run(key, starts, data):
        def at(position):
            return log_density(position, data)

        modes = jax.vmap(lambda start: find_mode(at, start))(starts)
        best = jnp.argmax(jnp.where(jnp.isfinite(modes.log_density), modes.log_density, -jnp.inf))
        mode = modes.position[best]
        precision = -jax.hessian(at)(mode)
        lowest = jnp.linalg.eigvalsh(precision)[0]
        root = jnp.linalg.cholesky(precision)
        noise = jax.random.normal(key, (count, mode.size))
        offsets = jax.scipy.linalg.solve_triangular(root, noise.T, lower=True, trans="T").T
        positions = mode + offsets
        log_proposal = (
            -0.5 * (noise**2).sum(axis=1)
            + jnp.log(jnp.diagonal(root)).sum()
            - 0.5 * mode.size * jnp.log(2 * jnp.pi)
        )
        return (
            positions,
            jax.lax.map(at, positions, batch_size=100),
            log_proposal,
            modes.gradient_norm[best],
            modes.iterations.sum(),
            lowest,
        )

    return jax.jit(run)
