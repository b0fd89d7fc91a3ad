"""Background and triggered earthquakes by a space-time point process, with uncertainty.

`reproduce` runs every entry of the experiment: classification against the truth, what a cut of
distant pairs does to the fit of a public catalogue, residuals and held-out scores of San Jacinto
seismicity, cost against catalogue size, calibration, edge effects, and Gibbs sampling of
branches against NUTS. The settings are in ``config.toml``, what was found in ``README.md``.

References
----------
Zhuang, Ogata & Vere-Jones 2002, doi:10.1198/016214502760046925
"""

__all__ = ["reproduce"]


def reproduce(folder, *, quick=False, progress=None, entries=None):
    """Run the experiment and leave tables and figures in a folder.

    Parameters
    ----------
    folder : path
        Output folder, made if absent.
    quick : bool
        Small catalogues and few draws, to see that everything works; the numbers of the README
        need the full run.
    progress : callable, optional
        Called as ``progress(done, total, entry)`` before every entry and at the end.
    entries : sequence of str, optional
        Names of the entries to run; all by default.

    Returns
    -------
    dict of str
        One line per entry: its result in short, or why it was skipped.
    """
    from bayesquake.experiments.entries import run_each

    from .entries import ENTRIES
    from .study import open_study

    return run_each(ENTRIES, open_study(quick=quick), folder, progress, entries)
