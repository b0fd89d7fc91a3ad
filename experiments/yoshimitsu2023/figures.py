"""The figures of the experiment. Frequencies are in Hz, stress drops in Pa."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from .study import PARAMETERS

__all__ = [
    "clusters",
    "joint_posteriors",
    "likelihoods",
    "references_of_one_target",
    "replicated_ratios",
    "resolution",
    "stress_drops",
]

SYMBOLS = {"ln_fc1": "ln f1", "dln_fc": "d", "ln_moment_ratio": "m"}


def plain_numbers(axis):
    """Label a logarithmic axis by plain numbers at 1, 2 and 5 of every decade."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(labelsize=7)


def likelihoods(table, level):
    """Draw bias and coverage of every parameter by likelihood and degrees of freedom.

    Parameters
    ----------
    table : pandas.DataFrame
        Indexed by ``nu``, ``likelihood`` and ``parameter``.
    level : float
        Nominal coverage.
    """
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    rows = list(table.index.unique("nu"))
    shift = np.linspace(-0.25, 0.25, len(table.index.unique("likelihood")))
    axes = figure.subplots(2, len(PARAMETERS), sharex=True, sharey="row")
    for column, parameter in zip(axes.T, PARAMETERS, strict=True):
        part = table.xs(parameter, level="parameter")
        for x, name in zip(shift, part.index.unique("likelihood"), strict=True):
            one = part.xs(name, level="likelihood").loc[rows]
            place = np.arange(len(rows)) + x
            column[0].errorbar(place, one["bias"], one["rmse"], fmt="o", capsize=2, label=name)
            column[1].errorbar(place, one["coverage"], one["coverage_error"], fmt="o", capsize=2)
        column[0].axhline(0, color="k", lw=0.8)
        column[1].axhline(level, color="k", lw=0.8)
        column[0].set_title(SYMBOLS[parameter])
        column[1].set(xticks=range(len(rows)), xticklabels=rows, xlabel="ν1, ν2")
    axes[0, 0].set_ylabel("bias ± rmse")
    axes[1, 0].set_ylabel(f"coverage of {level:.0%} intervals")
    axes[0, 0].legend(fontsize=7)
    return figure


def joint_posteriors(result, pairs):
    """Draw joint posteriors of f1 and f2, and of f1 and m, for a few pairs.

    Parameters
    ----------
    result : xarray.DataTree
    pairs : sequence of str
        Names of pairs.
    """
    figure = Figure(figsize=(4 * len(pairs), 6.5), layout="constrained")
    axes = figure.subplots(2, len(pairs), squeeze=False)
    band = result["observed_data"]["freq"].to_numpy()
    for column, pair in zip(axes.T, pairs, strict=True):
        posterior = result["posterior"].to_dataset().sel(pair=pair)
        fc1, fc2, m = (
            posterior[name].to_numpy().ravel() for name in ("fc1", "fc2", "ln_moment_ratio")
        )
        quality = result["quality"].sel(pair=pair)
        flags = [name for name, flag in quality.items() if flag.dtype == bool and flag]
        column[0].loglog(fc1, fc2, ".", markersize=2, alpha=0.5)
        column[0].axhline(band.max(), color="k", lw=0.8)
        column[1].semilogx(fc1, m, ".", markersize=2, alpha=0.5)
        column[0].set(title=f"pair {pair} {' '.join(flags)}", ylabel="f2 (Hz)")
        for axis in (column[0].xaxis, column[0].yaxis, column[1].xaxis):
            plain_numbers(axis)
        column[1].set(xlabel="f1 (Hz)", ylabel="m")
    return figure


