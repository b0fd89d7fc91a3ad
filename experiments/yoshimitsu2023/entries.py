"""The entries of the experiment, in order."""

from . import (
    clusters,
    likelihoods,
    poor_pair,
    references_of_one_target,
    stress_drops,
    trade_offs,
)

__all__ = ["ENTRIES"]

ENTRIES = {
    "likelihoods": likelihoods.run,
    "trade_offs": trade_offs.run,
    "stress_drops": stress_drops.run,
    "poor_pair": poor_pair.run,
    "clusters": clusters.run,
    "references_of_one_target": references_of_one_target.run,
}
"""Every entry takes the study and its own folder, and returns its result in one line."""
