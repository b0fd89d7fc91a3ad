"""The figures of this model; each takes a result and returns a matplotlib figure.

The second paragraph of each docstring is the caption in the report. All of them draw from the
groups of the result alone; what a fit does not have, places or a field, leaves its panel out.
"""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bayesquake.reporting.figures import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    joint,
    marginal,
    new_figure,
    styled,
)

from .drawing import (
    CLASSES,
    band,
    cell_map,
    draws_of,
    event_dots,
    history_dots,
    links,
    map_axis,
    map_width,
    moments,
    places_of,
    time_axis,
)
from .forest import cluster_counts, modal_parents, size_classes
from .kernels import offspring_by_magnitude, offspring_density, offspring_rate
from .reliability import reliability

__all__ = [
    "FIGURES",
    "background_rate",
    "certainty",
    "classes",
    "clusters",
    "corner",
    "parents",
    "residuals",
    "triggering",
]

CORNER = {
    "log_mu": "ln μ",
    "log_k": "ln k",
    "alpha": "α",
    "log_c": "ln c",
    "p": "p",
    "log_tau": "ln τ",
    "log_d": "ln d",
    "gamma": "γ",
    "q": "q",
}
KERNEL = ("k", "alpha", "c", "p", "tau", "d", "gamma", "q")
MAP_HEIGHT, TIME_WIDTH = 4.2, 5.8
LARGER = 2.0
"""Magnitudes by which the second event of the kernels' figure is larger than the first."""

CURVE_POINTS = 120
DAYS_PER_YEAR = 365.25
KOLMOGOROV_95 = 1.358
"""Large-sample 95 % point of √n times the Kolmogorov-Smirnov distance."""


@styled
def classes(result):
    """Draw the events by their posterior probability of being background.

    Posterior probability that an event is background (blue) rather than triggered (vermilion), on
    the map with the target polygon and against time; a fit without places shows magnitude against
    time. Dots grow with magnitude; events of the history are grey, before the window shaded.
    """
    phi = result["classification"]["phi_mean"].to_numpy()
    figure, axes = _event_panels(result)
    for axis, x, y in axes:
        history_dots(axis, x, y, result)
        options = {"cmap": CLASSES, "vmin": 0.0, "vmax": 1.0}
        event_dots(axis, x, y, phi, result, _target(result), **options)
    scale = ScalarMappable(cmap=CLASSES)
    figure.colorbar(scale, ax=axes[-1][0], label="probability of being background", pad=0.02)
    return figure


@styled
def parents(result):
    """Draw the most frequent parent of every event among posterior draws.

    Each event that is triggered in most draws (vermilion) is joined to its most frequent parent,
    by a line the stronger the larger the share of draws; blue: events that are mostly background.
    A fit without places shows magnitude against time. Dots grow with magnitude.
    """
    parent = result["classification"]["parent"].to_numpy()
    mode, share = modal_parents(parent)
    target, triggered = _target(result), np.mean(parent < 0, axis=0) < 0.5
    shown = np.where(target & triggered, mode, -1)
    figure, axes = _event_panels(result)
    for axis, x, y in axes:
        history_dots(axis, x, y, result)
        links(axis, x, y, shown, share)
        event_dots(axis, x, y, VERMILION, result, target & triggered)
        event_dots(axis, x, y, BLUE, result, target & ~triggered)
    keys = [Line2D([], [], marker="o", linestyle="", color=c) for c in (BLUE, VERMILION)]
    figure.legend(
        keys, ["mostly background", "mostly triggered"], loc="outside upper right", ncols=2
    )
    return figure


