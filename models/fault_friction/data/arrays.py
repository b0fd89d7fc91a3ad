"""The arrays of the model: observations, the fault that they are of, and how it is followed."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesquake.errors import DatasetError
from bayesquake.io.datasets import prepared
from bayesquake.model.options import number, one_of, takes

from ..physics.laws import LAWS
from .dataset import DATA

__all__ = ["OPTIONS", "FaultArrays", "Integration", "prepare"]

OPTIONS = {"law": one_of(*LAWS), "tolerance": number(above=0, at_most=0.1)}

SEARCHED_SCALE = 1e3
"""Pa, while the mode is sought."""


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Integration:
    """How a fault is followed.

    Attributes
    ----------
    law : {"aging", "slip"}
    tolerance : float
        Largest error of any q and s in a step.
    """

    law: str
    tolerance: float


class FaultArrays(NamedTuple):
    """What was observed of a fault, and what is known of it.

    Attributes
    ----------
    times : (epoch,)
        Seconds after the start.
    log_slip_rate : (epoch, cell)
        Observed q, zero where there is none.
    seen : (epoch, cell) of bool
    error : scalar
        Standard deviation of the errors of q.
    start_log_slip_rate, start_log_state : (cell,)
        q and s at time zero.
    plate_rate : scalar
        Vpl (m/s).
    damping : scalar
        η = G / 2β (Pa s/m).
    weakening_scale : scalar
        B - A (Pa) beyond which chains hold its logarithm, see `coordinates`.
    integration : Integration
    """

    times: Any
    log_slip_rate: Any
    seen: Any
    error: Any
    start_log_slip_rate: Any
    start_log_state: Any
    plate_rate: Any
    damping: Any
    weakening_scale: Any
    integration: Integration


@prepared(DATA)
@takes(**OPTIONS)
def prepare(dataset, *, law="aging", tolerance=1e-7):
    """Return the `FaultArrays` of a data set.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of `DATA`.
    law : {"aging", "slip"}
        How the state evolves.
    tolerance : float
        Largest error of ln V and ln θ in a step of the integration.

    Raises
    ------
    DatasetError
    """
    if dataset.sizes["cell"] > 1:
        raise DatasetError(
            f"the fault has {dataset.sizes['cell']} cells; only a fault of one cell can be fitted"
        )
    observed = values(dataset, "log_slip_rate")
    attributes = {**DATA.defaults, **dataset.attrs}
    return FaultArrays(
        times=values(dataset, "time"),
        log_slip_rate=np.nan_to_num(observed),
        seen=np.isfinite(observed),
        error=values(dataset, "log_slip_rate_error"),
        start_log_slip_rate=values(dataset, "start_log_slip_rate"),
        start_log_state=values(dataset, "start_log_state"),
        plate_rate=np.asarray(attributes["plate_rate"]),
        damping=np.asarray(attributes["rigidity"] / (2 * attributes["shear_wave_speed"])),
        weakening_scale=np.asarray(SEARCHED_SCALE),
        integration=Integration(law, tolerance),
    )


def values(dataset, name):
    """Return a variable as numbers."""
    return dataset[name].to_numpy().astype(float)
