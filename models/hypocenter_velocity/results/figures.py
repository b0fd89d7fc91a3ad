"""The figures of this model; each takes a result and returns a matplotlib figure.

The second paragraph of each docstring is the caption in the report.
"""

import numpy as np

from bayesquake.io.arrivals.dataset import PHASES
from bayesquake.reporting.figures import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    axis_label,
    joint,
    new_figure,
    styled,
)

__all__ = [
    "FIGURES",
    "depth_shift",
    "hypocentres",
    "residuals",
    "station_terms",
    "trade_offs",
    "velocities",
]

BAND = (0.05, 0.25, 0.75, 0.95)
ELLIPSE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 61)), np.sin(np.linspace(0, 2 * np.pi, 61))])
TWO_DIMENSIONS_90 = 2.146
"""Radius, in standard deviations, of the ellipse that holds 90 % in two dimensions."""

MOST_ELLIPSES = 1000
OF_PHASE = {"P": BLUE, "S": VERMILION}
BELOW_LOWEST = 0.35
"""Share of the depth range by which the lowest layer is drawn downward."""


@styled
def velocities(result):
    """Draw the velocities of P and S by depth, and the depths of the sources.

    Lines: medians; bands: 50 % and 90 % of the draws; dashed: reference velocities, around which
    the prior lies. Of two profiles the faster one is drawn with a broken line. Dots: depths of the
    hypocentres, that is where velocities can be known.
    """
    posterior, constant = result["posterior"], result["constant_data"]
    top = constant["top"].to_numpy()
    figure, (panel, sources) = new_figure(
        1, 2, (7.5, 5.0), sharey=True, width_ratios=(4, 1), squeeze=True
    )
    depth = posterior["depth"].mean(("chain", "draw")).to_numpy()
    lowest = max(top[-1], depth.max())
    bottom = lowest + BELOW_LOWEST * (lowest - top[0])
    edges = np.append(top, bottom)
    y = step_depth(edges)
    for name, colour in (("vp", BLUE), ("vs", VERMILION)):
        for k, draws in enumerate(of_profiles(posterior, name)):
            low, lower, upper, high = (step(q) for q in np.quantile(draws, BAND, axis=1))
            panel.fill_betweenx(y, low, high, color=colour, alpha=0.2, linewidth=0)
            panel.fill_betweenx(y, lower, upper, color=colour, alpha=0.35, linewidth=0)
            style, label = (("-", name), ("-.", f"{name}, faster profile"))[k]
            panel.plot(step(np.median(draws, axis=1)), y, style, color=colour, label=label)
        reference = constant[name].to_numpy()
        if np.isfinite(reference).all():
            panel.plot(step(reference), y, "--", color=GREY, linewidth=0.9)
    panel.set(xlabel="velocity (km/s)", ylabel="depth (km)", ylim=(bottom, top[0]))
    panel.legend(loc="lower left")
    sources.plot(np.linspace(0, 1, len(depth)), depth, ".", color=INK, markersize=3)
    sources.set(xlabel="sources", xticks=[])
    return figure


def of_profiles(posterior, name):
    """Return the draws of ``vp`` or ``vs`` of one or two profiles, each (layer, sample)."""
    several = f"profile_{name}"
    if several not in posterior:
        return [flattened(posterior[name], "layer")]
    return list(flattened(posterior[several], "profile", "layer"))


def flattened(draws, *dims):
    """Return draws with these dimensions and all draws last."""
    return draws.stack(sample=("chain", "draw")).transpose(*dims, "sample").to_numpy()


def step(values):
    """Return each value twice, for both ends of its layer."""
    return np.repeat(values, 2)


def step_depth(edges):
    """Return tops and bottoms of all layers, in turn."""
    return np.repeat(edges, 2)[1:-1]


