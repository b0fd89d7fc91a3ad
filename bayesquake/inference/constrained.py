"""From positions to quantities, a part of the draws at a time."""

import jax
import numpy as np

from bayesquake.inference.kernels.compilation import mapped

__all__ = ["constrained", "prior_draws"]

CHUNK = 500
"""Draws constrained at once; bounds the memory and fixes the compiled shape."""

PRIOR_DRAWS = 1000


def constrained(target, positions):
    """Return constrained draws of all sites, dict of (chain, draw, ...), chunk by chunk."""
    lead = positions.shape[:2]
    flat = positions.reshape(-1, target.dim)
    constrain = mapped(target.constrain)
    parts = []
    for first in range(0, len(flat), CHUNK):
        index = np.arange(first, first + CHUNK) % len(flat)
        part = constrain(flat[index], target.data)
        kept = min(CHUNK, len(flat) - first)
        parts.append({name: np.asarray(values)[:kept] for name, values in part.items()})
    return {
        name: np.concatenate([part[name] for part in parts]).reshape(
            *lead, *parts[0][name].shape[1:]
        )
        for name in parts[0]
    }


def prior_draws(target, key):
    """Return draws of all sites from the prior, dict of (1, draw, ...)."""
    values = mapped(target.prior_draw)(jax.random.split(key, PRIOR_DRAWS), target.data)
    return {name: np.asarray(draws)[None] for name, draws in values.items()}
