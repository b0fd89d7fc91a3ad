r"""Gutenberg-Richter magnitudes seen through a probit detection curve.

An event of magnitude M is detected with probability
:math:`\pi(M) = \Phi((M - \mu) / \sigma)`. With Gutenberg-Richter magnitudes of
density :math:`\beta e^{-\beta (M - M_0)}`, the detected magnitudes follow exactly
Normal(μ - βσ², σ) + Exponential(β), and everything here is a consequence.
"""

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, logsumexp, ndtr

__all__ = [
    "detection_probability",
    "log_detected_density",
    "log_detected_fraction",
    "log_fraction_above",
    "magnitude_cdf",
    "rounding_quadrature",
]

ASYMPTOTIC_BELOW = -30.0
"""Argument of Φ below which its asymptotic series is used."""

ROUNDING_NODES = 8
"""Gauss-Legendre nodes per magnitude bin: error 1e-9 at σ = δ/2 (4 nodes: 6e-3)."""


def detection_probability(magnitude, mu, sigma):
    """Return Φ((M - μ) / σ), the probability that an event of magnitude M is detected."""
    return ndtr((magnitude - mu) / sigma)


def log_detected_fraction(mu, sigma, beta, M0):
    """Return ln ∫ β e^{-β(M-M0)} π(M) dM = -β(μ - M0) + β²σ²/2 over all magnitudes."""
    return -beta * (mu - M0) + 0.5 * (beta * sigma) ** 2


def log_fraction_above(cut, mu, sigma, beta, M0):
    r"""Return ln[e^{β M0} A(m)], the detected fraction of events with magnitude above m.

    .. math:: A(m) = e^{-\beta m} \Phi\left(\frac{m - \mu}{\sigma}\right)
              + e^{-\beta\mu + \beta^2\sigma^2/2}
                \Phi\left(-\frac{m - \mu + \beta\sigma^2}{\sigma}\right)
    """
    above_the_edge = -beta * (cut - M0) + log_ndtr((cut - mu) / sigma)
    through_the_edge = log_detected_fraction(mu, sigma, beta, M0) + log_ndtr(
        -(cut - mu + beta * sigma**2) / sigma
    )
    return jnp.logaddexp(above_the_edge, through_the_edge)


def log_detected_density(magnitude, mu, sigma, beta, M0, rounding=None):
    r"""Return ln[β e^{-β(M-M0)} Φ((M-μ)/σ)], averaged over the rounding bin if there is one.

    Parameters
    ----------
    magnitude, mu : arrays (event,)
        Catalogue magnitude and 50 % detection magnitude at the time of each event.
    sigma, beta, M0 : scalars
        Width of the detection curve (mag), β = b ln 10 (1/mag), main-shock magnitude.
    rounding : (offsets, log_weights), arrays (node,), optional
        Quadrature over the bin M ± δ/2 from `rounding_quadrature`.
    """
    log_gutenberg_richter = jnp.log(beta) - beta * (magnitude - M0)
    if rounding is None:
        return log_gutenberg_richter + log_ndtr((magnitude - mu) / sigma)
    offsets, log_weights = rounding
    x = (magnitude[:, None] + offsets - mu[:, None]) / sigma
    return log_gutenberg_richter + _log_mean_ndtr(x, log_weights - beta * offsets)


def _log_mean_ndtr(x, log_weights):
    """Return ln Σ_k w_k Φ(x_k) over the last axis, with one logarithm per row.

    Φ is summed directly in rows far from underflow; elsewhere the terms below take the
    asymptotic series, whose truncation there is under 945 / 30¹⁰ = 2e-12.
    """
    far = x < ASYMPTOTIC_BELOW
    phi = ndtr(jnp.where(far, 0.0, x))
    direct = jnp.log((jnp.exp(log_weights) * phi).sum(axis=-1))
    y = jnp.where(far, x, 2 * ASYMPTOTIC_BELOW)
    inverse = 1 / y**2
    series = 1 - inverse * (1 - inverse * (3 - inverse * (15 - 105 * inverse)))
    asymptotic = -0.5 * y**2 - jnp.log(-y * np.sqrt(2 * np.pi)) + jnp.log(series)
    tail = logsumexp(jnp.where(far, asymptotic, jnp.log(phi)) + log_weights, axis=-1)
    return jnp.where(far.any(axis=-1), tail, direct)


def rounding_quadrature(delta):
    """Return offsets (mag) and log weights, both (node,), that average over M ± δ/2."""
    nodes, weights = np.polynomial.legendre.leggauss(ROUNDING_NODES)
    return 0.5 * delta * nodes, np.log(0.5 * weights)


def magnitude_cdf(magnitude, mu, sigma, beta):
    """Return the distribution function of Normal(μ - βσ², σ) + Exponential(β)."""
    shifted = (magnitude - mu) / sigma
    return ndtr(shifted + beta * sigma) - jnp.exp(
        -beta * (magnitude - mu) - 0.5 * (beta * sigma) ** 2 + log_ndtr(shifted)
    )
