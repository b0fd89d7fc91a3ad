"""The data sets of this model: a fault of cells, how it began to move, and what was seen of it.

SI units inside. A fault of one cell is a block on a spring, whose friction and stiffness are
numbers; of many cells friction is a field and the stiffness is known.
"""

import dataclasses

import numpy as np

from bayesquake.io.datasets import Schema, Variable
from bayesquake.model.options import number

from ..errors import KernelError

__all__ = ["COMPONENTS", "DATA", "FALLBACK", "FAULT", "SEEN"]

LARGEST = 1e13
"""Seconds, 300,000 years."""

ASYMMETRY, NEGATIVE = 1e-8, -1e-8
"""Of a stiffness, relative to its largest element and eigenvalue: rounding."""

FALLBACK = {
    "plate_rate": 0.065 / (365.25 * 86400),
    "rigidity": 40e9,
    "shear_wave_speed": 3000.0,
    "poisson_ratio": 0.25,
}
"""Of the slow slip twin."""


def require_motion(dataset, name):
    """Require increasing times, and a stiffness that is one."""
    time = dataset["time"].to_numpy()
    backward = np.diff(time) <= 0
    if backward.any():
        epoch = int(np.argmax(backward)) + 1
        raise ValueError(
            f"epoch {epoch}: time {time[epoch]:g} s is not after that of the epoch before it, "
            f"{time[epoch - 1]:g} s; sort the epochs and leave out repeated ones"
        )
    require_observations(dataset)
    if dataset.sizes["cell"] > 1:
        missing = [field for field in OF_FIELDS if field not in dataset]
        if missing:
            raise ValueError(
                f"a fault of {dataset.sizes['cell']} cells needs {', '.join(missing)}; give them, "
                "or the slip rates of one place"
            )
    if "stiffness" in dataset:
        require_fault(dataset, name)


def require_fault(dataset, name):
    """Require a stiffness that is one."""
    require_stiffness(dataset["stiffness"].transpose("cell", "source").to_numpy(), name)


def require_observations(dataset):
    """Require numbers of at least one kind, with their errors and what they depend on."""
    seen = [name for name in SEEN if name in dataset]
    if not seen:
        raise ValueError(f"nothing was observed; give {' or '.join(SEEN)}")
    for name in seen:
        missing = [other for other in SEEN[name] if other not in dataset]
        if missing:
            raise ValueError(f"{name} needs {', '.join(missing)}; give them")
        if not (dataset[name] + dataset[f"{name}_error"]).notnull().any():
            raise ValueError(f"{name} holds no number with an error; give what was observed")
    if "displacement" in seen:
        unknown = dataset["displacement"].notnull() & dataset["displacement_error"].isnull()
        if unknown.any():
            epoch, station, component = (int(i) for i in np.argwhere(unknown.to_numpy())[0])
            raise ValueError(
                f"epoch {epoch}, station {station}, component {component}: displacement has no "
                "displacement_error; give it"
            )


def require_stiffness(stiffness, name):
    """Require a square symmetric stiffness without negative eigenvalues.

    Raises
    ------
    KernelError
    """
    if stiffness.shape[0] != stiffness.shape[1]:
        raise KernelError(
            f"{name}: stiffness is {stiffness.shape}; give a square one, cell by cell"
        )
    uneven = np.abs(stiffness - stiffness.T)
    if uneven.max() > ASYMMETRY * np.abs(stiffness).max():
        cell, source = np.unravel_index(int(uneven.argmax()), uneven.shape)
        raise KernelError(
            f"{name}: stiffness of cells {cell} and {source} is {stiffness[cell, source]:g} and "
            f"{stiffness[source, cell]:g} Pa/m; give cells of one size, or a symmetric stiffness"
        )
    values = np.linalg.eigvalsh(stiffness)
    if values[0] < NEGATIVE * values[-1]:
        raise KernelError(
            f"{name}: the stiffness has the negative eigenvalue {values[0]:g} Pa/m, so that slip "
            "would feed itself; compute it again"
        )


