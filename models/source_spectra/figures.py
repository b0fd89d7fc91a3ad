"""The figures of this model; each takes a result and returns a matplotlib figure.

The second paragraph of each docstring is the caption in the report. All of them draw from the
groups of the result alone, for one pair or thousands, and for a cluster of events.
"""

import textwrap

import numpy as np
from matplotlib.colors import LogNorm

from bayesquake.reporting.figures import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    VERMILION,
    joint,
    marginal,
    new_figure,
    styled,
)

from .drawing import (
    FEW,
    event_colours,
    name_places,
    plain_log_ticks,
    sorted_intervals,
)
from .outputs import BAND_EDGE, FLAGS, SMALLEST_P_VALUE
from .predictive import flat, is_cluster, predictive_band, source_amplitudes, spectral_shape
from .resolvability import corner_frequency_sd, location_information
from .spectrum import log_stress_drop

__all__ = [
    "FIGURES",
    "corner",
    "corner_frequencies",
    "degrees_of_freedom",
    "resolvability",
    "spectra",
    "stress_drop",
]

MOST_PANELS = 6
MOST_EVENTS_IN_CORNER = 4
GREEN, ORANGE = COLOURS[2], COLOURS[3]
MANY = 500
"""Pairs from which the outlines of dots would hide them."""

MAP_POINTS = 80
MAP_REACH = 2.0
"""Ratio by which the resolvability map reaches beyond the band at both ends."""

MAP_LEVELS = (0.1, 0.2, 0.5, 1.0)
MAP_RANGE = (0.03, 3.0)


