"""The declared options that drivers share."""

from bayesquake.inference.kernels.starts import STARTS
from bayesquake.model.options import count, one_of

__all__ = ["CHAINS", "CHAIN_RUN", "DRAWS", "ONE_PIECE", "SEED", "WARMUP"]

CHAINS = count(at_most=10_000)
DRAWS = WARMUP = count(at_most=10_000_000)
SEED = count(at_least=0, at_most=2**63 - 1)

ONE_PIECE = {"chains": CHAINS, "draws": DRAWS, "seed": SEED, "progress": None}
"""Of drivers that run in one piece."""

CHAIN_RUN = {
    **ONE_PIECE,
    "warmup": WARMUP,
    "initial": one_of(*STARTS),
    "checkpoint": None,
}
"""Of drivers that run Markov chains block by block."""
