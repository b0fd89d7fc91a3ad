"""The entries of the experiment, in order, and the run through them."""

from bayesquake.experiments.entries import run_each

from . import (
    clusters,
    likelihoods,
    poor_pair,
    references_of_one_target,
    stress_drops,
    trade_offs,
)
from .study import open_study

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
    """Run entries of these names, see `bayesquake.experiments.entries.run_each`."""
    chosen = {name: ENTRIES[name] for name in entries}
    return run_each(chosen, open_study(quick=quick), folder, progress)
