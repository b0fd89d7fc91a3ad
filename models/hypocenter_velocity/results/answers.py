"""What the report says first: how deep, how fast, and which picks do not fit."""

import numpy as np

from .derived import OUTLIER_PROBABILITY

__all__ = ["answers"]

TAILS = (0.025, 0.5, 0.975)


def answers(result):
    """Return questions and their answers, a line of text each; intervals hold 95 % of the draws."""
    posterior, constant = result["posterior"], result["constant_data"]
    depth = posterior["depth"].stack(sample=("chain", "draw")).transpose("event", "sample")
    shift = depth.to_numpy() - constant["depth"].to_numpy()[:, None]
    ratio = posterior["vp"] / posterior["vs"]
    picks = result["picks"]
    outliers, count = int(picks["outlier"].sum()), picks.sizes["pick"]
    return {
        "Median depth of the hypocentres": interval(np.median(depth, axis=0), "km"),
        "Mean shift of depth from the preliminary ones": interval(shift.mean(axis=0), "km"),
        "Standard deviation of a depth, median of the events": (
            f"{np.median(depth.std('sample')):.2g} km"
        ),
        "Vp/Vs": (
            interval(ratio.isel(layer=0), "")
            if "vpvs" in posterior
            else f"{float(ratio.mean()):.3f}, mean of all layers"
        ),
        "Errors of P and S picks, scale": " and ".join(
            interval(posterior["sigma"].sel(phase=phase), "s") for phase in ("P", "S")
        ),
        "Picks that are improbable given all others": (
            f"{outliers} of {count}; {OUTLIER_PROBABILITY * count:.0f} would be by chance"
        ),
    }


def interval(draws, unit):
    """Return the median and the interval of draws, as text."""
    low, middle, high = np.quantile(np.ravel(draws), TAILS)
    return f"{middle:.3g} ({low:.3g} to {high:.3g}) {unit}".rstrip()
