"""Figures that every model has: prior against posterior, traces and ranks, overlap.

A figure is a `matplotlib.figure.Figure` made without pyplot, under a style that lasts only
while it is drawn: nothing of the user's matplotlib session changes, and nothing stays open.
Colours are those of Okabe and Ito, told apart with any colour vision.
"""

import functools
from typing import Any

import numpy as np
from arviz_stats.base import array_stats
from scipy.ndimage import gaussian_filter

__all__ = [
    "BLUE",
    "COLOURS",
    "GREY",
    "INK",
    "STYLE",
    "VERMILION",
    "axis_label",
    "density",
    "distinct",
    "is_logarithmic",
    "joint",
    "marginal",
    "new_figure",
    "overlap",
    "prior_and_posterior",
    "rows",
    "styled",
    "traces_and_ranks",
]

BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
)
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE)
INK, GREY = "#222222", "#8A8A8A"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.grid": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.3,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

LOGARITHMIC_PRIOR = 40.0
"""Ratio of the 95 % to the 5 % quantile of a prior from which its axis is logarithmic; a
half-normal prior, which reads better on a linear axis, has 31."""

LOGARITHMIC_TRACE = 10.0
"""The same ratio for traces, which show the posterior alone."""

RANK_BINS = 20
BANDWIDTHS = 3.0
"""Kernel bandwidths by which a density reaches beyond the outermost draws."""


def styled(draw):
    """Let a figure function draw under the style of the report."""

    @functools.wraps(draw)
    def drawn(*arguments, **options):
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*arguments, **options)

    return drawn


def new_figure(rows=1, columns=1, size=(8.0, 4.0), **options):
    """Return a figure outside pyplot and its axes.

    Parameters
    ----------
    rows, columns : int
    size : tuple of float
        Width and height (inch).
    **options
        Passed to ``Figure.subplots``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def axis_label(variable, name=None):
    """Return "name (unit)" of a result's variable; without the unit where it is 1."""
    unit, name = variable.attrs.get("units", "1"), variable.name if name is None else name
    return name if unit == "1" else f"{name} ({unit})"


def is_logarithmic(prior, posterior):
    """Whether a quantity reads better on a logarithmic axis: positive and of wide range."""
    return _spans(prior, LOGARITHMIC_PRIOR) and posterior.min() > 0


def _spans(draws, ratio):
    low, high = np.quantile(draws, [0.05, 0.95])
    return draws.min() > 0 and high > ratio * low


def density(draws, grid):
    """Return a kernel density estimate of draws on a grid, with 0 a bound if draws end there."""
    draws = np.ravel(draws)
    if np.ptp(draws) == 0:
        return np.zeros_like(grid)
    tail = BANDWIDTHS * draws.std() * draws.size**-0.2
    low, high = draws.min() - tail, draws.max() + tail
    bounded = low < 0 < draws.min()
    points, values, _ = array_stats.kde(
        draws, custom_lims=(0.0 if bounded else low, high), bound_correction=bounded
    )
    return np.interp(grid, points, values, left=0.0, right=0.0)


def marginal(axis, after, before):
    """Draw the densities of posterior (filled) and prior (dashed), or the only value."""
    if np.ptp(after) == 0:
        axis.axvline(after[0], color=BLUE)
        axis.set(yticks=[])
        return
    margin = 0.3 * np.ptp(after)
    grid = np.linspace(after.min() - margin, after.max() + margin, 400)
    values = density(after, grid)
    axis.fill_between(grid, values, color=BLUE, alpha=0.25, linewidth=0)
    axis.plot(grid, values, color=BLUE)
    axis.plot(grid, density(before, grid), color=VERMILION, linestyle="--")
    axis.set(yticks=[], ylim=(0, None), xlim=(grid[0], grid[-1]))
    axis.spines["left"].set_visible(False)


def rows(axis, draws, labels):
    """Draw the mean of every quantity, (draw, quantity), with its 50 % and 90 % intervals and 0."""
    place = np.arange(draws.shape[1])
    for level, width in ((0.9, 1.5), (0.5, 4.0)):
        low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        axis.hlines(place, low, high, color=BLUE, linewidth=width, alpha=0.7)
    axis.plot(draws.mean(axis=0), place, "o", color=BLUE)
    axis.axvline(0.0, color=GREY, linewidth=0.8)
    axis.set_yticks(place, labels)
    axis.invert_yaxis()


