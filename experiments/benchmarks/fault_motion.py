"""Derivatives of the motion of a fault beside the motion itself, and beside other ways to it.

Run as ``python -m bayesquake.experiments.benchmarks.fault_motion`` on an idle machine. The twin of
slow slip has 400 cells and 1,200 unknowns, and its slip rates are seen at 40 times of eight years.
Every time is that of the fastest of many calls, compiled beforehand; compile time is apart.
"""

import time

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from bayesquake.experiments.friction_fields.twin import at_truth, simulated
from bayesquake.models.fault_friction.friction import fault_of, start_of, unknowns_of
from bayesquake.models.fault_friction.physics.frozen import Grid, motion_on
from bayesquake.models.fault_friction.physics.laws import Fault, Motion, motion_rate
from bayesquake.models.fault_friction.physics.stiffness import planar_full_space
from bayesquake.models.fault_friction.physics.trajectory import YEAR, largest_error

from .aftershock_gradient import fastest

__all__ = ["main", "measure_derivatives", "measure_sizes"]

TWIN = {"cells": (20, 20), "cell_size": 6e3, "spin_up_years": 111.0, "years": 8.0, "epochs": 40}
SIDE_BY_SIDE = 64
SHAPES = ((40, 25), (50, 40), (80, 50))
STEPS = 16


def measure_derivatives(design=None, side_by_side=SIDE_BY_SIDE):
    """Return rows of what is computed, its compile seconds, and milliseconds.

    Parameters
    ----------
    design : mapping, optional
        Of the twin.
    side_by_side : int
        Hessian products that are taken together.
    """
    point = at_truth(simulated(design or TWIN, seed=1))
    density, position, data = point.target.log_density, point.position, point.target.data
    free = data._replace(grid=None)
    gradient = jax.grad(density)
    along = jax.random.normal(jax.random.key(1), (side_by_side, position.size))

    def product(x, v, data):
        return jax.jvp(lambda x: gradient(x, data), (x,), (v,))[1]

    cases = {
        "motion, steps chosen anew": (density, (position, free)),
        "motion, held steps": (density, (position, data)),
        "gradient": (gradient, (position, data)),
        "Hessian product": (product, (position, along[0], data)),
        f"{side_by_side} Hessian products": (
            jax.vmap(product, (None, 0, None)),
            (position, along, data),
        ),
        "gradient by diffrax's own adjoint": (
            jax.grad(lambda x, data: by_diffrax(point.target.constrain(x, data), data)),
            (position, data),
        ),
    }
    rows = [timed(name, *case) for name, case in cases.items()]
    began = time.perf_counter()
    by_scipy(point)
    seconds = time.perf_counter() - began
    return [*rows, {"what": "motion by SciPy's RK45", "compile_seconds": 0.0, "ms": 1e3 * seconds}]


def timed(name, function, arguments):
    """Return the row of one function."""
    began = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    compile_seconds = time.perf_counter() - began
    milliseconds = 1e3 * fastest(lambda: compiled(*arguments))
    return {"what": name, "compile_seconds": compile_seconds, "ms": milliseconds}


def rate(data):
    """Return the right-hand side for diffrax."""
    return diffrax.ODETerm(lambda t, y, fault: motion_rate(y, fault, data.integration.law))


def by_diffrax(values, data):
    """Return the log likelihood of the twin by an adaptive solution with diffrax's own adjoint."""
    unknowns = unknowns_of(values, data)
    controller = diffrax.PIDController(
        rtol=0.0, atol=data.integration.tolerance, norm=largest_error, dtmax=0.5 * YEAR
    )
    solution = diffrax.diffeqsolve(
        rate(data),
        diffrax.Dopri5(),
        0.0,
        data.times[-1],
        None,
        start_of(unknowns, data),
        fault_of(unknowns, data),
        saveat=diffrax.SaveAt(ts=data.times),
        stepsize_controller=diffrax.ClipStepSizeController(controller, step_ts=data.times),
        max_steps=4096,
    )
    seen = data.observed["log_slip_rate"]
    return -(((solution.ys.log_slip_rate - seen.value) / seen.error) ** 2).sum() / 2


def by_scipy(point):
    """Follow the twin by SciPy's method of the same order, with the same tolerance."""
    data = jax.device_get(point.target.data)
    truth = jnp.zeros(point.friction.shape)
    fault, start = jax.device_get((fault_of(truth, data), start_of(truth, data)))
    scale, cells = float(data.plate_rate), len(start.log_slip_rate)

    def rate(t, y):
        q, s = y[:cells], y[cells:]
        v = scale * np.exp(q)
        ds = scale / fault.characteristic_slip * (np.exp(-s) - np.exp(q))
        dq = -(fault.stiffness @ (v - scale) + fault.b * ds) / (fault.a + fault.damping * v)
        return np.concatenate([dq, ds])

    return solve_ivp(
        rate,
        (0, data.times[-1]),
        np.concatenate([start.log_slip_rate, start.log_state]),
        "RK45",
        data.times,
        rtol=1e-13,
        atol=data.integration.tolerance,
        max_step=0.5 * YEAR,
    )


def measure_sizes(shapes=SHAPES):
    """Return rows of cells and the milliseconds of a motion of so many held steps."""
    rows = []
    for shape in shapes:
        cells = int(np.prod(shape))
        stiffness = planar_full_space(shape, 3e3, 40e9, 0.25)
        even = np.ones(cells)
        start = Motion(-0.1 + 0.05 * np.cos(np.arange(cells)), 0.1 * even, 0 * even)
        fault = Fault(1e5 * even, 0.8e5 * even, 0.04 * even, stiffness, 0.065 / YEAR, 40e9 / 6e3)
        grid = Grid(
            np.full((4, STEPS // 4), 0.02 * YEAR), np.zeros((4, 1), int), np.full((4, 1), 1)
        )
        grid.landing[-1, 0], grid.time[-1, 0] = STEPS // 4 - 1, 0
        follow = jax.jit(lambda fault, start, grid: motion_on(grid, fault, start, 1))
        arguments = jax.tree.map(jnp.asarray, (fault, start, grid))
        follow(*arguments)
        rows.append({"cells": cells, "ms": 1e3 * fastest(lambda: follow(*arguments))})  # noqa: B023
    return rows


def main():
    """Measure and print."""
    rows = measure_derivatives()
    held = next(row["ms"] for row in rows if row["what"] == "motion, held steps")
    print(f"{'':<36}{'compile (s)':>12}{'ms':>10}{'of held':>10}")
    for row in rows:
        print(
            f"{row['what']:<36}{row['compile_seconds']:>12.1f}{row['ms']:>10.1f}"
            f"{row['ms'] / held:>10.2f}"
        )
    sizes = measure_sizes()
    print(f"\n{'cells':>8}{'ms':>10}{'exponent':>10}")
    for before, row in zip([None, *sizes], sizes, strict=False):
        power = ""
        if before is not None:
            power = (
                f"{np.log(row['ms'] / before['ms']) / np.log(row['cells'] / before['cells']):.2f}"
            )
        print(f"{row['cells']:>8}{row['ms']:>10.1f}{power:>10}")


if __name__ == "__main__":
    main()
