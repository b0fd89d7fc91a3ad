r"""Value, gradient and curvature of the log posterior of a pair, by formulas in one pass.

With :math:`s_i = 1 / (1 + e^{-x_i})` and :math:`q_i = 2 n^2 g\, s_i (1 - s_i)` the location of a
log ratio has the derivatives

.. math:: \partial_d = -2 n s_2, \quad \partial_{\ln f_1} = 2 n (s_1 - s_2), \quad \partial_m = 2,
          \qquad \partial_{dd} = \partial_{d \ln f_1} = q_2, \quad
          \partial_{\ln f_1 \ln f_1} = q_2 - q_1,

and the log density has :math:`u` and :math:`-h v (1 - v)` by the location, see
`likelihood.log_f_slopes`. All share three exponentials, which automatic derivatives of second
order evaluate many times over. Where the negative Hessian is not positive definite, the
expected one takes its place, Fisher's information, in which a ratio's log density has the
curvature :math:`\nu_1 \nu_2 / (2 (\nu_1 + \nu_2 + 2))` by its location.
"""

import jax
import jax.numpy as jnp

from . import quadrature
from .likelihood import log_f_density, log_f_slopes
from .model import pair_location

__all__ = ["PARAMETERS", "applies", "posterior_slopes"]

PARAMETERS = ("dln_fc", "ln_fc1", "ln_moment_ratio")
"""Order of the coordinates."""


def applies(arrays):
    """Return whether these three are the unknowns of a pair."""
    return arrays.nu_max is None and quadrature.applies(arrays)


def posterior_slopes(position, arrays, priors):
    """Return the log posterior of one pair and its first two derivatives.

    Parameters
    ----------
    position : (3,)
        `PARAMETERS`.
    arrays : arrays.PairArrays
        Of one pair.
    priors : dict of numpyro.distributions.Distribution
        On the whole real line.

    Returns
    -------
    value : scalar
    gradient : (3,)
    precision : (3, 3)
        Negative Hessian where it is positive definite, else the expected one.
    """
    values = {name: position[i][None] for i, name in enumerate(PARAMETERS)}
    loc, nu1, nu2 = pair_location(values, arrays)
    y, mask, constants = arrays.y, arrays.mask, arrays.f_constants
    n, g = arrays.falloff[0], arrays.g[0]
    x1 = n * g * (arrays.log_f - position[1])
    s1, s2 = (jax.nn.sigmoid(x)[:, None, :] for x in (x1, x1 - n * g * position[0]))
    q1, q2 = (2 * n**2 * g * s * (1 - s) for s in (s1, s2))
    by_d, by_f1 = -2 * n * s2, 2 * n * (s1 - s2)
    u, bend = log_f_slopes(y - loc + constants.log_nu_ratio, nu1, nu2)

    information = nu1 * nu2 / (2.0 * (nu1 + nu2 + 2.0))
    terms = (
        log_f_density(y, loc, nu1, nu2, constants),
        u * by_d,
        u * by_f1,
        2.0 * u,
        bend * by_d**2 + u * q2,
        bend * by_d * by_f1 + u * q2,
        2.0 * bend * by_d,
        bend * by_f1**2 + u * (q2 - q1),
        2.0 * bend * by_f1,
        4.0 * bend,
        -information * by_d**2,
        -information * by_d * by_f1,
        -information * 2.0 * by_d,
        -information * by_f1**2,
        -information * 2.0 * by_f1,
        -information * 4.0,
    )
    sums = (mask * jnp.stack(jnp.broadcast_arrays(*terms))).sum(axis=(1, 2, 3))
    value, gradient = sums[0], sums[1:4]
    observed, expected = _symmetric(sums[4:10]), _symmetric(sums[10:])
    for i, name in enumerate(PARAMETERS):
        log_prob = priors[name].log_prob
        value += log_prob(position[i])
        gradient = gradient.at[i].add(jax.grad(log_prob)(position[i]))
        curvature = jax.grad(jax.grad(log_prob))(position[i])
        observed = observed.at[i, i].add(curvature)
        expected = expected.at[i, i].add(curvature)
    return value, gradient, jnp.where(_is_positive(-observed), -observed, -expected)


def _symmetric(entries):
    dd, df, dm, ff, fm, mm = entries
    return jnp.array([[dd, df, dm], [df, ff, fm], [dm, fm, mm]])


def _is_positive(matrix):
    """Return whether a symmetric (3, 3) matrix is positive definite, by its leading minors."""
    (a, b, c), (_, d, e), (_, _, f) = matrix
    minor = a * d - b * b
    return (a > 0) & (minor > 0) & (f * minor > a * e * e - 2 * b * c * e + d * c * c)
