r"""Multi-path Pathfinder: Gaussians along quasi-Newton paths, resampled by importance.

Each path climbs from its own starting point; at every iterate :math:`x` the curvature
that L-BFGS has learnt, :math:`H`, makes a Gaussian of mean :math:`x + H \nabla\ln p(x)`, and
the one of largest evidence lower bound speaks for the path. The draws of all paths
are weighted by the target over the mixture of the Gaussians, so that several paths in
one mode do not count it several times, and resampled. Approximate by nature: the result says
so, and carries the Pareto k-hat of the weights, above 0.7 where they are unreliable.

References
----------
Zhang, Carpenter, Gelman & Vehtari 2022, Journal of Machine Learning Research 23(306), 1-49
(algorithms 1-4); Owen & Zhou 2000, doi:10.1080/01621459.2000.10473909 (mixture weights);
Vehtari, Simpson, Gelman, Yao & Gabry 2024, Journal of Machine Learning Research 25(72), 1-58.
"""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from blackjax.optimizers.lbfgs import (
    bfgs_sample,
    lbfgs_inverse_hessian_factors,
    lbfgs_inverse_hessian_formula_1,
    minimize_lbfgs,
)
from jax.scipy.special import logsumexp
from jax.scipy.stats import multivariate_normal

from bayesquake.errors import DriverError
from bayesquake.inference.kernels.blocks import initial_positions, positive_integer
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.laplace import pareto_k
from bayesquake.results.posteriors import Draws

__all__ = ["Paths", "pathfinder", "pathfinder_program", "pathfinder_starts"]

MEMORY = 10
"""Updates from which L-BFGS makes its curvature."""

BOUND_DRAWS = 25
"""Draws by which the evidence lower bound of every iterate is estimated."""

POOL = 2
"""Draws in the pool of all paths, per draw returned."""

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


def pathfinder(target, *, chains=4, draws=1000, paths=8, max_iterations=100, seed=0, progress=None):
    """Draw from the importance-resampled Gaussians of several optimisation paths.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    chains, draws : int
        Resampled draws, arranged as chains.
    paths : int
        Paths, from dispersed starting points.
    max_iterations : int
        Quasi-Newton iterations of a path at most.
    seed : int
    progress : callable, optional
        Called once, when done.

    Returns
    -------
    Draws
        With statistics ``log_weight``, the log importance weight by which a draw was chosen.

    Raises
    ------
    DriverError
        Every path failed.
    """
    chains = positive_integer("chains", chains)
    draws = positive_integer("draws", draws)
    paths = positive_integer("paths", paths)
    max_iterations = positive_integer("max_iterations", max_iterations)
    key_start, key_paths = jax.random.split(jax.random.key(seed))
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        start = initial_positions(target, key_start, paths)
        run = pathfinder_program(
            target.log_density, -(-POOL * chains * draws // paths), max_iterations
        )
        found = jax.tree.map(np.asarray, run(key_paths, start, target.data))
    usable = np.isfinite(found.bound)
    if not usable.any():
        raise DriverError(
            f"all {paths} optimisation paths failed: none met an iterate with a Gaussian of finite "
            "evidence lower bound; use other starting points (another seed, more paths) or "
            "driver nuts"
        )
    positions, log_density = found.positions[usable], found.log_density[usable]
    log_weight = log_density - found.log_proposal[usable]
    chosen = _resample(np.random.default_rng(seed), log_weight.ravel(), chains * draws)
    lp = log_density.ravel()[chosen].reshape(chains, draws)
    if progress is not None:
        progress(draws, draws, {})
    iterations = int(found.iterations.sum())
    return Draws(
        positions=positions.reshape(-1, target.dim)[chosen].reshape(chains, draws, -1),
        log_density=lp,
        statistics={"lp": lp, "log_weight": log_weight.ravel()[chosen].reshape(chains, draws)},
        gradients=2 * iterations,
        compile_seconds=compiled.seconds,
        run_seconds=time.perf_counter() - began - compiled.seconds,
        notes={
            "approximate": 1,
            "pareto_k": pareto_k(log_weight),
            "failed_paths": int(paths - usable.sum()),
            "warmup": 0,
            "interrupted": 0,
        },
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
    run = pathfinder_program(target.log_density, 1, 100)
    found = jax.tree.map(np.asarray, run(key_paths, start, target.data))
    usable = np.isfinite(found.bound) & np.isfinite(found.log_density[:, 0])
    return np.where(usable[:, None], found.positions[:, 0], start)


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


def _resample(generator, log_weight, count):
    """Return indices drawn in proportion to the Pareto-smoothed weights, (count,)."""
    smoothed, _ = array_stats.psislw(-log_weight)
    weight = np.exp(smoothed - smoothed.max())
    return generator.choice(weight.size, count, p=weight / weight.sum())
