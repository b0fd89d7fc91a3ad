"""The figures of the experiment. Times are in days, magnitudes as catalogued."""

import numpy as np
from matplotlib.figure import Figure

from .study import curve_band

__all__ = [
    "detection_curves",
    "forecast_intervals",
    "naive_counts",
    "parameters_by_window",
    "posterior_against_estimate",
]


def detection_curves(panels, level):
    """Draw catalogues with the band of μ(t), and the true curve where it is known.

    Parameters
    ----------
    panels : list of (title, dataset, posterior, truth)
        ``truth`` is μ at the knots (mag), or None.
    level : float
        Probability of the band.
    """
    figure = Figure(figsize=(4.2 * len(panels), 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (title, dataset, posterior, truth) in zip(axes, panels, strict=True):
        days = posterior["time_grid"].to_numpy()
        low, median, high = curve_band(posterior, level)
        ax.plot(dataset["t"], dataset["mag"], ".", color="0.6", markersize=2, label="events")
        ax.fill_between(days, low, high, alpha=0.4, label=f"{level:.0%} of μ(t)")
        ax.plot(days, median, lw=1)
        if truth is not None:
            ax.plot(days, truth, "k--", lw=1, label="true μ(t)")
        ax.set(xscale="log", title=title, xlabel="time after main shock (day)")
    axes[0].set_ylabel("magnitude")
    axes[0].legend(loc="upper right", fontsize=8)
    return figure


def parameters_by_window(posteriors, end_days, names, level):
    """Draw medians and intervals of parameters against the end of the window."""
    tail = 0.5 * (1 - level)
    figure = Figure(figsize=(3 * len(names), 3), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for ax, name in zip(axes, names, strict=True):
        draws = [posterior[name].to_numpy().ravel() for posterior in posteriors]
        low, median, high = np.quantile(draws, [tail, 0.5, 1 - tail], axis=1)
        ax.errorbar(end_days, median, [median - low, high - median], fmt="o", capsize=3)
        unit = posteriors[0][name].attrs["units"]
        ax.set(xscale="log", xlabel="end of window (day)", ylabel=f"{name} ({unit})")
    return figure


def posterior_against_estimate(posteriors, estimate, names):
    """Draw posterior densities with an estimate ± its standard error.

    Parameters
    ----------
    posteriors : dict of str to xarray.Dataset
        By label.
    estimate : dict of str to (value, standard_error)
    names : sequence of str
    """
    figure = Figure(figsize=(3 * len(names), 3), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for ax, name in zip(axes, names, strict=True):
        for label, posterior in posteriors.items():
            ax.hist(
                posterior[name].to_numpy().ravel(), 40, density=True, histtype="step", label=label
            )
        value, error = estimate[name]
        ax.axvline(value, color="k", lw=1, label="two-stage ± s.e.")
        ax.axvspan(value - error, value + error, color="0.85", zorder=0)
        unit = next(iter(posteriors.values()))[name].attrs["units"]
        ax.set(xlabel=f"{name} ({unit})", yticks=[])
    axes[0].legend(fontsize=8)
    return figure


def naive_counts(table):
    """Draw observed next-day counts and those expected without a detection model."""
    figure, ax, x = _pairs(table)
    ax.plot(x, table["observed"], "kx", label="observed")
    ax.plot(x, table["expected"], "o", mfc="none", label="no detection model")
    ax.legend(fontsize=8)
    return figure


def forecast_intervals(table):
    """Draw observed next-day counts on the forecast intervals, with the peer's forecasts."""
    figure, ax, x = _pairs(table)
    median = table["median"]
    ax.errorbar(
        x,
        median,
        [median - table["interval_low"], table["interval_high"] - median],
        fmt="o",
        capsize=3,
        label="posterior",
    )
    ax.plot(x + 0.15, table["peer_expected"], "^", mfc="none", label="AftFore MAP")
    ax.plot(x + 0.3, table["naive_expected"], "v", mfc="none", label="no detection model")
    ax.plot(x, table["observed"], "kx", zorder=5, label="observed")
    ax.legend(fontsize=8)
    return figure


def _pairs(table):
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    ax = figure.subplots()
    x = np.arange(len(table))
    labels = [f"{row.sequence} {24 * row.end_days:g} h" for row in table.itertuples()]
    ax.set_xticks(x, labels, fontsize=7, rotation=40, ha="right")
    ax.set(ylabel="events in the next day", yscale="log")
    return figure, ax, x
