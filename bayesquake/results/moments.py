"""Means and spreads of fields, with their Monte-Carlo errors, in place of their draws.

References
----------
Vehtari et al. 2021, doi:10.1214/20-BA1221 (effective sample sizes of means).
"""

import numpy as np

from bayesquake.results.convergence import effective_draws

__all__ = ["MOMENTS", "moments_of"]

MOMENTS = ("mean", "sd", "mcse_mean", "mcse_sd")


def moments_of(draws):
    """Return the mean, the sd and their Monte-Carlo errors of every element.

    Parameters
    ----------
    draws : (chain, draw, ...) array

    Returns
    -------
    (moment, ...) array
        In the order of `MOMENTS`.
    """
    elements = np.moveaxis(draws.reshape(*draws.shape[:2], -1), 2, 0)
    mean, sd = elements.mean(axis=(1, 2)), elements.std(axis=(1, 2))
    squares = (elements - mean[:, None, None]) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        error_of_mean = elements.std(axis=(1, 2), ddof=1) / np.sqrt(effective_draws(elements))
        error_of_variance = squares.std(axis=(1, 2)) / np.sqrt(effective_draws(squares))
        found = np.stack([mean, sd, error_of_mean, error_of_variance / (2 * sd)])
    return found.reshape(len(MOMENTS), *draws.shape[2:])
