"""Orientation of 158 focal mechanisms of Japan against depth, after Sei & Yano 2024.

`reproduce` runs every entry: the eigenvalues and axes of the published analysis, tests of P and T
against chance pairings of depth, and both again with the axes of the moment tensor. The settings
are in ``config.toml``, what was found in ``README.md``.

References
----------
Sei & Yano 2024, doi:10.3150/23-BEJ1687
"""

__all__ = ["reproduce"]


def reproduce(folder, *, quick=False, progress=None, entries=None):
    """Run the experiment and leave tables and figures in a folder.

    Parameters
    ----------
    folder : path
        Output folder, made if absent.
    quick : bool
        Few permutations and resampled sets, to see that everything works.
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
