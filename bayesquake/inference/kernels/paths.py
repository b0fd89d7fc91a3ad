r"""Gaussians along quasi-Newton paths, the program of Pathfinder.

Each path climbs from its own starting point; at every iterate :math:`x` the curvature that L-BFGS
has learnt, :math:`H`, makes a Gaussian of mean :math:`x + H \nabla\ln p(x)`, and the one of
largest evidence lower bound speaks for the path.

References
----------
Zhang, Carpenter, Gelman & Vehtari 2022, Journal of Machine Learning Research 23(306), 1-49
(algorithms 1-4); Owen & Zhou 2000, doi:10.1080/01621459.2000.10473909 (mixture weights).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from blackjax.optimizers.lbfgs import (
    bfgs_sample,
    lbfgs_inverse_hessian_factors,
    lbfgs_inverse_hessian_formula_1,
    minimize_lbfgs,
)
from jax.scipy.special import logsumexp
from jax.scipy.stats import multivariate_normal

__all__ = ["Paths", "pathfinder_program"]

MEMORY = 10
"""Updates from which L-BFGS makes its curvature."""

BOUND_DRAWS = 25
"""Draws by which the evidence lower bound of every iterate is estimated."""

RELATIVE_TOLERANCE = 1e-10
"""Relative change of the log density at which a path ends."""

LINE_SEARCH_STEPS = 30


class Paths(NamedTuple):
    """What the paths found.

    Attributes
    ----------
    positions : (path, draw, dim)
    log_density, log_proposal : (path, draw)
        Of the target, and of the mixture of all Gaussians that did not fail.
    bound : (path,)
        Evidence lower bound of the path's Gaussian, -inf where the path failed.
    iterations : (path,)
    """

    positions: Any
    log_density: Any
    log_proposal: Any
    bound: Any
    iterations: Any


@functools.cache
def pathfinder_program(log_density, draws, max_iterations):
    """Return a compiled ``(key, starts, data) -> Paths``, with so many draws of every path."""

    def run(key, starts, data):
        def at(position):
            return log_density(position, data)

        def follow(path):
            key, start = path
            key_bound, key_draw = jax.random.split(key)
            gaussians, iterations = _gaussians(at, start, max_iterations)

            def bound(iterate):
                gaussian = jax.tree.map(lambda leaf: leaf[iterate], gaussians)
                return _bound(at, jax.random.fold_in(key_bound, iterate), gaussian)

            def bound_if_reached(iterate):
                return jax.lax.cond(iterate <= iterations, bound, lambda _: -jnp.inf, iterate)

            bounds = jax.lax.map(bound_if_reached, jnp.arange(max_iterations + 1))
            best = jnp.argmax(bounds)
            gaussian = jax.tree.map(lambda leaf: leaf[best], gaussians)
            positions, _ = bfgs_sample(key_draw, draws, *gaussian)
            return positions, gaussian, bounds[best], iterations

        positions, gaussians, bound, iterations = jax.lax.map(
            follow, (jax.random.split(key, len(starts)), starts)
        )
        flat = positions.reshape(-1, positions.shape[-1])
        log_proposals = jax.lax.map(lambda gaussian: _log_gaussian(flat, *gaussian), gaussians)
        usable = jnp.isfinite(bound)
        log_proposal = logsumexp(
            jnp.where(usable[:, None], log_proposals, -jnp.inf), axis=0
        ) - jnp.log(usable.sum())
        shape = positions.shape[:-1]
        log_target = jax.lax.map(at, flat, batch_size=100)
        return Paths(
            positions, log_target.reshape(shape), log_proposal.reshape(shape), bound, iterations
        )

    return jax.jit(run)


def _gaussians(at, start, max_iterations):
    """Return position, ascent gradient and curvature factors of every iterate, and their number.

    The mean of algorithm 4 needs the gradient of the log density, while L-BFGS, a minimiser,
    records that of its negative: the sign is turned here.
    """
    (_, status), history = minimize_lbfgs(
        lambda position: -at(position),
        start,
        maxiter=max_iterations,
        maxcor=MEMORY,
        ftol=RELATIVE_TOLERANCE,
        maxls=LINE_SEARCH_STEPS,
    )
    kept = history.update_mask[1:]
    steps = jnp.where(kept, jnp.diff(history.x, axis=0), 0.0)
    changes = jnp.where(kept, jnp.diff(history.g, axis=0), 0.0)
    none_yet = ((MEMORY, 0), (0, 0))
    steps, changes = jnp.pad(steps, none_yet), jnp.pad(changes, none_yet)

    def factors(iterate, alpha):
        window = iterate + jnp.arange(MEMORY)
        return lbfgs_inverse_hessian_factors(steps[window].T, changes[window].T, alpha)

    beta, gamma = jax.vmap(factors)(jnp.arange(max_iterations + 1), history.alpha)
    return (history.x, -history.g, history.alpha, beta, gamma), status.iter_num


def _bound(at, key, gaussian):
    """Return the evidence lower bound of a Gaussian, -inf if it is not finite."""
    positions, log_proposal = bfgs_sample(key, BOUND_DRAWS, *gaussian)
    bound = (jax.vmap(at)(positions) - log_proposal).mean()
    return jnp.where(jnp.isfinite(bound), bound, -jnp.inf)


def _log_gaussian(positions, position, gradient, alpha, beta, gamma):
    """Return the log density of a path's Gaussian at the positions, (draw,)."""
    covariance = lbfgs_inverse_hessian_formula_1(alpha, beta, gamma)
    return multivariate_normal.logpdf(positions, position + covariance @ gradient, covariance)
