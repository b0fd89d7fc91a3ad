r"""Coordinates in which the posterior is nearly standard normal.

At the mode :math:`\hat\theta` of the unconstrained parameters the precision is estimated by
the scores of single events, the outer products of gradients,

.. math:: H = \sum_i s_i s_i^T + P_0, \qquad s_i = \partial_\theta \ln \lambda_i,

which come with one pass over the pairs and make H positive definite (the compensator has no part
in them; magnitudes add theirs, and P₀ is the prior precision). The sampler moves in z with
:math:`\theta = \hat\theta + L^{-T} z`, :math:`H = L L^T`: exact for any mode and H, for the map
is linear.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular

from bayesquake.inference.kernels.mode import find_mode

from .likelihood import log_intensity, log_magnitude_density

__all__ = ["Whitened", "condition", "forward", "initial", "inverse", "scores"]

START_SPREAD = 1.5
"""Spread of starting points, in posterior standard deviations."""


class Whitened(NamedTuple):
    """Mode (parameter,) and lower Cholesky factor L of H, (parameter, parameter)."""

    mode: Any
    root: Any


def condition(base, data, priors):
    """Return the data with the mode and the precision there.

    The mode is sought twice: from the prior in the model's own coordinates, scaled by the
    scores at the start, and from there in coordinates made at the first mode.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
        The model in its own unconstrained coordinates.
    data : arrays.Catalogue
    priors : dict of numpyro.distributions.Distribution
    """

    def climb(_, position):
        root = jnp.linalg.cholesky(precision(base, position, data, priors))

        def along(z):
            return base.log_density(position + unwhitened(root, z), data)

        return position + unwhitened(root, find_mode(along, jnp.zeros_like(position)).position)

    position = jax.lax.fori_loop(0, 2, climb, starting_position(base, data, priors))
    root = jnp.linalg.cholesky(precision(base, position, data, priors))
    return data._replace(whitening=Whitened(position, root))


def forward(sites, values, data):
    """Map whitened sites to the model's own, and return the log determinant too."""
    z, unravel = ravel_pytree(sites)
    mode, root = data.whitening
    return unravel(mode + unwhitened(root, z)), -jnp.log(jnp.diagonal(root)).sum()


def inverse(sites, values, data):
    """Map the model's unconstrained sites to whitened ones."""
    position, unravel = ravel_pytree(sites)
    mode, root = data.whitening
    return unravel(root.T @ (position - mode))


def starting_position(base, data, priors):
    """Return a position at the prior means, with half of the targets background events."""
    drawn = base.prior_draw(jax.random.key(0), data)
    values = {name: drawn[name] for name in base.unravel(jnp.zeros(base.dim))}
    means = {
        name: jnp.asarray(priors[name].mean)
        for name, value in values.items()
        if name in priors and value.ndim == 0
    }
    half = 0.5 * data.target.sum() / (data.area * data.duration)
    flat = {name: jnp.zeros_like(value) for name, value in values.items() if name == "z"}
    return base.unconstrain(values | means | flat | {"log_mu": jnp.log(half)}, data)


def unwhitened(root, z):
    """Return L^{-T} z."""
    return solve_triangular(root, z, lower=True, trans="T")


def precision(base, position, data, priors):
    """Return H at a position; priors of unknown curvature enter with a precision of one."""
    s = scores(base, position, data)
    sites = base.unravel(jnp.ones_like(position))
    for name in sites:
        sites[name] = sites[name] * prior_curvature(priors.get(name))
    return s.T @ s + jnp.diag(base.ravel(sites))


def prior_curvature(prior):
    """Return the precision of a prior in the unconstrained coordinate of its site.

    The coordinate of a positive site is its log, in which a half-normal prior has the precision 2
    at its mode.
    """
    match prior:
        case dist.LogNormal():
            return 1 / prior.scale**2
        case dist.HalfNormal():
            return 2.0
        case dist.Normal():
            return 1 / prior.variance
    return 1.0


def scores(base, position, data):
    """Return the derivatives of every target event's log rate and magnitude density.

    Returns
    -------
    (event, parameter)
    """
    one = data.magnitudes._replace(count=1.0, total=data.events.dm)

    def log_terms(x):
        values = base.constrain(x, data)
        log_density = log_magnitude_density(values["beta"], one)
        return data.target * (log_intensity(values, data) + log_density)

    return jax.jacfwd(log_terms)(position)


def initial(key, data):
    """Return whitened starting points dispersed around the mode."""
    return START_SPREAD * jax.random.normal(key, data.whitening.mode.shape)
