"""The entries of the experiment, in order."""

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

__all__ = ["ENTRIES"]

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
