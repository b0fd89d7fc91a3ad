"""Simulated slip rates, of a block on a spring or of a plane with a patch of slow slip."""

import jax
import numpy as np
import xarray as xr

from bayesquake.errors import OptionError, SimulationError
from bayesquake.io.datasets import labelled
from bayesquake.model.options import any_of, count, each, instance, number, takes

from .data.arrays import OPTIONS, prepare
from .data.dataset import DATA, FALLBACK
from .friction import unknowns_of
from .motion import expected_log_slip_rate
from .physics.laws import Fault, Motion
from .physics.stiffness import planar_full_space
from .physics.trajectory import YEAR, trajectory

__all__ = ["design_of", "draw", "lengths", "slow_slip_fault"]

POISSON_RATIO = 0.25
PATCH_RADIUS, PATCH_EDGE = 35e3, 2.5e3
"""Of the weakening patch of the slow slip twin, m."""

OF_SPRING = {"start_log_slip_rate": 1.0, "start_log_state": -0.5}


@takes(
    **OPTIONS,
    epochs=count(at_most=100_000),
    years=number("yr", above=0, at_most=1e5),
    log_slip_rate_error=number(at_least=1e-6, at_most=100),
    cells=each(count(at_most=1000), length=2),
    cell_size=number("m", above=0, at_most=1e7),
    spin_up_years=number("yr", above=0, at_most=1e5),
    observed=any_of(None, instance(xr.Dataset, what="a data set")),
)
def draw(
    key,
    values,
    *,
    epochs=72,
    years=6.0,
    log_slip_rate_error=0.1,
    cells=(1, 1),
    cell_size=6e3,
    spin_up_years=44.0,
    observed=None,
    law="aging",
    tolerance=None,
    log_a_sd=0.3,
    b_minus_a_sd=3e4,
    log_characteristic_slip_sd=0.3,
    correlation_length=15e3,
    correlation="exponential",
    allow_unresolved=False,
):
    """Draw slip rates at equal times, or at those of a data set.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        ``log_a`` (ln Pa), ``b_minus_a`` (Pa), ``log_characteristic_slip`` (ln m) and
        ``log_stiffness`` (ln(Pa/m)) of a block on a spring; the white latents of the fields of a
        fault of cells.
    epochs : int
    years : float
        Length of the series, which begins one step after time zero.
    log_slip_rate_error : float
        Standard deviation of the errors of ln V.
    cells : (int, int)
        Cells along x and y; (1, 1) for a block on a spring.
    cell_size : float
        Side of a cell, m.
    spin_up_years : float
        Age of a fault of the expected fields that gives the start.
    observed : xarray.Dataset, optional
        A data set whose fault, times, errors and gaps are taken in place of these.
    law, tolerance
        As `data.arrays.prepare` takes them.
    log_a_sd, b_minus_a_sd, log_characteristic_slip_sd, correlation_length, correlation
        Likewise.
    allow_unresolved : bool
        Likewise.

    Raises
    ------
    SimulationError
        The fault cannot be followed through all times.
    """
    options = {
        "law": law,
        "tolerance": tolerance,
        "log_a_sd": log_a_sd,
        "b_minus_a_sd": b_minus_a_sd,
        "log_characteristic_slip_sd": log_characteristic_slip_sd,
        "correlation_length": correlation_length,
        "correlation": correlation,
        "allow_unresolved": allow_unresolved,
    }
    if observed is None:
        spring = np.prod(cells) == 1
        fault = {} if spring else slow_slip_fault(cells, cell_size)
        start = OF_SPRING if spring else spun_up(fault, spin_up_years)
        observed = labelled(
            DATA,
            {
                "time": years * YEAR * np.arange(1, epochs + 1) / epochs,
                "log_slip_rate": np.zeros((epochs, np.prod(cells))),
                "log_slip_rate_error": log_slip_rate_error,
                **{name: np.broadcast_to(q, np.prod(cells)) for name, q in start.items()},
                **fault,
            },
        )
    data = prepare(observed, **options)
    expected = np.asarray(_expected(unknowns_of(values, data), data))
    if not np.isfinite(expected).all():
        epoch = int(np.argmax(~np.isfinite(expected).all(axis=1)))
        raise SimulationError(
            f"the fault cannot be followed to epoch {epoch} ({data.times[epoch] / YEAR:.3g} yr); "
            "draw again, or give friction nearer to the prior's middle"
        )
    noise = np.asarray(jax.random.normal(key, expected.shape)) * float(data.error)
    seen = {"log_slip_rate": np.where(data.seen, expected + noise, np.nan)}
    others = {n: observed[n].to_numpy() for n in DATA.variables if n not in seen and n in observed}
    given = {name: (DATA.defaults | observed.attrs)[name] for name in DATA.attributes}
    return labelled(DATA, {**seen, **others}, **given, source="simulated")