@styled
def hypocentres(result):
    """Draw the hypocentres on a map and two sections, with their uncertainty.

    Ellipses hold 90 % of the draws in the plane of each panel; triangles are stations. Crosses:
    preliminary hypocentres.
    """
    locations, constant = result["locations"], result["constant_data"]
    mean, covariance = locations["mean"].to_numpy(), locations["covariance"].to_numpy()
    preliminary = np.stack([constant[axis].to_numpy() for axis in ("x", "y", "depth")], axis=1)
    station = {axis: constant[f"station_{axis}"].to_numpy() for axis in ("x", "y", "depth")}
    figure, panels = new_figure(1, 3, (11.0, 4.2))
    names = ("x", "y", "depth")
    for panel, (a, b) in zip(panels, ((0, 1), (0, 2), (1, 2)), strict=True):
        panel.plot(preliminary[:, a], preliminary[:, b], "x", color=GREY, markersize=3)
        for centre, spread in zip(mean[:MOST_ELLIPSES], covariance[:MOST_ELLIPSES], strict=True):
            panel.plot(*ellipse(centre[[a, b]], spread[np.ix_([a, b], [a, b])]), color=BLUE, lw=0.6)
        panel.plot(mean[:, a], mean[:, b], ".", color=BLUE, markersize=2)
        if b == 1:
            panel.plot(station["x"], station["y"], "^", color=VERMILION, markersize=4)
            panel.set_aspect("equal", "datalim")
        else:
            panel.invert_yaxis()
        panel.set(xlabel=f"{names[a]} (km)", ylabel=f"{names[b]} (km)")
    return figure


def ellipse(centre, covariance):
    """Return the outline of the ellipse that holds 90 % of a normal distribution."""
    values, vectors = np.linalg.eigh(covariance)
    radii = TWO_DIMENSIONS_90 * np.sqrt(np.maximum(values, 0))
    return centre[:, None] + vectors @ (radii[:, None] * ELLIPSE)


@styled
def trade_offs(result):
    """Draw how depth, origin time, velocity and Vp/Vs trade off with one another.

    Contours hold 50 % and 90 % of the draws. Left: mean depth of all hypocentres against the
    velocity of the layer that holds most of them and against Vp/Vs; right: depth and origin time of
    the event whose depth is known worst; below: correlation of the mean depth with the velocity of
    every layer.
    """
    posterior = result["posterior"].to_dataset().stack(sample=("chain", "draw"))
    top = result["constant_data"]["top"].to_numpy()
    depth = posterior["depth"].transpose("event", "sample").to_numpy()
    mean_depth = depth.mean(axis=0)
    layer = np.bincount(np.searchsorted(top, depth.mean(axis=1), "right") - 1).argmax()
    vp = posterior["vp"].transpose("layer", "sample").to_numpy()
    vs = posterior["vs"].transpose("layer", "sample").to_numpy()
    worst = int(np.argmax(depth.std(axis=1)))
    origin_time = posterior["origin_time"].transpose("event", "sample").to_numpy()[worst]
    figure, panels = new_figure(2, 2, (8.0, 6.5))
    (velocity, ratio), (time, layers) = panels
    joint(velocity, vp[layer], mean_depth)
    velocity.set(xlabel=f"vp of layer {layer} (km/s)", ylabel="mean depth (km)")
    joint(ratio, vp[layer] / vs[layer], mean_depth)
    ratio.set(xlabel=f"Vp/Vs of layer {layer}", ylabel="mean depth (km)")
    joint(time, origin_time, depth[worst])
    name = posterior["event"].to_numpy()[worst]
    time.set(xlabel=f"origin time of event {name} (s)", ylabel="its depth (km)")
    correlation = [np.corrcoef(v, mean_depth)[0, 1] for v in vp]
    layers.barh(np.arange(len(top)), correlation, color=BLUE)
    layers.axvline(0, color=INK, linewidth=0.8)
    layers.set(xlabel="correlation of vp and mean depth", ylabel="layer", xlim=(-1, 1))
    layers.invert_yaxis()
    return figure


