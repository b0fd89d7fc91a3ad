"""The drivers by name. A model may bring others of its own.

A driver is ``(target, *, chains, draws, seed, progress, ...) -> Found``, its options keyword-only.
"""

import importlib

from bayesquake.errors import DriverError

__all__ = ["DRIVERS", "driver_named"]

DRIVERS = {
    "nuts": "bayesquake.inference.nuts:nuts",
    "chees": "bayesquake.inference.chees:chees",
    "mclmc": "bayesquake.inference.mclmc:mclmc",
    "smc": "bayesquake.inference.smc:smc",
    "pathfinder": "bayesquake.inference.pathfinder:pathfinder",
    "svi": "bayesquake.inference.svi:svi",
    "laplace": "bayesquake.inference.laplace:laplace",
    "grid": "bayesquake.inference.grid:grid",
    "triage": "bayesquake.batch.triage:triage_driver",
}
"""Module and function of every driver, loaded when asked for."""


def driver_named(name, model=None):
    """Return the driver of that name, the model's own before those of the library.

    Raises
    ------
    DriverError
        There is none.
    """
    own = {} if model is None else model.drivers
    if name in own:
        return own[name]
    if name not in DRIVERS:
        known = ", ".join([*own, *DRIVERS])
        raise DriverError(f"driver {name!r} is unknown; choose from {known}")
    module, _, function = DRIVERS[name].partition(":")
    return getattr(importlib.import_module(module), function)
