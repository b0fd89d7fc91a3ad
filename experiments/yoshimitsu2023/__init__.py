"""Corner frequencies from spectral ratios by MCMC, after Yoshimitsu et al. 2023.

`reproduce` runs every entry of the experiment: the F distribution of ratios against two
normal likelihoods, trade-offs and quality, stress drops with an unknown rupture model, a poor
pair of real records, clusters of events against pooled pairs, and several reference events of
one target. The settings are in ``config.toml``, what was found in ``README.md``.

References
----------
Yoshimitsu et al. 2023, doi:10.1186/s40623-023-01770-2
"""

__all__ = ["reproduce"]


def reproduce(folder, *, quick=False, progress=None, entries=None):
    """Run the experiment and leave tables and figures in a folder.

    Parameters
    ----------
    folder : path
        Output folder, made if absent.
    quick : bool
        Few pairs and clusters, to see that everything works; the numbers of the README need
        the full run.
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
