"""The figures of this model; each takes a result and returns a matplotlib figure.

The second paragraph of each docstring is the caption in the report.
"""

import numpy as np

from bayesquake.reporting.figures import BLUE, INK, VERMILION, new_figure, rows, styled
from bayesquake.reporting.net import cone, lower_hemisphere, net

__all__ = [
    "FIGURES",
    "coefficients",
    "eigen_axes",
    "likelihood_ratios",
    "mechanisms",
]

COLOURS = {"largest": VERMILION, "smallest": BLUE}
BAND = 0.9
"""Share of the draws inside a drawn cone."""

MOST_DRAWS = 1000


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
        net(panel, axes_title(result, block))
        for rank, colour in COLOURS.items():
            chosen = axes.sel(block=block, rank=rank).to_numpy().reshape(-1, 3)
            shown = chosen[:: max(1, len(chosen) // MOST_DRAWS)]
            panel.plot(*lower_hemisphere(shown), ".", color=colour, markersize=2, alpha=0.25)
            around = lower_hemisphere(cone(chosen, BAND))
            panel.plot(*around, ".", color=colour, markersize=1.5)
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
        net(panel, axes_title(result, axis))
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
    figure, axis = new_figure(size=(6.5, 0.3 * theta.sizes["stat"] + 1.0))
    rows(axis, theta.to_numpy().reshape(-1, theta.sizes["stat"]), theta["stat"].to_numpy())
    axis.plot(result["maximum_likelihood"]["theta"], range(theta.sizes["stat"]), "x", color=INK)
    axis.set(xlabel="coefficient of standardised depth")
    return figure


@styled
def likelihood_ratios(result):
    """Tabulate the likelihood-ratio tests.

    Twice the loss of log likelihood when all coefficients, or those of one axis, are set to zero,
    with the chi-square probability of a larger loss if they are zero in truth. Permuted: share of
    permutations of the depths with a larger loss.
    """
    tests = result["independence_test"].to_dataset().to_dataframe()
    numbers = tests[["lrt", "df", "p_value", "permutation_p_value"]]
    cells = [
        [name, f"{lrt:.1f}", f"{df:.0f}", f"{p:.2g}", "" if np.isnan(exact) else f"{exact:.2g}"]
        for name, lrt, df, p, exact in numbers.itertuples()
    ]
    figure, axis = new_figure(size=(6.5, 0.35 * len(cells) + 0.6))
    axis.set_axis_off()
    heads = ["dropped", "likelihood ratio", "degrees of freedom", "p-value", "permuted"]
    table = axis.table(cells, colLabels=heads, loc="center", cellLoc="center", edges="horizontal")
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
