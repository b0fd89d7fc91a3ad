"""Ranks of true values among posterior draws, and whether they are uniform.

References
----------
Talts et al. 2018, doi:10.48550/arXiv.1804.06788;
Säilynoja, Bürkner & Vehtari 2022, doi:10.1007/s11222-022-10090-6 (simultaneous bands).
"""

import functools

import numpy as np
import pandas as pd
from arviz_stats.ecdf_utils import ecdf_pit
from scipy.stats import binom, chisquare

from bayesquake.results.checks import Check

__all__ = ["RANK_DRAWS", "calibration_checks", "calibration_table", "rank_ecdf", "ranks_of"]

RANK_DRAWS = 99
"""Draws kept for ranks, so that a rank has 100 possible values."""

INTERVAL = 0.9
BAND = 0.95
BAND_SIMULATIONS = 2000
TIE_SEED = 7

SMALLEST_P = 0.001
"""Probability below which ranks or coverage are not those of a calibrated posterior: small, for it
is asked of every quantity."""

FEWEST_REPLICATES = 99
"""With as many the standard error of a coverage of 90 % is 3 %."""

DIVERGENT_SHARE = 0.05


def ranks_of(draws, truth):
    """Return the rank of the truth among thinned draws.

    Parameters
    ----------
    draws : (replicate, draw, ...)
        At least `RANK_DRAWS` draws.
    truth : (replicate, ...)

    Returns
    -------
    (replicate, ...) of int
        0 to `RANK_DRAWS`.
    """
    spread = np.linspace(0, draws.shape[1] - 1, RANK_DRAWS).round().astype(int)
    return (draws[:, spread] < truth[:, None]).sum(axis=1)


def rank_ecdf(ranks, rank_draws=RANK_DRAWS):
    """Return the distribution function of the ranks with its simultaneous band.

    Parameters
    ----------
    ranks : (replicate,) of int
        0 to `rank_draws`; ties are broken at random, by a fixed seed.

    Returns
    -------
    points, ecdf, lower, upper : arrays of equal shape
        The band holds all of a uniform ECDF with probability 0.95.
    """
    rng = np.random.default_rng(TIE_SEED)
    share = (ranks + rng.uniform(size=ranks.size)) / (rank_draws + 1)
    points, lower, upper = _band(ranks.size)
    return points, np.searchsorted(np.sort(share), points, side="right") / ranks.size, lower, upper


@functools.cache
def _band(count):
    """Return the points of an ECDF of so many values, and its band."""
    uniform = (np.arange(count) + 0.5) / count
    rng = np.random.default_rng(TIE_SEED)
    points, _, lower, upper = ecdf_pit(uniform, BAND, BAND_SIMULATIONS, rng=rng)
    return points, lower, upper


def calibration_table(calibration, bins=10):
    """Summarise ranks and coverage per quantity.

    Parameters
    ----------
    calibration : xarray.Dataset
        The group ``ranks`` of `bayesquake.diagnostics.calibration.calibrate`.
    bins : int
        Bins of the χ² test of uniform ranks.

    Returns
    -------
    pandas.DataFrame
        By quantity: ``mean_rank`` (0 to 1), ``chi2_p``, ``inside_band`` (whether the rank ECDF
        stays in its simultaneous 95 % band), ``coverage`` of the central 90 % interval, counted
        by ranks and so free of the error of sample quantiles, its Monte-Carlo
        ``standard_error`` and ``binomial_p``. The attributes ``low_ess_share``, the share of
        replicates with fewer effective draws than a rank needs, and ``divergent_share``
        say how far the ranks themselves can be trusted.
    """
    n = calibration.sizes["replicate"]
    ranks = calibration["rank"].to_numpy()
    rank_draws = calibration.attrs["rank_draws"]
    values = rank_draws + 1
    level = calibration.attrs["interval"]
    tail = round(0.5 * (1 - level) * values)
    inside = (ranks >= tail) & (ranks < values - tail)
    rows = []
    for j, name in enumerate(calibration["quantity"].to_numpy()):
        counts = np.histogram(ranks[:, j], bins=bins, range=(-0.5, values - 0.5))[0]
        _, ecdf, lower, upper = rank_ecdf(ranks[:, j], rank_draws)
        covered = int(inside[:, j].sum())
        rows.append(
            {
                "quantity": str(name),
                "mean_rank": (ranks[:, j].mean() + 0.5) / values,
                "chi2_p": chisquare(counts).pvalue,
                "inside_band": bool(((ecdf >= lower) & (ecdf <= upper)).all()),
                "coverage": covered / n,
                "standard_error": np.sqrt(level * (1 - level) / n),
                "binomial_p": min(
                    1.0, 2 * min(binom.cdf(covered, n, level), binom.sf(covered - 1, n, level))
                ),
            }
        )
    table = pd.DataFrame(rows).set_index("quantity")
    if "minimum_ess" in calibration:
        table.attrs["low_ess_share"] = float((calibration["minimum_ess"] < rank_draws).mean())
    if "divergences" in calibration:
        table.attrs["divergent_share"] = float((calibration["divergences"] > 0).mean())
    return table


def calibration_checks(calibration):
    """Return the rows of a calibration run.

    Parameters
    ----------
    calibration : xarray.Dataset
        The group ``ranks``.

    Returns
    -------
    tuple of Check
    """
    table = calibration_table(calibration)

    def of_quantities(name, column, meaning):
        values = table[column].to_numpy()
        return Check(name, values, SMALLEST_P, "above", "adequacy", "quantity", meaning)

    rows = [
        of_quantities("p-value of ranks", "chi2_p", "χ² probability of ranks as uneven as these"),
        of_quantities("p-value of coverage", "binomial_p", "binomial, of a coverage as far off"),
        Check(
            "replicates",
            float(calibration.sizes["replicate"]),
            FEWEST_REPLICATES,
            "above",
            "precision",
            meaning="simulated data sets",
        ),
    ]
    if "divergent_share" in table.attrs:
        share = table.attrs["divergent_share"]
        meaning = "share of replicates with a divergent trajectory"
        rows.append(Check("divergences", share, DIVERGENT_SHARE, kind="adequacy", meaning=meaning))
    if "low_ess_share" in table.attrs:
        meaning = "share of replicates with fewer effective draws than a rank needs"
        rows.append(Check("few effective draws", table.attrs["low_ess_share"], meaning=meaning))
    return tuple(rows)
