"""The joint model beside the two-stage estimate, which freezes the detection curve."""

import numpy as np
import pandas as pd

from bayesquake.models.aftershock_rate.two_stage import fit_two_stage
from bayesquake.results.netcdf import write_netcdf

from . import figures
from .study import fit_window, read_window, stack

__all__ = ["run"]

PARAMETERS = ("log_K", "p", "log_c", "beta", "sigma")


def run(study, folder):
    """Compare the joint posterior of one window with the two-stage estimate.

    The two-stage method takes magnitudes as continuous; the joint model is fitted in
    both ways, so that the effect of freezing the curve shows apart from that of rounding.

    Returns
    -------
    str
        Standard deviations of β and shifts of ln K and ln c, in one line.
    """
    settings = study.config["two_stage"]
    sequence, end = settings["sequence"], settings["end_days"]
    posteriors = {
        "joint": fit_window(study, sequence, end),
        "joint, continuous": fit_window(study, sequence, end, magnitude_rounding=0.0),
    }
    estimate = two_stage_estimate(read_window(study, sequence, end))
    rows = [
        {"method": "two-stage", "parameter": name, "value": value, "sd": error}
        for name, (value, error) in estimate.items()
    ] + [
        {
            "method": label,
            "parameter": name,
            "value": float(posterior[name].mean()),
            "sd": float(posterior[name].std()),
        }
        for label, posterior in posteriors.items()
        for name in PARAMETERS
    ]
    pd.DataFrame(rows).to_csv(folder / "estimates.csv", index=False)
    write_netcdf(
        stack(list(posteriors.values()), "method", list(posteriors)), folder / "two_stage.nc"
    )
    figures.posterior_against_estimate(posteriors, estimate, PARAMETERS).savefig(
        folder / "estimates.png", dpi=150
    )
    joint = posteriors["joint, continuous"]
    shift = {
        name: (estimate[name][0] - float(joint[name].mean())) / float(joint[name].std())
        for name in ("log_K", "log_c")
    }
    return (
        f"sd of β {estimate['beta'][1]:.3f} two-stage, {float(joint['beta'].std()):.3f} joint; "
        f"two-stage less joint in joint sds: ln K {shift['log_K']:+.2f}, ln c {shift['log_c']:+.2f}"
    )


def two_stage_estimate(dataset):
    """Return value and standard error of every parameter of the two-stage estimate."""
    fit = fit_two_stage(dataset)
    errors = fit.standard_errors
    return {
        "log_K": (np.log(fit.K), errors["K"] / fit.K),
        "p": (fit.p, errors["p"]),
        "log_c": (np.log(fit.c), errors["c"] / fit.c),
        "beta": (fit.beta, errors["beta"]),
        "sigma": (fit.sigma, errors["sigma"]),
    }
