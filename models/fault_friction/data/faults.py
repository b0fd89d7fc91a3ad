"""Faults of cells, as data sets to which observations are added."""

import numpy as np

from bayesquake.errors import OptionError
from bayesquake.io.datasets import checked, labelled
from bayesquake.model.options import any_of, array, count, each, number, takes

from ..physics.half_space import half_space, rectangles, slip_direction
from .dataset import FALLBACK, FAULT

__all__ = ["fault_in_half_space"]

ANGLE = number("degrees", at_least=-360, at_most=360)
LENGTH = number("m", above=0, at_most=1e7)
OF_CELL = any_of(number(), array("an array by cell", None))


@takes(
    shape=each(count(at_most=1000), length=2),
    cell_size=each(LENGTH, length=2),
    strike=ANGLE,
    dip=number("degrees", at_least=0, at_most=90),
    rake=ANGLE,
    top_depth=number("m", at_least=0, at_most=1e7),
    centre=each(number("m", at_least=-1e8, at_most=1e8), length=2),
    expected_a=OF_CELL,
    expected_b_minus_a=OF_CELL,
    expected_characteristic_slip=OF_CELL,
    start_log_slip_rate=OF_CELL,
    start_log_state=OF_CELL,
    **FAULT.attributes,
)
def fault_in_half_space(
    *,
    shape,
    cell_size,
    strike,
    dip,
    rake,
    top_depth,
    centre=(0.0, 0.0),
    expected_a=1e5,
    expected_b_minus_a=4e4,
    expected_characteristic_slip=0.04,
    start_log_slip_rate=0.0,
    start_log_state=0.0,
    plate_rate=FALLBACK["plate_rate"],
    rigidity=FALLBACK["rigidity"],
    shear_wave_speed=FALLBACK["shear_wave_speed"],
    poisson_ratio=FALLBACK["poisson_ratio"],
):
    """Return a plane fault of rectangles in a half-space.

    Parameters
    ----------
    shape : (int, int)
        Cells along strike and down dip; their order is that of ``ravel`` of [along, down].
    cell_size : (float, float)
        Their length and width, m.
    strike, dip, rake : float
        Degrees: the plane dips to the right of the strike, and the hanging wall moves along the
        rake, 0 of left-lateral and 90 of reverse slip.
    top_depth : float
        Of the upper edge, m.
    centre : (float, float)
        East and north of the middle of that edge, m.
    expected_a, expected_b_minus_a, expected_characteristic_slip : float or (cell,) array
        What is expected of the fields of A (Pa), B - A (Pa) and L (m).
    start_log_slip_rate, start_log_state : float or (cell,) array
        ln(V / Vpl) and ln(θ Vpl / L) at time zero; steady slip with the plates by default.
    plate_rate : float
        Vpl, m/s.
    rigidity : float
        G, Pa.
    shear_wave_speed : float
        β, m/s.
    poisson_ratio : float

    Returns
    -------
    xarray.Dataset
        Variables of `DATA` by cell, without observations.

    Raises
    ------
    OptionError
        A size or an angle makes no sense.
    DatasetError
        A field has another number of cells.
    """
    corners = rectangles(
        shape, cell_size, strike=strike, dip=dip, top_depth=top_depth, centre=centre
    )
    direction = slip_direction(strike, dip, rake)
    east, north, up = corners.mean(axis=1).T
    of_cell = {
        "expected_a": expected_a,
        "expected_b_minus_a": expected_b_minus_a,
        "expected_characteristic_slip": expected_characteristic_slip,
        "start_log_slip_rate": start_log_slip_rate,
        "start_log_state": start_log_state,
    }
    values = {
        "x": east,
        "y": north,
        "depth": -up,
        "stiffness": half_space(corners, direction, rigidity, poisson_ratio),
        "corners": corners,
        "slip_direction": direction,
        **{name: by_cell(name, value, len(corners)) for name, value in of_cell.items()},
    }
    given = {
        "plate_rate": plate_rate,
        "rigidity": rigidity,
        "shear_wave_speed": shear_wave_speed,
        "poisson_ratio": poisson_ratio,
    }
    return checked(FAULT, labelled(FAULT, values, **given), "fault_in_half_space")


def by_cell(name, value, cells):
    """Return one number, or one for every cell, as (cell,)."""
    try:
        return np.broadcast_to(np.asarray(value, float), cells)
    except (TypeError, ValueError):
        raise OptionError(
            f"{name} = {value!r:.80} must be a number or an array of {cells}, one for every cell"
        ) from None
