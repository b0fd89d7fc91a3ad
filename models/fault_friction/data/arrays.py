"""The arrays of the model: observations, the fault that they are of, and how it is followed."""

import dataclasses
import warnings
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesquake.io.datasets import prepared
from bayesquake.model.options import any_of, flag, number, one_of, takes

from ..errors import CoarseCellsWarning, FrictionParameterError, ResolutionError
from ..friction import Fields
from ..observation import Series
from ..physics.laws import LAWS
from .dataset import DATA, SEEN

__all__ = ["OPTIONS", "FaultArrays", "Integration", "prepare"]

CORRELATIONS = {
    "exponential": lambda r: np.exp(-r),
    "matern_3/2": lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r),
}

OPTIONS = {
    "law": one_of(*LAWS),
    "tolerance": any_of(None, number(above=0, at_most=0.1)),
    "log_a_sd": number(above=0, at_most=10),
    "b_minus_a_sd": number("Pa", above=0, at_most=1e9),
    "log_characteristic_slip_sd": number(above=0, at_most=10),
    "correlation_length": number("m", above=0, at_most=1e7),
    "correlation": one_of(*CORRELATIONS),
    "displacement_offset_sd": number("m", above=0, at_most=1e3),
    "start_sd": any_of(None, number(above=0, at_most=100)),
    "allow_unresolved": flag(),
}

WELL_RESOLVED = 1 / 3
"""Cells in units of L_b up to which slip is smooth from cell to cell."""

