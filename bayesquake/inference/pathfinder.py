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

import time

import jax
import numpy as np
from arviz_stats.base import array_stats
from scipy.special import logsumexp

from bayesquake.errors import DriverError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.paths import pathfinder_program
from bayesquake.inference.kernels.settings import ONE_PIECE
from bayesquake.inference.kernels.starts import initial_positions
from bayesquake.model.options import count, takes
from bayesquake.results.checks import Check
from bayesquake.results.evidence import ESS_PER_CHAIN, pareto_k, weight_check
from bayesquake.results.posteriors import Found

__all__ = ["pathfinder"]

POOL = 2
"""Draws in the pool of all paths, per draw returned."""


@takes(**ONE_PIECE, paths=count(at_most=10_000), max_iterations=count(at_most=100_000))
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
    Found
        With statistics ``log_weight``, the log importance weight by which a draw was chosen.

    Raises
    ------
    DriverError
        Every path failed.
    """
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
    checks = (
        Check(
            "failed paths", float(paths - usable.sum()), meaning=f"of {paths} optimisation paths"
        ),
        weight_check(pareto_k(log_weight)),
        Check(
            "effective pool",
            float(np.exp(2 * logsumexp(log_weight) - logsumexp(2 * log_weight))),
            float(ESS_PER_CHAIN * chains),
            "above",
            "precision",
            meaning="effective number of the weighted draws from which these were chosen",
        ),
    )
    return Found(
        positions=positions.reshape(-1, target.dim)[chosen].reshape(chains, draws, -1),
        statistics={"lp": lp, "log_weight": log_weight.ravel()[chosen].reshape(chains, draws)},
        checks=lambda posterior: checks,
        gradients=2 * iterations,
        compile_seconds=compiled.seconds,
        run_seconds=time.perf_counter() - began - compiled.seconds,
        notes={"approximate": 1, "warmup": 0, "interrupted": 0},
    )


def _resample(generator, log_weight, count):
    """Return indices drawn in proportion to the Pareto-smoothed weights, (count,)."""
    smoothed, _ = array_stats.psislw(-log_weight)
    weight = np.exp(smoothed - smoothed.max())
    return generator.choice(weight.size, count, p=weight / weight.sum())
