"""The motion of a fault in time, by an adaptive Runge-Kutta method.

Steps are as long as an error allows, and land on the times asked for. The solution can be
differentiated forwards, by `jax.jvp`, its steps being held; backwards and twice it is
differentiated on a frozen grid, see `frozen`.

References
----------
Dormand & Prince 1980, doi:10.1016/0771-050X(80)90013-3
Kidger 2021, doi:10.48550/arXiv.2202.02435 (diffrax)
"""

from typing import Any, NamedTuple

import diffrax
import jax.numpy as jnp

from .laws import motion_rate

__all__ = [
    "LONGEST_STEP",
    "MOST_STEPS",
    "TOLERANCE",
    "YEAR",
    "Trajectory",
    "largest_error",
    "trajectory",
]

YEAR = 365.25 * 86400.0
"""A year (s)."""

TOLERANCE = 1e-6
"""Error of q and s that a step may make."""

LONGEST_STEP = 0.5 * YEAR
MOST_STEPS = 16384


class Trajectory(NamedTuple):
    """A motion at the times asked for, and how it was reached.

    Attributes
    ----------
    motion : laws.Motion
        (time, cell); not finite from the time on that was not reached.
    step_ends : (step,) array
        End of every step (s); infinite beyond the last.
    peaks : (step,) array
        Largest q of any cell there.
    steps : int
        Number of steps taken.
    """

    motion: Any
    step_ends: Any
    peaks: Any
    steps: Any


def trajectory(
    fault,
    start,
    times,
    *,
    law="aging",
    tolerance=TOLERANCE,
    longest_step=LONGEST_STEP,
    most_steps=MOST_STEPS,
):
    """Follow a fault from a start at time zero.

    Parameters
    ----------
    fault : laws.Fault
    start : laws.Motion
        (cell,) at time zero.
    times : (time,) array
        Increasing, none below zero (s).
    law : {"aging", "slip"}
    tolerance : float
        Largest error of any q and s in a step.
    longest_step : float
        Seconds.
    most_steps : int
        Steps tried, accepted or not, before the fault is given up.

    Returns
    -------
    Trajectory
    """
    controller = diffrax.PIDController(
        rtol=0.0, atol=tolerance, norm=largest_error, dtmax=longest_step
    )
    saved = [
        diffrax.SubSaveAt(ts=times),
        diffrax.SubSaveAt(steps=True, fn=lambda t, motion, fault: motion.log_slip_rate.max()),
    ]
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, motion, fault: motion_rate(motion, fault, law)),
        diffrax.Dopri5(),
        0.0,
        times[-1],
        None,
        start,
        fault,
        saveat=diffrax.SaveAt(subs=saved),
        stepsize_controller=diffrax.ClipStepSizeController(controller, step_ts=times),
        adjoint=diffrax.ForwardMode(),
        max_steps=most_steps,
        throw=False,
    )
    steps = solution.stats["num_accepted_steps"]
    return Trajectory(solution.ys[0], solution.ts[1], solution.ys[1], steps)


def largest_error(error):
    """Return the largest error of q and s; slip follows from them."""
    return jnp.maximum(jnp.abs(error.log_slip_rate).max(), jnp.abs(error.log_state).max())