TOLERANCES = {True: 1e-7, False: 1e-6}
"""Of a block on a spring, and of a fault of cells."""

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
    observed : dict of observation.Series
        ``log_slip_rate``, q by (epoch, cell), and ``displacement``, m by (epoch, station,
        component), or one of them.
    displacement_of_slip : (station, component, cell) or None
        G, m per m.
    displacement_offset_sd : scalar
        Of the prior of the offsets, m.
    start_log_slip_rate, start_log_state : (cell,)
        q and s at time zero, as they are expected.
    start_sd : scalar or None
        Their standard deviation; None where they are known.
    plate_rate : scalar
        Vpl (m/s).
    damping : scalar
        η = G / 2β (Pa s/m).
    fields : friction.Fields or None
        What is known before of a fault of cells; None of a block on a spring.
    grid : physics.frozen.Grid or None
        Steps that are held; None where they are chosen anew.
    weakening_scale : scalar
        B - A (Pa) beyond which chains hold its logarithm, see `coordinates`.
    integration : Integration
    """

    times: Any
    observed: Any
    displacement_of_slip: Any
    displacement_offset_sd: Any
    start_log_slip_rate: Any
    start_log_state: Any
    start_sd: Any
    plate_rate: Any
    damping: Any
    fields: Any
    grid: Any
    weakening_scale: Any
    integration: Integration


@prepared(DATA)
@takes(**OPTIONS)
def prepare(
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
    """Return the `FaultArrays` of a data set.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of `DATA`.
    law : {"aging", "slip"}
        How the state evolves.
    tolerance : float, optional
        Largest error of ln V and ln θ in a step of the integration; 1e-7 for a block on a spring
        and 1e-6 for a fault of cells by default.
    log_a_sd, b_minus_a_sd, log_characteristic_slip_sd : float
        Standard deviations of the fields ln A, B - A (Pa) and ln L around the expected ones; those
        of a block on a spring are priors of its numbers.
    correlation_length : float
        Of the fields, m.
    correlation : {"exponential", "matern_3/2"}
        How they are correlated with distance.
    displacement_offset_sd : float
        Standard deviation of displacements at time zero, m.
    start_sd : float, optional
        Standard deviation of ln V and ln θ at time zero around those of the data set; by default
        these are known.
    allow_unresolved : bool
        Whether cells may be longer than :math:`L_b = G L / B` of the expected fields, below which
        slip is continuous; each then slips by itself.

    Raises
    ------
    DatasetError
    FrictionParameterError
        B of the expected fields is not positive.
    ResolutionError
        A cell is longer than L_b.

    Warns
    -----
    CoarseCellsWarning
        A cell is longer than a third of L_b.
    """
    attributes = {**DATA.defaults, **dataset.attrs}
    spring = dataset.sizes["cell"] == 1
    spread = np.array([log_a_sd, b_minus_a_sd, log_characteristic_slip_sd])
    fields = None if spring else fields_of(dataset, spread, correlation, correlation_length)
    if not (spring or allow_unresolved):
        require_resolution(fields, distances(dataset), attributes["rigidity"])
    return FaultArrays(
        times=values(dataset, "time"),
        observed={name: series_of(dataset, name) for name in SEEN if name in dataset},
        displacement_of_slip=(
            values(dataset, "displacement_of_slip") if "displacement" in dataset else None
        ),
        displacement_offset_sd=np.asarray(displacement_offset_sd),
        start_log_slip_rate=values(dataset, "start_log_slip_rate"),
        start_log_state=values(dataset, "start_log_state"),
        start_sd=None if start_sd is None else np.asarray(start_sd),
        plate_rate=np.asarray(attributes["plate_rate"]),
        damping=np.asarray(attributes["rigidity"] / (2 * attributes["shear_wave_speed"])),
        fields=fields,
        grid=None,
        weakening_scale=np.asarray(SEARCHED_SCALE),
        integration=Integration(law, tolerance or TOLERANCES[spring]),
    )


def series_of(dataset, name):
    """Return what was seen of one kind."""
    value, error = values(dataset, name), values(dataset, f"{name}_error")
    seen = np.isfinite(value) & np.isfinite(error)
    return Series(np.where(seen, value, 0.0), seen, np.where(seen, error, 1.0))


def fields_of(dataset, spread, correlation, length):
    """Return what is known before of a fault of cells."""
    a, b_minus_a = values(dataset, "expected_a"), values(dataset, "expected_b_minus_a")
    if not (a + b_minus_a > 0).all():
        cell = int(np.argmin(a + b_minus_a > 0))
        raise FrictionParameterError(
            f"cell {cell}: B = A + (B - A) is {a[cell] + b_minus_a[cell]:g} Pa in the expected "
            "fields; give fields in which it is positive"
        )
    return Fields(
        stiffness=values(dataset, "stiffness"),
        expected_log_a=np.log(a),
        expected_b_minus_a=b_minus_a,
        expected_log_characteristic_slip=np.log(values(dataset, "expected_characteristic_slip")),
        spread=spread,
        root=np.linalg.cholesky(CORRELATIONS[correlation](distances(dataset) / length)),
    )


def distances(dataset):
    """Return the distances between the middles of cells, (cell, cell), m."""
    place = np.stack([values(dataset, axis) for axis in ("x", "y", "depth")], axis=1)
    return np.linalg.norm(place[:, None] - place, axis=-1)


def require_resolution(fields, distance, rigidity):
    """Require cells, as long as their nearest neighbour is away, that are shorter than L_b."""
    b = np.exp(fields.expected_log_a) + fields.expected_b_minus_a
    shortest = rigidity * np.exp(fields.expected_log_characteristic_slip) / b
    length = np.where(distance > 0, distance, np.inf).min(axis=1)
    cell = int(np.argmax(length / shortest))
    told = (
        f"cell {cell} is {length[cell] / 1e3:.3g} km long, and L_b = G L / B there is "
        f"{shortest[cell] / 1e3:.3g} km"
    )
    if length[cell] > shortest[cell]:
        raise ResolutionError(
            f"{told}: slip would not be continuous from cell to cell; give smaller cells, or pass "
            "allow_unresolved=True"
        )
    if length[cell] > WELL_RESOLVED * shortest[cell]:
        warnings.warn(
            f"{told}: slip is rough from cell to cell; cells of a third of it are smooth",
            CoarseCellsWarning,
            stacklevel=4,
        )


def values(dataset, name):
    """Return a variable as numbers."""
    return dataset[name].to_numpy().astype(float)
