"""What every driver finds, and what every block program offers."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["BlockProgram", "Found", "STATISTIC_MEANINGS", "some_draws"]

STATISTIC_MEANINGS = {
    "lp": "log density in the sampler's coordinates",
    "acceptance_rate": "mean acceptance probability of the trajectory",
    "diverging": "whether the trajectory diverged",
    "energy": "Hamiltonian energy",
    "n_steps": "gradients of the trajectory",
    "tree_depth": "depth of the trajectory's tree",
    "step_size": "step size",
    "trajectory_length": "length of the trajectory before jitter",
    "log_weight": "log importance weight of the draw",
    "log_evidence": "log evidence found by the run",
}
"""Sample statistics by ArviZ's names."""


def some_draws(posterior, count):
    """Return evenly spaced draws of every chain, about so many of all chains together.

    Parameters
    ----------
    posterior : mapping of str to (chain, draw, ...)
    count : int

    Returns
    -------
    places : (place,) array of int
        Of the draws within a chain.
    draws : dict of (chain * place, ...)
    """
    chains, length = next(iter(posterior.values())).shape[:2]
    places = np.unique(np.linspace(0, length - 1, min(length, -(-count // chains))).astype(int))
    some = {name: np.asarray(values)[:, places] for name, values in posterior.items()}
    return places, {name: x.reshape(-1, *x.shape[2:]) for name, x in some.items()}


def _nothing(posterior):
    return ()


@dataclasses.dataclass(frozen=True)
class Found:
    """What a driver found, in unconstrained coordinates.

    Attributes
    ----------
    positions : (chain, draw, dim)
    statistics : mapping of str to (chain, draw) or (chain, draw, problem)
        Sample statistics under ArviZ's names, see `STATISTIC_MEANINGS`; ``lp`` at least.
    checks : callable
        ``posterior (Dataset) -> tuple of Check``: the driver's evidence, once the quantities of
        the model are known.
    gradients : int
        Gradient evaluations, warm-up included.
    compile_seconds, run_seconds : float
    notes : mapping of str to str, int or float
        Scalars about the whole run, written as root attributes.
    problem_dim : str
        Name of the problem axis of the statistics, if they have one.
    groups : mapping of str to xarray.Dataset
        The driver's own groups of the result.
    """

    positions: Any
    statistics: Mapping[str, Any]
    checks: Callable = _nothing
    gradients: int = 0
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problem_dim: str = ""
    groups: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def log_density(self):
        """Log density of the draws, (chain, draw), summed over problems."""
        density = np.asarray(self.statistics["lp"])
        return density.sum(axis=2) if density.ndim == 3 else density


@dataclasses.dataclass(frozen=True, eq=False)
class BlockProgram:
    """The Markov chains of one posterior as two functions, to be compiled by the run loop.

    Attributes
    ----------
    start : callable
        ``(keys, positions, data) -> state`` of all chains.
    block : callable
        ``(state, data, stages) -> (state, positions, statistics)``, one step of every chain
        per stage; arrays are (step, chain, ...). Warm-up and draws run through the same
        program, told apart by the stages alone.
    stages : callable
        ``warmup -> (warmup,) int array``, what each step of warm-up adapts; the stage of
        every draw is 0, which adapts nothing.
    """

    start: Callable
    block: Callable
    stages: Callable
