"""What a triage found about each problem, as a table, and in words where it found too little."""

import warnings

import numpy as np
import xarray as xr

from bayesquake.batch.tiers import TIERS

__all__ = ["MEANINGS", "UncertifiedWarning", "failures_of", "table_of", "warn_of_failures"]

MEANINGS = {
    "tier": "tier that certified the problem, 0 if none did",
    "r_hat": "largest rank-normalised split R-hat of the quantities",
    "ess_bulk": "smallest bulk effective sample size of the quantities",
    "ess_tail": "smallest tail effective sample size of the quantities",
    "pareto_k": "Pareto k-hat of importance weights of the Gaussian at the mode",
    "modes": "modes found whose log density is within 10 of the best",
    "curvature": "smallest eigenvalue of the negative Hessian at the best mode",
    "divergences": "divergent trajectories among the draws",
    "gradients": "gradient evaluations",
}
"""Variables of the group ``triage``."""

NAMED_IN_WARNING = 10


class UncertifiedWarning(UserWarning):
    """Some problems have no certified posterior."""


def table_of(triaged, dim="problem"):
    """Return the evidence for every problem.

    Parameters
    ----------
    triaged : bayesquake.batch.tiers.Triaged
    dim : str
        Name of the problem axis.

    Returns
    -------
    xarray.Dataset
        The variables `MEANINGS`, (problem,).
    """
    table = xr.Dataset(
        {
            name: (dim, getattr(triaged, name), {"units": "1", "long_name": meaning})
            for name, meaning in MEANINGS.items()
        }
    )
    table["tier"].attrs |= {
        "flag_values": np.arange(len(TIERS)),
        "flag_meanings": " ".join(tier.replace(" ", "_") for tier in TIERS),
    }
    return table


def failures_of(table, dim="problem"):
    """Return why each problem that is not certified is not, by name."""
    return {
        str(row[dim].item()): _reason({name: row[name].item() for name in MEANINGS})
        for row in (table.isel({dim: i}) for i in np.flatnonzero(table["tier"] == 0))
    }


def warn_of_failures(failures, problems, stacklevel=3):
    """Warn of the problems that have no certified posterior, if there are any.

    Warns
    -----
    UncertifiedWarning
    """
    if failures:
        warnings.warn(_listing(failures, problems), UncertifiedWarning, stacklevel=stacklevel)


def _reason(row):
    if np.isnan(row["r_hat"]):
        return "the log density is not finite at any starting point; check its data"
    reason = (
        f"R-hat {row['r_hat']:.3f}, effective sample size {row['ess_bulk']:.0f} in the bulk and "
        f"{row['ess_tail']:.0f} in the tails"
    )
    if row["modes"] > 1:
        reason += f", {row['modes']} modes"
    if row["divergences"]:
        reason += f", {row['divergences']} divergences"
    return reason


def _listing(failures, problems):
    first = list(failures.items())[:NAMED_IN_WARNING]
    lines = [f"{name}: {reason}" for name, reason in first]
    if len(failures) > len(first):
        lines.append(f"and {len(failures) - len(first)} more, in the attribute 'failures'")
    return f"{len(failures)} of {problems} problems have no certified posterior\n" + "\n".join(
        lines
    )
