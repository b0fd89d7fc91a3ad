r"""Likelihoods of spectra whose power estimates are scaled chi-square variables.

The power of event k on one trace at one frequency is :math:`P_k = G S_k^2 X_k` with
:math:`X_k \sim \chi^2_{\nu_k} / \nu_k`; G, the path, site and instrument, is common to the events.
Each function here returns one log likelihood per (trace, frequency), to be masked and summed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, logsumexp

from .softplus import softplus

__all__ = [
    "FConstants",
    "f_constants",
    "log_f_density",
    "log_f_slopes",
    "log_power_density",
]

ABSENT = -700.0
"""Log weight of an event without data, which leaves sums over events finite."""


class FConstants(NamedTuple):
    """What `log_f_density` needs of the degrees of freedom: ln(ν1 / ν2) and ln B(ν1/2, ν2/2)."""

    log_nu_ratio: Any
    log_beta: Any


def f_constants(nu1, nu2):
    """Return the `FConstants` of degrees of freedom."""
    a1, a2 = 0.5 * nu1, 0.5 * nu2
    # Not jax.scipy.special.betaln, whose relative error reaches 1e-7 in double precision.
    return FConstants(jnp.log(nu1 / nu2), gammaln(a1) + gammaln(a2) - gammaln(a1 + a2))


def log_f_density(y, loc, nu1, nu2, constants=None):
    r"""Return the log density of the log power ratio of two events.

    With :math:`t = y - \mathrm{loc} + \ln(\nu_1 / \nu_2)`,

    .. math:: \ln p(y) = \tfrac{\nu_1}{2} t - \tfrac{\nu_1 + \nu_2}{2} \mathrm{softplus}(t)
              - \ln B(\tfrac{\nu_1}{2}, \tfrac{\nu_2}{2}),

    the density of ln(e^loc F) for F of Fisher's distribution: G cancels in the ratio.

    Parameters
    ----------
    y, loc : array
        ln(P1 / P2), and what the sources make of it.
    nu1, nu2 : array
        Degrees of freedom.
    constants : FConstants, optional
        Those of nu1 and nu2, where they have been computed before.
    """
    log_nu_ratio, log_beta = f_constants(nu1, nu2) if constants is None else constants
    t = y - loc + log_nu_ratio
    return 0.5 * nu1 * t - 0.5 * (nu1 + nu2) * softplus(t) - log_beta


def log_f_slopes(t, nu1, nu2):
    r"""Return the first two derivatives of `log_f_density` by loc.

    With :math:`v = 1 / (1 + e^{-t})` and :math:`h = (\nu_1 + \nu_2) / 2` they are
    :math:`u = h v - \nu_1 / 2` and :math:`-h v (1 - v)`.

    Parameters
    ----------
    t : array
        As in `log_f_density`.
    nu1, nu2 : array
        Degrees of freedom.
    """
    v, h = jax.nn.sigmoid(t), 0.5 * (nu1 + nu2)
    return h * v - 0.5 * nu1, -h * v * (1.0 - v)


def log_power_density(log_power, log_s2, nu, mask):
    r"""Return the log density of the powers of K events, with G integrated out.

    Under the prior 1/G, with :math:`a_k = \nu_k / 2`, :math:`A = \sum a_k` and
    :math:`C = \sum a_k P_k / S_k^2`,

    .. math:: \ln L = \sum_k [a_k \ln(a_k / S_k^2) + (a_k - 1) \ln P_k - \ln\Gamma(a_k)]
              + \ln\Gamma(A) - A \ln C.

    For K = 2 this is `log_f_density` of the log ratio less ln P1 + ln P2.

    Parameters
    ----------
    log_power, log_s2, nu, mask : (event, ...) array
        ln P, ln S², degrees of freedom, and 1 where there are data.
    """
    a = 0.5 * nu
    A = (mask * a).sum(axis=0)
    log_C = logsumexp(jnp.log(a) + log_power - log_s2 + ABSENT * (1.0 - mask), axis=0)
    each = a * (jnp.log(a) - log_s2) + (a - 1.0) * log_power - gammaln(a)
    return (mask * each).sum(axis=0) + gammaln(jnp.where(A > 0, A, 1.0)) - A * log_C
