"""The two layouts of spectra as declarations, by which a data set from Python is checked."""

import numpy as np

from bayesquake.io.datasets import Schema, Variable
from bayesquake.model.options import count, number

from .errors import SpectraError
from .layout import ATTRIBUTES, EVENTS, PAIRS, dimensions_of
from .validation import validate

__all__ = ["LAYOUTS", "MOMENT"]

LARGEST_MOMENT = 1e26
"""More than any earthquake's (N m)."""
MOMENT = number("N m", above=0, at_most=LARGEST_MOMENT)

LOWEST, HIGHEST = -np.inf, np.inf
RANGES = {
    "freq": (0.0, 1e6),
    "mask": (0.0, 1.0),
    "log_power_ratio": (-1500.0, 1500.0),
    **dict.fromkeys(("nu", "nu1", "nu2"), (0.0, 1e9)),
    **dict.fromkeys(("moment", "moment1", "moment2"), (0.0, LARGEST_MOMENT)),
}


def require_spectra(dataset, name):
    """Require frequencies in order, places that are used or not, and what `validate` asks."""
    freq, mask = (dataset.variables[variable].to_numpy() for variable in ("freq", "mask"))
    if not (freq[0] > 0 and (np.diff(freq) > 0).all()):
        raise SpectraError(f"{name}: frequencies must be positive and ascend; sort them")
    if ((mask != 0) & (mask != 1)).any():
        raise SpectraError(f"{name}: mask must be 0 or 1; set it to 1 where data are used")
    validate(dataset)


def variable(name, unit, required):
    """Return the declaration of a variable of the layout of a unit."""
    low, high = RANGES.get(name, (LOWEST, HIGHEST))
    return Variable(
        ATTRIBUTES[name]["units"],
        ATTRIBUTES[name]["long_name"],
        dimensions_of(name, unit),
        low=low,
        high=high,
        missing=name == "sampling_rate",
        optional=name not in required,
    )


def layout(unit, required, optional):
    """Return the declaration of a layout."""
    return Schema(
        {name: variable(name, unit, required) for name in (*required, *optional)},
        attributes={
            "nu_max": number(above=0, at_most=1e9),
            "half_bandwidth_hz": number("Hz", at_least=0, at_most=1e4),
            "tempered": count(at_least=0, at_most=1),
        },
        defaults={"tempered": 0},
        require=require_spectra,
        error=SpectraError,
    )


LAYOUTS = (layout("pair", *PAIRS), layout("event", *EVENTS))
