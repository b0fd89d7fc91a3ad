"""Hypocentres with and without velocities and station terms, of the Calaveras fault and simulated.

`reproduce` runs every entry: locations beside those of NonLinLoc, the joint posterior of the
Calaveras fault with the shift of depths that station terms bring, what each part of the sampler is
worth, two velocity profiles fitted as such and as one, what few events say of velocities, the San
Andreas fault in three dimensions and in flat layers, wrong picks under Student's t and normal
errors, and the cost of ten thousand locations. The settings are in ``config.toml``, what was found
in ``README.md``.

References
----------
Waldhauser & Ellsworth 2000, doi:10.1785/0120000006 (the data)
Thurber et al. 2006, doi:10.1785/0120050825 (velocities of Parkfield)
"""

__all__ = ["reproduce"]


def reproduce(folder, *, quick=False, progress=None, entries=None):
    """Run the experiment and leave tables and figures in a folder.

    Parameters
    ----------
    folder : path
        Output folder, made if absent. The joint posterior goes on where a run before it ended.
    quick : bool
        Few events and draws, to see that everything works.
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
