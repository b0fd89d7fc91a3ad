"""The figures of the experiment."""

from matplotlib.figure import Figure

__all__ = ["onsets"]


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
