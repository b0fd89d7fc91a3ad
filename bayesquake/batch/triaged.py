"""A triage's settings and its outcome."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from bayesquake.batch.evidence import Evidence, checks_of, no_evidence
from bayesquake.inference.kernels.settings import CHAINS
from bayesquake.model.options import any_of, count, each, flag, number, share
from bayesquake.results.checks import judged
from bayesquake.results.evidence import ESS_PER_CHAIN, RHAT_LIMIT

__all__ = [
    "MEANINGS",
    "STATISTICS",
    "TIERS",
    "TRIAGE_OPTIONS",
    "TriageSettings",
    "Triaged",
    "nothing_yet",
    "record",
    "table_of",
]

MEANINGS = {
    "tier": "tier that certified the problem, 0 if none did",
    "pareto_k": "Pareto k-hat of importance weights of the Gaussian at the mode",
    "modes": "modes found whose log density is within 10 of the best",
    "curvature": "smallest eigenvalue of the negative Hessian at the best mode, of unit diagonal",
    "gradients": "gradient evaluations",
}
"""Variables of the group ``triage``."""

TIERS = (
    "none",
    "whitened Hamiltonian Monte Carlo",
    "whitened Hamiltonian Monte Carlo, longer",
    "no-U-turn sampler",
    "exact draws",
    "sequential Monte Carlo",
)
"""What certified a problem, by number."""

STATISTICS = {
    "lp": float,
    "acceptance_rate": float,
    "diverging": bool,
    "energy": float,
    "n_steps": int,
    "step_size": float,
}
"""Sample statistics that every tier's sampler has."""

FEWEST_DRAWS = 8
"""Draws of a chain below which no R-hat can be formed."""


TRIAGE_OPTIONS = {
    "chains": CHAINS,
    "draws": count(at_least=FEWEST_DRAWS, at_most=10_000_000),
    "rhat_limit": number(at_least=0, at_most=10),
    "ess_limit": any_of(None, number(at_least=0, at_most=1e9)),
    "searches": count(at_most=10_000),
    "iterations": count(at_most=100_000),
    "importance_draws": count(at_most=1_000_000),
    "pilot": count(at_most=1_000_000),
    "adaptation": count(at_most=1_000_000),
    "longer": count(at_most=10_000),
    "target_accept": share(),
    "careful_accept": share(),
    "trajectory_length": number(above=0, at_most=1000),
    "longest": count(at_most=100_000),
    "common_leapfrogs": any_of(None, each(count(at_most=100_000), length=2)),
    "sequential": flag(),
    "nuts_warmup": count(at_most=1_000_000),
    "nuts_accept": share(),
    "nuts_depth": count(at_most=20),
    "width": any_of(None, count()),
}
"""The declared options of a triage."""


@dataclasses.dataclass(frozen=True)
class TriageSettings:
    """Settings of a triage.

    Attributes
    ----------
    chains, draws : int
        Number of chains and of kept draws in each.
    rhat_limit : float
        A problem is certified when the R-hat of every quantity is below,
    ess_limit : float, optional
        and the bulk and tail effective sample sizes are not below; 100 per chain by default.
    searches, iterations : int
        Starting points of the search for modes, and its most Newton steps.
    importance_draws : int
        Draws from the Gaussian at the mode for the Pareto k-hat.
    pilot : int
        Draws per chain of the pilot run.
    adaptation : int
        Steps in which a step size is adapted.
    longer : int
        Steps per kept draw in tiers 2 and 3.
    target_accept, trajectory_length, longest
        See `lockstep_program`;
    careful_accept : float
        takes the place of the first in tier 2.
    common_leapfrogs : (int, int), optional
        Fewest and most leapfrog steps of every trajectory of tiers 1 and 2, the same for all
        problems; by default as many as a problem's step size asks for.
    sequential : bool
        Whether sequential Monte Carlo takes the place of tiers 2 and 3.
    nuts_warmup, nuts_accept, nuts_depth
        Warm-up steps, target acceptance and largest tree depth of tier 3.
    width : int, optional
        Problems per compiled call and device; by default what suits the device.
    """

    chains: int = 4
    draws: int = 500
    rhat_limit: float = RHAT_LIMIT
    ess_limit: float | None = None
    searches: int = 8
    iterations: int = 100
    importance_draws: int = 200
    pilot: int = 100
    adaptation: int = 50
    longer: int = 4
    target_accept: float = 0.9
    careful_accept: float = 0.97
    trajectory_length: float = 2.5
    longest: int = 64
    common_leapfrogs: tuple[int, int] | None = None
    sequential: bool = False
    nuts_warmup: int = 400
    nuts_accept: float = 0.98
    nuts_depth: int = 8
    width: int | None = None

    def __post_init__(self):
        for name, option in TRIAGE_OPTIONS.items():
            object.__setattr__(self, name, option.checked(name, getattr(self, name)))

    @property
    def least_ess(self):
        """The effective sample size that a certificate asks for."""
        return ESS_PER_CHAIN * self.chains if self.ess_limit is None else self.ess_limit

    def certify(self, evidence):
        """Return whether the evidence for every problem keeps all limits, (problem,) of bool."""
        return judged(checks_of(evidence, self), "problem")


