"""How well chains of the joint posterior have mixed, and what each quantity is."""

import numpy as np
import pandas as pd

from bayesquake.results.convergence import convergence

__all__ = ["AXES", "convergence_table"]

AXES = ("x", "y", "depth")


def convergence_table(result):
    """Return the largest R-hat and the smallest ESS of each quantity, its mean and its sd.

    The ESS also stands for 1000 gradients after warm-up.
    """
    gradients = float(result["sample_stats"]["n_steps"].sum())
    rows = {}
    for name in ("vp", "vpvs", "station_term", *AXES, "origin_time", "sigma", "tau"):
        draws = result["posterior"][name].to_numpy()
        flat = np.moveaxis(draws.reshape(*draws.shape[:2], -1), 2, 0)
        found = convergence(flat)
        rows[name] = {
            "r_hat": found.r_hat.max(),
            "ess_bulk": found.ess_bulk.min(),
            "ess_per_1000_gradients": 1000 * found.ess_bulk.min() / gradients,
            "mean": flat.mean(),
            "sd": flat.std(axis=(1, 2)).mean(),
        }
    return pd.DataFrame(rows).T.rename_axis("quantity")
