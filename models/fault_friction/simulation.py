"""Simulated slip rates, of a block on a spring or of a plane with a patch of slow slip."""

import jax
import numpy as np
import xarray as xr

from bayesquake.errors import OptionError, SimulationError
from bayesquake.io.datasets import labelled
from bayesquake.model.options import any_of, count, each, flag, instance, number, takes

from .data.arrays import OPTIONS, prepare
from .data.dataset import DATA, FALLBACK
from .observation import errors_of, expected_observations
from .physics.half_space import displacement_of_slip, rectangles, slip_direction
from .physics.laws import Fault, Motion
from .physics.stiffness import planar_full_space
from .physics.trajectory import YEAR, trajectory

__all__ = ["design_of", "draw", "lengths", "slow_slip_fault"]

PATCH_RADIUS, PATCH_EDGE = 35e3, 2.5e3
"""Of the weakening patch of the slow slip twin, m."""

DEPTH = 25e3
"""Of that twin, m."""

SURROUNDING = 1.2
"""Extent of its stations over that of the fault."""

OF_SPRING = {"start_log_slip_rate": 1.0, "start_log_state": -0.5}


@takes(
    **OPTIONS,
    epochs=count(at_most=100_000),
    years=number("yr", above=0, at_most=1e5),
    log_slip_rate_error=number(at_least=1e-6, at_most=100),
    cells=each(count(at_most=1000), length=2),
    cell_size=number("m", above=0, at_most=1e7),
    spin_up_years=number("yr", above=0, at_most=1e5),
    slip_rates=flag(),
    stations=any_of(None, each(count(at_most=1000), length=2)),
    displacement_error=number("m", at_least=1e-9, at_most=1e4),
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
    slip_rates=True,
    stations=None,
    displacement_error=3e-3,
    observed=None,
    law="aging",
    tolerance=None,
    log_a_sd=0.3,
    b_minus_a_sd=3e4,
    log_characteristic_slip_sd=0.3,
    correlation_length=15e3,
    correlation="exponential",
    displacement_offset_sd=0.01,
    start_sd=None,
    allow_unresolved=False,
):
    """Draw slip rates or displacements at equal times, or at those of a data set.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        ``log_a`` (ln Pa), ``b_minus_a`` (Pa), ``log_characteristic_slip`` (ln m) and
        ``log_stiffness`` (ln(Pa/m)) of a block on a spring; the white latents of the fields of a
        fault of cells; ``displacement_offset_white`` and ``displacement_error_scale`` where there
        are stations.
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
    slip_rates : bool
        Whether the slip rates of all cells are seen.
    stations : (int, int), optional
        Stations along x and y whose displacements are seen, on the ground above a fault of cells
        and a tenth of its length beyond; none by default.
    displacement_error : float
        Standard deviation of the errors of displacements, m.
    observed : xarray.Dataset, optional
        A data set whose fault, times, errors and gaps are taken in place of these.
    law, tolerance
        As `data.arrays.prepare` takes them.
    log_a_sd, b_minus_a_sd, log_characteristic_slip_sd, correlation_length, correlation
        Likewise.
    displacement_offset_sd, start_sd, allow_unresolved
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
        "displacement_offset_sd": displacement_offset_sd,
        "start_sd": start_sd,
        "allow_unresolved": allow_unresolved,
    }
    if observed is None:
        time = years * YEAR * np.arange(1, epochs + 1) / epochs
        spring = np.prod(cells) == 1
        fault = {} if spring else slow_slip_fault(cells, cell_size)
        start = OF_SPRING if spring else spun_up(fault, spin_up_years)
        motion = {name: np.broadcast_to(q, np.prod(cells)) for name, q in start.items()}
        seen = unseen_slip_rates(epochs, np.prod(cells), log_slip_rate_error) if slip_rates else {}
        if stations is not None:
            seen |= unseen_displacements(epochs, cells, cell_size, stations, displacement_error)
        observed = labelled(DATA, {"time": time, **seen, **motion, **fault})
    data = prepare(observed, **options)
    expected = jax.tree.map(np.asarray, _expected(values, data))
    for q in expected.values():
        if not np.isfinite(q).all():
            epoch = int(np.argmax(~np.isfinite(q.reshape(len(q), -1)).all(axis=1)))
            raise SimulationError(
                f"the fault cannot be followed to epoch {epoch} ({data.times[epoch] / YEAR:.3g} "
                "yr); draw again, or give friction nearer to the prior's middle"
            )
    errors = errors_of(values, data)
    keys = dict(zip(expected, jax.random.split(key, len(expected)), strict=True))
    drawn = {
        name: np.where(
            data.observed[name].seen,
            q + np.asarray(errors[name] * jax.random.normal(keys[name], q.shape)),
            np.nan,
        )
        for name, q in expected.items()
    }
    others = {n: observed[n].to_numpy() for n in DATA.variables if n not in drawn and n in observed}
    given = {name: (DATA.defaults | observed.attrs)[name] for name in DATA.attributes}
    return labelled(DATA, {**drawn, **others}, **given, source="simulated")


_expected = jax.jit(expected_observations)


def unseen_slip_rates(epochs, cells, error):
    """Return slip rates before they are drawn, by variable."""
    return {"log_slip_rate": np.zeros((epochs, cells)), "log_slip_rate_error": error}


def unseen_displacements(epochs, cells, cell_size, stations, error):
    """Return displacements above the fault of the twin before they are drawn, by variable.

    The fault lies flat, and its upper side slips along x.
    """
    if np.prod(cells) == 1:
        raise OptionError("stations stand above a fault of cells; give cells")
    reach = [SURROUNDING * size * cell_size / 2 for size in cells]
    x, y = np.meshgrid(
        *(r * np.linspace(-1, 1, n) for r, n in zip(reach, stations, strict=True)), indexing="ij"
    )
    place = np.column_stack([x.ravel(), y.ravel()])
    along_x = {"strike": 90.0, "dip": 0.0}
    corners = rectangles(
        cells,
        (cell_size, cell_size),
        top_depth=DEPTH,
        centre=(0.0, cells[1] * cell_size / 2),
        **along_x,
    )
    direction = slip_direction(**along_x, rake=0.0)
    shape = (epochs, len(place), 3)
    return {
        "displacement": np.zeros(shape),
        "displacement_error": np.full(shape, error),
        "displacement_of_slip": displacement_of_slip(
            place, corners, direction, FALLBACK["poisson_ratio"]
        ),
        "station_x": place[:, 0],
        "station_y": place[:, 1],
    }


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
        "depth": np.full_like(x, DEPTH),
        "expected_a": np.full_like(x, 1e5),
        "expected_b_minus_a": 6e4 * inside - 3e4 * (1 - inside),
        "expected_characteristic_slip": np.full_like(x, 0.04),
        "stiffness": planar_full_space(
            cells, cell_size, FALLBACK["rigidity"], FALLBACK["poisson_ratio"]
        ),
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
    displacement_offset_sd=0.01,
    start_sd=None,
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
        "displacement_offset_sd": displacement_offset_sd,
        "start_sd": start_sd,
        "allow_unresolved": allow_unresolved,
    }


def lengths(design):
    """Return the lengths that priors name."""
    observed, stations = design["observed"], design["stations"]
    if observed is not None:
        return {"component": 3, **{dim: observed.sizes.get(dim, 0) for dim in ("cell", "station")}}
    of_stations = 0 if stations is None else int(np.prod(stations))
    return {"cell": int(np.prod(design["cells"])), "station": of_stations, "component": 3}
