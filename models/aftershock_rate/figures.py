"""The figures of this model; each takes a result and returns a matplotlib figure.

The second paragraph of each docstring is the caption in the report.
"""

import numpy as np
from scipy.stats import binom

from bayesquake.reporting.figures import (
    BLUE,
    INK,
    VERMILION,
    axis_label,
    joint,
    marginal,
    new_figure,
    overlap,
    styled,
)

from .dataset import EARLIEST_DAYS

__all__ = [
    "FIGURES",
    "corner",
    "cumulative_counts",
    "detection_map",
    "forecast_fans",
    "magnitude_time",
    "prior_overlap",
    "residuals",
]

CLOCK = {
    "10 s": 10 / 86400,
    "1 min": 1 / 1440,
    "10 min": 10 / 1440,
    "1 h": 1 / 24,
    "6 h": 0.25,
    "1 d": 1.0,
    "1 week": 7.0,
    "1 month": 30.4,
    "1 yr": 365.25,
}
CORNER = {"log_K": "ln K", "p": "p", "log_c": "ln c", "beta": "β", "log_sigma": "ln σ"}
PARAMETERS = ("log_K", "p", "log_c", "beta", "log_sigma", "mu_1d", "mu_slope", "eta", "ell")
PIT_BINS = 20
KOLMOGOROV_95 = 1.358
"""Large-sample 95 % point of √n times the Kolmogorov-Smirnov distance."""


@styled
def magnitude_time(result):
    """Draw magnitude against log time, with the 50 % detection magnitude.

    Catalogued events (dots), and the magnitude μ(t) at which half of the events are detected:
    posterior median with its 50 % and 90 % bands. Few events lie below it.
    """
    figure, axis = new_figure(size=(8.5, 4.6))
    observed, mu = result["observed_data"], result["posterior"]["mu"]
    days = mu["time_grid"].to_numpy()
    size = float(np.clip(6000 / observed.sizes["event"], 3.0, 14.0))
    axis.scatter(
        np.maximum(observed["t"], EARLIEST_DAYS),
        observed["mag"],
        s=size,
        color=INK,
        alpha=0.45,
        linewidths=0,
        label="catalogued events",
    )
    _bands(axis, days, _flat(mu), BLUE, "μ(t)")
    axis.set(ylabel="magnitude", ylim=(_lowest(result), None))
    _log_days(axis, days)
    axis.legend(loc="upper right")
    return figure


@styled
def detection_map(result):
    """Draw the posterior mean of the detection probability and the width of its band.

    Left: posterior mean of the probability π(t, M) that an event is detected, with its 10 %,
    50 % and 90 % contours and the catalogued events. Right: width of the 90 % band of π.
    """
    detection = result["posterior"]["detection"]
    days, magnitude = detection["time_grid"].to_numpy(), detection["mag_grid"].to_numpy()
    draws = _flat(detection)
    mean = draws.mean(axis=0)
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    figure, axes = new_figure(1, 2, (10.0, 4.3), sharey=True)
    maps = (
        (axes[0], mean, "cividis", 1.0, "detection probability"),
        (axes[1], high - low, "magma", None, "width of its 90 % band"),
    )
    for axis, values, colours, top, label in maps:
        drawn = axis.pcolormesh(
            days, magnitude, values.T, cmap=colours, vmin=0.0, vmax=top, shading="gouraud"
        )
        figure.colorbar(drawn, ax=axis, label=label, pad=0.02)
        _log_days(axis, days)
    lines = axes[0].contour(
        days, magnitude, mean.T, (0.1, 0.5, 0.9), colors="white", linewidths=0.9
    )
    axes[0].clabel(lines, fmt={0.1: "10 %", 0.5: "50 %", 0.9: "90 %"}, fontsize=7)
    observed = result["observed_data"]
    axes[0].scatter(
        np.maximum(observed["t"], EARLIEST_DAYS),
        observed["mag"],
        s=2.0,
        color=INK,
        alpha=0.5,
        linewidths=0,
    )
    axes[0].set(ylabel="magnitude", ylim=(_lowest(result), magnitude[-1]))
    return figure


