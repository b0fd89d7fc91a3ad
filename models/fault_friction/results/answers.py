"""What the report says first: how the fault rubs, and how it will move."""

import numpy as np

from ..physics.trajectory import YEAR

__all__ = ["answers"]

TAILS = (0.025, 0.5, 0.975)
ONE_SIDED_95 = 1.645
"""Standard deviations beyond which a normal lies in 5 % on one side."""

SEISMIC = 1e-2
"""Slip rate of earthquakes, m/s."""


def answers(result):
    """Return questions and their answers, a line of text each; intervals hold 95 % of the draws."""
    told = of_fields(result) if "narrowing" in result.children else of_spring(result)
    motion = result["motion"]
    until = motion.attrs["observed_until"]
    later = motion["seconds"].to_numpy() > until
    if later.any():
        peak = motion["fastest"].to_numpy()[:, later].max(axis=1)
        slip_rate = np.exp(peak) * motion.attrs["plate_rate"]
        years = (motion["seconds"].to_numpy()[-1] - until) / YEAR
        told[f"Largest slip rate in the {years:.3g} years to come"] = interval(slip_rate, "m/s")
        turns = float((slip_rate > SEISMIC).mean())
        told["Probability that slip turns seismic in them"] = f"{turns:.2g}"
    return told


def of_spring(result):
    """Return what is said of a block on a spring."""
    posterior = result["posterior"]
    ratio = posterior["stiffness_ratio"].to_numpy()
    return {
        "A": interval(posterior["a"], "Pa"),
        "B - A": interval(posterior["b_minus_a"], "Pa"),
        "L": interval(posterior["characteristic_slip"], "m"),
        "Stiffness": interval(posterior["stiffness"], "Pa/m"),
        "Probability that slip is unstable": f"{float(((ratio > 0) & (ratio < 1)).mean()):.2g}",
    }


def of_fields(result):
    """Return what is said of a fault of cells."""
    ratio = result["narrowing"]["sd_ratio"]
    weakening = result["moments"]["b_minus_a_field"] if "moments" in result.children else None
    told = {
        f"Standard deviation of {field} over that of the prior": (
            f"{float(ratio.sel(field=field).min()):.2g} to "
            f"{float(ratio.sel(field=field).max()):.2g}, by cell"
        )
        for field in ratio["field"].to_numpy()
    }
    if weakening is not None:
        mean, sd = (weakening.sel(moment=m).to_numpy() for m in ("mean", "sd"))
        weaken, strengthen = (int((sign * mean > ONE_SIDED_95 * sd).sum()) for sign in (1, -1))
        told["Cells that weaken, and that strengthen, with a probability of 95 %"] = (
            f"{weaken} and {strengthen} of {len(mean)}"
        )
    return told


def interval(draws, unit):
    """Return the median and the interval of draws, as text."""
    low, middle, high = np.quantile(np.ravel(draws), TAILS)
    return f"{middle:.3g} ({low:.3g} to {high:.3g}) {unit}"
