r"""The motion of a fault on steps that are held, and its exact derivatives.

The Runge-Kutta method of `trajectory` on a given list of steps is a composition of smooth maps.
Reverse-mode derivatives of it, and forward-mode derivatives of those, are the exact gradient and
Hessian products of the discrete solution (Sanz-Serna 2016). Steps are taken in blocks that are
computed anew on the way back, so that memory grows as the square root of their number; where they
are few, their products with the stiffness are kept, which is most of the work.

A grid is made for one motion; `embedded_error` tells how well it serves another.

References
----------
Sanz-Serna 2016, doi:10.1137/151002769 (discrete adjoints of Runge-Kutta methods)
Ito, Matsuda & Miyatake 2021, doi:10.1007/s10543-020-00833-0 (second-order adjoints)
"""

import functools
import math
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from .laws import motion_rate
from .trajectory import largest_error

__all__ = ["DORMAND_PRINCE", "Grid", "embedded_error", "grid_of", "motion_on"]

DORMAND_PRINCE = diffrax.Dopri5.tableau

MOST_KEPT = 2**20
"""Numbers that are kept of all steps, 8 MiB."""

BLOCK_STEP, BLOCKS_STEP, SLOT_STEP = 8, 4, 4
"""Of which lengths and numbers of blocks, and numbers of slots, are multiples: for few shapes."""


class Grid(NamedTuple):
    """Steps in blocks, and where in them the observed times lie.

    Attributes
    ----------
    steps : (block, step) array
        Seconds; zero beyond the last.
    landing : (block, slot) array of int
        Step of the block at whose end an observed time lies.
    time : (block, slot) array of int
        Which time that is; their number where the slot is empty.
    """

    steps: Any
    landing: Any
    time: Any


def grid_of(step_ends, times):
    """Return the grid of steps that end at every observed time.

    Parameters
    ----------
    step_ends : (step,) array
        Increasing, from time zero on (s).
    times : (time,) array
        Increasing (s); zero, or the end of a step.

    Returns
    -------
    Grid
        NumPy arrays.
    """
    ends = np.concatenate([[0.0], step_ends])
    reached = np.abs(np.subtract.outer(times, ends)).argmin(axis=1)
    length = rounded_up(math.sqrt(len(ends)), BLOCK_STEP)
    blocks = rounded_up(len(ends) / length, BLOCKS_STEP)
    steps = np.zeros(blocks * length)
    steps[1 : len(ends)] = np.diff(ends)
    block, landing = np.divmod(reached, length)
    slot = np.arange(len(times)) - np.searchsorted(block, block)
    empty = np.zeros((blocks, rounded_up(slot.max() + 1, SLOT_STEP)), int)
    grid = Grid(steps.reshape(blocks, length), empty, empty + len(times))
    grid.landing[block, slot] = landing
    grid.time[block, slot] = np.arange(len(times))
    return grid


def rounded_up(number, multiple):
    """Return the smallest multiple that is no smaller than a number."""
    return multiple * math.ceil(number / multiple)


def motion_on(grid, fault, start, count, *, law="aging", observe=lambda motion: motion):
    """Follow a fault over the steps of a grid.

    Parameters
    ----------
    grid : Grid
    fault : laws.Fault
    start : laws.Motion
        (cell,) at time zero.
    count : int
        Number of observed times.
    law : {"aging", "slip"}
    observe : callable
        ``motion -> array`` or pytree of arrays, of what is kept of a motion.

    Returns
    -------
    (time, ...) array or pytree
        What is kept at the observed times.
    """
    return followed(grid, fault, start, count, law, observe, DORMAND_PRINCE)


def followed(grid, fault, start, count, law, observe, tableau):
    """Follow a fault by the explicit Runge-Kutta method of a tableau, see `motion_on`."""

    def step(motion, seconds):
        motion, _ = runge_kutta(motion, seconds, fault, law, tableau)
        return motion, observe(motion)

    @functools.partial(jax.checkpoint, policy=kept_on_the_way(grid, fault, tableau))
    def block(motion, block):
        steps, landing = block
        motion, observed = jax.lax.scan(step, motion, steps)
        return motion, jax.tree.map(lambda values: values[landing], observed)

    _, observed = jax.lax.scan(block, start, (grid.steps, grid.landing))

    def in_order(values):
        whole = jnp.zeros((count, *values.shape[2:]))
        return whole.at[grid.time].set(values, mode="drop")

    return jax.tree.map(in_order, observed)


def kept_on_the_way(grid, fault, tableau):
    """Return what of a block is kept for the way back: products with the stiffness if they fit."""
    products = grid.steps.size * len(fault.stiffness) * len(tableau.b_sol)
    if products <= MOST_KEPT:
        return jax.checkpoint_policies.dots_saveable
    return jax.checkpoint_policies.nothing_saveable


def embedded_error(grid, fault, start, *, law="aging"):
    """Return the error that each step of a grid makes, by the method's embedded one.

    Returns
    -------
    (block, step) array
        Largest error of q and s in any cell; the steps of `trajectory` stay below its tolerance.
        Infinite where there is no motion any more.
    """

    def step(motion, seconds):
        after, rates = runge_kutta(motion, seconds, fault, law, DORMAND_PRINCE)
        rates.append(motion_rate(after, fault, law))
        error = largest_error(weighted(rates, DORMAND_PRINCE.b_error, seconds))
        return after, jnp.where(jnp.isnan(error), jnp.inf, error)

    def block(motion, steps):
        return jax.lax.scan(step, motion, steps)

    return jax.lax.scan(block, start, grid.steps)[1]


def runge_kutta(motion, seconds, fault, law, tableau):
    r"""Take one step, :math:`y + h \sum_i b_i k_i` with :math:`k_i = f(y + h \sum_j a_{ij} k_j)`.

    Returns
    -------
    motion : laws.Motion
    rates : list of laws.Motion
        k_i of the stages that have a weight.
    """
    rates = [motion_rate(motion, fault, law)]
    for row in tableau.a_lower[: len(np.trim_zeros(tableau.b_sol, "b")) - 1]:
        rates.append(motion_rate(moved(motion, rates, row, seconds), fault, law))
    return moved(motion, rates, tableau.b_sol, seconds), rates


def moved(motion, rates, weights, seconds):
    """Return a motion moved along the weighted sum of rates."""
    return jax.tree.map(jnp.add, motion, weighted(rates, weights, seconds))


def weighted(rates, weights, seconds):
    """Return the weighted sum of rates, times seconds."""
    pairs = [(w, rate) for w, rate in zip(weights, rates, strict=False) if w]
    return jax.tree.map(
        lambda *each: seconds * sum(w * x for (w, _), x in zip(pairs, each, strict=True)),
        *(rate for _, rate in pairs),
    )