@styled
def cumulative_counts(result):
    """Draw observed counts against counts replicated from the posterior.

    Catalogued events (black) against counts replicated from the posterior (blue: median, 50 %
    and 90 % bands), cumulated on the left and in each time bin on the right.
    """
    observed, replicated = result["observed_data"], result["posterior_predictive"]["detected_count"]
    counts = _flat(replicated)
    start = np.maximum(replicated["bin_start"].to_numpy(), EARLIEST_DAYS)
    end = replicated["bin_end"].to_numpy()
    figure, (left, right) = new_figure(1, 2, (10.0, 4.0))
    _bands(left, end, np.cumsum(counts, axis=1), BLUE, "replicated")
    t = np.maximum(observed["t"].to_numpy(), EARLIEST_DAYS)
    left.step(
        np.concatenate([start[:1], t, end[-1:]]),
        np.concatenate([[0], np.arange(1, t.size + 1), [t.size]]),
        where="post",
        color=INK,
        label="observed",
    )
    left.set(ylabel="cumulative number of catalogued events", ylim=(0, None))
    _bands(right, np.sqrt(start * end), counts, BLUE, "replicated")
    right.plot(
        np.sqrt(start * end),
        observed["detected_count"],
        "o",
        color=INK,
        markersize=4,
        label="observed",
    )
    right.set(ylabel="catalogued events in the time bin", ylim=(0, None))
    for axis in (left, right):
        _log_days(axis, np.concatenate([start[:1], end]))
        axis.legend(loc="upper left")
    return figure