@styled
def spectra(result):
    """Draw spectral ratios with their predictive band, or the spectra of a cluster.

    Pairs (up to six, flagged ones first): observed amplitude ratio of every trace (dots), median
    ratio of the sources (line), 90 % predictive band; below, median and 90 % interval of the
    corner frequencies of event 1 (green) and 2 (orange). Cluster: amplitudes of every trace with
    the path taken out (dots), and the source spectra with their 90 % bands.
    """
    if is_cluster(result):
        return _spectra_of_cluster(result)
    flagged, names = _flagged(result), result["posterior"]["pair"].to_numpy()
    shown = np.argsort(~flagged, kind="stable")[:MOST_PANELS]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    size = (7.0, 4.2) if len(shown) == 1 else (3.5 * columns + 0.3, 3.1 * rows + 0.4)
    figure, axes = new_figure(rows, columns, size, sharex=True, squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, i in zip(axes.flat, shown, strict=False):
        _ratio_of_pair(axis, result, int(i))
        flags = ", ".join(_flags_of(result, int(i)))
        title = "\n".join([str(names[i]), *textwrap.wrap(flags, 44)])
        axis.set_title(title, color=VERMILION if flags else INK)
    for axis in axes[:, 0]:
        axis.set_ylabel("amplitude ratio")
    for axis in axes.flat[max(len(shown) - columns, 0) : len(shown)]:
        axis.set_xlabel("frequency (Hz)")
        axis.xaxis.set_tick_params(labelbottom=True)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


@styled
def corner(result):
    """Draw the joint posterior of corner frequencies and moment ratio, two by two.

    Pairs: ln f1, d = ln(f2 / f1) and m = ln(M01 / M02) of the first pair. Cluster: ln f_c of up
    to four events. Contours hold 50 % and 90 % of the posterior; on the diagonal, the densities
    of posterior (filled) and prior (dashed).
    """
    columns = _corner_columns(result)
    count = len(columns)
    figure, axes = new_figure(
        count, count, (2.1 * count + 0.6, 1.9 * count + 0.6), sharex="col", squeeze=False
    )
    for row, (y_label, y, _) in enumerate(columns):
        for column, (x_label, x, before) in enumerate(columns):
            axis = axes[row, column]
            if column > row:
                axis.set_axis_off()
                continue
            if row == column:
                marginal(axis, x, before)
            else:
                joint(axis, x, y)
            if row == count - 1:
                axis.set_xlabel(x_label)
            if column == 0 and row > 0:
                axis.set_ylabel(y_label)
            elif column < row:
                axis.set_yticklabels([])
    if not is_cluster(result):
        figure.suptitle(str(result["posterior"]["pair"].to_numpy()[0]), fontsize=9.5)
    figure.align_labels()
    return figure


@styled
def stress_drop(result):
    """Draw stress drops with and without unknown k, or else what is free of k.

    Medians and 90 % intervals, sorted, of the stress drop with the rupture model, hence k, unknown
    (light) and with one k (dark). Where moment or shear velocity was not given, the ratio of the
    stress drops of event 1 and event 2 (of each event and the first one in a cluster), which
    needs neither these nor k. Flagged ones in vermilion.
    """
    unit = _unit(result)
    posterior, names = result["posterior"], result["posterior"][unit].to_numpy()
    drops = [name for name in ("ln_dsigma1", "ln_dsigma2", "ln_dsigma") if name in posterior]
    if not drops:
        figure, axis = new_figure(size=(7.0, 3.6))
        order = sorted_intervals(
            axis, np.exp(_ln_stress_drop_ratio(result)), _colours(_flagged(result))
        )
        axis.axhline(1.0, color=INK, linewidth=0.8)
        axis.set(yscale="log", ylabel="ratio of stress drops")
        plain_log_ticks(axis)
        name_places(axis, names, order, unit)
        return figure
    figure, axes = new_figure(1, len(drops), (4.8 * len(drops), 3.8), sharey=True, squeeze=False)
    known, model = _ln_stress_drops_of_one_k(result)
    for axis, name in zip(axes.flat, drops, strict=True):
        unknown_k, one_k = (np.exp(values) / 1e6 for values in (flat(posterior[name]), known[name]))
        order = np.argsort(np.median(one_k, axis=0))
        colours = _colours(_flagged(result))
        sorted_intervals(axis, unknown_k, colours, order, opacity=0.35, width=3.0)
        sorted_intervals(axis, one_k, colours, order)
        axis.set_yscale("log")
        axis.set_title({"ln_dsigma1": "event 1", "ln_dsigma2": "event 2"}.get(name, ""))
        name_places(axis, names, order, unit)
    plain_log_ticks(axes[0, 0])
    axes[0, 0].set_ylabel(f"stress drop (MPa)\nlight: k unknown; dark: k = {model}")
    return figure


@styled
def degrees_of_freedom(result):
    """Draw fitted degrees of freedom against the nominal ones, or the test of dispersion.

    Medians and 90 % intervals of ν, sorted, with the nominal values (black); lower ones mean more
    scatter than the tapers account for. Where ν is no parameter: p-values of the dispersion,
    sorted, which lie near the diagonal, or closer to one half, if spectra scatter as their degrees
    of freedom say; those below the dotted line at 0.01 are flagged.
    """
    unit = _unit(result)
    name = "cluster_nu" if is_cluster(result) else "nu"
    figure, axis = new_figure(size=(7.0, 3.6))
    if name not in result["posterior"]:
        return _dispersion(figure, axis, result)
    nu = flat(result["posterior"][name])
    nu = nu.reshape(len(nu), -1)
    nominal = _nominal_nu(result)
    names = ["all events"] if is_cluster(result) else result["posterior"][unit].to_numpy()
    order = sorted_intervals(axis, nu, _colours(_flagged(result)[: nu.shape[1]]))
    axis.scatter(
        np.arange(len(order)), nominal[order], marker="_", color=INK, zorder=3, label="nominal"
    )
    axis.set(ylabel="degrees of freedom ν", ylim=(0, 1.08 * max(nu.max(), nominal.max())))
    name_places(axis, names, order, unit)
    axis.legend(loc="lower right")
    return figure


@styled
def corner_frequencies(result):
    """Draw the corner frequencies of all pairs or events, and how many are flagged.

    Medians and 90 % intervals, sorted by the median of f1; flagged pairs in vermilion; outside
    the band of the spectra grey, beyond the dotted lines f1 is near its edge. Cluster: corner
    frequency against moment relative to that of the first event; dashed lines of equal stress
    drop are a factor 10 apart. Right: how many have each flag.
    """
    figure, axes = new_figure(1, 3, (10.5, 4.0), width_ratios=(2, 2, 1.1))
    if is_cluster(result):
        for axis in axes[:2]:
            axis.remove()
        wide = figure.add_subplot(axes[0].get_gridspec()[:2])
        _frequency_against_moment(wide, result)
    else:
        colours = _colours(_flagged(result))
        posterior = result["posterior"]
        order = np.argsort(np.median(flat(posterior["fc1"]), axis=0))
        for axis, name in zip(axes, ("fc1", "fc2"), strict=False):
            sorted_intervals(axis, flat(posterior[name]), colours, order)
            axis.set(yscale="log", ylabel=f"corner frequency of event {name[-1]} (Hz)")
            _shade_outside_band(axis, result, edges=name == "fc1")
            name_places(axis, posterior["pair"].to_numpy(), order, "pair")
    _flag_counts(axes[2], result)
    return figure


@styled
def resolvability(result):
    """Draw how well the frequencies can resolve corner frequencies, whatever the data are.

    Standard deviations of ln f1 and ln f2 from the Fisher information of the frequencies and the
    degrees of freedom (average over pairs), without prior, the moment ratio unknown; 0.1 is about
    10 %. Dots: posterior medians, flagged ones in vermilion. Cluster: as if the first event (f1)
    and another one (f2) were a pair alone.
    """
    freq, information = _information(result)
    fc1, fc2, flagged = _medians_on_map(result)
    low, high = freq.min() / MAP_REACH, freq.max() * MAP_REACH
    grid = np.geomspace(low, high, MAP_POINTS)
    n, g = spectral_shape(result)
    maps = corner_frequency_sd(freq, information, grid[None, :], grid[:, None], float(n.mean()), g)
    figure, axes = new_figure(1, 2, (10.0, 4.3), sharey=True)
    for axis, sd, name in zip(axes, maps, ("ln f1", "ln f2"), strict=True):
        # Before the contours, whose labels would else be placed on linear axes.
        axis.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        drawn = axis.pcolormesh(
            grid,
            grid,
            np.clip(sd, *MAP_RANGE),
            norm=LogNorm(*MAP_RANGE),
            cmap="cividis",
            shading="gouraud",
        )
        bar = figure.colorbar(drawn, ax=axis, label=f"standard deviation of {name}", pad=0.02)
        bar.ax.yaxis.set_major_formatter("{x:g}")
        lines = axis.contour(grid, grid, sd, MAP_LEVELS, colors="white", linewidths=0.9)
        axis.clabel(lines, fmt="%g", fontsize=7)
        axis.scatter(
            fc1,
            fc2,
            s=np.clip(2000 / len(fc1), 5.0, 30.0),
            c=np.where(flagged, VERMILION, "white"),
            edgecolors=INK,
            linewidths=0.4 if len(fc1) < MANY else 0.1,
        )
        plain_log_ticks(axis)
        axis.set_xlabel("f1 (Hz)")
    axes[0].set_ylabel("f2 (Hz)")
    return figure


FIGURES = {
    "Spectra and predictive band": spectra,
    "Joint posterior": corner,
    "Stress drop": stress_drop,
    "Degrees of freedom": degrees_of_freedom,
    "Corner frequencies and flags": corner_frequencies,
    "Resolvability": resolvability,
}


def _unit(result):
    return "event" if is_cluster(result) else "pair"


def _flags_of(result, i):
    """Return the names of the flags that a pair or event has, in words."""
    quality = result["quality"]
    return [_words(name) for name in FLAGS if name in quality and bool(quality[name][i])]


def _flagged(result):
    """Return whether each pair or event has any flag."""
    quality = result["quality"]
    return np.any([quality[name].to_numpy() for name in FLAGS if name in quality], axis=0)


def _colours(flagged):
    return np.where(flagged, VERMILION, BLUE)


def _words(flag):
    return flag.replace("_lt_", " < ").replace("_", " ")


def _ratio_of_pair(axis, result, i):
    freq, low, high, location = predictive_band(result, i)
    observed = result["observed_data"]["log_power_ratio"].isel(pair=i)
    mask = result["constant_data"]["mask"].isel(pair=i)
    observed, mask = (x.transpose("trace", "freq").to_numpy() for x in (observed, mask))
    trace, place = np.nonzero(mask == 1)
    axis.fill_between(
        freq,
        np.exp(low / 2),
        np.exp(high / 2),
        color=BLUE,
        alpha=0.2,
        linewidth=0,
        label="90 % predictive",
    )
    axis.plot(freq, np.exp(location / 2), color=BLUE, label="sources")
    axis.scatter(
        result["observed_data"]["freq"].to_numpy()[place],
        np.exp(observed[trace, place] / 2),
        s=float(np.clip(1500 / max(len(trace), 1), 1.5, 9.0)),
        color=INK,
        alpha=0.6,
        linewidths=0,
        label="observed",
    )
    ends = (freq.min() / 1.1, freq.max() * 1.1)
    axis.set(xscale="log", yscale="log", xlim=ends)
    for name, colour, height in (("fc1", GREEN, 0.08), ("fc2", ORANGE, 0.03)):
        draws = flat(result["posterior"][name].isel(pair=i))
        start, median, end = np.quantile(draws, [0.05, 0.5, 0.95])
        level = {"transform": axis.get_xaxis_transform(), "color": colour}
        axis.plot([start, end], [height] * 2, linewidth=4, alpha=0.5, **level)
        axis.plot(median, height, "o", markersize=5, label=name.replace("c", ""), **level)
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom * (bottom / top) ** 0.12, top)
    plain_log_ticks(axis)


