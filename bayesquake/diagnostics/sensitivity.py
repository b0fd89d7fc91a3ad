"""How far prior and data each move the posterior, by power scaling.

Prior or likelihood is raised to a power close to one by weighting the draws; the
distance that a quantity's distribution moves, per doubling, is its sensitivity. Above
0.05 to both, prior and data pull against each other; to the prior alone, it decides.

References
----------
Kallioinen, Paananen, Bürkner & Vehtari 2024, doi:10.1007/s11222-023-10366-5.
"""

import logging

import pandas as pd
import xarray as xr
from arviz_stats import psense_summary

from bayesquake.diagnostics.convergence import scalar_names
from bayesquake.errors import ResultError

__all__ = ["prior_sensitivity"]


def prior_sensitivity(result):
    """Return the sensitivity of every scalar quantity to prior and likelihood.

    Parameters
    ----------
    result : xarray.DataTree
        With groups ``log_prior`` and ``log_likelihood``.

    Returns
    -------
    pandas.DataFrame
        By quantity: ``prior``, ``likelihood``, ``diagnosis``.

    Raises
    ------
    ResultError
        The result lacks one of the groups.
    """
    for group in ("log_prior", "log_likelihood"):
        if group not in result.children:
            raise ResultError(
                f"the result has no group '{group}', from which sensitivity is computed; fit again"
            )
    log_likelihood = result["log_likelihood"].to_dataset()
    kept = {"draw": log_likelihood["draw"]}
    posterior = result["posterior"].to_dataset().sel(kept)
    varying = [name for name in scalar_names(posterior) if float(posterior[name].std()) > 0]
    needed = xr.DataTree.from_dict(
        {
            "posterior": posterior[varying],
            "log_prior": result["log_prior"].to_dataset().sel(kept),
            "log_likelihood": log_likelihood,
        }
    )
    level = logging.getLogger("arviz_stats").level
    logging.getLogger("arviz_stats").setLevel(logging.ERROR)
    try:
        table = psense_summary(needed)
    finally:
        logging.getLogger("arviz_stats").setLevel(level)
    return pd.DataFrame(
        {
            "prior": table["prior"].astype(float),
            "likelihood": table["likelihood"].astype(float),
            "diagnosis": table["diagnosis"].replace("✓", ""),
        }
    )
