"""The figures of the experiment."""

import numpy as np
from matplotlib.figure import Figure

from bayesquake.models.fault_friction.results.derived import FIELDS

__all__ = ["eigenvalues", "onsets", "sd_maps", "spread", "stations", "window"]


def onsets(table, published):
    """Draw the onset of the first event against the length of the cells.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``cell_m`` and ``onset_years``.
    published : mapping
        ``hbi_onset_years`` and ``tandem_locked_until_years`` of other codes.
    """
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(table["cell_m"], table["onset_years"], "o-", label="ours")
    axis.axhline(published["hbi_onset_years"], color="k", lw=1, label="HBI, 10 m")
    axis.axhline(
        published["tandem_locked_until_years"], color="k", ls=":", lw=1, label="tandem, not before"
    )
    axis.set(xscale="log", xlabel="length of a cell (m)", ylabel="first event (yr)")
    axis.legend(fontsize=8)
    return figure


def sd_maps(dataset, ratio):
    """Draw the largest slip rates, and standard deviations over those of the prior.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of a twin.
    ratio : (3, cell) array
    """
    peak = dataset["log_slip_rate"].to_numpy().max(axis=0)
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    panels = figure.subplots(1, 4, sharex=True, sharey=True)
    shown = [("largest ln(V / Vpl)", peak, {"cmap": "viridis"})]
    limits: dict = {"cmap": "magma", "vmin": 0, "vmax": 1}
    shown += [
        (f"sd ratio, {name}", values, limits) for name, values in zip(FIELDS, ratio, strict=True)
    ]
    for panel, (title, values, options) in zip(panels, shown, strict=True):
        on_plane(figure, panel, dataset, values, options)
        panel.set_title(title, fontsize=9)
        panel.set(xlabel="x (km)")
    panels[0].set(ylabel="y (km)")
    return figure


def on_plane(figure, panel, dataset, values, options):
    """Draw values of the cells of a twin, a grid of x by y."""
    x, y = (np.unique(dataset[axis].to_numpy()) / 1e3 for axis in "xy")
    drawn = panel.pcolormesh(x, y, values.reshape(len(x), len(y)).T, **options)
    figure.colorbar(drawn, ax=panel)
    panel.set_aspect("equal")


def eigenvalues(values):
    """Draw the eigenvalues of the likelihood's curvature, in falling order."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.semilogy(np.sort(np.abs(values))[::-1], ".")
    axis.axhline(1, color="k", lw=1, label="the prior's curvature")
    axis.set(xlabel="eigenvalue", ylabel="of the likelihood's curvature")
    axis.legend(fontsize=8)
    return figure


def window(table, fastest, peak):
    """Draw how standard deviations within the patch fall as the series grows.

    Parameters
    ----------
    table : pandas.DataFrame
        Ratios to those of the prior, a column for each field, by the last year seen.
    fastest : (epoch,) array
        Largest ln(V / Vpl).
    peak : int
        Epoch at which slip is fastest.
    """
    figure = Figure(figsize=(5.5, 4.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(table.index, fastest, color="k")
    upper.set(ylabel="largest ln(V / Vpl)")
    for name in table:
        lower.plot(table.index, table[name], label=name)
    for axis in (upper, lower):
        axis.axvline(table.index[peak], color="k", ls=":", lw=1)
    lower.set(xlabel="last year seen", ylabel="sd / prior sd, within the patch", ylim=(0, 1))
    lower.legend(fontsize=8)
    return figure


def stations(dataset, choice):
    """Draw candidate stations, those that were chosen in their order, and what each adds.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of a twin.
    choice : bayesquake.design.greedy.Choice
    """
    x, y = (dataset[f"station_{axis}"].to_numpy() / 1e3 for axis in "xy")
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    place, gains = figure.subplots(1, 2)
    on_plane(
        figure, place, dataset, dataset["expected_b_minus_a"].to_numpy() / 1e3, {"cmap": "RdBu_r"}
    )
    place.plot(x, y, "^", color="0.5", markersize=4)
    for order, site in enumerate(choice.site, 1):
        place.annotate(
            str(order),
            (x[site], y[site]),
            fontsize=7,
            ha="center",
            va="center",
            bbox={"boxstyle": "circle,pad=0.2", "fc": "white", "lw": 0.5},
        )
    place.set(xlabel="x (km)", ylabel="y (km)", title="B - A (kPa) and stations by their order")
    number = np.arange(1, len(choice.site) + 1)
    gains.plot(number, choice.gain, "o-")
    gains.set(xlabel="station", ylabel="information it adds (nats)", ylim=(0, None))
    return figure


def spread(table, posterior):
    """Draw the spread of an ensemble as it sees more epochs, and the posterior's in the end.

    Parameters
    ----------
    table : pandas.DataFrame
        Standard deviations over those of the prior, a column for each field, by year.
    posterior : mapping of str to float
        The same of the posterior, by field.
    """
    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axis = figure.subplots()
    for k, (name, sd) in enumerate(posterior.items()):
        axis.plot(table.index, table[name], color=f"C{k}", label=f"filter, {name}")
        axis.axhline(sd, color=f"C{k}", ls=":", label=f"posterior, {name}")
    axis.set(xlabel="last year seen", ylabel="sd / prior sd, within the patch", ylim=(0, None))
    axis.legend(fontsize=7, ncols=2)
    return figure