def _spectra_of_cluster(result):
    names = result["posterior"]["event"].to_numpy()
    freq = result["constant_data"]["freq"].to_numpy()
    (low, median, high), amplitude, shown = source_amplitudes(result)
    figure, axis = new_figure(size=(8.0, 4.8))
    size = float(np.clip(4000 / max(shown.sum(), 1), 1.5, 9.0))
    for event, (name, colour) in enumerate(zip(names, event_colours(len(names)), strict=True)):
        trace, place = np.nonzero(shown[event])
        points = freq[place], amplitude[event, trace, place]
        axis.scatter(*points, s=size, color=colour, alpha=0.5, linewidths=0)
        axis.fill_between(freq, low[event], high[event], color=colour, alpha=0.3, linewidth=0)
        axis.plot(freq, median[event], color=colour, label=str(name))
    axis.set(
        xscale="log",
        yscale="log",
        xlim=(freq[0], freq[-1]),
        xlabel="frequency (Hz)",
        ylabel=f"source spectrum (moment of {names[0]} = 1)",
    )
    plain_log_ticks(axis)
    p_value = float(result["quality"]["dispersion_p_value"][0])
    axis.set_title(f"p-value of the dispersion: {p_value:.2g}")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _corner_columns(result):
    """Return label, posterior and prior draws of every quantity of the corner figure."""
    posterior, prior = result["posterior"], result["prior"]
    if is_cluster(result):
        return [
            (
                f"ln f_c of {name} (Hz)",
                *(flat(group["ln_fc"])[:, i] for group in (posterior, prior)),
            )
            for i, name in enumerate(posterior["event"].to_numpy()[:MOST_EVENTS_IN_CORNER])
        ]
    labels = {"ln_fc1": "ln f1 (Hz)", "dln_fc": "d", "ln_moment_ratio": "m"}
    return [
        (label, *(flat(group[name])[:, 0] for group in (posterior, prior)))
        for name, label in labels.items()
    ]


