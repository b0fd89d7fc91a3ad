"""Early aftershocks under time-varying detection, after Morikawa et al. (2021).

`reproduce` runs every entry of the experiment: a numerical test on simulated catalogues,
early windows of a real sequence, the joint model against the two-stage estimate and
against no detection model, forecast scores, and simulation-based calibration. The
settings are in ``config.toml``, what was found in ``README.md``.

References
----------
Morikawa et al. 2021, doi:10.48550/arXiv.2006.07949
"""

__all__ = ["reproduce"]


def reproduce(folder, *, quick=False, progress=None, entries=None):
    """Run the experiment and leave figures, tables and NetCDF files in a folder.

    Parameters
    ----------
    folder : path
        Output folder, made if absent.
    quick : bool
        Short runs on few catalogues, to see that everything works; the numbers of the
        README need the full run.
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
