r"""The exact posterior of the detection curve given the magnitudes, for small catalogues.

Convention: μ holds the 50 % detection magnitude at the events (mag), with prior
:math:`\mu \sim N(m, C)`; β and σ are given. The density of a magnitude is normalised over
magnitudes, :math:`\beta e^{-\beta(M - \mu) - \beta^2\sigma^2/2} \Phi((M - \mu)/\sigma)`,
that of Normal(μ - βσ², σ) + Exponential(β), and so involves no reference magnitude. Then

.. math:: \ln p(M) = n \ln\beta - \beta \sum_i M_i - \tfrac12 n \beta^2 \sigma^2
          + \beta 1^T m + \tfrac12 \beta^2 1^T C 1
          + \ln \Phi_n(M - m - \beta C 1; S), \qquad S = C + \sigma^2 I,

and the posterior is unified skew-normal (Arellano-Valle & Azzalini 2006,
doi:10.1111/j.1467-9469.2006.00503.x):

.. math:: \mu = m + \beta C 1 + C S^{-1} (y - m - \beta C 1) + r,

with :math:`y \sim N(m + \beta C 1, S)` truncated to :math:`y \le M` and
:math:`r \sim N(0, C - C S^{-1} C)`. The orthant probability and the truncated draws come
from sequential conditioning (Geweke 1991; Hajivassiliou & McFadden 1998,
doi:10.2307/2999576; Keane 1994, doi:10.2307/2951629), with the proposals shifted to the
saddle point of their weights: the bounds lie so far in the tail of the tilted prior that
unshifted proposals almost never agree with each other (Botev 2017,
doi:10.1111/rssb.12162). The importance weights make both exact as the number of draws
grows, whatever the shifts.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, cholesky, solve_triangular
from jax.scipy.special import log_ndtr, logsumexp, ndtr, ndtri

__all__ = ["SkewNormalPosterior", "effective_draws", "skew_normal_posterior", "weighted_mean"]

FAR_TAIL = -30.0
"""Truncation point (standard deviations) below which the normal tail is drawn from its
asymptote, density ∝ -x exp(-x²/2): relative error of the density below 1/900."""


SHIFT_TOLERANCE, SHIFT_ITERATIONS = 1e-6, 200
"""Newton's method for the shifts; stopping early costs effective draws, not correctness."""


class SkewNormalPosterior(NamedTuple):
    """Weighted draws of μ and the marginal likelihood.

    Attributes
    ----------
    log_marginal : scalar
        Log density of the magnitudes (mag^-n).
    standard_error : scalar
        Monte-Carlo standard error of ``log_marginal``.
    log_weights : (draw,)
        Log of the normalised weights.
    mu : (draw, event)
        50 % detection magnitude at the events (mag).
    """

    log_marginal: Any
    standard_error: Any
    log_weights: Any
    mu: Any


@functools.partial(jax.jit, static_argnames="draws")
def skew_normal_posterior(key, magnitude, mean, covariance, beta, sigma, *, draws=10_000):
    """Draw from the posterior of μ given the magnitudes, and integrate μ out.

    Parameters
    ----------
    key : jax.random.key
    magnitude : (event,)
        Continuous magnitudes; about 200 at most, beyond which the weights degenerate.
    mean : (event,)
        Prior mean of μ at the events (mag).
    covariance : (event, event)
        Prior covariance of μ (mag²); may be singular, as for simultaneous events.
    beta, sigma : scalars
        β = b ln 10 (1/mag) and width of the detection curve (mag).
    draws : int

    Returns
    -------
    SkewNormalPosterior
    """
    n = magnitude.shape[0]
    orthant_key, prior_key, noise_key = jax.random.split(key, 3)
    tilted_mean = mean + beta * covariance.sum(axis=1)
    S = covariance + sigma**2 * jnp.eye(n)
    L = cholesky(S, lower=True)

    log_orthant, e = truncated_normal(orthant_key, magnitude - tilted_mean, L, draws)
    log_marginal = (
        n * jnp.log(beta)
        - beta * magnitude.sum()
        - 0.5 * n * (beta * sigma) ** 2
        + beta * mean.sum()
        + 0.5 * beta**2 * covariance.sum()
        + logsumexp(log_orthant)
        - jnp.log(draws)
    )
    log_weights = log_orthant - logsumexp(log_orthant)
    relative_variance = draws * jnp.exp(logsumexp(2 * log_weights)) - 1

    gain_of_e = solve_triangular(L, covariance, lower=True)
    eigenvalues, vectors = jnp.linalg.eigh(covariance)
    root = vectors * jnp.sqrt(jnp.maximum(eigenvalues, 0.0))
    prior = jax.random.normal(prior_key, (draws, n)) @ root.T
    noise = sigma * jax.random.normal(noise_key, (draws, n))
    residual = prior - cho_solve((L, True), (prior + noise).T).T @ covariance
    return SkewNormalPosterior(
        log_marginal=log_marginal,
        standard_error=jnp.sqrt(jnp.maximum(relative_variance, 0.0) / draws),
        log_weights=log_weights,
        mu=tilted_mean + e @ gain_of_e + residual,
    )


