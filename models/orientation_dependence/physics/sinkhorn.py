r"""The adjusting functions a(x), b(y) on empirical marginals, by Sinkhorn's iteration.

For a log kernel K and weights w, :math:`\pi_{ij} = w_i w_j e^{K_{ij} + f_i + g_j}` has both
marginals w. The iteration runs on log sums, between which a few steps are made on the scaled
kernel (absorption). It is never differentiated. By the envelope theorem the derivative of
:math:`\sum_i w_i (K_{ii} + f_i + g_i)` in K is diag(w) less the coupling π, and the potentials have
the derivatives of the marginal equations that they solve, so that Hessians are exact too.

References
----------
Sinkhorn & Knopp 1967, doi:10.2140/pjm.1967.21.343
Schmitzer 2019, doi:10.1137/16M1106018 (absorption)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from ..errors import SinkhornError

__all__ = ["TOLERANCE", "log_dual", "potential_slopes", "potentials", "require_converged"]

TOLERANCE = 1e-10
"""Largest relative error of a row's marginal at convergence."""

INNER_STEPS = 10
MAX_ROUNDS = 1000
"""Rounds of one log-domain step and `INNER_STEPS` scaled ones before the iteration gives up."""


class Potentials(NamedTuple):
    """Potentials f (row,) and g (column,), and the largest error of the marginals."""

    f: Any
    g: Any
    error: Any


@jax.custom_jvp
def potentials(log_kernel, weights):
    """Return the `Potentials`, with Σ w g = 0, that give the coupling its marginals.

    Parameters
    ----------
    log_kernel : (n, n)
    weights : (n,)
        Both marginals; they sum to 1 and may be 0.
    """
    log_w = jnp.log(weights)

    def unfinished(carry):
        _, error, rounds = carry
        return (error > TOLERANCE) & (rounds < MAX_ROUNDS)

    def one_round(carry):
        g, _, rounds = carry
        f = -logsumexp(log_kernel + (g + log_w), axis=1)
        g = -logsumexp(log_kernel + (f + log_w)[:, None], axis=0)
        kernel = jnp.exp(log_kernel + f[:, None] + g)

        def scaled(_, scale):
            return 1.0 / ((weights / (kernel @ (weights * scale))) @ kernel)

        scale = jax.lax.fori_loop(0, INNER_STEPS - 1, scaled, jnp.ones_like(weights))
        rows = 1.0 / (kernel @ (weights * scale))
        scale = 1.0 / ((weights * rows) @ kernel)
        error = jnp.max(jnp.abs(rows * (kernel @ (weights * scale)) - 1.0))
        return g + jnp.log(scale), error, rounds + 1

    g, error, _ = jax.lax.while_loop(unfinished, one_round, (jnp.zeros_like(weights), jnp.inf, 0))
    g = g - weights @ g
    f = -logsumexp(log_kernel + (g + log_w), axis=1)
    return Potentials(f, g, error)


@potentials.defjvp
def _potentials_jvp(primals, tangents):
    """Differentiate the marginal equations; weights are held fixed."""
    log_kernel, weights = primals
    slope, _ = tangents
    solution = potentials(log_kernel, weights)
    density = jnp.exp(log_kernel + solution.f[:, None] + solution.g)
    r, c = (density * slope) @ weights, weights @ (density * slope)
    df, dg = potential_slopes(density, weights, r[:, None], c[:, None])
    return solution, Potentials(df[:, 0], dg[:, 0], jnp.zeros_like(solution.error))


def potential_slopes(density, weights, r, c):
    """Return the derivatives of f and g along directions of the log kernel, (n, direction).

    Parameters
    ----------
    density : (n, n)
        π over w wᵀ.
    weights : (n,)
    r, c : (n, direction)
        Means of the direction over the columns of each row, and over the rows of each column.
    """
    to_rows, to_columns = density * weights, (weights[:, None] * density).T
    # The marginal equations are singular along constants; 1 wᵀ picks the solution Σ w g = 0.
    system = jnp.eye(len(weights)) - to_columns @ to_rows + weights
    dg = jnp.linalg.solve(system, to_columns @ r - c)
    return -r - to_rows @ dg, dg


@jax.custom_jvp
def log_dual(log_kernel, weights):
    r"""Return :math:`\sum_i w_i (K_{ii} + f_i + g_i)`, the mean log density ratio of the pairs.

    Rows and columns of the log kernel (n, n) are in the order of the observed pairs. The value is
    minus infinity where the iteration does not converge.
    """
    return _dual_value(log_kernel, weights, potentials(log_kernel, weights))


def _dual_value(log_kernel, weights, solution):
    value = weights @ (jnp.diagonal(log_kernel) + solution.f + solution.g)
    return jnp.where(solution.error <= TOLERANCE, value, -jnp.inf)


@log_dual.defjvp
def _log_dual_jvp(primals, tangents):
    """Differentiate by the envelope theorem: observed less coupled mean of the slope."""
    log_kernel, weights = primals
    slope, _ = tangents
    solution = potentials(log_kernel, weights)
    density = jnp.exp(log_kernel + solution.f[:, None] + solution.g)
    coupling = weights[:, None] * weights * density
    tangent = weights @ jnp.diagonal(slope) - (coupling * slope).sum()
    return _dual_value(log_kernel, weights, solution), tangent


def require_converged(log_kernel, weights):
    """Raise `SinkhornError` where the iteration does not reach `TOLERANCE`."""
    error = float(jax.jit(potentials)(log_kernel, weights).error)
    if not error <= TOLERANCE:
        raise SinkhornError(
            f"the adjusting functions did not converge in {MAX_ROUNDS * (INNER_STEPS + 1)} "
            f"Sinkhorn iterations (marginal error {error:.1e}, limit {TOLERANCE:g}); the "
            "dependence is too strong: use a narrower prior of theta"
        )
