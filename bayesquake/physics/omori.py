r"""The Omori-Utsu decay of aftershocks and its integral.

Convention: times are days after the main shock, :math:`n(t) = K (t + c)^{-p}`.
The integral over :math:`[u, v]` is

.. math:: F(u, v) = (u + c)^{q} \, \frac{e^{qL} - 1}{q},
          \qquad q = 1 - p, \quad L = \ln\frac{v + c}{u + c},

which is smooth through :math:`p = 1`; both the value and every derivative are
evaluated without cancellation there.
"""

import jax.numpy as jnp
import numpy as np

__all__ = [
    "log_exprel",
    "log_omori_integral",
    "log_omori_total",
    "omori_fraction",
    "omori_utsu_log_rate",
    "tapered_omori_integral",
]

SERIES_BELOW = 1e-3
"""Size of y below which exprel(y) is summed as a series: truncation y⁵/720 < 2e-18."""

TAPER_NODES, TAPER_WEIGHTS = np.polynomial.legendre.leggauss(48)
TAPER_LENGTHS = 40.0
"""The tapered decay is cut where e^{-t/τ} = 4e-18."""

SLOWEST_DECAY = 1e-300
"""Keeps 40 τ finite where there is no taper."""


def log_exprel(y):
    """Evaluate ln((exp(y) - 1) / y), equal to zero at y = 0.

    The series branch sees only small arguments and the exact branch only large
    ones, so that neither poisons the gradient of the other.
    """
    small = jnp.abs(y) < SERIES_BELOW
    y_series = jnp.where(small, y, 0.0)
    y_exact = jnp.where(small, 1.0, y)
    series = jnp.log1p(y_series / 2 * (1 + y_series / 3 * (1 + y_series / 4 * (1 + y_series / 5))))
    exact = (
        jnp.maximum(y_exact, 0.0)
        + jnp.log(-jnp.expm1(-jnp.abs(y_exact)))
        - jnp.log(jnp.abs(y_exact))
    )
    return jnp.where(small, series, exact)


def omori_utsu_log_rate(t, log_K, log_c, p):
    """Return ln[K (t + c)^-p], the log rate of events above the reference magnitude.

    Parameters
    ----------
    t : array
        Time after the main shock (day).
    log_K, log_c, p : scalars
        Natural logs of the productivity K (day^(p-1)) and of c (day); exponent p.
    """
    return log_K - p * jnp.log(t + jnp.exp(log_c))


def log_omori_integral(start, end, log_c, p):
    """Return the log of the integral of (t + c)^-p over [start, end] (days).

    Parameters
    ----------
    start, end : arrays
        Interval limits after the main shock (day), ``end > start``.
    log_c, p : scalars
        Natural log of c (day) and the exponent p; p = 1 is an ordinary point.
    """
    c = jnp.exp(log_c)
    q = 1.0 - p
    span = jnp.log1p((end - start) / (start + c))
    return q * jnp.log(start + c) + jnp.log(span) + log_exprel(q * span)


def log_omori_total(log_c, p):
    """Return the log of the integral of (t + c)^-p over all times after the event, for p > 1."""
    return (1.0 - p) * log_c - jnp.log(p - 1.0)


def omori_fraction(start, end, log_c, p):
    """Return the share of aftershocks, out of all there ever are, in [start, end] (days), p > 1."""
    q, c = 1.0 - p, jnp.exp(log_c)
    before, after = q * jnp.log1p(start / c), q * jnp.log1p(end / c)
    return -jnp.exp(before) * jnp.expm1(after - before)


def tapered_omori_integral(start, end, log_c, p, decay_rate):
    r"""Return the integral of e^{-t/τ} (t + c)^{-p} over [start, end].

    By Gauss-Legendre nodes in s = ln(t + c), where the integrand is smooth for every p, p ≤ 1
    included; incomplete gamma functions of negative order would cancel.

    Parameters
    ----------
    start, end : arrays
        Interval limits after the event (day), ``end >= start``.
    log_c, p : scalars
    decay_rate : scalar
        1/τ (1/day); beyond 40 τ nothing is left.
    """
    c = jnp.exp(log_c)
    furthest = TAPER_LENGTHS / jnp.maximum(decay_rate, SLOWEST_DECAY)
    low, high = (jnp.log(jnp.minimum(t, furthest) + c)[..., None] for t in (start, end))
    half = 0.5 * (high - low)
    s = low + half * (1.0 + TAPER_NODES)
    integrand = jnp.exp((1.0 - p) * s - decay_rate * (jnp.exp(s) - c))
    return (half * TAPER_WEIGHTS * integrand).sum(axis=-1)
