"""Rows of how well the steps that a model holds serve: at a point, or at the draws of chains."""

import jax
import numpy as np

from bayesquake.results.checks import Check
from bayesquake.results.posteriors import some_draws

__all__ = ["among", "at"]

DRAWS_JUDGED = 200

LARGEST_ERROR = 1.0
"""Of a step, over what is tolerated."""


def at(target, mode):
    """Return the row at a mode, (dim,); () where no steps are held."""
    if target.step_error is None:
        return ()
    return rows(target.step_error(mode, target.data), "at the mode, over what is tolerated")


def among(target, positions):
    """Return the row at draws, (chain, draw, dim); () where no steps are held."""
    if target.step_error is None:
        return ()
    _, some = some_draws({"position": positions}, DRAWS_JUDGED)
    errors = jax.lax.map(lambda x: target.step_error(x, target.data), some["position"])
    if errors is None:
        return ()
    meaning = f"largest in 99 % of {len(errors)} draws, over what is tolerated"
    return rows(np.quantile(errors, 0.99, method="lower"), meaning)


def rows(error, meaning):
    """Return the row of an error, () where there is none."""
    if error is None:
        return ()
    name = "error of held steps"
    return (Check(name, float(error), LARGEST_ERROR, kind="adequacy", meaning=meaning),)
