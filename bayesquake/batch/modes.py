"""The modes of a posterior and the Gaussians there: where chains start, and how they move.

Searches start from draws of the prior. Each end has its own Gaussian, from the Hessian there;
the chains start around the ends, overdispersed, so that a second mode of comparable height
is seen by the chains and shows as disagreement between them.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from blackjax.diagnostics import psis_weights
from jax.scipy.linalg import solve_triangular

from bayesquake.inference.kernels.compilation import compiled
from bayesquake.inference.kernels.mode import find_mode
from bayesquake.inference.kernels.newton import automatic_slopes, newton_mode

__all__ = ["Modes", "distinct_ends", "modes_program"]

ATTEMPTS = 10
"""Prior draws per search, of which the first with a finite log density is its start."""

NEWTON_DIMENSION = 20
"""Up to this many coordinates Newton's method is used, above it L-BFGS."""

NEWTON_ITERATIONS = 100

COMPARABLE = 10.0
"""Modes whose log density is lower than the best by more than this get no chain."""

RIVAL = 4.0
"""A second mode matters if the log of its Gaussian's mass times its squared distance from the best
mode, which is what it adds to the variance, is this close to that of the best one's mass."""

SAME = 0.5
"""Ends closer than this, in standard deviations of the best one's Gaussian, are one mode."""

SMALLEST_CURVATURE = 1e-8
"""Smallest curvature kept, relative to the largest, when all coordinates are scaled to one."""

REACHED = 0.5
"""Distance to its mode, in standard deviations of its Gaussian, within which a search has ended at
the mode."""

OVERDISPERSION = 1.5
"""Spread of the chains' starts, in standard deviations of the Gaussian."""


class Modes(NamedTuple):
    """What the searches found, for one problem.

    Attributes
    ----------
    centre, root : (dim,), (dim, dim)
        The best mode and a root of the covariance of its Gaussian.
    start : (chain, dim)
        Starting positions of the chains.
    pareto_k : float
        Pareto k-hat of importance weights of draws from the Gaussian.
    count : int
        Distinct modes of comparable height, 0 if there is none.
    rivals, rival_modes : int
        Ends of searches that matter so much that each must be visited, the best one included; and
        those of them that are modes, not places where a search gave up.
    curvature : float
        Smallest eigenvalue of the negative Hessian at the best mode, scaled to a unit diagonal;
        positive at a mode.
    gradients : int
        Gradient evaluations, a Hessian counted as one per coordinate.
    finite : bool
        Whether a search and every chain has a start with a finite log density.
    """

    centre: Any
    root: Any
    start: Any
    pareto_k: Any
    count: Any
    rivals: Any
    rival_modes: Any
    curvature: Any
    gradients: Any
    finite: Any


