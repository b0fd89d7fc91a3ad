r"""The test of whether spectra scatter more than their degrees of freedom allow.

The share of an event in the scaled powers of a bin, :math:`w_k = a_k P_k S_k^{-2} / C`, is
Dirichlet distributed with parameters :math:`a_k = \nu_k / 2` whatever the sources are. The
discrepancy :math:`D = -\sum_k a_k \ln w_k`, the part of the negative log likelihood that depends
on the data, has the cumulant generating function

.. math:: K(s) = \sum_k \ln\Gamma(a_k (1 - s)) - \ln\Gamma(A (1 - s)) - \mathrm{const},

so that the sum over bins has known cumulants. Its tail probability is that of the shifted gamma
variable with the same first three; no replicates have to be drawn.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import gammainc, gammaincc, polygamma

from .likelihood import ABSENT

__all__ = ["discrepancy", "discrepancy_cumulants", "tail_probability"]


def discrepancy(log_power, log_s2, nu, mask):
    """Return D of every bin.

    Parameters
    ----------
    log_power, log_s2, nu, mask : (event, ...) array
        ln P, ln S², degrees of freedom, and 1 where there are data.

    Returns
    -------
    (...) array
    """
    a = 0.5 * nu
    absent = ABSENT * (mask == 0)
    log_w = jax.nn.log_softmax(jnp.log(a) + log_power - log_s2 + absent, axis=0)
    return -(mask * a * log_w).sum(axis=0)


def discrepancy_cumulants(nu, mask):
    """Return the first three cumulants of D of every bin.

    Parameters
    ----------
    nu, mask : (event, ...) array
        Degrees of freedom, and 1 where there are data.

    Returns
    -------
    tuple of three (...) arrays
    """
    a, used = 0.5 * nu, mask > 0
    A = (used * a).sum(axis=0)
    A = jnp.where(A > 0, A, 1.0)
    # Correlated bins of weight w are as many independent ones as their weights add up to.
    weight = mask.max(axis=0)

    def cumulant(order):
        terms = (used * a**order * polygamma(order - 1, a)).sum(axis=0)
        return weight * (-1.0) ** order * (terms - A**order * polygamma(order - 1, A))

    return cumulant(1), cumulant(2), cumulant(3)


def tail_probability(D, mean, variance, third):
    """Return P(D' >= D) for a variable with these cumulants, by a shifted gamma distribution."""
    shape = 4.0 * variance**3 / third**2
    scaled = shape + jnp.sign(third) * (D - mean) * jnp.sqrt(shape / variance)
    scaled = jnp.maximum(scaled, 0.0)
    return jnp.where(third > 0, gammaincc(shape, scaled), gammainc(shape, scaled))
