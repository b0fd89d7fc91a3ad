r"""Coordinates around the posterior mode, :math:`\theta = \hat\theta + L u`.

:math:`L L^T` is the inverse of the negative Hessian of the log posterior there, so that u is nearly
standard normal where the posterior is nearly Gaussian. The map is exact for any mode and L: a poor
mode costs speed, never correctness.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular

from bayesquake.inference.kernels.newton import automatic_slopes, newton_mode
from bayesquake.model.capabilities import Coordinates

__all__ = ["Around", "around_mode", "arrays_of", "forward", "initial", "inverse", "root_of"]

START_SPREAD = 1.5
"""Spread of the starting points in posterior standard deviations."""

CANDIDATES = 20
"""Draws from the prior, of which the best starts the search."""

LOWEST_CURVATURE = 1e-6
"""Smallest eigenvalue of the curvature, scaled to unit diagonal, that is kept."""


class Around(NamedTuple):
    """Arrays of a model with the mode of their posterior and the root L.

    Attributes
    ----------
    arrays : pytree of arrays
    mode : dict of arrays
        Unconstrained sites.
    root : (dim, dim)
    """

    arrays: Any
    mode: Any
    root: Any


def arrays_of(data):
    """Return the arrays of a model from what its target takes as data."""
    return data.arrays if isinstance(data, Around) else data


@functools.cache
def around_mode(slopes=None):
    """Return coordinates around the mode, for models of up to about a thousand unknowns.

    Parameters
    ----------
    slopes : callable, optional
        ``(position, arrays) -> (value, gradient, precision)`` of the log likelihood, a position
        holding the unconstrained sites in the order of their names; the mode is then found by
        Newton steps from zero, else by L-BFGS from the best of some draws from the prior.

    Returns
    -------
    Coordinates
    """
    if slopes is None:
        return Coordinates(_at_mode, forward, inverse, initial, start=_best_of_prior)

    def condition(base, arrays, priors):
        prior = automatic_slopes(lambda position: base.log_prior(position, arrays))

        def posterior(position):
            both = zip(slopes(position, arrays), prior(position), strict=True)
            return tuple(one + other for one, other in both)

        mode, _, precision = newton_mode(posterior, jnp.zeros(base.dim))
        return Around(arrays, base.unravel(mode.position), root_of(precision))

    return Coordinates(condition, forward, inverse, initial)


def forward(sites, values, data):
    """Return the unconstrained sites in place of u, and the log determinant of L."""
    u, unravel = ravel_pytree(sites)
    log_determinant = jnp.log(jnp.diagonal(data.root)).sum()
    return unravel(ravel_pytree(data.mode)[0] + data.root @ u), log_determinant


def inverse(sites, values, data):
    """Return u in place of the unconstrained sites."""
    position, unravel = ravel_pytree(sites)
    shift = position - ravel_pytree(data.mode)[0]
    return unravel(solve_triangular(data.root, shift, lower=True))


def initial(key, data):
    """Return dispersed starting points u."""
    mode, unravel = ravel_pytree(data.mode)
    return unravel(START_SPREAD * jax.random.normal(key, mode.shape))


def _best_of_prior(base, arrays, priors):
    """Return the most probable of some draws from the prior."""
    keys = jax.random.split(jax.random.key(0), CANDIDATES)
    positions = jax.vmap(base.prior_position, (0, None))(keys, arrays)
    density = jax.vmap(base.log_density, (0, None))(positions, arrays)
    return positions[jnp.argmax(jnp.where(jnp.isfinite(density), density, -jnp.inf))]


def _at_mode(base, arrays, priors, mode):
    precision = -jax.hessian(base.log_density)(mode, arrays)
    return Around(arrays, base.unravel(mode), root_of(precision))


def root_of(precision):
    """Return the root of the inverse of a precision that is made positive where it is not."""
    scale = jnp.sqrt(jnp.maximum(jnp.abs(jnp.diagonal(precision)), jnp.finfo(float).tiny))
    values, vectors = jnp.linalg.eigh(precision / jnp.outer(scale, scale))
    raised = (vectors * jnp.maximum(values, LOWEST_CURVATURE)) @ vectors.T
    positive = values[0] >= LOWEST_CURVATURE
    usable = jnp.where(positive, precision, raised * jnp.outer(scale, scale))
    return jnp.linalg.cholesky(jnp.linalg.inv(usable))