@functools.cache
def modes_program(
    log_density, initial, dim, chains, searches, draws, slopes=None, iterations=NEWTON_ITERATIONS
):
    """Return ``(key, data) -> Modes``.

    Parameters
    ----------
    log_density, initial : callable
        Of the target.
    dim : int
        Number of coordinates.
    chains : int
    searches : int
    draws : int
        Importance draws.
    slopes : callable, optional
        ``(position, data) -> (value, gradient, precision)``, see `newton_mode`; by automatic
        differentiation if not given.
    iterations : int
        Most Newton steps of a search.
    """

    def run(key, data):
        def at(position):
            return compiled(log_density)(position, data)

        by_newton = automatic_slopes(at) if slopes is None else lambda x: slopes(x, data)

        def climb(start):
            if dim <= NEWTON_DIMENSION:
                return newton_mode(by_newton, start, max_iterations=iterations)
            end = find_mode(at, start)
            return end, jax.grad(at)(end.position), -jax.hessian(at)(end.position)

        def search(key):
            start = _finite_start(key, at, lambda key: initial(key, data), dim)
            end, gradient, precision = climb(start)
            root, curvature = gaussian(precision)
            reached = (curvature > 0) & (jnp.linalg.norm(root.T @ gradient) < REACHED)
            return end, root, curvature, reached

        key_start, key_chain, key_draw = jax.random.split(key, 3)
        # One search after the other, so that no problem waits for the slowest of all searches.
        ends, roots, curvatures, reached = jax.lax.map(
            search, jax.random.split(key_start, searches)
        )
        height = jnp.where(jnp.isfinite(ends.log_density), ends.log_density, -jnp.inf)
        best = jnp.argmax(height)
        comparable = height >= height[best] - COMPARABLE

        mass = height + jnp.linalg.slogdet(roots)[1]
        root = roots[best]
        z = jnp.linalg.solve(root, (ends.position - ends.position[best]).T)
        away = jnp.maximum(1.0, jnp.linalg.norm(z, axis=0))
        distinct = distinct_ends(jnp.linalg.solve(root, ends.position.T).T, comparable, SAME)
        count = distinct.sum()
        weight_of_distinct = jnp.where(distinct, mass + 2 * jnp.log(away), -jnp.inf)
        end = jnp.argsort(-weight_of_distinct)[jnp.arange(chains) % count]
        noise = OVERDISPERSION * jax.random.normal(key_chain, (chains, dim))
        around = ends.position[end] + jnp.einsum("cij,cj->ci", roots[end], noise)
        usable = jnp.isfinite(jax.vmap(at)(around))
        start = jnp.where(usable[:, None], around, ends.position[end])

        rival = distinct & (mass + 2 * jnp.log(away) >= mass[best] - RIVAL)

        z = jax.random.normal(key_draw, (draws, dim))
        weight = jax.vmap(at)(ends.position[best] + z @ root.T) + 0.5 * (z**2).sum(axis=1)
        weight = jnp.where(jnp.isnan(weight), -jnp.inf, weight)
        finite = jnp.isfinite(height[best]) & jnp.isfinite(root).all()
        return Modes(
            centre=ends.position[best],
            root=root,
            start=start,
            pareto_k=jnp.nan_to_num(psis_weights(weight)[1], nan=jnp.inf),
            count=jnp.where(finite, count, 0),
            rivals=rival.sum(),
            rival_modes=(rival & reached).sum(),
            curvature=curvatures[best],
            gradients=ends.iterations.sum() * (1 + dim * (dim <= NEWTON_DIMENSION)),
            finite=finite,
        )

    return run


def gaussian(precision):
    """Return a root of the covariance and the smallest eigenvalue, scaled to a unit diagonal.

    In the units of the coordinates themselves a narrow one would drown a wide one.
    """
    diagonal = jnp.abs(jnp.diagonal(precision))
    scale = jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    scaled = precision / scale / scale[:, None]
    eigenvalues, vectors = jnp.linalg.eigh(scaled)
    size = jnp.abs(eigenvalues)
    smallest = SMALLEST_CURVATURE * size.max()
    # Eigenvectors of equal eigenvalues turn with the rounding, a triangular root does not.
    triangular = solve_triangular(jnp.linalg.cholesky(scaled), jnp.eye(len(scale)), lower=True).T
    turned = vectors / jnp.sqrt(jnp.maximum(size, smallest))
    root = jnp.where(eigenvalues[0] > smallest, triangular, turned)
    return root / scale[:, None], eigenvalues[0]


def _finite_start(key, log_density, initial, dim):
    def unfinished(carry):
        attempt, _, finite = carry
        return (attempt < ATTEMPTS) & ~finite

    def draw(carry):
        attempt, *_ = carry
        position = initial(jax.random.fold_in(key, attempt))
        return attempt + 1, position, jnp.isfinite(log_density(position))

    return jax.lax.while_loop(unfinished, draw, (0, jnp.zeros(dim), False))[1]


def distinct_ends(z, comparable, same):
    """Return which of the comparable ends of searches differ from all before them.

    Parameters
    ----------
    z : (end, dim)
        Their positions, in standard deviations of one Gaussian.
    comparable : (end,) of bool
    same : float
        Distance below which two of them are one.
    """
    close = jnp.linalg.norm(z[:, None] - z, axis=-1) < same
    return comparable & ~jnp.tril(close & comparable[None, :], -1).any(axis=1)