def of_cell(unit, meaning, low=-1e8, high=1e8):
    """Return the declaration of what only a fault of several cells has."""
    return Variable(unit, meaning, ("cell",), low=low, high=high, optional=True)


OF_FIELDS = (
    "x",
    "y",
    "depth",
    "expected_a",
    "expected_b_minus_a",
    "expected_characteristic_slip",
    "stiffness",
)

SEEN = {
    "log_slip_rate": ("log_slip_rate_error",),
    "displacement": ("displacement_error", "displacement_of_slip"),
}
"""What may be observed, and what each kind needs."""

GREEN = ("station_x", "station_y", "displacement_of_slip")
"""Where stations stand, and how unit slip moves them."""

COMPONENTS = ("east", "north", "up")

DATA = Schema(
    {
        "time": Variable("s", "time after the start", ("epoch",), low=0, high=LARGEST),
        "log_slip_rate": Variable(
            "1",
            "ln of slip rate over plate rate",
            ("epoch", "cell"),
            low=-100,
            high=60,
            missing=True,
            optional=True,
        ),
        "log_slip_rate_error": Variable(
            "1", "standard deviation of its errors", (), low=1e-6, optional=True
        ),
        "displacement": Variable(
            "m",
            "displacement of the ground beyond that of steady loading",
            ("epoch", "station", "component"),
            low=-1e4,
            high=1e4,
            missing=True,
            optional=True,
        ),
        "displacement_error": Variable(
            "m",
            "standard deviation of its errors, but for a common factor",
            ("epoch", "station", "component"),
            low=1e-9,
            high=1e4,
            missing=True,
            optional=True,
        ),
        "displacement_of_slip": Variable(
            "1",
            "displacement by unit slip",
            ("station", "component", "cell"),
            low=-1e3,
            high=1e3,
            optional=True,
        ),
        "station_x": Variable("m", "place of the station", ("station",), optional=True),
        "station_y": Variable("m", "place of the station", ("station",), optional=True),
        "start_log_slip_rate": Variable(
            "1", "ln of slip rate over plate rate at time zero", ("cell",), low=-100, high=60
        ),
        "start_log_state": Variable(
            "1", "ln of state times plate rate over L at time zero", ("cell",), low=-100, high=100
        ),
        "x": of_cell("m", "place of the cell along slip"),
        "y": of_cell("m", "place of the cell across slip"),
        "depth": of_cell("m", "depth of the cell"),
        "expected_a": of_cell("Pa", "A as it is expected", low=1e-6, high=1e12),
        "expected_b_minus_a": of_cell("Pa", "B - A as it is expected", low=-1e12, high=1e12),
        "expected_characteristic_slip": of_cell("m", "L as it is expected", low=1e-12, high=1e4),
        "corners": Variable(
            "m",
            "corners of the cells, east, north and up, around each",
            ("cell", "corner", "axis"),
            low=-1e8,
            high=1e8,
            optional=True,
        ),
        "slip_direction": Variable(
            "1",
            "unit vector along which the hanging wall moves",
            ("axis",),
            low=-1,
            high=1,
            optional=True,
        ),
        "stiffness": Variable(
            "Pa/m", "shear stress that slip takes from a cell", ("cell", "source"), optional=True
        ),
    },
    attributes={
        "plate_rate": number("m/s", above=0, at_most=1),
        "rigidity": number("Pa", above=0, at_most=1e15),
        "shear_wave_speed": number("m/s", above=0, at_most=1e5),
        "poisson_ratio": number(at_least=0, below=0.5),
    },
    defaults=FALLBACK,
    coordinates={"component": COMPONENTS, "axis": COMPONENTS},
    require=require_motion,
)

OF_FAULT = (*OF_FIELDS, "start_log_slip_rate", "start_log_state")

FAULT = Schema(
    {name: dataclasses.replace(DATA.variables[name], optional=False) for name in OF_FAULT}
    | {name: DATA.variables[name] for name in ("corners", "slip_direction", *GREEN)},
    attributes=DATA.attributes,
    defaults=FALLBACK,
    coordinates=DATA.coordinates,
    require=require_fault,
)
"""A fault of cells to which observations are added."""
