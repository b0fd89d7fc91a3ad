"""Estimates that ignore detection: what the joint model is compared with."""

import jax
import numpy as np
from scipy.optimize import minimize

from bayesquake.physics.omori import log_omori_integral

__all__ = ["b_aki", "b_positive", "fit_omori", "expected_count"]

LOG_C_BOUNDS = (np.log(1e-5), np.log(100.0))
P_BOUNDS = (0.01, 100.0)
"""c (day) and p of the maximum-likelihood search; a decay that looks exponential, as when
early events are missing, runs to the upper limit of both."""

log_integral = jax.jit(log_omori_integral)
STARTS = ((1.1, 0.01), (1.5, 0.1), (0.8, 0.003), (5.0, 1.0))


def b_positive(magnitude, smallest_step=0.0, magnitude_rounding=0.0):
    """Estimate the b-value from the positive steps between successive magnitudes.

    Parameters
    ----------
    magnitude : (event,)
        Magnitudes in order of time.
    smallest_step : float
        Smaller steps (mag) are left out; with rounded magnitudes at least the rounding.
    magnitude_rounding : float
        Rounding step of the magnitudes (mag), 0 if continuous.

    Returns
    -------
    b_value, standard_error : float

    References
    ----------
    van der Elst 2021, doi:10.1029/2020JB021027.
    """
    steps = np.diff(magnitude)
    smallest_step = max(smallest_step, magnitude_rounding)
    positive = steps[(steps > 0) & (steps > smallest_step - 0.5 * magnitude_rounding)]
    excess = positive.mean() - smallest_step
    if magnitude_rounding > 0:
        beta = np.log1p(magnitude_rounding / excess) / magnitude_rounding
    else:
        beta = 1 / excess
    b_value = beta / np.log(10)
    return float(b_value), float(b_value / np.sqrt(positive.size))


def b_aki(magnitude, above):
    """Return Aki's maximum-likelihood b-value of the magnitudes above a threshold."""
    larger = magnitude[magnitude > above]
    return float(1 / (np.log(10) * (larger.mean() - above)))


def fit_omori(t, end):
    """Fit the Omori-Utsu rate k (t + c)^-p by maximum likelihood, as if nothing were missed.

    Parameters
    ----------
    t : (event,)
        Times in [0, end] (day).
    end : float
        End of the window (day).

    Returns
    -------
    dict
        ``log_k`` (k: events day^(p-1)), ``p``, ``log_c`` (c: day), ``log_likelihood``, and
        ``at_limit``, whether p or c ran to a limit of the search.
    """

    def log_k_of(p, log_c):
        return np.log(t.size) - float(log_integral(0.0, end, log_c, p))

    def negative_log_likelihood(values):
        p, log_c = values
        return -(t.size * (log_k_of(p, log_c) - 1) - p * np.log(t + np.exp(log_c)).sum())

    found = min(
        (
            minimize(
                negative_log_likelihood,
                (p, np.log(c)),
                method="Nelder-Mead",
                bounds=(P_BOUNDS, LOG_C_BOUNDS),
                options={"xatol": 1e-5, "fatol": 1e-6, "maxiter": 4000},
            )
            for p, c in STARTS
        ),
        key=lambda result: result.fun,
    )
    p, log_c = map(float, found.x)
    limits = np.array([*P_BOUNDS, *LOG_C_BOUNDS])
    at_limit = bool(np.isclose([p, p, log_c, log_c], limits, atol=1e-3).any())
    return {
        "log_k": log_k_of(p, log_c),
        "p": p,
        "log_c": log_c,
        "log_likelihood": -float(found.fun),
        "at_limit": at_limit,
    }


def expected_count(omori, start, end):
    """Return the expected events between two times (day) of a fit by `fit_omori`."""
    return float(np.exp(omori["log_k"] + log_integral(start, end, omori["log_c"], omori["p"])))
