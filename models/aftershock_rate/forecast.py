r"""Forecasts of aftershock counts and their scores.

The number of true events (detected or not) with magnitude above m in [u, v] days is
Poisson with mean :math:`K e^{\beta (M_0 - m)} \int_u^v (t + c)^{-p} dt`, mixed over the
posterior.
"""

import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp
from scipy.stats import poisson

from bayesquake.physics.omori import log_omori_integral

__all__ = ["interval", "log_expected_count", "log_score"]


def log_expected_count(values, M0, start, end, magnitude):
    """Return the log of the expected true count above a magnitude in [start, end].

    Parameters
    ----------
    values : mapping
        ``log_K`` (log day^(p-1)), ``p``, ``log_c`` (log day), ``beta`` (1/mag).
    M0 : float
        Main-shock magnitude.
    start, end : arrays
        Window limits (day after the main shock).
    magnitude : array
        Threshold, broadcast against the windows.
    """
    return (
        values["log_K"]
        + values["beta"] * (M0 - jnp.asarray(magnitude))
        + log_omori_integral(start, end, values["log_c"], values["p"])
    )


def log_score(observed, log_expected):
    """Return the log predictive probability of a count under a Poisson mixture.

    Parameters
    ----------
    observed : int
    log_expected : array
        Log expected counts, one per draw.
    """
    log_pmf = poisson.logpmf(observed, np.exp(np.ravel(log_expected)))
    return float(logsumexp(log_pmf) - np.log(log_pmf.size))


def interval(log_expected, level=0.95):
    """Return the central interval of a Poisson mixture, as two counts.

    They are the smallest whose cumulative probabilities reach (1 - level) / 2 and
    (1 + level) / 2.
    """
    mean = np.exp(np.ravel(log_expected))

    def quantile(probability):
        low, high = -1, int(poisson.ppf(0.999999, mean.max())) + 1
        while high - low > 1:
            middle = (low + high) // 2
            if poisson.cdf(middle, mean).mean() >= probability:
                high = middle
            else:
                low = middle
        return high

    return quantile((1 - level) / 2), quantile((1 + level) / 2)