@styled
def station_terms(result):
    """Draw the delays of P and S at every station on a map.

    Colour: posterior mean; size: how many standard deviations it is from zero. Small pale dots are
    stations of which the data say nothing. Of two velocity profiles the last map shows how probable
    the faster one is.
    """
    terms = result["posterior"]["station_term"]
    mean, sd = terms.mean(("chain", "draw")), terms.std(("chain", "draw"))
    constant = result["constant_data"]
    x, y = constant["station_x"].to_numpy(), constant["station_y"].to_numpy()
    largest = float(np.abs(mean).max())
    two = "station_profile" in result["posterior"]
    figure, panels = new_figure(1, 2 + two, (9.0 + 4.5 * two, 4.2))
    if two:
        faster = result["posterior"]["station_profile"].mean(("chain", "draw"))
        dots = panels[-1].scatter(x, y, 60, faster, cmap="cividis", vmin=0, vmax=1)
        panels[-1].set(xlabel="x (km)", ylabel="y (km)", title="profile")
        panels[-1].set_aspect("equal", "datalim")
        figure.colorbar(dots, ax=panels[-1], label="probability of the faster one", shrink=0.8)
    panels = panels[: len(PHASES)]
    for panel, phase in zip(panels, PHASES, strict=True):
        delay, error = mean.sel(phase=phase).to_numpy(), sd.sel(phase=phase).to_numpy()
        size = 15 + 25 * np.minimum(np.abs(delay) / error, 5)
        points = panel.scatter(x, y, size, delay, cmap="RdBu_r", vmin=-largest, vmax=largest)
        points.set_edgecolor(INK)
        points.set_linewidth(0.4)
        panel.set(xlabel="x (km)", ylabel="y (km)", title=f"{phase} delay")
        panel.set_aspect("equal", "datalim")
    figure.colorbar(points, ax=list(panels), label=axis_label(terms, "station term"), shrink=0.8)
    return figure


@styled
def residuals(result):
    """Draw the residuals of all picks by distance from the source, and their distribution.

    Observed less expected arrival, mean of the draws; circles are picks that are improbable given
    all others.
    """
    picks, observed = result["picks"], result["observed_data"]
    locations, constant = result["locations"], result["constant_data"]
    event = observed["event_index"].to_numpy().astype(int)
    station = observed["station_index"].to_numpy().astype(int)
    place = locations["mean"].to_numpy()[event]
    distance = np.hypot(
        place[:, 0] - constant["station_x"].to_numpy()[station],
        place[:, 1] - constant["station_y"].to_numpy()[station],
    )
    residual, outlier = picks["residual"].to_numpy(), picks["outlier"].to_numpy()
    figure, (by_distance, histogram) = new_figure(1, 2, (9.0, 4.0), width_ratios=(2, 1))
    limit = 6 * np.quantile(np.abs(residual), 0.68)
    bins = np.linspace(-limit, limit, 61)
    for k, phase in enumerate(PHASES):
        chosen = observed["phase_index"].to_numpy() == k
        colour = OF_PHASE[phase]
        by_distance.plot(distance[chosen], residual[chosen], ".", color=colour, ms=2, label=phase)
        histogram.hist(residual[chosen], bins, histtype="step", color=colour, density=True)
    by_distance.plot(distance[outlier], residual[outlier], "o", mfc="none", color=INK, ms=5)
    by_distance.set(xlabel="epicentral distance (km)", ylabel="residual (s)")
    by_distance.legend()
    histogram.set(xlabel="residual (s)", yticks=[])
    return figure


@styled
def depth_shift(result):
    """Draw the depths of the hypocentres against the preliminary ones.

    Bars hold 90 % of the draws. Off the line the joint answer moves a source up or down.
    """
    depth = result["posterior"]["depth"].stack(sample=("chain", "draw"))
    low, middle, high = np.quantile(depth.transpose("event", "sample"), (0.05, 0.5, 0.95), axis=1)
    preliminary = result["constant_data"]["depth"].to_numpy()
    figure, axis = new_figure(size=(5.5, 5.0))
    axis.vlines(preliminary, low, high, color=BLUE, linewidth=0.6, alpha=0.6)
    axis.plot(preliminary, middle, ".", color=BLUE, markersize=3)
    ends = min(preliminary.min(), low.min()), max(preliminary.max(), high.max())
    axis.plot(ends, ends, "--", color=GREY)
    axis.set(xlabel="preliminary depth (km)", ylabel="depth (km)")
    return figure


FIGURES = {
    "Velocities": velocities,
    "Hypocentres": hypocentres,
    "Trade-offs": trade_offs,
    "Station terms": station_terms,
    "Depths against the preliminary ones": depth_shift,
    "Residuals": residuals,
}
