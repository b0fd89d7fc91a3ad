"""Adaptation of a trajectory's step size and metric, pooled over the chains of a posterior.

Chains that run in lockstep learn from each other during warm-up: each step adds one
position and one gradient per chain to the moments from which the metric is made, and the
step size sees their mean acceptance. What a step adapts is its stage, an integer that
the host passes in, so that one compiled program serves every length of warm-up.

References
----------
Seyboldt, Carlson & Carpenter 2026 (metrics of least Fisher divergence, growing windows), in
the form of BlackJAX; Nesterov 2009, doi:10.1007/s10107-007-0149-x (dual averaging).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.metric_recipes import MetricCore, lookup_recipe
from blackjax.adaptation.step_size import dual_averaging_adaptation

__all__ = ["DRAW", "METRICS", "Adapted", "adaptation", "warmup_stages"]

DRAW, ADAPT_STEP, ADAPT_METRIC, UPDATE_METRIC, FINISH = range(5)
"""Stages: nothing; the step size; moments too; then the metric from them; the last step."""

METRICS = {
    "diagonal": "variance of the draws over that of their gradients, square root",
    "dense": "covariance of the draws",
    "low_rank": "diagonal with a correction along at most ten directions",
    "identity": "none, for coordinates in which the target is nearly standard normal",
}
RECIPES = {
    "diagonal": "fisher_diag",
    "dense": "welford_dense",
    "low_rank": "fisher_low_rank",
    "identity": "fisher_diag",
}
BUFFERED_DRAWS = 1000
"""Draws, of all chains together, from which a low-rank metric is made at most."""

EARLY_SHARE, STEP_SIZE_SHARE = 0.3, 0.15
"""Shares of warm-up with short windows, and at its end with the step size alone."""

SHORT_WINDOWS = {"diagonal": 10, "dense": 50, "low_rank": 10}
"""Steps; a covariance needs more draws than a variance."""

FIRST_LONG_WINDOW, GROWTH = 80, 1.5
SHORTEST_ADAPTATION = 20
"""Steps of warm-up below which the metric is left as it begins."""

FIRST_STEP_SIZE = 0.5
"""In units of the first metric, which takes the inverse gradients for scales."""


SMALLEST_SCALE = 1e-20
"""A metric below this comes from draws that did not move."""


class Adapted(NamedTuple):
    """What the chains share: step size, inverse mass matrix, and the state of both learners."""

    step_size: Any
    inverse_mass_matrix: Any
    averaging: Any
    core: Any


def adaptation(metric, target_accept):
    """Return ``start`` and ``update`` of the pooled adaptation.

    Parameters
    ----------
    metric : str
        One of `METRICS`.
    target_accept : float
        Mean acceptance probability that the step size is adapted to.

    Returns
    -------
    start : callable
        ``gradients (chain, dim) -> Adapted``.
    update : callable
        ``(stage, Adapted, positions, gradients, acceptance (chain,)) -> Adapted``.
    """
    averaging_start, averaging_update, averaged = dual_averaging_adaptation(target_accept)
    core = _core(metric)

    def start(gradients):
        state = core.init(gradients.shape[1])
        first = state.inverse_mass_matrix
        if metric != "identity":
            first = _first_metric(first, gradients)
        return Adapted(jnp.asarray(FIRST_STEP_SIZE), first, averaging_start(FIRST_STEP_SIZE), state)

    def nothing(adapted, *_):
        return adapted

    def adapt_step(adapted, positions, gradients, acceptance):
        state = averaging_update(adapted.averaging, acceptance.mean())
        return adapted._replace(step_size=jnp.exp(state.log_step_size), averaging=state)

    def adapt_metric(adapted, positions, gradients, acceptance):
        def add(state, draw):
            return core.update(state, *draw), None

        state = jax.lax.scan(add, adapted.core, (positions, gradients))[0]
        adapted = adapt_step(adapted, positions, gradients, acceptance)
        return adapted._replace(core=state)

    def update_metric(adapted, positions, gradients, acceptance):
        adapted = adapt_metric(adapted, positions, gradients, acceptance)
        state = core.final(adapted.core)
        metric = _usable(state.inverse_mass_matrix, adapted.inverse_mass_matrix)
        step_size = averaged(adapted.averaging)
        return Adapted(step_size, metric, averaging_start(step_size), state)

    def finish(adapted, positions, gradients, acceptance):
        adapted = adapt_step(adapted, positions, gradients, acceptance)
        return adapted._replace(step_size=averaged(adapted.averaging))

    by_stage = (nothing, adapt_step, adapt_metric, update_metric, finish)

    def update(stage, adapted, positions, gradients, acceptance):
        return jax.lax.switch(stage, by_stage, adapted, positions, gradients, acceptance)

    return start, update


def warmup_stages(metric, warmup):
    """Return the stage of every step of warm-up, (warmup,) int array.

    Short windows come first, while the chains still approach; then windows that grow, the last
    of which takes in what would be too short for another; at the end the step size alone.
    """
    metric_end = warmup - round(STEP_SIZE_SHARE * warmup)
    if metric == "identity" or metric_end < SHORTEST_ADAPTATION:
        stages = np.full(warmup, ADAPT_STEP)
    else:
        short = SHORT_WINDOWS[metric]
        ends = list(range(short, int(EARLY_SHARE * warmup) + 1, short))
        end, size = max(ends, default=0), FIRST_LONG_WINDOW
        while end + size + GROWTH * size <= metric_end:
            end, size = end + size, round(GROWTH * size)
            ends.append(end)
        stages = np.where(np.arange(warmup) < metric_end, ADAPT_METRIC, ADAPT_STEP)
        stages[np.array([*ends, metric_end]) - 1] = UPDATE_METRIC
    stages[-1] = FINISH
    return stages


def _core(metric) -> MetricCore:
    buffer = {"buffer_size": BUFFERED_DRAWS} if metric == "low_rank" else {}
    return lookup_recipe(RECIPES[metric]).build_core(**buffer)


def _usable(new, old):
    """Return the new metric, or the old one where chains that stood still made it vanish."""
    scales = new.sigma if hasattr(new, "sigma") else jnp.diagonal(new) if new.ndim == 2 else new
    usable = jnp.isfinite(scales).all() & (scales > SMALLEST_SCALE).all()
    return jax.tree.map(lambda leaf, kept: jnp.where(usable, leaf, kept), new, old)


def _first_metric(identity, gradients):
    """Return the metric of scales 1 / |gradient|, the mean over chains, in the recipe's form."""
    slope = jnp.clip(jnp.abs(gradients).mean(axis=0), 0.0, 1e10)
    scale = jnp.where(slope < 1e-10, 1.0, 1 / slope)
    if hasattr(identity, "sigma"):
        return identity._replace(sigma=jnp.sqrt(scale))
    return jnp.diag(scale) if identity.ndim == 2 else scale
