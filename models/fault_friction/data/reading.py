"""The reader of this model."""

import numpy as np

from bayesquake.io.datasets import labelled, reader
from bayesquake.model.options import number, takes

from .dataset import DATA, FALLBACK

__all__ = ["read"]


@reader(DATA)
@takes(
    log_slip_rate_error=number(at_least=1e-6, at_most=100),
    start_log_slip_rate=number(at_least=-100, at_most=60),
    start_log_state=number(at_least=-100, at_most=100),
    **DATA.attributes,
)
def read(
    table,
    *,
    log_slip_rate_error=0.1,
    start_log_slip_rate=0.0,
    start_log_state=0.0,
    plate_rate=FALLBACK["plate_rate"],
    rigidity=FALLBACK["rigidity"],
    shear_wave_speed=FALLBACK["shear_wave_speed"],
):
    """Read slip rates of one place on a fault.

    Parameters
    ----------
    source : path or xarray.Dataset
        A CSV table with the columns ``time`` (s after the start) and ``slip_rate`` (m/s); or a data
        set of this model.
    log_slip_rate_error : float
        Standard deviation of the errors of ln V.
    start_log_slip_rate, start_log_state : float
        ln(V / Vpl) and ln(θ Vpl / L) at time zero; steady slip with the plates by default.
    plate_rate : float
        Vpl, m/s.
    rigidity : float
        G, Pa.
    shear_wave_speed : float
        β, m/s.

    Returns
    -------
    xarray.Dataset
        Of `DATA`.
    """
    slip_rate = table.numbers("slip_rate", "m/s", low=1e-40, high=1e3, missing=True)
    return labelled(
        DATA,
        {
            "time": table.numbers("time"),
            "log_slip_rate": np.log(slip_rate / plate_rate)[:, None],
            "log_slip_rate_error": log_slip_rate_error,
            "start_log_slip_rate": [start_log_slip_rate],
            "start_log_state": [start_log_state],
        },
        plate_rate=plate_rate,
        rigidity=rigidity,
        shear_wave_speed=shear_wave_speed,
    )
