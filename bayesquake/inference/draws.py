"""What every driver returns, and what every block program offers."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["BlockProgram", "Draws"]


@dataclasses.dataclass(frozen=True)
class Draws:
    """Draws of one fit, in unconstrained coordinates.

    Attributes
    ----------
    positions : (chain, draw, dim)
    log_density : (chain, draw)
    statistics : mapping of str to (chain, draw)
        Sample statistics under ArviZ's names.
    gradients : int
        Gradient evaluations, warm-up included.
    compile_seconds, run_seconds : float
    notes : mapping of str to str, int or float
        Scalars about the whole run, written as root attributes.
    """

    positions: Any
    log_density: Any
    statistics: Mapping[str, Any]
    gradients: int
    compile_seconds: float
    run_seconds: float
    notes: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class BlockProgram:
    """A Markov chain as two compiled functions.

    Attributes
    ----------
    start : callable
        ``(keys, positions, data) -> state``, batched over chains.
    block : callable
        ``(state, data) -> (state, positions, statistics)``, with `length` steps of every
        chain; warm-up and draws run through the same program. Arrays are (step, chain, ...).
    length : int
    """

    start: Callable
    block: Callable
    length: int
