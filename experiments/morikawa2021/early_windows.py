"""Early windows of one sequence: what the first hours determine, and what they do not."""

import numpy as np
import pandas as pd

from bayesquake.model.priors import resolve_priors
from bayesquake.model.registry import load_model
from bayesquake.physics.detection_function import detection_probability
from bayesquake.results.netcdf import write_netcdf

from . import figures
from .study import curve_band, fit_window, read_window, stack

__all__ = ["overlap_with_prior", "run"]

PARAMETERS = ("log_K", "p", "log_c", "beta", "sigma")
DETECTION_MAGNITUDES = np.arange(1.0, 5.01, 0.25)


def run(study, folder):
    """Fit growing windows and tabulate bands, parameters and the prior's share.

    Returns
    -------
    str
        Band widths, β, p and the overlap of c with its prior, in one line.
    """
    settings = study.config["early_windows"]
    sequence, ends = settings["sequence"], settings["end_days"]
    level = settings["interval"]
    posteriors = [fit_window(study, sequence, end) for end in ends]
    table = pd.DataFrame(
        window_row(posterior, level, settings["prior_bins"]) for posterior in posteriors
    )
    table.to_csv(folder / "windows.csv", index=False)
    write_netcdf(stack(posteriors, "window", ends), folder / "early_windows.nc")
    panels = [
        (f"{24 * end:g} h", read_window(study, sequence, end), posterior, None)
        for end, posterior in zip(ends, posteriors, strict=True)
    ]
    figures.detection_curves(panels, level).savefig(folder / "detection_curves.png", dpi=150)
    figures.parameters_by_window(posteriors, ends, PARAMETERS, level).savefig(
        folder / "parameters.png", dpi=150
    )
    return "; ".join(
        f"{24 * row.end_days:g} h: μ(t) band {row.mu_width_mag:.2f} mag, β {row.beta:.2f} ± "
        f"{row.beta_sd:.2f}, p {row.p:.2f} ± {row.p_sd:.2f}, prior overlap of ln c "
        f"{row.log_c_prior_overlap:.2f}"
        for row in table.itertuples()
    )


def window_row(posterior, level, bins):
    """Return means, standard deviations, band widths and prior overlaps of one window."""
    priors = resolve_priors(load_model("aftershock_rate"))
    row = {"end_days": posterior.attrs["T"], "events": posterior.attrs["events"]}
    for name in PARAMETERS:
        row |= {name: float(posterior[name].mean()), f"{name}_sd": float(posterior[name].std())}
    for name in ("log_K", "p", "log_c", "beta"):
        row[f"{name}_prior_overlap"] = overlap_with_prior(
            posterior[name].to_numpy().ravel(), priors[name].distribution(), bins
        )
    late = posterior["time_grid"].to_numpy() >= 0.1 * posterior.attrs["T"]
    low, _, high = curve_band(posterior, level)
    return row | {
        "mu_width_mag": (high - low)[late].mean(),
        "detection_width": detection_band_width(posterior, level)[late].mean(),
    }


def detection_band_width(posterior, level):
    """Return the largest width over magnitudes of the band of detection probability, (knot,)."""
    mu = posterior["mu"].to_numpy().reshape(-1, posterior.sizes["time_grid"])
    sigma = posterior["sigma"].to_numpy().reshape(-1, 1)
    tail = 0.5 * (1 - level)
    limits = np.stack(
        [
            np.quantile(np.asarray(detection_probability(m, mu, sigma)), [tail, 1 - tail], axis=0)
            for m in DETECTION_MAGNITUDES
        ]
    )
    return (limits[:, 1] - limits[:, 0]).max(axis=0)


def overlap_with_prior(draws, prior, bins):
    """Return the shared probability of draws and prior: 1 if equal, 0 if disjoint.

    Parameters
    ----------
    draws : (draw,)
    prior : numpyro.distributions.Distribution
    bins : int
        Equally probable bins of the prior.
    """
    share = np.histogram(np.asarray(prior.cdf(draws)), bins, range=(0, 1))[0] / draws.size
    return float(np.minimum(share, 1 / bins).sum())