@styled
def triggering(result):
    """Draw how many offspring an event has, when and where.

    Expected direct offspring of an event by its magnitude; rate of direct offspring after an event
    of two magnitudes; density of offspring around it, where places are modelled. Posterior median
    and 90 % band; dashed: 90 % band of the prior, for the smaller magnitude. Thin line: one.
    """
    space = _has_places(result)
    after, before = (draws_of(result[group], KERNEL) for group in ("posterior", "prior"))
    constants = result["constant_data"]
    m_ref, duration = float(constants["m_ref"]), float(constants["T1"] - constants["T0"])
    largest = float(result["observed_data"]["magnitude"].max())
    dm = np.linspace(0, largest - m_ref, CURVE_POINTS)
    days = np.geomspace(np.median(after["c"]) / 30, duration, CURVE_POINTS)
    reach = np.sqrt(np.median(after["d"])) if space else 1.0
    km = np.geomspace(0.03 * reach, 300 * reach, CURVE_POINTS)
    figure, axes = new_figure(1, 3 if space else 2, (11.0 if space else 7.6, 3.5))

    curves = offspring_by_magnitude(after, dm)
    axes[0].set_yscale("log")
    band(axes[0], m_ref + dm, curves, BLUE, None)
    _prior_band(axes[0], m_ref + dm, offspring_by_magnitude(before, dm), curves)
    axes[0].axhline(1.0, color=GREY, linewidth=0.8, zorder=0)
    axes[0].set(xlabel="magnitude", ylabel="expected direct offspring", xlim=m_ref + dm[[0, -1]])

    panels = [(offspring_rate, days, "time after the event (days)", "direct offspring per day")]
    if space:
        panels.append((offspring_density, km, "distance (km)", "density of offspring (km$^{-2}$)"))
    for axis, (curve, x, x_label, y_label) in zip(axes[1:], panels, strict=True):
        axis.set(xscale="log", yscale="log", xlim=x[[0, -1]], xlabel=x_label, ylabel=y_label)
        smaller, larger = (curve(after, dm, x) for dm in (0.0, LARGER))
        band(axis, x, larger, VERMILION, f"magnitude {m_ref + LARGER:g}")
        band(axis, x, smaller, BLUE, f"magnitude {m_ref:g}")
        _prior_band(axis, x, curve(before, 0.0, x), np.concatenate([smaller, larger]))
        axis.legend(loc="lower left")
    return figure


@styled
def background_rate(result):
    """Draw the background in space, where it is a field, and in time.

    Field: posterior median of μ(x), with the events as dots that grow with their probability of
    being background, and posterior standard deviation of ln μ(x). Last panel: cumulative number of
    background events by the classes of the draws (blue) and as expected by μ (black), medians and
    90 % bands; they part where the background is not steady.
    """
    posterior = result["posterior"]
    field = "mu_field" in posterior
    places, count = places_of(result), 3 if field else 1
    width = map_width(places, 3.4) + 1.2
    figure, axes = new_figure(
        1,
        count,
        (2 * width + 4.2, 3.9) if field else (6.4, 3.9),
        squeeze=False,
        width_ratios=(width, width, 4.0)[-count:],
    )
    if field:
        mu = draws_of(posterior, ["mu_field"])["mu_field"]
        maps = (
            (np.median(mu, axis=0), "viridis", LogNorm(), "μ (day$^{-1}$ km$^{-2}$)"),
            (np.log(mu).std(axis=0), "magma", None, "standard deviation of ln μ"),
        )
        for axis, (values, colours, norm, label) in zip(axes[0], maps, strict=False):
            map_axis(axis, places)
            drawn = cell_map(axis, values, posterior, result, places, cmap=colours, norm=norm)
            figure.colorbar(drawn, ax=axis, label=label, pad=0.02)
        phi, target = result["classification"]["phi_mean"].to_numpy(), _target(result)
        axes[0, 0].scatter(
            places.x[target], places.y[target], s=6 * phi[target], color="white", linewidths=0
        )
        axes[0, 1].set_ylabel("")
    _background_in_time(axes[0, -1], result)
    return figure


@styled
def clusters(result):
    """Draw how many clusters there are of each size, and one of them.

    Left: number of clusters by size, single events being clusters of one: posterior median and 90 %
    interval; diamonds: the truth, where known. Right: posterior probability that an event belongs
    to the cluster of the chosen event (star), against time.
    """
    classification, observed = result["classification"], result["observed_data"]
    figure, (left, right) = new_figure(1, 2, (10.5, 4.0), width_ratios=(1, 1.35))
    size = classification["cluster_size"].to_numpy()
    truth = None
    if "root" in observed:
        _, inverse, number = np.unique(observed["root"], return_inverse=True, return_counts=True)
        truth = number[inverse][None]
    low, high = size_classes(max(size.max(), 0 if truth is None else truth.max()))
    counts = cluster_counts(size, high.size)
    least, median, most = np.quantile(counts, [0.05, 0.5, 0.95], axis=0)
    place = np.arange(high.size)
    left.bar(place, median, 0.7, color=BLUE, alpha=0.45, label="posterior median")
    left.vlines(place, least, most, color=BLUE, linewidth=2.2, label="90 % interval")
    if truth is not None:
        true_counts = cluster_counts(truth, high.size)[0]
        left.plot(place, true_counts, "D", color=VERMILION, markersize=5, label="truth")
    left.set_yscale("symlog", linthresh=1.0)
    left.yaxis.set_major_formatter("{x:g}")
    names = [f"{a}" if a == b else f"{a}-{b}" for a, b in zip(low, high, strict=True)]
    left.set_xticks(place, names, rotation=45 if high.size > 6 else 0)
    left.set(xlabel="events in the cluster", ylabel="number of clusters")
    left.legend(loc="upper right")

    x, y, label = _against_time(result)
    together = classification["cocluster"].to_numpy()
    chosen = int(classification.attrs["chosen_event"])
    everything = np.arange(together.size) != chosen
    drawn = event_dots(right, x, y, together, result, everything, cmap="YlGnBu", vmin=0.0, vmax=1.0)
    right.plot(
        x[chosen], y[chosen], "*", color=VERMILION, markersize=13, markeredgecolor=INK, zorder=4
    )
    right.set_ylabel(label)
    time_axis(right, result)
    magnitude = float(observed["magnitude"][chosen])
    figure.colorbar(
        drawn,
        ax=right,
        label=f"probability to share the cluster of the M {magnitude:.1f}",
        pad=0.02,
    )
    return figure


