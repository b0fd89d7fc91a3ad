"""The slip rates that are expected of unknown friction at the observed times."""

import jax
import jax.numpy as jnp

from bayesquake.model.capabilities import HeldSteps

from .friction import fault_of, unknowns_of
from .physics.by_jacobian import by_jacobian
from .physics.frozen import embedded_error, motion_on
from .physics.laws import Motion
from .physics.trajectory import trajectory

__all__ = ["HELD_STEPS", "expected_log_slip_rate", "path_of", "start_of"]

LARGEST_ERROR = 10.0
"""Of a held step, in tolerances of those that are chosen anew."""


def expected_log_slip_rate(unknowns, data):
    """Return q at the observed times, (epoch, cell), not finite where it cannot be followed.

    Of a spring the steps are chosen anew, and derivatives come from the Jacobian. Those of a
    fault of cells are held, once there is a grid; before, it can be differentiated forwards alone.
    """
    if data.fields is None:
        return of_spring(unknowns, data)
    if data.grid is None:
        return path_of(unknowns, data).motion.log_slip_rate
    return motion_on(
        data.grid,
        fault_of(unknowns, data),
        start_of(data),
        len(data.times),
        law=data.integration.law,
        observe=lambda motion: motion.log_slip_rate,
    )


@by_jacobian
def of_spring(unknowns, data):
    """Return q of a block on a spring, (epoch, 1)."""
    return path_of(unknowns, data).motion.log_slip_rate


@jax.jit
def path_of(unknowns, data):
    """Return the `physics.trajectory.Trajectory` of the unknowns."""
    return trajectory(
        fault_of(unknowns, data),
        start_of(data),
        data.times,
        law=data.integration.law,
        tolerance=data.integration.tolerance,
    )


def start_of(data):
    """Return the motion at time zero."""
    slip = jnp.zeros_like(data.start_log_state)
    return Motion(data.start_log_slip_rate, data.start_log_state, slip)


def step_error(values, data):
    """Return the largest error of a held step, over what is tolerated; None of a spring."""
    if data.grid is None:
        return None
    fault, law = fault_of(unknowns_of(values, data), data), data.integration.law
    error = embedded_error(data.grid, fault, start_of(data), law=law).max()
    return error / (LARGEST_ERROR * data.integration.tolerance)


HELD_STEPS = HeldSteps(step_error)
