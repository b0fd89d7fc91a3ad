"""The motion that is expected of unknown friction at the observed times."""

import jax
import jax.numpy as jnp

from bayesquake.model.capabilities import HeldSteps

from .friction import fault_of, start_of, unknowns_of
from .physics.by_jacobian import by_jacobian
from .physics.frozen import embedded_error, motion_on
from .physics.trajectory import trajectory

__all__ = ["HELD_STEPS", "expected_motion", "ground_of", "path_of", "seen_of"]

LARGEST_ERROR = 10.0
"""Of a held step, in tolerances of those that are chosen anew."""


def expected_motion(unknowns, data):
    """Return what of the motion is seen, (epoch, ...) by the names of ``data.observed``.

    It is not finite where the fault cannot be followed. Of a spring the steps are chosen anew, and
    derivatives come from the Jacobian. Those of a fault of cells are held, once there is a grid;
    before, it can be differentiated forwards alone.
    """
    if data.fields is None:
        return of_spring(unknowns, data)
    if data.grid is None:
        return seen_of(path_of(unknowns, data).motion, data)
    return motion_on(
        data.grid,
        fault_of(unknowns, data),
        start_of(unknowns, data),
        len(data.times),
        law=data.integration.law,
        observe=lambda motion: seen_of(motion, data),
    )


@by_jacobian
def of_spring(unknowns, data):
    """Return what is seen of a block on a spring."""
    return seen_of(path_of(unknowns, data).motion, data)


def seen_of(motion, data):
    """Return what is seen of a motion, (..., cell) and (..., station, component)."""
    seen = {}
    if "log_slip_rate" in data.observed:
        seen["log_slip_rate"] = motion.log_slip_rate
    if "displacement" in data.observed:
        seen["displacement"] = ground_of(motion.slip, data)
    return seen


def ground_of(slip, data):
    """Return the displacements of the ground by slip, (..., station, component) of (..., cell)."""
    return jnp.einsum("...j,ikj->...ik", slip, data.displacement_of_slip)


@jax.jit
def path_of(unknowns, data):
    """Return the `physics.trajectory.Trajectory` of the unknowns."""
    return trajectory(
        fault_of(unknowns, data),
        start_of(unknowns, data),
        data.times,
        law=data.integration.law,
        tolerance=data.integration.tolerance,
    )


def step_error(values, data):
    """Return the largest error of a held step, over what is tolerated; None of a spring."""
    if data.grid is None:
        return None
    unknowns, law = unknowns_of(values, data), data.integration.law
    fault, start = fault_of(unknowns, data), start_of(unknowns, data)
    error = embedded_error(data.grid, fault, start, law=law).max()
    return error / (LARGEST_ERROR * data.integration.tolerance)


HELD_STEPS = HeldSteps(step_error)
