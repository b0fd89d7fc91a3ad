"""Whether probabilities of being background mean what they say, where the truth is known."""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import beta

__all__ = ["Reliability", "reliability"]

BINS = 10


class Reliability(NamedTuple):
    """Of the bins that hold events: mean probability, share observed with its limits, and number.

    All (bin,); the limits are those of the 90 % Jeffreys interval of a binomial share.
    """

    mean: Any
    share: Any
    low: Any
    high: Any
    number: Any


def reliability(probability, is_background, bins=BINS):
    """Return the observed share of background events by their probability.

    Parameters
    ----------
    probability : (event,)
    is_background : (event,) bool
    bins : int
        Of equal width.
    """
    place = np.minimum((probability * bins).astype(int), bins - 1)
    number = np.bincount(place, minlength=bins)
    hits = np.bincount(place, is_background, minlength=bins)
    total = np.bincount(place, probability, minlength=bins)
    held = number > 0
    number, hits, total = number[held], hits[held], total[held]
    low, high = beta.ppf([[0.05], [0.95]], hits + 0.5, number - hits + 0.5)
    return Reliability(total / number, hits / number, low, high, number)
