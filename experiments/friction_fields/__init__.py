"""Faults under rate-and-state friction: how well they are followed, and what their slip tells.

`reproduce` runs every entry. ``bp1_convergence`` is benchmark problem BP1-QD of the community code
verification exercise for earthquake sequences, in ever smaller cells. The others ask what a twin of
long-term slow slip tells of its fields: ``modes`` whether searches from anywhere find one mode,
``sd_maps`` where slip rates are seen everywhere, ``low_rank`` by few eigenpairs where stations see
the ground move, ``window`` while slip accelerates and once it has slowed down, ``design`` from
which stations, and ``enkf`` to an ensemble filter. The settings are in ``config.toml``, what was
found in ``README.md``.

References
----------
Erickson et al. 2020, doi:10.1785/0220190248 (BP1-QD, by eleven codes)
Ito, Kano & Nagao 2023, doi:10.48550/arXiv.2109.13143 (standard deviations of friction fields)
Kano et al. 2013, doi:10.5047/eps.2013.08.002 (acceleration and deceleration)
Hirahara & Nishikiori 2019, doi:10.1093/gji/ggz415 (the filter)
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
