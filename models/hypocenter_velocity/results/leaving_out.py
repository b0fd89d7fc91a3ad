"""Picks one by one, as parts of the data that are independent given the parameters."""

import jax.numpy as jnp

from bayesquake.model.capabilities import Folds

from ..model import arrival_distribution
from ..physics.arrivals import by_event, expected_arrivals
from ..profiles import by_pick, pick_log_likelihood

__all__ = ["FOLDS"]


def count(arrays):
    """Return the number of folds; those of padding say nothing."""
    return arrays.picks


def without(arrays, fold):
    """Return the arrays without a pick, which does not enter the mean arrival of its event."""
    left = arrays.mask & (arrays.place != fold)
    weight = jnp.where(left, arrays.weight, 0.0)
    arrays = arrays._replace(mask=left, weight=weight)
    return arrays._replace(weight=weight / by_event(weight, arrays)[arrays.event])


def terms(values, arrays):
    """Return the log likelihood of every pick in the order of the data set, (fold,).

    Of two velocity profiles it is that given all other picks, which tell of the station's profile.
    """
    expected = expected_arrivals(values, arrays)
    fit = arrival_distribution(expected, values["sigma"], arrays).log_prob(arrays.time)
    of_picks = pick_log_likelihood(fit, values, arrays)
    return jnp.zeros_like(of_picks).at[by_pick(arrays.place, arrays)[0]].set(of_picks)


FOLDS = Folds(count, without, terms)
