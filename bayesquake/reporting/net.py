"""Axes on the lower hemisphere: the equal-area net, north up."""

import numpy as np

from bayesquake.reporting.figures import GREY, INK

__all__ = ["cone", "lower_hemisphere", "net"]


def lower_hemisphere(axes):
    """Return east and north coordinates of axes (..., xyz) in the equal-area net of radius 1.

    Vectors are (north, east, down); the sign of an axis does not matter.
    """
    down = np.where(axes[..., 2:] < 0, -axes, axes)
    radius = np.sqrt(1 / (1 + down[..., 2]))
    return down[..., 1] * radius, down[..., 0] * radius


def net(axis, title):
    """Prepare a panel as an equal-area net."""
    angle = np.linspace(0, 2 * np.pi, 200)
    axis.plot(np.cos(angle), np.sin(angle), color=INK, linewidth=0.8)
    axis.plot(0, 0, "+", color=GREY, markersize=6)
    axis.annotate("N", (0, 1), (0, 2), textcoords="offset points", ha="center")
    axis.set(aspect="equal", title=title)
    axis.set_axis_off()


def cone(axes, share):
    """Return the circle (point, xyz) around the mean that holds a share of axes (draw, xyz)."""
    centre = np.linalg.eigh(axes.T @ axes)[1][:, 2]
    half = np.quantile(np.arccos(np.clip(np.abs(axes @ centre), 0, 1)), share)
    across = np.linalg.svd(centre[None])[2][1:]
    angle = np.linspace(0, 2 * np.pi, 400)
    around = np.cos(angle)[:, None] * across[0] + np.sin(angle)[:, None] * across[1]
    return np.cos(half) * centre + np.sin(half) * around