def _ln_stress_drop_ratio(result):
    posterior = result["posterior"]
    if not is_cluster(result):
        return flat(posterior["ln_dsigma_ratio"])
    ln_fc, m = (flat(posterior[name]) for name in ("ln_fc", "ln_relative_moment"))
    return m + 3.0 * (ln_fc - ln_fc[:, :1])


def _ln_stress_drops_of_one_k(result):
    """Return the log stress drops under the middle one of the rupture models, and its name."""
    constants, posterior = result["constant_data"], result["posterior"]
    k = constants["k"].to_numpy()
    middle = int(np.argsort(k)[len(k) // 2])
    rest = np.log(k[middle]), np.log(float(constants["shear_velocity"]))
    log_moment = np.log(constants["moment_of_event_1"].to_numpy())
    name = (
        f"{k[middle]:.3g} ({str(constants['rupture_model'].to_numpy()[middle]).replace('_', ' ')})"
    )
    if is_cluster(result):
        ln_fc, m = (flat(posterior[key]) for key in ("ln_fc", "ln_relative_moment"))
        return {"ln_dsigma": log_stress_drop(log_moment + m, ln_fc, *rest)}, name
    first = log_stress_drop(log_moment, flat(posterior["ln_fc1"]), *rest)
    return {
        "ln_dsigma1": first,
        "ln_dsigma2": first - flat(posterior["ln_dsigma_ratio"]),
    }, name


def _nominal_nu(result):
    """Return the mean of the degrees of freedom of each pair's or the cluster's powers."""
    constants = result["constant_data"]
    mask = constants["mask"]
    if is_cluster(result):
        return np.atleast_1d(constants["nu"].where(mask == 1).mean().to_numpy())
    both = (constants["nu1"] + constants["nu2"]) / 2
    return both.where(mask == 1).mean(("trace", "freq")).to_numpy()


def _dispersion(figure, axis, result):
    p_values = result["quality"]["dispersion_p_value"].to_numpy()
    if is_cluster(result):
        p_values = p_values[:1]
    p_values = np.sort(p_values)
    expected = (np.arange(len(p_values)) + 0.5) / len(p_values)
    axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
    axis.axhline(SMALLEST_P_VALUE, color=INK, linestyle=":", linewidth=0.8)
    axis.scatter(
        expected,
        p_values,
        s=np.clip(2000 / len(p_values), 4.0, 24.0),
        c=list(_colours(p_values < SMALLEST_P_VALUE)),
        linewidths=0,
        zorder=3,
    )
    axis.set(
        xlabel="rank, as a share",
        ylabel="p-value of the dispersion",
        xlim=(0, 1),
        ylim=(-0.02, 1.02),
    )
    return figure


def _shade_outside_band(axis, result, edges=True):
    freq = result["constant_data"]["freq"].to_numpy()
    low, high = axis.get_ylim()
    for start, end in ((low, freq.min()), (freq.max(), high)):
        if start < end:
            axis.axhspan(start, end, color=GREY, alpha=0.2, linewidth=0)
    for edge in (BAND_EDGE[0] * freq.min(), BAND_EDGE[1] * freq.max()) if edges else ():
        axis.axhline(edge, color=GREY, linestyle=":", linewidth=0.9)
    axis.set_ylim(min(low, freq.min()), max(high, freq.max()))
    plain_log_ticks(axis)


def _frequency_against_moment(axis, result):
    posterior, colours = result["posterior"], _colours(_flagged(result))
    names = posterior["event"].to_numpy()
    moment = np.exp(np.quantile(flat(posterior["ln_relative_moment"]), [0.05, 0.5, 0.95], axis=0))
    fc = np.exp(np.quantile(flat(posterior["ln_fc"]), [0.05, 0.5, 0.95], axis=0))
    axis.hlines(fc[1], moment[0], moment[2], colors=list(colours))
    axis.vlines(moment[1], fc[0], fc[2], colors=list(colours))
    axis.scatter(moment[1], fc[1], s=18, c=list(colours), linewidths=0, zorder=3)
    if len(names) <= FEW:
        for name, x, y in zip(names, moment[1], fc[1], strict=True):
            axis.annotate(str(name), (x, y), (5, 5), textcoords="offset points", fontsize=7.5)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=f"moment over that of {names[0]}",
        ylabel="corner frequency (Hz)",
    )
    axis.margins(0.1)
    _shade_outside_band(axis, result)
    limits = np.array(axis.get_xlim())
    through = fc[1, 0] * (limits / moment[1, 0]) ** (-1 / 3)
    bottom_top = axis.get_ylim()
    for decade in range(-6, 7):
        axis.plot(
            limits,
            through * 10 ** (decade / 3),
            "--",
            color=GREY,
            linewidth=0.6,
            zorder=0,
            alpha=0.7,
        )
    axis.set(xlim=limits, ylim=bottom_top)


def _flag_counts(axis, result):
    quality = result["quality"]
    names = [name for name in FLAGS if name in quality]
    counts = [int(quality[name].to_numpy().sum()) for name in names]
    total = quality.sizes[_unit(result)]
    bars = axis.barh([_words(name) for name in names], counts, color=VERMILION, alpha=0.8)
    axis.bar_label(bars, padding=3, fontsize=8)
    axis.set(xlim=(0, 1.25 * max(*counts, 1)), xlabel=f"{_unit(result)}s flagged, of {total}")
    axis.set_xticks([])
    axis.invert_yaxis()


def _information(result):
    """Return the frequencies, and the mean over pairs of the information of all traces."""
    constants, posterior = result["constant_data"], result["posterior"]
    mask = constants["mask"] == 1
    if is_cluster(result):
        nu = constants["nu"]
        if "cluster_nu" in posterior:
            nu = 0.0 * nu + float(posterior["cluster_nu"].median())
        nu1, nu2 = nu.isel(event=0, drop=True), nu.isel(event=slice(1, None))
        mask = mask.isel(event=0, drop=True) & mask.isel(event=slice(1, None))
    else:
        nu1, nu2 = constants["nu1"], constants["nu2"]
        if "nu" in posterior:
            nu1 = nu2 = 0.0 * nu1 + posterior["nu"].median(("chain", "draw"))
    of_bin = location_information(nu1, nu2).where(mask, 0.0)
    return constants["freq"].to_numpy(), of_bin.sum("trace").mean(_unit(result)).to_numpy()


def _medians_on_map(result):
    posterior, flagged = result["posterior"], _flagged(result)
    if is_cluster(result):
        fc = np.median(flat(posterior["fc"]), axis=0)
        return np.full(len(fc) - 1, fc[0]), fc[1:], flagged[1:]
    fc1, fc2 = (np.median(flat(posterior[name]), axis=0) for name in ("fc1", "fc2"))
    return fc1, fc2, flagged
