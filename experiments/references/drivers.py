"""How far every driver is from a reference posterior, and what it costs."""

import numpy as np
import pandas as pd

from bayesquake.diagnostics.reference import agreement, reference_target
from bayesquake.errors import DriverError
from bayesquake.inference.constrained import constrained
from bayesquake.inference.drivers import driver_named

__all__ = ["SETTINGS", "driver_table"]

SETTINGS: dict[str, dict] = {
    "nuts": {"chains": 4, "warmup": 500, "draws": 1000},
    "chees": {"chains": 16, "warmup": 500, "draws": 500},
    "mclmc": {"chains": 16, "warmup": 500, "draws": 500},
    "smc": {"chains": 4, "draws": 1000},
    "pathfinder": {"chains": 4, "draws": 1000},
    "svi": {"chains": 4, "draws": 1000},
    "laplace": {"chains": 4, "draws": 1000},
}
SEED = 7


def driver_table(model, reference):
    """Run every driver on the target of a reference.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    reference : xarray.DataTree

    Returns
    -------
    pandas.DataFrame
        By driver: whether it is labelled approximate, the largest differences of means and
        of standard deviations in combined Monte-Carlo errors (``worst_z_mean``,
        ``worst_z_sd``), the largest difference of means in posterior standard deviations,
        the largest relative difference of standard deviations, k-hat, gradients, seconds.
    """
    target = reference_target(model, reference)
    rows: dict[str, dict] = {}
    for name, settings in SETTINGS.items():
        try:
            made = driver_named(name)(target, seed=SEED, **settings)
        except DriverError as problem:
            rows[name] = {"refused": str(problem)}
            continue
        table = agreement(constrained(target, made.positions), reference)
        approximate = bool(made.notes.get("approximate", 0))
        evidence = {row.name: row.value for row in made.checks(None)} if approximate else {}
        rows[name] = {
            "approximate": int(approximate),
            "worst_z_mean": table["z_mean"].abs().max(),
            "worst_z_sd": table["z_sd"].abs().max(),
            "worst_difference_in_sd": table["difference_in_sd"].abs().max(),
            "worst_sd_ratio_error": np.abs(table["sd"] / table["reference_sd"] - 1).max(),
            "pareto_k": evidence.get("Pareto k-hat", np.nan),
            "gradients": made.gradients,
            "compile_seconds": made.compile_seconds,
            "run_seconds": made.run_seconds,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