def resolution(table):
    """Draw the width of d, and its mean, against f2 over the highest frequency.

    Parameters
    ----------
    table : pandas.DataFrame
        Indexed by true ``fc1`` (Hz) and ``f2_over_highest``.
    """
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    width, value = figure.subplots(1, 2)
    for colour, (fc1, part) in zip(("C0", "C1"), table.groupby(level="fc1"), strict=True):
        part = part.droplevel("fc1")
        beyond = part["relative_sd_of_prior_beyond"]
        width.semilogx(
            part.index, part["relative_sd"], "o-", color=colour, label=f"f1 = {fc1:g} Hz"
        )
        width.plot(part.index, beyond, ":", color=colour, label="prior beyond the band")
        value.errorbar(part.index, part["mean_dln_fc"], part["sd_dln_fc"], fmt="o", color=colour)
        value.plot(part.index, part["true_d"], "x", color=colour)
    width.axhline(0.7, color="k", lw=0.8)
    width.set(xlabel="f2 / highest frequency", ylabel="sd of d / prior sd", ylim=(0, 1.1))
    width.legend(fontsize=8)
    value.set(xscale="log", xlabel="f2 / highest frequency", ylabel="d, true value as cross")
    plain_numbers(width.xaxis)
    plain_numbers(value.xaxis)
    return figure


def stress_drops(posteriors, truth):
    """Draw posterior densities of the stress drop of event 1 and of the ratio, first pair.

    Parameters
    ----------
    posteriors : dict of str to dict of (pair, sample) arrays
    truth : dict of (pair,) arrays
    """
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for ax, name in zip(figure.subplots(1, 2), truth, strict=True):
        for label, draws in posteriors.items():
            ax.hist(draws[name][0], 40, density=True, histtype="step", label=label)
        ax.axvline(truth[name][0], color="k", lw=1, label="truth")
        ax.set(yticks=[])
    figure.axes[0].set_xlabel("ln Δσ of event 1 (ln Pa)")
    figure.axes[1].set_xlabel("ln Δσ1 / Δσ2 = m - 3 d")
    figure.axes[0].legend(fontsize=8)
    return figure


def replicated_ratios(results):
    """Draw observed ratios of a pair over the band of those that its fit replicates."""
    figure = Figure(figsize=(4.5 * len(results), 3.6), layout="constrained")
    axes = figure.subplots(1, len(results), squeeze=False, sharey=True)[0]
    for ax, (label, result) in zip(axes, results.items(), strict=True):
        used = result["constant_data"]["mask"].isel(pair=0).to_numpy() > 0
        observed = result["observed_data"]["log_power_ratio"].isel(pair=0).to_numpy()
        freq = result["observed_data"]["freq"].to_numpy()
        replicas = result["posterior_predictive"]["log_power_ratio"].isel(pair=0).to_numpy()
        columns = [replicas[..., used[:, i], i].ravel() for i in range(len(freq))]
        low, high = np.array([np.quantile(c, [0.05, 0.95]) for c in columns if c.size]).T
        ax.fill_between(freq[used.any(axis=0)], low, high, alpha=0.3, label="90 % of replicates")
        for trace, mask in zip(observed, used, strict=True):
            ax.plot(freq[mask], trace[mask], lw=0.6, color="0.3")
        ax.set(xscale="log", xlabel="frequency (Hz)", title=label)
        plain_numbers(ax.xaxis)
    axes[0].set_ylabel("ln power ratio")
    axes[0].legend(fontsize=8)
    return figure


def clusters(table, level):
    """Draw the coverage of ln f by number of events and likelihood."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    ax = figure.subplots()
    for label, part in table.groupby("likelihood", sort=False):
        ax.errorbar(
            part["events"],
            part["coverage"],
            part["coverage_error"],
            fmt="o-",
            capsize=3,
            label=label,
        )
    ax.axhline(level, color="k", lw=0.8)
    ax.set(xlabel="events of a cluster", ylabel=f"coverage of {level:.0%} intervals of ln f")
    ax.legend(fontsize=8)
    return figure


def references_of_one_target(chi2):
    """Draw the distribution of χ² over its degrees of freedom over targets.

    Parameters
    ----------
    chi2 : dict of (world, fit) to (target,) array
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    ax = figure.subplots()
    ax.boxplot(list(chi2.values()), showfliers=False, showmeans=True)
    ax.axhline(1, color="k", lw=0.8)
    labels = [f"{world.replace('_and_', '_and\n').replace('_', ' ')}\n{fit}" for world, fit in chi2]
    ax.set(yscale="log", ylabel="χ² / dof of ln f1 between references")
    ax.set_xticks(range(1, len(labels) + 1), labels, fontsize=6)
    return figure
