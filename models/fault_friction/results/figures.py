"""The figures of this model; each takes a result and returns a matplotlib figure.

The second paragraph of each docstring is the caption in the report.
"""

import numpy as np

from bayesquake.reporting.figures import BLUE, GREY, INK, axis_label, joint, new_figure, styled

from ..data.dataset import COMPONENTS
from ..physics.trajectory import YEAR

__all__ = ["FIGURES", "friction", "motion"]


@styled
def motion(result):
    """Draw slip rates, and displacements of the ground, as they were seen and as friction has them.

    Uppermost, ln(V / plate rate) of the cell that slips fastest; below, where displacements were
    seen, those of the station that moves furthest. Dots: observed; line and band: median and 90 %
    of the posterior, to the right of the vertical line its forecast.
    """
    moved, seen = result["motion"], result["observed_data"]
    rates = moved["log_slip_rate"].to_numpy()
    cell = int(np.argmax(rates[1].max(axis=0)))
    dots = seen["log_slip_rate"].to_numpy()[:, cell] if "log_slip_rate" in seen else None
    panels = [("ln(V / plate rate)", f"cell {cell}", rates[:, :, cell], dots)]
    if "displacement" in seen:
        ground, dots = (100 * x["displacement"].to_numpy() for x in (moved, seen))
        reach = np.ptp(ground[1], axis=0)
        station = int(np.argmax(np.linalg.norm(reach, axis=1)))
        titles = (f"station {seen['station'].to_numpy()[station]}", "", "")
        panels += [
            (f"{component} (cm)", title, ground[:, :, station, k], dots[:, station, k])
            for k, (component, title) in enumerate(zip(COMPONENTS, titles, strict=True))
        ]
    figure, axes = new_figure(len(panels), 1, (7.0, 2.0 + 1.6 * len(panels)), sharex=True)
    years, observed = (s.to_numpy() / YEAR for s in (moved["seconds"], seen["time"]))
    until = moved.attrs["observed_until"] / YEAR
    for axis, (label, title, (low, middle, high), dots) in zip(np.ravel(axes), panels, strict=True):
        axis.fill_between(years, low, high, color=BLUE, alpha=0.25, linewidth=0)
        axis.plot(years, middle, color=BLUE)
        if dots is not None:
            axis.plot(observed, dots, ".", color=INK, markersize=4)
        if years[-1] > until:
            axis.axvline(until, color=GREY, lw=1)
        axis.set(ylabel=label)
        axis.set_title(title)
    np.ravel(axes)[-1].set(xlabel="time (yr)")
    return figure


@styled
def friction(result):
    """Draw friction: fields and how much each has narrowed, or what numbers trade off.

    Of a fault of cells, upper row: posterior means; lower row: standard deviation of the posterior
    over that of the prior, 1 where nothing was learnt. Of a block on a spring: contours that hold
    50 % and 90 % of the draws.
    """
    return fields(result) if "narrowing" in result.children else numbers(result)


def numbers(result):
    """Draw pairs of the numbers of a block on a spring."""
    posterior = result["posterior"]
    figure, panels = new_figure(1, 3, (9.5, 3.2))
    pairs = (("a", "b_minus_a"), ("b_minus_a", "characteristic_slip"), ("a", "stiffness"))
    for panel, (x, y) in zip(panels, pairs, strict=True):
        joint(panel, posterior[x].to_numpy().ravel(), posterior[y].to_numpy().ravel())
        panel.set(xlabel=axis_label(posterior[x], x), ylabel=axis_label(posterior[y], y))
    return figure


def fields(result):
    """Draw the fields of a fault of cells."""
    places, ratio = result["constant_data"], result["narrowing"]["sd_ratio"]
    x, y = places["x"].to_numpy() / 1e3, places["y"].to_numpy() / 1e3
    shown = (
        ("a_field", 1e-3, "A (kPa)", "viridis"),
        ("b_minus_a_field", 1e-3, "B - A (kPa)", "RdBu_r"),
        ("characteristic_slip_field", 1e2, "L (cm)", "viridis"),
    )
    figure, panels = new_figure(2, 3, (9.5, 5.6), sharex=True, sharey=True)
    size = marker_size(x, y)
    for k, (name, factor, label, colours) in enumerate(shown):
        mean = factor * field_mean(result, name)
        reach = np.abs(mean).max()
        limits = {"vmin": -reach, "vmax": reach} if colours == "RdBu_r" else {}
        drawn = panels[0, k].scatter(x, y, size, mean, marker="s", cmap=colours, **limits)
        figure.colorbar(drawn, ax=panels[0, k], label=label)
        drawn = panels[1, k].scatter(x, y, size, ratio[k], marker="s", cmap="magma", vmin=0, vmax=1)
        figure.colorbar(drawn, ax=panels[1, k], label="sd / prior sd")
        panels[1, k].set(xlabel="x (km)")
        for panel in panels[:, k]:
            panel.set_aspect("equal")
    for panel in panels[:, 0]:
        panel.set(ylabel="y (km)")
    return figure


def field_mean(result, name):
    """Return the posterior mean of a field, kept as moments or as draws."""
    if "moments" in result.children and name in result["moments"]:
        return result["moments"][name].sel(moment="mean").to_numpy()
    return result["posterior"][name].mean(("chain", "draw")).to_numpy()


def marker_size(x, y):
    """Return the area of a marker, points squared, that nearly fills a cell of the panels."""
    across = max(np.ptp(x), np.ptp(y), 1e-9)
    cells = across / max(np.sqrt(np.ptp(x) * np.ptp(y) / len(x)), across / 60)
    return (130 / cells) ** 2


FIGURES = {"Motion": motion, "Friction": friction}
