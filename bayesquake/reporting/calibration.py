"""The figure of a calibration run: rank ECDFs in their simultaneous bands."""

import numpy as np

from bayesquake.diagnostics.ranks import rank_ecdf
from bayesquake.reporting.figures import BLUE, GREY, INK, VERMILION, new_figure, styled

__all__ = ["rank_figure"]

COLUMNS = 5
PANEL = (1.9, 1.7)
"""Width and height of a panel (inch)."""


@styled
def rank_figure(calibration):
    """Draw the ECDF of the ranks of every quantity less that of a uniform, with its 95 % band.

    Parameters
    ----------
    calibration : xarray.Dataset
        The group ``ranks`` of `bayesquake.diagnostics.calibration.calibrate`.

    Returns
    -------
    matplotlib.figure.Figure
        A curve outside its band is drawn in vermilion.
    """
    names = calibration["quantity"].to_numpy()
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    size = (PANEL[0] * columns, PANEL[1] * rows)
    figure, axes = new_figure(rows, columns, size, squeeze=False, sharex=True, sharey=True)
    for ax in axes.ravel()[len(names) :]:
        ax.remove()
    for ax, name in zip(axes.ravel(), names, strict=False):
        ranks = calibration["rank"].sel(quantity=name).to_numpy()
        points, ecdf, lower, upper = rank_ecdf(ranks, calibration.attrs["rank_draws"])
        inside = np.all((lower <= ecdf) & (ecdf <= upper))
        ax.fill_between(points, lower - points, upper - points, color=GREY, alpha=0.3, lw=0)
        ax.plot(points, ecdf - points, color=BLUE if inside else VERMILION, drawstyle="steps-post")
        ax.axhline(0, color=INK, lw=0.6)
        ax.set_title(str(name))
    figure.supxlabel("rank, 0 to 1")
    figure.supylabel("ECDF less uniform")
    return figure
