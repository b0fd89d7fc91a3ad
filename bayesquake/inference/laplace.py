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
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.mode import find_mode
from bayesquake.inference.kernels.settings import ONE_PIECE
from bayesquake.inference.kernels.starts import initial_positions
from bayesquake.model.options import count, takes
from bayesquake.results.checks import Check
from bayesquake.results.evidence import pareto_k, weight_check, weighted_change_check
from bayesquake.results.posteriors import Found

__all__ = ["laplace", "laplace_program"]

GRADIENT_TOLERANCE = 1e-2
"""Largest gradient norm accepted at a mode, in posterior standard deviations."""

RIVAL_HEIGHT = 0.05
"""Largest density at another mode, relative to the best and times its squared distance in standard
deviations, that a single Gaussian may leave out: about what it adds to the variance."""

SAME = 0.5
"""Ends of searches that are closer than this, in posterior standard deviations, are one mode."""


@takes(**ONE_PIECE, starts=count(at_most=10_000))
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
    Found
        With statistics ``log_weight``, the log importance weight of every draw.

    Raises
    ------
    DriverError
        The search found no mode, or the curvature there is not positive.
    """
    key_start, key_draw = jax.random.split(jax.random.key(seed))
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        start = initial_positions(target, key_start, starts)
        run = laplace_program(target.log_density, chains * draws)
        found = jax.tree.map(np.asarray, run(key_draw, start, target.data))
    positions, log_density, log_proposal, norm, iterations, lowest, rival = found
    if not lowest > 0:
        raise DriverError(
            f"the curvature where the search from {starts} starting points ended has an eigenvalue "
            f"of {lowest:.3g}, so no Gaussian fits there; use more starts, or driver nuts"
        )
    if not norm < GRADIENT_TOLERANCE:
        raise DriverError(
            f"the search from {starts} starting points ended at a gradient norm of {norm:.3g} in "
            f"posterior sd, above {GRADIENT_TOLERANCE:g}: no mode was reached; use more starts, or "
            "driver nuts"
        )
    if progress is not None:
        progress(draws, draws, {})
    shape = (chains, draws)
    weight = (log_density - log_proposal).reshape(shape)
    positions = positions.reshape(*shape, -1)
    checks = (
        *mode_checks(norm, lowest, rival),
        weight_check(pareto_k(weight)),
        weighted_change_check(positions, weight),
    )
    return Found(
        positions=positions,
        statistics={"lp": log_density.reshape(shape), "log_weight": weight},
        checks=lambda posterior: checks,
        gradients=int(iterations) + 2 * target.dim,
        compile_seconds=compiled.seconds,
        run_seconds=time.perf_counter() - began - compiled.seconds,
        notes={"approximate": 1, "warmup": 0, "interrupted": 0},
    )


def mode_checks(gradient_norm, smallest_eigenvalue, rival):
    """Return the rows of a mode at which a Gaussian stands."""
    return (
        Check(
            "gradient at the mode",
            float(gradient_norm),
            GRADIENT_TOLERANCE,
            kind="adequacy",
            meaning="norm of the gradient of the log density, in posterior sd",
        ),
        Check(
            "smallest eigenvalue at the mode",
            float(smallest_eigenvalue),
            0.0,
            "above",
            "adequacy",
            meaning="of the negative Hessian, in unconstrained coordinates",
        ),
        Check(
            "weight of another mode",
            float(rival),
            RIVAL_HEIGHT,
            kind="adequacy",
            meaning="density relative to the mode's times squared distance in sd, of another end",
        ),
    )


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
        slope = jax.scipy.linalg.solve_triangular(root, jax.grad(at)(mode), lower=True)
        away = jnp.linalg.norm((modes.position - mode) @ root, axis=1)
        other = (away > SAME) & jnp.isfinite(modes.log_density)
        height = modes.log_density - modes.log_density[best]
        rival = jnp.where(other, height + 2 * jnp.log(jnp.maximum(away, 1.0)), -jnp.inf).max()
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
            jnp.linalg.norm(slope),
            modes.iterations.sum(),
            lowest,
            jnp.exp(rival),
        )

    return jax.jit(run)
