"""A probabilistic-programming model zoo for earthquake science.

The public face is a handful of functions, loaded when first used::

    import bayesquake as bq
    model = bq.load_model("aftershock_rate")
    data = model.read("catalogue.csv", end_days=1.0)
    result = bq.fit(model, data, seed=1)
    bq.check(result)
    bq.report(result, "report.html")

Importing bayesquake turns on 64-bit floats in JAX, through the environment so that
worker processes inherit them.
"""

import importlib
import os
import sys

__all__ = [
    "calibrate",
    "chain",
    "check",
    "fit",
    "fit_many",
    "leave_one_out",
    "list_models",
    "load_model",
    "open_result",
    "refit",
    "report",
    "target",
    "write_netcdf",
]

os.environ.setdefault("JAX_ENABLE_X64", "1")
if "jax" in sys.modules and os.environ["JAX_ENABLE_X64"] not in ("0", "false", "False"):
    sys.modules["jax"].config.update("jax_enable_x64", True)

_HOMES = {
    "calibrate": "bayesquake.diagnostics.calibration",
    "chain": "bayesquake.results.chain",
    "check": "bayesquake.diagnostics.convergence",
    "fit": "bayesquake.inference.fit",
    "fit_many": "bayesquake.batch.many",
    "leave_one_out": "bayesquake.diagnostics.predictive",
    "list_models": "bayesquake.model.registry",
    "load_model": "bayesquake.model.registry",
    "open_result": "bayesquake.results.netcdf",
    "refit": "bayesquake.diagnostics.refit",
    "report": "bayesquake.reporting.html",
    "target": "bayesquake.targets.target",
    "write_netcdf": "bayesquake.results.netcdf",
}


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        return version("bayesquake")
    if name not in _HOMES:
        raise AttributeError(f"module 'bayesquake' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted({*globals(), *__all__, "__version__"})
