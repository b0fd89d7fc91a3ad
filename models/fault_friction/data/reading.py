"""The reader of this model."""

import os
from pathlib import Path

import numpy as np
import xarray as xr

from bayesquake.errors import DatasetError, OptionError
from bayesquake.io.catalog import source_of
from bayesquake.io.datasets import checked, labelled, load_netcdf, reader
from bayesquake.model.options import any_of, each, instance, number, takes

from .dataset import DATA, FALLBACK, FAULT
from .displacements import displacements_of
from .formats import FORMATS

__all__ = ["read"]

STEADY = {"start_log_slip_rate": 0.0, "start_log_state": 0.0}
"""Slip with the plates."""


@reader(DATA, formats=FORMATS)
@takes(
    log_slip_rate_error=number(at_least=1e-6, at_most=100),
    start_log_slip_rate=any_of(None, number(at_least=-100, at_most=60)),
    start_log_state=any_of(None, number(at_least=-100, at_most=100)),
    **{name: any_of(None, option) for name, option in DATA.attributes.items()},
    fault=any_of(None, instance(str, os.PathLike, xr.Dataset, what="a path or a data set")),
    centre=any_of(None, each(number("degrees", at_least=-180, at_most=360), length=2)),
    start_time=number(at_least=-1e13, at_most=1e13),
)
def read(
    table,
    *,
    log_slip_rate_error=0.1,
    start_log_slip_rate=None,
    start_log_state=None,
    plate_rate=None,
    rigidity=None,
    shear_wave_speed=None,
    poisson_ratio=None,
    fault=None,
    centre=None,
    start_time=0.0,
):
    """Read slip rates of one place on a fault, or displacements of the ground above a fault.

    Parameters
    ----------
    source : path or xarray.Dataset
        A CSV table with the columns ``time`` (s after the start) and ``slip_rate`` (m/s); a time
        series of one of the `formats`; or a CSV table with a row for every station and time, the
        columns of which say their units: ``station``, ``time_yr`` (or ``_d``, ``_s``),
        ``east_mm``, ``north_mm``, ``up_mm`` (or ``_cm``, ``_m``; up may be absent, and cells
        empty), ``error_mm`` or ``east_error_mm`` and so on, ``x_km`` and ``y_km`` (or ``_m``) or
        ``longitude`` and ``latitude``, and ``z_m`` where stations may be underground; or a data
        set of this model.
    log_slip_rate_error : float
        Standard deviation of the errors of ln V.
    start_log_slip_rate, start_log_state : float, optional
        ln(V / Vpl) and ln(θ Vpl / L) at time zero; those of the fault, or steady slip with the
        plates, by default.
    plate_rate, rigidity, shear_wave_speed, poisson_ratio : float, optional
        Vpl (m/s), G (Pa), β (m/s) and ν of a block on a spring, 6.5 cm/yr, 40 GPa, 3 km/s and 1/4
        by default.
    fault : path or xarray.Dataset, optional
        The fault of cells that moves the ground, as `faults.fault_in_half_space` makes it, or with
        your own ``displacement_of_slip``.
    centre : (longitude, latitude), optional
        Where the coordinates of the fault are zero, degrees.
    start_time : float
        Time zero of the motion, in the unit of the table.

    Returns
    -------
    xarray.Dataset
        Of `DATA`.

    Raises
    ------
    DatasetError
        A number is missing, unreadable or impossible; a row is there twice.
    UnitsError
        A column of displacements does not say its unit.
    GeometryError
        A station stands below the top of the fault.
    OptionError
        Displacements without a fault, or elastic constants besides those of the fault.
    """
    start = {"start_log_slip_rate": start_log_slip_rate, "start_log_state": start_log_state}
    start = {name: value for name, value in start.items() if value is not None}
    constants = {
        "plate_rate": plate_rate,
        "rigidity": rigidity,
        "shear_wave_speed": shear_wave_speed,
        "poisson_ratio": poisson_ratio,
    }
    constants = {name: value for name, value in constants.items() if value is not None}
    if {"station", "site"} & set(table.cells):
        return of_ground(table, fault, start, constants, centre=centre, start_time=start_time)
    if fault is not None:
        raise OptionError(f"{table.name} has no column station, so that no fault is needed")
    constants = FALLBACK | constants
    slip_rate = table.numbers("slip_rate", "m/s", low=1e-40, high=1e3, missing=True)
    return labelled(
        DATA,
        {
            "time": table.numbers("time") - start_time,
            "log_slip_rate": np.log(slip_rate / constants["plate_rate"])[:, None],
            "log_slip_rate_error": log_slip_rate_error,
            **{name: [value] for name, value in (STEADY | start).items()},
        },
        **constants,
    )


def of_ground(table, fault, start, constants, *, centre, start_time):
    """Return the data set of displacements above a fault."""
    if fault is None:
        raise OptionError(
            f"{table.name} gives displacements of stations; give the fault that moves them by "
            "fault=, see fault_in_half_space"
        )
    if constants:
        raise OptionError(f"the fault has its own {', '.join(constants)}; leave the option out")
    if isinstance(fault, xr.Dataset):
        known = checked(FAULT, fault, source_of(fault))
    else:
        if not Path(fault).is_file():
            raise DatasetError(f"{fault} does not exist; give the path of a fault")
        known = checked(FAULT, load_netcdf(fault, DatasetError), str(fault))
    values, stations = displacements_of(table, known, centre=centre, start_time=start_time)
    held = {name: known[name].to_numpy() for name in FAULT.variables if name in known}
    moved = {name: np.broadcast_to(value, known.sizes["cell"]) for name, value in start.items()}
    own = {name: (FALLBACK | known.attrs)[name] for name in DATA.attributes}
    dataset = labelled(DATA, held | moved | values, **own)
    return dataset.assign_coords(station=stations)
