"""The entries of the experiment, in order, and the run through them."""

from bayesquake.experiments.entries import run_each

from . import (
    csep_tests,
    declustering_map,
    edge_effect,
    gibbs_vs_nuts,
    large_catalogue,
    peer_bias,
    sanjac_residuals,
    sbc_etas,
    scaling,
)
from .study import open_study

__all__ = ["ENTRIES", "run_entries"]

ENTRIES = {
    "declustering_map": declustering_map.run,
    "peer_bias": peer_bias.run,
    "sanjac_residuals": sanjac_residuals.run,
    "csep_tests": csep_tests.run,
    "scaling": scaling.run,
    "large_catalogue": large_catalogue.run,
    "sbc_etas": sbc_etas.run,
    "edge_effect": edge_effect.run,
    "gibbs_vs_nuts": gibbs_vs_nuts.run,
}
"""Every entry takes the study and its own folder, and returns its result in one line."""


def run_entries(folder, *, quick=False, progress=None, entries=tuple(ENTRIES)):
    """Run entries of these names, see `bayesquake.experiments.entries.run_each`."""
    chosen = {name: ENTRIES[name] for name in entries}
    return run_each(chosen, open_study(quick=quick), folder, progress)