def truncated_normal(key, upper, L, draws):
    """Draw e ~ N(0, I) with L e ≤ upper, coordinate by coordinate.

    Parameters
    ----------
    key : jax.random.key
    upper : (event,)
    L : (event, event)
        Lower triangular.
    draws : int

    Returns
    -------
    log_weight : (draw,)
        Log of an unbiased estimate of the probability that L e ≤ upper.
    e : (draw, event)
    """
    n = upper.shape[0]
    scale = jnp.diag(L)
    coupling, bound = jnp.tril(L, -1) / scale[:, None], upper / scale
    shift = proposal_shift(bound, coupling)
    uniform = jax.random.uniform(key, (n, draws), upper.dtype, minval=jnp.finfo(upper.dtype).tiny)

    def condition(carry, row):
        e, log_weight = carry
        i, coupling_i, bound_i, shift_i, u = row
        a = bound_i - e @ coupling_i - shift_i
        e_i = shift_i + truncated_standard_normal(a, u)
        log_weight += log_ndtr(a) + 0.5 * shift_i**2 - shift_i * e_i
        return (e.at[:, i].set(e_i), log_weight), None

    start = jnp.zeros((draws, n)), jnp.zeros(draws)
    rows = jnp.arange(n), coupling, bound, shift, uniform
    (e, log_weight), _ = jax.lax.scan(condition, start, rows)
    return log_weight, e


def proposal_shift(bound, coupling):
    r"""Find the shifts ν of the proposals e_i ~ N(ν_i, 1) that even out their weights.

    Solves for the saddle point of :math:`\psi(x, \nu) = \sum_i [\nu_i^2/2 - \nu_i x_i +
    \ln\Phi(a_i - \nu_i)]`, :math:`a = bound - coupling\, x`, concave in x and convex in ν
    (Botev 2017, eq. 9), by Newton's method with step halving on the size of the gradient.

    Parameters
    ----------
    bound : (event,)
    coupling : (event, event)
        Strictly lower triangular.

    Returns
    -------
    (event,)
    """
    n = bound.shape[0]
    identity = jnp.eye(n)

    def residual(solution):
        x, shift = solution[:n], solution[n:]
        a = bound - coupling @ x - shift
        hazard = jnp.exp(-0.5 * a**2 - 0.5 * jnp.log(2 * jnp.pi) - log_ndtr(a))
        gradient = jnp.concatenate([-shift - coupling.T @ hazard, shift - x - hazard])
        return gradient, hazard * (a + hazard)

    def newton(state):
        solution, gradient, weight, iteration = state
        weighted = weight[:, None] * coupling
        jacobian = jnp.block(
            [
                [-coupling.T @ weighted, -identity - weighted.T],
                [-identity - weighted, identity - jnp.diag(weight)],
            ]
        )
        step = jnp.linalg.solve(jacobian, gradient)

        def too_long(length):
            longer = jnp.linalg.norm(residual(solution - length * step)[0])
            return ~(longer < (1 - 1e-4 * length) * jnp.linalg.norm(gradient)) & (length > 1e-9)

        length = jax.lax.while_loop(too_long, lambda length: 0.5 * length, 1.0)
        solution = solution - length * step
        return solution, *residual(solution), iteration + 1

    def unfinished(state):
        return (jnp.linalg.norm(state[1]) > SHIFT_TOLERANCE) & (state[3] < SHIFT_ITERATIONS)

    start = jnp.zeros(2 * n)
    return jax.lax.while_loop(unfinished, newton, (start, *residual(start), 0))[0][n:]


def truncated_standard_normal(upper, u):
    """Return the u-quantile of the standard normal truncated to values below ``upper``."""
    far = upper < FAR_TAIL
    near = ndtri(u * ndtr(jnp.where(far, 0.0, upper)))
    return jnp.where(far, -jnp.sqrt(upper**2 - 2 * jnp.log(u)), near)


def weighted_mean(posterior):
    """Return the posterior mean of μ and its Monte-Carlo standard error, (event,) each."""
    weights = jnp.exp(posterior.log_weights)[:, None]
    mean = (weights * posterior.mu).sum(axis=0)
    variance = (weights**2 * (posterior.mu - mean) ** 2).sum(axis=0)
    return mean, jnp.sqrt(variance)


def effective_draws(posterior):
    """Return the number of equally weighted draws worth as much, 1 / Σ w²."""
    return jnp.exp(-logsumexp(2 * posterior.log_weights))