class Triaged(NamedTuple):
    """Draws of every problem and the evidence for them.

    Attributes
    ----------
    positions : (problem, chain, draw, dim)
        Unconstrained; NaN where no starting point has a finite log density.
    statistics : dict of (problem, chain, draw)
        Sample statistics under ArviZ's names.
    tier : (problem,) int
        Index into `TIERS`.
    evidence : Evidence
        Of (problem,) arrays.
    pareto_k : (problem,)
        Of importance weights of the Gaussian at the mode.
    modes : (problem,) int
        Distinct modes found whose log density is within 10 of the best.
    curvature : (problem,)
        Smallest eigenvalue of the negative Hessian at the mode, scaled to a unit diagonal.
    centre, root : (problem, dim), (problem, dim, dim)
        The best mode and a root of the covariance of its Gaussian.
    gradients : (problem,) int
        Gradient evaluations of all tiers.
    """

    positions: Any
    statistics: Any
    tier: Any
    evidence: Evidence
    pareto_k: Any
    modes: Any
    curvature: Any
    centre: Any
    root: Any
    gradients: Any


def nothing_yet(found, settings, dim):
    """Return the outcome of the searches for modes, no draws made.

    Parameters
    ----------
    found : bayesquake.batch.modes.Modes
        Of (problem, ...) arrays.
    settings : TriageSettings
    dim : int
        Number of coordinates.
    """
    problems = len(found.count)
    shape = (problems, settings.chains, settings.draws)
    return Triaged(
        positions=np.full((*shape, dim), np.nan),
        statistics={
            name: np.full(shape, False if kind is bool else -1 if kind is int else np.nan, kind)
            for name, kind in STATISTICS.items()
        },
        tier=np.zeros(problems, int),
        evidence=no_evidence(problems),
        pareto_k=found.pareto_k,
        modes=found.count,
        curvature=found.curvature,
        centre=found.centre,
        root=found.root,
        gradients=found.gradients.copy(),
    )


def record(triaged, place, positions, statistics, evidence, tier):
    """Put the draws of some problems, and what speaks for them, in the place of earlier ones."""
    triaged.positions[place] = positions
    for name, values in statistics.items():
        triaged.statistics[name][place] = values
    for kept, values in zip(triaged.evidence, evidence, strict=True):
        kept[place] = values
    triaged.tier[place] = tier


def table_of(triaged, dim="problem"):
    """Return how every problem was certified.

    Parameters
    ----------
    triaged : Triaged
    dim : str
        Name of the problem axis.

    Returns
    -------
    xarray.Dataset
        The variables `MEANINGS`, (problem,).
    """
    table = xr.Dataset(
        {
            name: (dim, getattr(triaged, name), {"units": "1", "long_name": meaning})
            for name, meaning in MEANINGS.items()
        }
    )
    table["tier"].attrs |= {
        "flag_values": np.arange(len(TIERS)),
        "flag_meanings": " ".join(tier.replace(" ", "_") for tier in TIERS),
    }
    return table