def joint(axis, x, y, bins=48):
    """Draw contours that hold 50 % and 90 % of the draws, or the draws if one does not vary."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        axis.plot(x, y, ".", color=BLUE, markersize=2)
        return
    limits = [(v.min() - 0.3 * np.ptp(v), v.max() + 0.3 * np.ptp(v)) for v in (x, y)]
    counts, x_edges, y_edges = np.histogram2d(x, y, bins, limits)
    smooth = gaussian_filter(counts, 1.8)
    ordered = np.sort(smooth.ravel())[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    levels = [ordered[np.searchsorted(held, share)] for share in (0.9, 0.5)]
    centres = [(edges[:-1] + edges[1:]) / 2 for edges in (x_edges, y_edges)]
    axis.contourf(*centres, smooth.T, [*levels, smooth.max() * 1.01], colors=("#B3D5E8", "#5AA3CF"))
    axis.contour(*centres, smooth.T, levels, colors=BLUE, linewidths=0.9)


def overlap(prior, posterior):
    """Return the overlap of two distributions, the integral of the lower of their densities.

    Parameters
    ----------
    prior, posterior : arrays
        Draws of one quantity.

    Returns
    -------
    float
        From 0 (the data decide) to 1 (the prior decides); NaN where draws do not vary.
    """
    prior, posterior = np.ravel(prior).astype(float), np.ravel(posterior).astype(float)
    if np.ptp(prior) == 0 or np.ptp(posterior) == 0:
        return float("nan")
    if is_logarithmic(prior, posterior):
        prior, posterior = np.log(prior), np.log(posterior)
    grid = _grid(prior, posterior)
    lower = np.minimum(density(prior, grid), density(posterior, grid))
    return float(min(np.trapezoid(lower, grid), 1.0))


def distinct(posterior, names):
    """Return the names without those that are an increasing function of an earlier one.

    Such quantities, as K and ln K, share their traces' shape and their ranks.
    """
    seen, kept = set(), []
    for name in names:
        order = np.argsort(np.ravel(posterior[name].to_numpy()), kind="stable").tobytes()
        if order not in seen:
            seen.add(order)
            kept.append(name)
    return kept


@styled
def prior_and_posterior(result, names):
    """Draw the densities of prior and posterior of scalar quantities.

    Parameters
    ----------
    result : xarray.DataTree
    names : sequence of str

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, axes = new_figure(rows, columns, (2.4 * columns, 1.75 * rows + 0.3), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        _prior_and_posterior_of(axis, result, name)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2)
    return figure


@styled
def traces_and_ranks(result, names):
    """Draw the trace of every chain, and its ranks among the draws of all chains.

    Parameters
    ----------
    result : xarray.DataTree
    names : sequence of str

    Returns
    -------
    matplotlib.figure.Figure
        Ranks are left out where there is one chain only.
    """
    posterior = result["posterior"]
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    columns = 1 if chains == 1 else 2
    figure, axes = new_figure(
        len(names),
        columns,
        (9.0, 1.25 * len(names) + 0.5),
        squeeze=False,
        sharex="col",
        width_ratios=(1,) if chains == 1 else (2, 1),
    )
    for row, name in zip(axes, names, strict=True):
        values = posterior[name].to_numpy()
        for chain in range(chains):
            colour = COLOURS[chain % len(COLOURS)]
            row[0].plot(values[chain], color=colour, linewidth=0.5, alpha=0.8)
        row[0].set(ylabel=axis_label(posterior[name]).replace(" (", "\n("), xlim=(0, draws - 1))
        if _spans(values, LOGARITHMIC_TRACE):
            row[0].set_yscale("log")
        if chains > 1:
            _ranks_of(row[1], values)
    axes[-1, 0].set_xlabel("draw")
    if chains > 1:
        axes[0, 1].set_title("ranks of each chain")
        axes[-1, 1].set_xlabel("rank among all chains, as a share")
    axes[0, 0].set_title("traces, one colour for each chain")
    figure.align_ylabels()
    return figure


def _prior(result):
    return result["prior"].to_dataset() if "prior" in result.children else {}


def _grid(prior, posterior, points=1024):
    """Return a grid fine enough for the narrower of two sets of draws."""
    parts = []
    for draws in (prior, posterior):
        margin = 0.1 * np.ptp(draws)
        parts.append(np.linspace(draws.min() - margin, draws.max() + margin, points))
    return np.unique(np.concatenate(parts))


def _prior_and_posterior_of(axis, result, name):
    variable, prior = result["posterior"][name], _prior(result)
    posterior = np.ravel(variable.to_numpy())
    before = np.ravel(prior[name].to_numpy()) if name in prior else posterior
    logarithmic = is_logarithmic(before, posterior)
    if logarithmic:
        before, posterior = np.log10(before), np.log10(posterior)
    grid = _grid(before, posterior)
    x = 10.0**grid if logarithmic else grid
    after = density(posterior, grid)
    axis.fill_between(x, after, color=BLUE, alpha=0.25, linewidth=0)
    axis.plot(x, after, color=BLUE, label="posterior")
    if name in prior:
        axis.plot(x, density(before, grid), color=VERMILION, linestyle="--", label="prior")
    if logarithmic:
        axis.set_xscale("log")
    limits = _view(before, posterior)
    axis.set(xlabel=axis_label(variable), yticks=[], ylim=(0, None))
    axis.set_xlim(10.0**limits if logarithmic else limits)
    axis.spines["left"].set_visible(False)


def _view(before, posterior):
    """Return limits that hold nearly all of the posterior and the bulk of the prior."""
    low = min(np.quantile(before, 0.03), np.quantile(posterior, 0.001))
    high = max(np.quantile(before, 0.97), np.quantile(posterior, 0.999))
    margin = 0.03 * (high - low) or 0.5
    return np.array([low - margin, high + margin])


def _ranks_of(axis, values):
    """Draw histograms of the ranks of each chain, relative to a uniform distribution."""
    chains, draws = values.shape
    ranks = np.argsort(np.argsort(np.ravel(values))).reshape(values.shape)
    edges = np.linspace(0, 1, RANK_BINS + 1)
    spread = 1.96 * np.sqrt(RANK_BINS / draws * (1 - 1 / RANK_BINS) * (1 - 1 / chains))
    axis.axhspan(1 - spread, 1 + spread, color=GREY, alpha=0.2, linewidth=0)
    axis.axhline(1.0, color=GREY, linewidth=0.8)
    for chain in range(chains):
        counts = np.histogram((ranks[chain] + 0.5) / values.size, edges)[0]
        colour = COLOURS[chain % len(COLOURS)]
        axis.stairs(counts * RANK_BINS / draws, edges, baseline=None, color=colour)
    axis.set(ylabel="relative\nfrequency", xlim=(0, 1), ylim=(0, None))
