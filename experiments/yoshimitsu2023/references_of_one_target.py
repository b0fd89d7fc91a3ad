r"""One target with several reference events: whether estimating ν makes them agree.

Every reference gives its own posterior of the target's ln f1, with mean μ_r and standard
deviation s_r. If the posteriors mean what they say,

.. math:: \chi^2 = \sum_r (\mu_r - \bar\mu)^2 / s_r^2

is about its degrees of freedom, R - 1. It exceeds them where spectra scatter more than the
degrees of freedom that the model assumes. A remedy must lower it without moving the
means further apart; intervals that are merely wider are no remedy.
"""

import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.model.registry import load_model
from bayesquake.models.source_spectra.spectrum import SHAPES, log_source_spectrum

from . import figures
from .study import draw_truth, pair_draws

__all__ = ["FITS", "between_references", "run", "simulate_targets"]

FITS = {"ν fixed": {}, "ν estimated": {"degrees_of_freedom": "estimated"}}


def run(study, folder):
    """Fit simulated targets of four kinds with fixed and with estimated degrees of freedom.

    Returns
    -------
    str
        χ² over its degrees of freedom where spectra scatter more than assumed, in one line.
    """
    settings = study.config["references_of_one_target"]
    shape = (study.mode["references_of_one_target"]["targets"], settings["references"])
    rows, chi2, spread = {}, {}, {}
    for number, (world, scatter) in enumerate(settings["worlds"].items()):
        truth, dataset = simulate_targets(study, shape, scatter, 400 + number)
        for label, options in FITS.items():
            draws = pair_draws(study, load_model("source_spectra"), dataset, **options)
            ln_fc1 = draws["ln_fc1"].to_numpy().reshape(*shape, -1)
            mean, sd = ln_fc1.mean(axis=2), ln_fc1.std(axis=2)
            agreement = between_references(mean, sd)
            chi2[world, label] = agreement["chi2_over_dof"]
            spread[world, label] = agreement["spread"]
            wider = spread[world, label] - spread[world, "ν fixed"]
            rows[world, label] = {
                "targets": shape[0],
                "chi2_over_dof": chi2[world, label].mean(),
                "chi2_over_dof_error": standard_error(chi2[world, label]),
                "spread": spread[world, label].mean(),
                "spread_less_fixed": wider.mean(),
                "spread_less_fixed_error": standard_error(wider),
                "mean_sd": sd.mean(),
                "rmse": np.sqrt(((mean - truth[:, None]) ** 2).mean()),
                "uncertified": draws.attrs["uncertified"],
            }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["world", "fit"])
    table.to_csv(folder / "references.csv", float_format="%.4f")
    figures.references_of_one_target(chi2).savefig(folder / "references.png", dpi=150)
    return "between-reference χ²/dof of ln f1, ν fixed and estimated: " + "; ".join(
        f"{world} {table.loc[(world, 'ν fixed'), 'chi2_over_dof']:.2f}, "
        f"{table.loc[(world, 'ν estimated'), 'chi2_over_dof']:.2f}"
        for world in settings["worlds"]
    )


def standard_error(values):
    """Return the standard error of a mean over independent targets."""
    return values.std(ddof=1) / np.sqrt(len(values))


def between_references(mean, sd):
    """Return how the references of every target agree.

    Parameters
    ----------
    mean, sd : (target, reference) array
        Of the posteriors of ln f1 (ln Hz).

    Returns
    -------
    dict of (target,) arrays
        ``chi2_over_dof``; ``spread``, the standard deviation of the means.
    """
    weight = sd**-2
    centre = (weight * mean).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    chi2 = (weight * (mean - centre) ** 2).sum(axis=1)
    return {
        "chi2_over_dof": chi2 / (mean.shape[1] - 1),
        "spread": mean.std(axis=1, ddof=1),
    }


def simulate_targets(study, shape, scatter, seed):
    """Simulate targets, each with references that share its one spectrum.

    Parameters
    ----------
    study : bayesquake.experiments.entries.Study
    shape : (int, int)
        Targets, and references of each.
    scatter : dict
        True ``degrees_of_freedom``, and ``site_scatter`` of each reference in ln amplitude.
    seed : int

    Returns
    -------
    ln_fc1 : (target,)
    dataset : xarray.Dataset
        Pairs, those of a target in a row, with the degrees of freedom that are assumed.
    """
    settings, design = study.config["references_of_one_target"], study.config["design"]
    rng = np.random.default_rng([study.config["seed"], seed, 1])
    ln_fc1 = draw_truth(study, shape[0], seed)["ln_fc1"]
    others = draw_truth(study, shape, seed + 50)
    log_f = np.log(
        np.geomspace(design["lowest_frequency"], design["highest_frequency"], design["frequencies"])
    )
    lag = (log_f[:, None] - log_f) / settings["site_length"]
    site = scatter["site_scatter"] * rng.multivariate_normal(
        np.zeros(len(log_f)), np.exp(-0.5 * lag**2), shape
    )
    n, g = SHAPES["boatwright"]
    nu = scatter["degrees_of_freedom"]

    def log_power(log_amplitude):
        return 2 * np.asarray(log_amplitude) + np.log(rng.chisquare(nu, log_amplitude.shape) / nu)

    ln_fc2 = ln_fc1[:, None] + others["dln_fc"]
    log_target = log_power(log_source_spectrum(log_f, ln_fc1[:, None], n, g))
    log_reference = log_power(
        log_source_spectrum(log_f, ln_fc2[..., None], n, g)
        - others["ln_moment_ratio"][..., None]
        + site
    )
    y = (log_target[:, None] - log_reference).reshape(-1, 1, len(log_f))
    assumed = np.full(y.shape, settings["assumed_degrees_of_freedom"])
    dims = ("pair", "trace", "freq")
    spectra = xr.Dataset(
        {"log_power_ratio": (dims, y), "nu1": (dims, assumed), "nu2": (dims, assumed)},
        coords={"freq": np.exp(log_f)},
    )
    return ln_fc1, load_model("source_spectra").read(spectra)
