"""The entries of the experiment, in order, and the run through them."""

from pathlib import Path

import pandas as pd

from . import (
    clusters,
    likelihoods,
    poor_pair,
    references_of_one_target,
    stress_drops,
    trade_offs,
)
from .study import DataAbsentError, open_study

__all__ = ["ENTRIES", "run_entries"]

ENTRIES = {
    "likelihoods": likelihoods.run,
    "trade_offs": trade_offs.run,
    "stress_drops": stress_drops.run,
    "poor_pair": poor_pair.run,
    "clusters": clusters.run,
    "references_of_one_target": references_of_one_target.run,
}
"""Every entry takes the study and its own folder, and returns its result in one line."""


def run_entries(folder, *, quick=False, progress=None, entries=tuple(ENTRIES)):
    """Run entries into subfolders of a folder and write ``summary.csv``.

    Parameters
    ----------
    folder : path
        Made if absent.
    quick : bool
    progress : callable, optional
        Called as ``progress(done, total, entry)`` before every entry and at the end.
    entries : sequence of str
        Names in `ENTRIES`.

    Returns
    -------
    dict of str
        One line per entry.
    """
    study = open_study(quick=quick)
    summary = {}
    for done, name in enumerate(entries):
        if progress is not None:
            progress(done, len(entries), name)
        own = Path(folder) / name
        own.mkdir(parents=True, exist_ok=True)
        try:
            summary[name] = ENTRIES[name](study, own)
        except DataAbsentError as reason:
            summary[name] = f"skipped: {reason}"
        pd.Series(summary, name="result").to_csv(Path(folder) / "summary.csv", index_label="entry")
    if progress is not None:
        progress(len(entries), len(entries), "done")
    return summary
