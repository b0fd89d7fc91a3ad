"""Faults under rate-and-state friction: how well they are followed, and what their slip tells.

`reproduce` runs every entry. ``bp1_convergence`` is benchmark problem BP1-QD of the community code
verification exercise for earthquake sequences, in ever smaller cells. The settings are in
``config.toml``, what was found in ``README.md``.

References
----------
Erickson et al. 2020, doi:10.1785/0220190248 (BP1-QD, by eleven codes)
"""

__all__ = ["reproduce"]


def reproduce(folder, *, quick=False, progress=None, entries=None):
    """Run the experiment and leave tables and figures in a folder.

    Parameters
    ----------
    folder : path
        Output folder, made if absent.
    quick : bool
        Few large cells, to see that everything works.
    progress : callable, optional
        Called as ``progress(done, total, entry)`` before every entry and at the end.
    entries : sequence of str, optional
        Names of the entries to run; all by default.

    Returns
    -------
    dict of str
        One line per entry: its result in short.
    """
    from pathlib import Path

    from bayesquake.experiments.entries import open_study, run_each

    from .entries import ENTRIES

    study = open_study(Path(__file__).with_name("config.toml"), "friction", quick=quick)
    return run_each(ENTRIES, study, folder, progress, entries)