@styled
def certainty(result):
    """Draw how certain the classes are, and whether they can be believed.

    Number of target events by their posterior probability of being background; width of the 90 %
    band that the parameters leave to it. Where the true parents are known: observed share of
    background events by that probability, with 90 % binomial intervals and the number of events;
    probabilities that mean what they say lie on the diagonal.
    """
    classification, target = result["classification"], _target(result)
    phi = classification["phi_mean"].to_numpy()[target]
    width = (classification["phi_q95"] - classification["phi_q05"]).to_numpy()[target]
    known = "parent" in result["observed_data"]
    figure, axes = new_figure(1, 2 + known, (3.6 * (2 + known), 3.5))
    counts, edges = np.histogram(phi, np.linspace(0, 1, 21))
    centres = 0.5 * (edges[1:] + edges[:-1])
    axes[0].bar(centres, counts, 0.046, color=CLASSES(centres), edgecolor=INK, linewidth=0.4)
    axes[0].set(ylabel="number of events", xlim=(0, 1))
    axes[0].set_title(f"expected background events: {phi.sum():.0f} of {phi.size}")
    size = float(np.clip(4000 / phi.size, 2.0, 12.0))
    axes[1].scatter(phi, width, s=size, c=phi, cmap=CLASSES, vmin=0, vmax=1, linewidths=0)
    axes[1].set(ylabel="width of its 90 % band", xlim=(0, 1), ylim=(0, None))
    for axis in axes[:2]:
        axis.set_xlabel("probability of being background")
    if known:
        _reliability(axes[2], phi, result["observed_data"]["parent"].to_numpy()[target] == -1)
    return figure


@styled
def residuals(result):
    """Draw observed against expected numbers of events, in time and in transformed time.

    Left: cumulative number of target events, observed and expected by the posterior. Right:
    observed minus expected number; band: 95 % Kolmogorov-Smirnov limits of a process that the
    model describes. Parameters fitted to the same events keep the line closer to zero.
    """
    group, observed = result["residuals"], result["observed_data"]
    expected = group["transformed_time"].to_numpy()
    days = observed["time_days"].to_numpy()[group["target_event"].to_numpy()]
    number = np.arange(1, expected.size + 1)
    figure, (left, right) = new_figure(1, 2, (10.0, 3.8))
    left.step(moments(result, days), number, where="post", color=INK, label="observed")
    left.plot(moments(result, days), expected, color=BLUE, label="expected")
    left.set(ylabel="cumulative number of target events", ylim=(0, None))
    time_axis(left, result)
    left.legend(loc="upper left")
    limit = KOLMOGOROV_95 * np.sqrt(expected.size)
    right.axhspan(-limit, limit, color=INK, alpha=0.13, linewidth=0, label="95 % KS limits")
    right.axhline(0.0, color=INK, linewidth=0.8)
    right.step(expected, number - expected, where="post", color=BLUE)
    reach = 1.35 * max(limit, np.abs(number - expected).max())
    right.set(
        xlabel="expected number of events up to the event (transformed time)",
        ylabel="observed minus expected number",
        xlim=(0, float(group["expected_total"])),
        ylim=(-reach, reach),
    )
    right.set_title(
        f"distance from uniform {float(group['ks_statistic']):.3f}, "
        f"p-value {float(group['ks_pvalue']):.2g}"
    )
    right.legend(loc="upper right")
    return figure


@styled
def corner(result):
    """Draw the joint posterior of the parameters, two by two.

    Contours hold 50 % and 90 % of the posterior; on the diagonal, the densities of posterior
    (filled) and prior (dashed).
    """
    posterior = result["posterior"]
    names = [name for name in CORNER if name in posterior]
    after, before = (draws_of(result[group], names) for group in ("posterior", "prior"))
    labels = {name: _parameter_label(result, name) for name in names}
    count = len(names)
    figure, axes = new_figure(count, count, (1.22 * count + 0.6, 1.12 * count + 0.6), sharex="col")
    for row, second in enumerate(names):
        for column, first in enumerate(names):
            axis = axes[row, column]
            if column > row:
                axis.set_axis_off()
                continue
            if row == column:
                marginal(axis, after[first], before[first])
            else:
                joint(axis, after[first], after[second])
                axis.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
            axis.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
            if row == count - 1:
                axis.set_xlabel(labels[first])
            if column == 0 and row > 0:
                axis.set_ylabel(labels[second])
            elif column < row:
                axis.set_yticklabels([])
    figure.align_labels()
    return figure


