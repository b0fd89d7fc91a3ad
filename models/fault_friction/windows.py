"""The most probable friction, sought anew on a growing series where nothing explains all of it.

Slip rates of one cycle lead nearly every search to one mode. With several cycles they fit at wrong
phases too, where a search ends far below the mode. What the first few epochs tell is the same with
fewer traps: where no search explains the data, others begin with these and follow while more are
added, a few at a time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesquake.inference.kernels.newton import newton_mode

__all__ = ["MOST_STARTS", "Mode", "mode_of_spring", "within"]

STARTS = 32
"""Searches of each attempt, of which the best is kept."""

GROWTH = (6, 3)
"""Epochs by which the series grows in the second attempt and the third; the first takes all."""

MOST_STARTS = STARTS * (1 + len(GROWTH))

STEPS, LAST_STEPS = 8, 100
"""Newton steps in each stage, and in the last."""

LARGEST_MISFIT = 2.0
"""Mean square of residuals over errors, from which the data are not explained."""


class Mode(NamedTuple):
    """Where a search ended.

    Attributes
    ----------
    position : (dim,)
    log_density : scalar
    precision : (dim, dim)
        Of Gauss and Newton, and of the prior.
    misfit : scalar
        Mean square of the residuals.
    """

    position: Any
    log_density: Any
    precision: Any
    misfit: Any


def within(data, window):
    """Return the data with the first epochs alone."""
    early = jnp.arange(len(data.times)) < window

    def shortened(series):
        kept = early.reshape(-1, *[1] * (series.seen.ndim - 1))
        return series._replace(seen=series.seen & kept)

    return data._replace(observed={n: shortened(s) for n, s in data.observed.items()})


def mode_of_spring(search, data, starts):
    """Return the best `Mode` of many searches.

    Parameters
    ----------
    search : search.Search
    data : data.arrays.FaultArrays
    starts : (start, dim) array
        `STARTS` for each attempt.
    """
    epochs = len(data.times)
    growth = jnp.array((epochs, *GROWTH))
    starts = starts.reshape(len(growth), STARTS, -1)

    def climbed(data, starts, most_steps):
        def of_one(start):
            return newton_mode(lambda x: search.slopes(x, data), start, max_iterations=most_steps)

        return jax.vmap(of_one)(starts)

    def best_of(modes, precisions):
        height = jnp.where(jnp.isfinite(modes.log_density), modes.log_density, -jnp.inf)
        k = jnp.argmax(height)
        position = modes.position[k]
        return Mode(position, height[k], precisions[k], search.misfit(position, data))

    def unexplained(state):
        best, attempt, *_ = state
        return ~(best.misfit < LARGEST_MISFIT) & (attempt < len(growth))

    def grown(state):
        best, attempt, window, positions = state
        window = jnp.minimum(window + growth[attempt], epochs)
        whole = window == epochs
        steps = jnp.where(whole, LAST_STEPS, STEPS)
        modes, _, precisions = climbed(within(data, window), positions, steps)
        other = best_of(modes, precisions)
        better = whole & (other.log_density > best.log_density)
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), other, best)
        attempt = attempt + whole
        anew = starts[jnp.minimum(attempt, len(growth) - 1)]
        positions = jnp.where(whole, anew, modes.position)
        return best, attempt, jnp.where(whole, 0, window), positions

    nothing = Mode(starts[0, 0], -jnp.inf, jnp.eye(starts.shape[-1]), jnp.inf)
    best, *_ = jax.lax.while_loop(unexplained, grown, (nothing, 0, 0, starts[0]))
    return best
