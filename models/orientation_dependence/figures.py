"""The figures of this model; each takes a result and returns a matplotlib figure.

The second paragraph of each docstring is the caption in the report.
"""

import numpy as np

from bayesquake.reporting.figures import BLUE, GREY, INK, VERMILION, new_figure, styled

__all__ = [
    "FIGURES",
    "coefficients",
    "eigen_axes",
    "likelihood_ratios",
    "lower_hemisphere",
    "mechanisms",
]

COLOURS = {"largest": VERMILION, "smallest": BLUE}
BAND = 0.9
"""Share of the draws inside a drawn cone."""

MOST_DRAWS = 1000


def lower_hemisphere(axes):
    """Return east and north coordinates of axes (..., xyz) in the equal-area net of radius 1."""
    down = np.where(axes[..., 2:] < 0, -axes, axes)
    radius = np.sqrt(1 / (1 + down[..., 2]))
    return down[..., 1] * radius, down[..., 0] * radius


@styled
def eigen_axes(result):
    """Draw the axes along which orientations change most with depth.

    Lower hemisphere, equal area, north up. Towards the vermilion axis mechanisms turn with
    depth, from the blue one they turn away. Dots: posterior draws; circles: cone that holds 90 %
    of them; crosses: maximum likelihood.
    """
    if "axis" not in result["posterior"]:
        return coefficients(result)
    axes = result["posterior"]["axis"]
    best = result["maximum_likelihood"]["axis"]
    blocks = axes["block"].to_numpy()
    figure, panels = new_figure(1, len(blocks), (4.2 * len(blocks), 4.4), squeeze=False)
    for panel, block in zip(panels[0], blocks, strict=True):
        _net(panel, axes_title(result, block))
        for rank, colour in COLOURS.items():
            chosen = axes.sel(block=block, rank=rank).to_numpy().reshape(-1, 3)
            shown = chosen[:: max(1, len(chosen) // MOST_DRAWS)]
            panel.plot(*lower_hemisphere(shown), ".", color=colour, markersize=2, alpha=0.25)
            for part in _cone(chosen):
                panel.plot(*part, ".", color=colour, markersize=1.5)
            top = best.sel(block=block, rank=rank).to_numpy()
            panel.plot(*lower_hemisphere(top), "x", color=INK, markersize=8)
            panel.plot([], [], "o", color=colour, label=f"{rank} eigenvalue")
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def mechanisms(result):
    """Draw the P and T axes of all mechanisms, coloured by depth.

    Lower hemisphere, equal area, north up; dark: shallow, light: deep. The deepest tenth has one
    colour.
    """
    observed = result["observed_data"]
    depth = observed["depth"].to_numpy()
    figure, panels = new_figure(1, 2, (8.8, 4.2))
    order = np.argsort(depth)
    top = np.quantile(depth, 0.9)
    for panel, axis in zip(panels, ("P", "T"), strict=True):
        _net(panel, axes_title(result, axis))
        x, y = lower_hemisphere(observed["frame"].sel(axis=axis).to_numpy()[order])
        points = panel.scatter(x, y, 12, depth[order], cmap="viridis", vmax=top, linewidth=0)
    figure.colorbar(points, ax=list(panels), label="depth (km)", extend="max", shrink=0.8)
    return figure


@styled
def coefficients(result):
    """Draw every coefficient with its interval.

    Posterior mean with 50 % and 90 % intervals; cross: maximum likelihood. Zero is independence.
    """
    theta = result["posterior"]["theta"]
    draws = theta.to_numpy().reshape(-1, theta.sizes["stat"])
    place = np.arange(theta.sizes["stat"])
    figure, axis = new_figure(size=(6.5, 0.3 * len(place) + 1.0))
    for level, width in ((0.9, 1.5), (0.5, 4.0)):
        low, high = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        axis.hlines(place, low, high, color=BLUE, linewidth=width, alpha=0.7)
    axis.plot(draws.mean(axis=0), place, "o", color=BLUE)
    axis.plot(result["maximum_likelihood"]["theta"], place, "x", color=INK)
    axis.axvline(0.0, color=GREY, linewidth=0.8)
    axis.set_yticks(place, theta["stat"].to_numpy())
    axis.set(xlabel="coefficient of standardised depth")
    axis.invert_yaxis()
    return figure


@styled
def likelihood_ratios(result):
    """Tabulate the likelihood-ratio tests.

    Twice the loss of log likelihood when all coefficients, or those of one axis, are set to zero,
    with the chi-square probability of a larger loss if they are zero in truth. Permuted: share of
    permutations of the depths with a larger loss.
    """
    tests = result["independence_test"]
    rows = [
        [
            str(name),
            f"{lrt:.1f}",
            f"{int(df)}",
            f"{p:.2g}",
            "" if np.isnan(exact) else f"{exact:.2g}",
        ]
        for name, lrt, df, p, exact in zip(
            tests["dropped"].to_numpy(),
            tests["lrt"].to_numpy(),
            tests["df"].to_numpy(),
            tests["p_value"].to_numpy(),
            tests["permutation_p_value"].to_numpy(),
            strict=True,
        )
    ]
    figure, axis = new_figure(size=(6.5, 0.35 * len(rows) + 0.6))
    axis.set_axis_off()
    heads = ["dropped", "likelihood ratio", "degrees of freedom", "p-value", "permuted"]
    table = axis.table(rows, colLabels=heads, loc="center", cellLoc="center", edges="horizontal")
    table.scale(1.0, 1.4)
    return figure


FIGURES = {
    "Axes of change with depth": eigen_axes,
    "Mechanisms by depth": mechanisms,
    "Coefficients": coefficients,
    "Tests of independence": likelihood_ratios,
}


def axes_title(result, axis):
    """Return the name of P or T axes, and how many of them are the other by the moment tensor."""
    attrs = result["observed_data"].attrs
    exchanged = int(attrs.get("exchanged", 0))
    if attrs.get("axes") != "slip_vectors" or not exchanged or axis not in ("P", "T"):
        return f"{axis} axes"
    other = {"P": "T", "T": "P"}[axis]
    events = result["observed_data"].sizes["event"]
    return f"{axis} axes by slip vectors\n{exchanged} of {events}: {other} by the moment tensor"


def _net(axis, title):
    """Prepare an equal-area net."""
    angle = np.linspace(0, 2 * np.pi, 200)
    axis.plot(np.cos(angle), np.sin(angle), color=INK, linewidth=0.8)
    axis.plot(0, 0, "+", color=GREY, markersize=6)
    axis.annotate("N", (0, 1), (0, 2), textcoords="offset points", ha="center")
    axis.set(aspect="equal", title=title)
    axis.set_axis_off()


def _cone(axes):
    """Return the circle, in the net, around the mean axis that holds `BAND` of axes (draw, xyz)."""
    centre = np.linalg.eigh(axes.T @ axes)[1][:, 2]
    half = np.quantile(np.arccos(np.clip(np.abs(axes @ centre), 0, 1)), BAND)
    across = np.linalg.svd(centre[None])[2][1:]
    angle = np.linspace(0, 2 * np.pi, 400)
    around = np.cos(angle)[:, None] * across[0] + np.sin(angle)[:, None] * across[1]
    yield lower_hemisphere(np.cos(half) * centre + np.sin(half) * around)
