r"""Coordinates around the posterior mode, :math:`\theta = \hat\theta + L u`.

L Lᵀ is the inverse of the negative Hessian there. The log posterior is concave, and u is nearly
standard normal. The map is exact for any mode and L: a poor mode costs speed, not correctness.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesquake.inference.kernels.newton import newton_mode

from .likelihood import slopes

__all__ = ["Whitened", "condition", "forward", "initial", "inverse"]

START_SPREAD = 1.5
"""Spread of the starting points in posterior standard deviations."""


class Whitened(NamedTuple):
    """The mode (stat,) and the root L (stat, stat)."""

    mode: Any
    root: Any


def condition(base, data, priors):
    """Return the data with their posterior mode and L.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
    data : arrays.MechanismArrays
    priors : dict of numpyro.distributions.Distribution
    """
    prior = priors["theta"]

    def log_prior(theta):
        return prior.log_prob(theta).sum()

    def posterior(theta):
        value, gradient, precision = slopes(theta, data)
        own, slope = jax.value_and_grad(log_prior)(theta)
        return value + own, gradient + slope, precision - jax.hessian(log_prior)(theta)

    start = jnp.zeros(data.s.shape[-1])
    mode, _, precision = newton_mode(posterior, start)
    root = jnp.linalg.cholesky(jnp.linalg.inv(precision))
    return data._replace(whitening=Whitened(mode.position, root))


def forward(sites, values, data):
    """Return θ in place of u, and the log determinant of L."""
    mode, root = data.whitening
    log_determinant = jnp.log(jnp.diagonal(root)).sum()
    return {"theta": mode + root @ sites["theta"]}, log_determinant


def inverse(sites, values, data):
    """Return u in place of θ."""
    mode, root = data.whitening
    shift = sites["theta"] - mode
    return {"theta": jax.scipy.linalg.solve_triangular(root, shift, lower=True)}


def initial(key, data):
    """Return dispersed starting points u."""
    return {"theta": START_SPREAD * jax.random.normal(key, data.whitening.mode.shape)}