@styled
def forecast_fans(result):
    """Draw the distribution of forecast counts by window and threshold.

    Forecast number of events, detected or not, from each magnitude on: median (white), 50 %,
    80 % and 95 % intervals (dark to light). Diamonds: observed, where known.
    """
    predictive = result["posterior_predictive"]
    counts = predictive["forecast_count"]
    observed = predictive.get("forecast_observed", result["observed_data"].get("forecast_observed"))
    thresholds = counts["mag_threshold"].to_numpy()
    place = np.arange(thresholds.size)
    windows = counts.sizes["window"]
    columns = min(windows, 4)
    rows = -(-windows // columns)
    figure, axes = new_figure(
        rows,
        columns,
        (3.2 * columns + 1.0, 3.6 * rows),
        sharey=True,
        squeeze=False,
    )
    for axis in axes.flat[windows:]:
        axis.set_axis_off()
    for window, axis in zip(range(windows), axes.flat, strict=False):
        chosen = counts.isel(window=window)
        draws = chosen.transpose("chain", "draw", "mag_threshold").to_numpy()
        draws = draws.reshape(-1, thresholds.size)
        for level, opacity, width in ((0.95, 0.25, 0.62), (0.8, 0.45, 0.5), (0.5, 0.9, 0.38)):
            low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
            axis.bar(
                place,
                high - low,
                width,
                low,
                color=BLUE,
                alpha=opacity,
                label=f"{level:.0%}".replace("%", " %"),
            )
        median = np.median(draws, axis=0)
        axis.hlines(median, place - 0.19, place + 0.19, color="white", linewidth=2)
        if observed is not None:
            known = np.asarray(observed.isel(window=window), float)
            axis.plot(place, known, "D", color=VERMILION, markersize=6, label="observed")
        for x, value, top in zip(place, median, np.quantile(draws, 0.975, axis=0), strict=True):
            axis.annotate(f"{value:.0f}", (x, top), (0, 3), textcoords="offset points", ha="center")
        start, end = chosen["window_start"].item(), chosen["window_end"].item()
        axis.set_title(f"day {start:g} to {end:g}")
        axis.set_yscale("symlog", linthresh=1.0)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_xticks(place, [f"{threshold:g}" for threshold in thresholds])
        axis.set_xlabel("magnitude threshold")
    for axis in axes[:, 0]:
        axis.set_ylabel("number of events")
    top = max(np.quantile(counts, 0.975, axis=(0, 1)).max(), 1.0)
    if observed is not None:
        top = max(top, float(observed.max()))
    axes[0, 0].set_ylim(0, 2.5 * top)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", title="forecast")
    return figure


@styled
def residuals(result):
    """Draw the residuals of magnitudes and times.

    Left: distribution function of each magnitude at its observed value, uniform if the model
    holds; band: 95 % range of each bar. Right: events observed minus expected up to each event;
    band: 95 % Kolmogorov-Smirnov limits. Parameters fitted to the same data narrow both.
    """
    figure, (left, right) = new_figure(1, 2, (10.0, 3.8))
    pit = result["residuals"]["pit_magnitude"].to_numpy()
    low, high = binom.ppf([0.025, 0.975], pit.size, 1 / PIT_BINS)
    bars = left.hist(pit, np.linspace(0, 1, PIT_BINS + 1), color=BLUE, alpha=0.55)[0]
    left.axhspan(low, high, color=INK, alpha=0.13, linewidth=0, label="95 % range if uniform")
    left.axhline(pit.size / PIT_BINS, color=INK, linewidth=0.8)
    left.set(
        xlabel="distribution function at the observed magnitude",
        ylabel="number of events",
        xlim=(0, 1),
        ylim=(0, 1.25 * max(bars.max(), high)),
    )
    left.legend(loc="upper right")
    expected = result["residuals"]["cumulative_events"].to_numpy()
    number = np.arange(1, expected.size + 1)
    limit = KOLMOGOROV_95 * np.sqrt(expected.size)
    right.axhspan(-limit, limit, color=INK, alpha=0.13, linewidth=0, label="95 % KS limits")
    right.axhline(0.0, color=INK, linewidth=0.8)
    right.step(expected, number - expected, where="post", color=BLUE)
    right.set(
        xlabel="expected number of events up to the event (transformed time)",
        ylabel="observed minus expected number",
        xlim=(0, expected[-1]),
    )
    reach = 1.35 * max(limit, np.abs(number - expected).max())
    right.set_ylim(-reach, reach)
    right.legend(loc="upper right")
    return figure


@styled
def corner(result):
    """Draw the joint posterior of the main parameters, two by two.

    Contours hold 50 % and 90 % of the posterior; on the diagonal, the densities of posterior
    (filled) and prior (dashed).
    """
    posterior, names = result["posterior"], list(CORNER)
    figure, axes = new_figure(len(names), len(names), (8.6, 8.2), sharex="col")
    for row, second in enumerate(names):
        for column, first in enumerate(names):
            axis = axes[row, column]
            if column > row:
                axis.set_axis_off()
                continue
            x = _flat(posterior[first])
            if row == column:
                marginal(axis, x, _flat(result["prior"][first]))
            else:
                joint(axis, x, _flat(posterior[second]))
            if row == len(names) - 1:
                axis.set_xlabel(_parameter_label(posterior[first]))
            if column == 0 and row > 0:
                axis.set_ylabel(_parameter_label(posterior[second]))
            elif column < row:
                axis.set_yticklabels([])
    figure.align_labels()
    return figure


@styled
def prior_overlap(result):
    """Draw how far prior and posterior of each parameter overlap.

    Common area of prior and posterior density: near 0 the data decide, near 1 the prior does.
    """
    posterior, prior = result["posterior"], result["prior"]
    inferred = [name for name in PARAMETERS if name in posterior]
    figure, axis = new_figure(size=(7.0, 0.28 * len(inferred) + 0.8))
    shared = [overlap(prior[name], posterior[name]) for name in inferred]
    bars = axis.barh(inferred, shared, color=BLUE, alpha=0.8, height=0.65)
    axis.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axis.set(xlim=(0, 1), xlabel="overlap of prior and posterior")
    axis.invert_yaxis()
    return figure


FIGURES = {
    "Magnitudes and detection": magnitude_time,
    "Detection map": detection_map,
    "Counts, observed and replicated": cumulative_counts,
    "Forecast": forecast_fans,
    "Residuals": residuals,
    "Joint posterior": corner,
    "Influence of the prior": prior_overlap,
}


def _flat(variable):
    """Return draws with one leading axis."""
    ordered = variable.transpose("chain", "draw", ...)
    return ordered.to_numpy().reshape(-1, *ordered.shape[2:])


def _lowest(result):
    """Return the bottom of a magnitude axis: half a unit below the smallest event."""
    return float(result["observed_data"]["mag"].min()) - 0.5


def _bands(axis, x, draws, colour, label):
    """Draw the median of draws (draw, x) with the 50 % and 90 % bands."""
    quantiles = np.quantile(draws, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    axis.fill_between(x, quantiles[0], quantiles[4], color=colour, alpha=0.2, linewidth=0)
    axis.fill_between(x, quantiles[1], quantiles[3], color=colour, alpha=0.35, linewidth=0)
    axis.plot(x, quantiles[2], color=colour, label=f"{label}: median, 50 % and 90 % bands")


def _log_days(axis, days):
    """Make x a logarithmic axis of days, with clock times on top."""
    axis.set_xscale("log")
    axis.set(xlim=(days[0], days[-1]), xlabel="time after the main shock (days)")
    shown = {name: day for name, day in CLOCK.items() if days[0] <= day <= days[-1]}
    top = axis.secondary_xaxis("top")
    top.set_xticks(list(shown.values()), list(shown))
    top.minorticks_off()


def _parameter_label(variable):
    name = CORNER[str(variable.name)]
    unit = variable.attrs["units"]
    if unit.startswith("ln("):
        return f"{name} ({unit[3:-1]})".replace("^(p-1)", "$^{p-1}$")
    return axis_label(variable, name).replace("mag-1", "mag$^{-1}$")
