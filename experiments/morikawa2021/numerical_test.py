"""Numerical test: simulated catalogues whose rate and detection curve are known."""

import numpy as np
import pandas as pd

from bayesquake.results.netcdf import write_netcdf

from . import figures
from .estimators import b_positive
from .study import (
    curve_band,
    curve_on_knots,
    fit_simulated,
    simulated_catalogue,
    stack,
    true_values,
)

__all__ = ["run"]


def run(study, folder):
    """Fit the simulated catalogues and compare with their truth.

    Returns
    -------
    str
        Coverage of parameters and curves, and the errors of b, in one line.
    """
    settings = study.config["numerical_test"]
    names = study.mode["catalogues"]
    posteriors = [fit_simulated(study, name) for name in names]
    catalogues = [simulated_catalogue(study, name) for name in names]
    truths = [
        curve_on_knots(study.config["simulated"][name], posterior.sizes["time_grid"])[1]
        for name, posterior in zip(names, posteriors, strict=True)
    ]
    level = settings["interval"]
    parameters = pd.concat(
        parameter_rows(study, name, posterior, settings["parameters"], level)
        for name, posterior in zip(names, posteriors, strict=True)
    )
    curves = pd.DataFrame(
        curve_row(name, catalogue, posterior, truth, settings)
        for name, catalogue, posterior, truth in zip(
            names, catalogues, posteriors, truths, strict=True
        )
    )
    b_values = pd.DataFrame(
        b_value_row(study, name, catalogue, posterior, settings["b_positive_smallest_step"])
        for name, catalogue, posterior in zip(names, catalogues, posteriors, strict=True)
    )
    parameters.to_csv(folder / "parameters.csv", index=False)
    curves.to_csv(folder / "detection_curves.csv", index=False)
    b_values.to_csv(folder / "b_values.csv", index=False)
    write_netcdf(stack(posteriors, "catalogue", names), folder / "numerical_test.nc")
    panels = list(zip(names, catalogues, posteriors, truths, strict=True))
    figures.detection_curves(panels, level).savefig(folder / "detection_curves.png", dpi=150)
    widths = ", ".join(f"{width:.2f}" for width in curves["mean_width_mag"])
    low = int((b_values["b_positive"] < b_values["b_true"]).sum())
    return (
        f"{int(parameters['covered'].sum())} of {len(parameters)} {level:.0%} intervals hold the "
        f"true parameter; μ(t) bands hold {curves['covered'].mean():.0%} of the true curves, mean "
        f"widths {widths} mag; b-positive is low on {low} of {len(b_values)} catalogues"
    )


def parameter_rows(study, name, posterior, parameters, level):
    """Return truth, mean, sd and interval of every parameter of one catalogue."""
    truth = true_values(study.config["simulated"][name])
    tail = 0.5 * (1 - level)
    rows = []
    for parameter in parameters:
        draws = posterior[parameter].to_numpy()
        low, high = np.quantile(draws, [tail, 1 - tail])
        rows.append(
            {
                "catalogue": name,
                "events": posterior.attrs["events"],
                "parameter": parameter,
                "unit": posterior[parameter].attrs["units"],
                "true": truth[parameter],
                "mean": draws.mean(),
                "sd": draws.std(),
                "interval_low": low,
                "interval_high": high,
                "covered": bool(low <= truth[parameter] <= high),
            }
        )
    return pd.DataFrame(rows)


def curve_row(name, catalogue, posterior, truth, settings):
    """Return how much of the true curve the band holds, and its mean width (mag).

    Coverage counts the knots after the first event: before it the band is the prior's. The
    width is taken over the times common to all catalogues.
    """
    days = posterior["time_grid"].to_numpy()
    low, _, high = curve_band(posterior, settings["interval"])
    inside = (low <= truth) & (truth <= high)
    return {
        "catalogue": name,
        "events": posterior.attrs["events"],
        "covered": inside[days >= float(catalogue["t"][0])].mean(),
        "mean_width_mag": (high - low)[days >= settings["width_from_days"]].mean(),
    }


def b_value_row(study, name, catalogue, posterior, smallest_step):
    """Return the b-value of the joint model and of b-positive beside the truth."""
    truth = study.config["simulated"][name]["b_value"]
    positive, error = b_positive(
        catalogue["mag"].to_numpy(), smallest_step, float(catalogue.attrs["delta_m"])
    )
    joint = posterior["b_value"].to_numpy()
    return {
        "catalogue": name,
        "b_true": truth,
        "b_joint": joint.mean(),
        "b_joint_sd": joint.std(),
        "b_positive": positive,
        "b_positive_se": error,
        "error_joint": abs(joint.mean() - truth),
        "error_b_positive": abs(positive - truth),
    }
