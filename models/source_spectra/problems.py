"""Pairs as independent problems, a cluster as one, and how each is best drawn."""

import jax.numpy as jnp

from . import arrays, quadrature, slopes
from .model import pair_location

__all__ = [
    "TRIAGE",
    "TRIAGE_OF_CLUSTERS",
    "exact",
    "formulas",
    "independent",
    "levelled",
    "recommended",
]


def recommended(prepared):
    """Return the driver and settings: pairs are many posteriors, a cluster is one."""
    if independent(prepared):
        levels = {} if prepared.trace_mask is None else {"target_accept": CAREFUL}
        steps = {} if slopes.applies(prepared) else {"iterations": 60}
        return {"driver": "triage", "draws": 250} | TRIAGE | levels | steps
    scales = {} if prepared.stress_drop is None else {"target_accept": CAREFUL}
    return {"driver": "nuts", "metric": "dense"} | scales


def independent(prepared):
    """Return whether the arrays are pairs without a common prior of stress drops."""
    return isinstance(prepared, arrays.PairArrays) and prepared.stress_drop is None


def exact(prepared):
    """Return the samplers by quadrature, where the unknowns of a pair are few enough."""
    if not quadrature.applies(prepared):
        return ()
    # Of a grid of three axes the finest would fill the memory.
    return quadrature.FINER_AND_FINER[: 3 if prepared.nu_max is None else 2]


def levelled(values, prepared):
    """Return values of a pair with the moment ratio that lets the ratios average to the data."""
    loc, _, _ = pair_location(values | {"ln_moment_ratio": jnp.zeros(1)}, prepared)
    total = (prepared.mask * (prepared.y - loc)).sum() / prepared.mask.sum()
    return values | {"ln_moment_ratio": 0.5 * total[None]}


CAREFUL = 0.98
"""Acceptance aimed at where an unknown scale makes the posterior a funnel."""


def formulas(prepared):
    """Return the slopes of the log posterior, where the unknowns of a pair are few enough."""
    return slopes.posterior_slopes if slopes.applies(prepared) else None


TRIAGE = {
    "rhat_limit": 1.02,
    "ess_limit": 200,
    "searches": 12,
    "iterations": 12,
    "pilot": 50,
    "common_leapfrogs": (2, 6),
}
"""Settings of the triage of pairs; what misses these limits is drawn by quadrature."""

TRIAGE_OF_CLUSTERS = TRIAGE | {"iterations": 60, "sequential": True}
"""Settings for `bayesquake.fit_many` of clusters, whose corners may all lie below the band or all
above it, two modes that chains do not join."""