FIGURES = {
    "Background and triggered events": classes,
    "Parents": parents,
    "Triggering": triggering,
    "Background rate": background_rate,
    "Clusters": clusters,
    "Certainty of the classes": certainty,
    "Residuals": residuals,
    "Joint posterior": corner,
}


def _target(result):
    return result["observed_data"]["target"].to_numpy() == 1


def _has_places(result):
    return "d" in result["posterior"]


def _against_time(result):
    """Return moments of the events, and what is drawn against them with its label."""
    observed = result["observed_data"]
    x = moments(result, observed["time_days"])
    if not _has_places(result):
        return x, observed["magnitude"].to_numpy(), "magnitude"
    places = places_of(result)
    return x, places.y, places.labels[1]


def _event_panels(result):
    """Return a figure and its axes, map and time or time alone, with the events' coordinates."""
    time, y, label = _against_time(result)
    if not _has_places(result):
        figure, axis = new_figure(size=(9.5, 3.8))
        axis.set_ylabel(label)
        time_axis(axis, result)
        return figure, [(axis, time, y)]
    places = places_of(result)
    width = map_width(places, MAP_HEIGHT)
    figure, (left, right) = new_figure(
        1,
        2,
        (width + TIME_WIDTH + 1.2, MAP_HEIGHT + 0.6),
        sharey=True,
        width_ratios=(width, TIME_WIDTH),
    )
    map_axis(left, places)
    right.set_box_aspect(MAP_HEIGHT / TIME_WIDTH)
    time_axis(right, result)
    return figure, [(left, places.x, places.y), (right, time, y)]


def _prior_band(axis, x, draws, shown):
    """Draw the limits of the prior, and leave the view to the curves that are shown."""
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    style = {"color": GREY, "linestyle": "--", "linewidth": 0.9}
    axis.plot(x, low, label="90 % of the prior", **style)
    axis.plot(x, high, **style)
    bottom, top = np.quantile(shown, [0.05, 0.95], axis=0)
    axis.set_ylim(0.3 * bottom.min(), 3 * top.max())


def _background_in_time(axis, result):
    """Draw background events of the draws and those that μ expects, cumulative."""
    observed, constants = result["observed_data"], result["constant_data"]
    target = _target(result)
    is_background = result["classification"]["parent"].to_numpy()[:, target] < 0
    days = observed["time_days"].to_numpy()[target]
    band(
        axis,
        moments(result, days),
        np.cumsum(is_background, axis=1),
        BLUE,
        "background events of the draws",
    )
    ends = np.array([float(constants["T0"]), float(constants["T1"])])
    rate = _expected_per_day(result)
    band(axis, moments(result, ends), rate[:, None] * (ends - ends[0]), INK, "expected by μ")
    axis.set(ylabel="cumulative number", ylim=(0, None))
    time_axis(axis, result)
    axis.set_xlim(moments(result, ends))
    axis.legend(loc="upper left")


def _expected_per_day(result):
    """Return the background events expected per day in the polygon, (draw,)."""
    posterior = result["posterior"]
    if "mu_field" in posterior:
        mu = draws_of(posterior, ["mu_field"])["mu_field"]
        return mu @ posterior["cell_share"].to_numpy() * float(result["constant_data"]["area_km2"])
    return draws_of(posterior, ["mu"])["mu"] * float(result["constant_data"]["area_km2"])


def _reliability(axis, phi, is_background):
    found = reliability(phi, is_background)
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, zorder=0)
    axis.vlines(found.mean, found.low, found.high, color=BLUE, linewidth=2.0, alpha=0.5)
    axis.plot(found.mean, found.share, "o", color=BLUE, markersize=5)
    for x, y, number in zip(found.mean, found.high, found.number, strict=True):
        axis.annotate(f"{number}", (x, y), (0, 3), textcoords="offset points", ha="center")
    brier = np.mean((phi - is_background) ** 2)
    axis.set(
        xlabel="probability of being background",
        ylabel="true share of background events",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.1),
    )
    axis.set_title(f"Brier score {brier:.3f}")


def _parameter_label(result, name):
    unit = result["posterior"][name].attrs["units"].removeprefix("ln(").removesuffix(")")
    for plain, raised in {"-1": "$^{-1}$", "-2": "$^{-2}$", "km2": "km²"}.items():
        unit = unit.replace(plain, raised)
    return CORNER[name] if unit == "1" else f"{CORNER[name]} ({unit})"