_expected = jax.jit(expected_log_slip_rate)


def slow_slip_fault(cells, cell_size):
    """Return a plane of square cells with a weakening patch in its middle, by variable.

    Long-term slow slip events come every eight years on 20 x 20 cells of 6 km.
    """
    x, y = (cell_size * (np.arange(n) - (n - 1) / 2) for n in cells)
    x, y = (place.ravel() for place in np.meshgrid(x, y, indexing="ij"))
    inside = 1 / (1 + np.exp((np.hypot(x, y) - PATCH_RADIUS) / PATCH_EDGE))
    return {
        "x": x,
        "y": y,
        "depth": np.zeros_like(x),
        "expected_a": np.full_like(x, 1e5),
        "expected_b_minus_a": 6e4 * inside - 3e4 * (1 - inside),
        "expected_characteristic_slip": np.full_like(x, 0.04),
        "stiffness": planar_full_space(cells, cell_size, FALLBACK["rigidity"], POISSON_RATIO),
    }


def spun_up(fault, years):
    """Return the motion of the expected fields so long after a slow start, by variable."""
    x, y, a = fault["x"], fault["y"], fault["expected_a"]
    still = np.zeros_like(x)
    start = Motion(-0.1 + 0.05 * np.exp(-((x - 5e3) ** 2 + y**2) / 2e8), still + 0.1, still)
    of_cells = Fault(
        a,
        a + fault["expected_b_minus_a"],
        fault["expected_characteristic_slip"],
        fault["stiffness"],
        FALLBACK["plate_rate"],
        FALLBACK["rigidity"] / (2 * FALLBACK["shear_wave_speed"]),
    )
    end = _spin_up(of_cells, start, np.array([years * YEAR])).motion
    if not np.isfinite(end.log_slip_rate).all():
        raise OptionError(f"no fault of these cells can be followed for {years:g} years; use fewer")
    return {
        "start_log_slip_rate": np.asarray(end.log_slip_rate[0]),
        "start_log_state": np.asarray(end.log_state[0]),
    }


_spin_up = jax.jit(trajectory)


def design_of(
    dataset,
    *,
    law="aging",
    tolerance=None,
    log_a_sd=0.3,
    b_minus_a_sd=3e4,
    log_characteristic_slip_sd=0.3,
    correlation_length=15e3,
    correlation="exponential",
    allow_unresolved=False,
):
    """Return the design of a data set: its own fault, times, errors and start."""
    return {
        "observed": dataset,
        "law": law,
        "tolerance": tolerance,
        "log_a_sd": log_a_sd,
        "b_minus_a_sd": b_minus_a_sd,
        "log_characteristic_slip_sd": log_characteristic_slip_sd,
        "correlation_length": correlation_length,
        "correlation": correlation,
        "allow_unresolved": allow_unresolved,
    }


def lengths(design):
    """Return the lengths that priors name."""
    observed = design["observed"]
    cells = np.prod(design["cells"]) if observed is None else observed.sizes["cell"]
    return {"cell": int(cells)}
