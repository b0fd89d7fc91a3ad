"""The most probable friction, sought anew on a growing series where nothing explains all of it.

Slip rates of one cycle lead nearly every search to one mode. With several cycles they fit at wrong
phases too, where a search ends far below the mode. What the first few epochs tell is the same with
fewer traps: where no search explains the data, others begin with these and follow while more are
added, a few at a time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesquake.errors import DriverError
from bayesquake.inference.kernels.newton import newton_mode

from .search import climbed

__all__ = ["MOST_STARTS", "Mode", "mode_of_fields", "mode_of_spring", "within"]

STARTS = 32
"""Searches of each attempt, of which the best is kept."""

GROWTH = (6, 3)
"""Epochs by which the series grows in the second attempt and the third; the first takes all."""

MOST_STARTS = STARTS * (1 + len(GROWTH))

STEPS, LAST_STEPS = 8, 100
"""Newton steps in each stage, and in the last."""

STEPS_OF_FIELDS = 60
"""Newton steps in the last stage of a fault of cells; searches that succeed take 8 to 20."""

NEAR = 1.0
"""Distance to a mode, in its standard deviations, at which a search on changing steps has reached
it; drivers take the rest on held ones."""

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

    def searched(data, starts, most_steps):
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
        modes, _, precisions = searched(within(data, window), positions, steps)
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


def mode_of_fields(search, log_density, data, start):
    """Return where the best of several searches ends that follow one another.

    Parameters
    ----------
    search : search.Search
    log_density : callable
        ``(position, data) -> log posterior``, compiled.
    data : data.arrays.FaultArrays
    start : (dim,) array

    Returns
    -------
    search.Climb

    Raises
    ------
    DriverError
        None ended at a mode.
    """
    epochs = len(data.times)

    def climb(position, window, most_steps):
        seen = within(data, window)
        return climbed(
            lambda x: log_density(x, seen), lambda x: search.slopes(x, seen), position, most_steps
        )

    ends = []
    for growth in (epochs, *GROWTH):
        position = start
        for window in range(growth, epochs, growth):
            position = climb(position, window, STEPS).position
        ends.append(climb(position, epochs, STEPS_OF_FIELDS))
        if ends[-1].distance < NEAR and search.misfit(ends[-1].position, data) < LARGEST_MISFIT:
            break
    reached = [end for end in ends if end.distance < NEAR]
    if not reached:
        raise DriverError(
            f"no mode was reached in {sum(end.jacobians for end in ends)} Newton steps, nor on a "
            f"growing series; the best search ended {min(end.distance for end in ends):.3g} "
            "standard deviations from where its last step led. Give expected fields and a start "
            "nearer to what was seen, a shorter series, or larger errors"
        )
    return max(reached, key=lambda end: end.value)
