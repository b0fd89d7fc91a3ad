r"""Importance sampling of small posteriors: a mixture of Student's t around the ends of a search.

Draws come from :math:`q = \sum_k \pi_k\, t_\nu(m_k, L_k L_k^\top)`, one component for each end k
and a wide one with a part of its share, and count by the weight p/q. What of a component lies
beyond a bound of one coordinate is reflected into it, as where a source may not lie above the
ground. The tail of the weights tells whether they can be believed: a Pareto k-hat above 0.7 says
that they cannot. It can only tell of tails that draws have come to, hence the wide components: few
data whose errors have heavy tails leave a posterior that has them too.

References
----------
Vehtari, Simpson, Gelman, Yao & Gabry 2024, Journal of Machine Learning Research 25(72), 1-58;
Cappé, Guillin, Marin & Robert 2004, doi:10.1198/106186004X12803 (weights that make a new mixture).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from blackjax.diagnostics import psis_weights
from blackjax.smc.resampling import systematic
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln, logsumexp

__all__ = ["Mixture", "Weighted", "adapted", "around_ends", "moments", "resampled", "weighted"]

DEGREES_OF_FREEDOM = 8.0
"""Of the components: tails heavier than those of a posterior."""

SCALE = 1.2
"""Of a component around an end, in standard deviations there: kinks make ends narrow."""

WIDE, WIDE_SHARE = 4.0, 0.1
"""Scale of the wide component in that of its own, and its part of the share."""

SHARE_EXPONENT = 0.5
"""Power of an end's mass that is its share of the draws: masses of Gaussians are rough."""

WIDER = 1.5
"""Of what covariance a mixture of weighted draws has."""

KEPT_SHARE = 0.2
"""Share of the draws that come from the other mixture still."""


class Mixture(NamedTuple):
    """A mixture of Student's t.

    Attributes
    ----------
    centre : (component, dim)
    root : (component, dim, dim)
        Lower Cholesky factors of the precisions, so that the covariances are their inverses.
    log_share : (component,)
        Of shares that sum to one.
    """

    centre: Any
    root: Any
    log_share: Any


class Weighted(NamedTuple):
    """Weighted draws of a posterior.

    Attributes
    ----------
    positions : (draw, dim)
    log_weight : (draw,)
        Pareto-smoothed; weights sum to one.
    pareto_k : scalar
    ess : scalar
        Effective sample size, the inverse of the sum of squared weights.
    """

    positions: Any
    log_weight: Any
    pareto_k: Any
    ess: Any


def around_ends(centre, precision, height):
    """Return the mixture of the ends of a search.

    Parameters
    ----------
    centre : (end, dim)
    precision : (end, dim, dim)
        Positive definite.
    height : (end,)
        Log densities.

    Returns
    -------
    Mixture
    mass : (end,)
        Log of the integral of each end's Gaussian, but for a constant.
    """
    root = jnp.linalg.cholesky(precision)
    mass = height - jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    return Mixture(centre, root / SCALE, jax.nn.log_softmax(SHARE_EXPONENT * mass)), mass


def weighted(key, log_density, mixture, draws, axis, low, high):
    """Draw from a mixture and weigh the draws by a log density.

    Parameters
    ----------
    key : jax.random.key
    log_density : callable
        ``position -> log density``, minus infinity where the posterior is nothing.
    mixture : Mixture
    draws : int
    axis : int
        The coordinate with bounds.
    low, high : float
        Its bounds.

    Returns
    -------
    Weighted
    """
    mixture = _with_wide(mixture)
    positions = _reflected(_drawn(key, mixture, draws), axis, low, high)
    log_weight = jax.vmap(log_density)(positions)
    log_weight -= _log_density_of(mixture, positions, axis, low, high)
    log_weight = jnp.where(jnp.isnan(log_weight), -jnp.inf, log_weight)
    smoothed, pareto_k = psis_weights(log_weight)
    usable = jnp.isfinite(log_weight).any()
    smoothed = jnp.where(usable, smoothed, -jnp.log(draws))
    ess = jnp.where(usable, jnp.exp(-logsumexp(2 * smoothed)), 0.0)
    return Weighted(positions, smoothed, jnp.where(usable, pareto_k, jnp.inf), ess)


def adapted(mixture, found, axis):
    """Return a mixture that follows weighted draws, with a part of another.

    Two components hold the halves below and above the median of one coordinate, so that together
    they bend.

    Parameters
    ----------
    mixture : Mixture
    found : Weighted
    axis : int
        The coordinate.
    """
    values = found.positions[:, axis]
    order = jnp.argsort(values)
    share = jnp.zeros_like(values).at[order].set(jnp.cumsum(jnp.exp(found.log_weight)[order]))
    halves = jnp.stack([share <= 0.5, share > 0.5])
    parts = jax.vmap(
        lambda half: moments(found._replace(log_weight=jnp.where(half, found.log_weight, -jnp.inf)))
    )(halves)
    root = jnp.linalg.cholesky(jnp.linalg.inv(WIDER * parts[1]))
    usable = jnp.isfinite(root).all()
    own_share = jnp.where(usable, jnp.log1p(-KEPT_SHARE) - jnp.log(2), -jnp.inf)
    return Mixture(
        jnp.concatenate([mixture.centre, jnp.where(usable, parts[0], mixture.centre[:1])]),
        jnp.concatenate([mixture.root, jnp.where(usable, root, mixture.root[:1])]),
        jnp.concatenate(
            [
                mixture.log_share + jnp.where(usable, jnp.log(KEPT_SHARE), 0.0),
                jnp.broadcast_to(own_share, (2,)),
            ]
        ),
    )


def moments(found):
    """Return mean (dim,) and covariance (dim, dim) of weighted draws."""
    weight = jax.nn.softmax(found.log_weight)
    mean = weight @ found.positions
    apart = found.positions - mean
    return mean, jnp.einsum("n,na,nb->ab", weight, apart, apart)


def resampled(key, found, count):
    """Return so many draws of equal weight, (draw, dim), in random order."""
    key_index, key_order = jax.random.split(key)
    index = systematic(key_index, jnp.exp(found.log_weight), count)
    return found.positions[jax.random.permutation(key_order, index)]


def _with_wide(mixture):
    """Return a mixture of twice as many components, the second half of them wide."""
    shares = jnp.log(jnp.array([1 - WIDE_SHARE, WIDE_SHARE]))
    return Mixture(
        jnp.concatenate([mixture.centre, mixture.centre]),
        jnp.concatenate([mixture.root, mixture.root / WIDE]),
        (shares[:, None] + mixture.log_share).ravel(),
    )


def _drawn(key, mixture, draws):
    """Return draws of a mixture, each component having its share of them, (draw, dim)."""
    key_component, key_normal, key_scale = jax.random.split(key, 3)
    component = systematic(key_component, jnp.exp(mixture.log_share), draws)
    dim = mixture.centre.shape[-1]
    unit = jnp.broadcast_to(jnp.eye(dim), mixture.root.shape)
    inverse = solve_triangular(mixture.root, unit, lower=True, trans="T")
    normal = jax.random.normal(key_normal, (draws, dim))
    chi_squared = 2 * jax.random.gamma(key_scale, DEGREES_OF_FREEDOM / 2, (draws, 1))
    z = normal * jnp.sqrt(DEGREES_OF_FREEDOM / chi_squared)
    return mixture.centre[component] + jnp.einsum("nab,nb->na", inverse[component], z)


def _reflected(positions, axis, low, high):
    """Return positions, those beyond a bound of a coordinate reflected there, once."""
    values = positions[:, axis]
    values = jnp.where(values < low, 2 * low - values, values)
    values = jnp.where(values > high, 2 * high - values, values)
    return positions.at[:, axis].set(values)


def _log_density_of(mixture, positions, axis, low, high):
    """Return the log density of reflected draws, (draw,): that of all places they may come from."""
    dim = positions.shape[-1]
    images = jnp.stack(
        [
            positions,
            positions.at[:, axis].set(2 * low - positions[:, axis]),
            positions.at[:, axis].set(2 * high - positions[:, axis]),
        ]
    )
    z = jnp.einsum("inka,kab->inkb", images[:, :, None] - mixture.centre, mixture.root)
    nu = DEGREES_OF_FREEDOM
    constant = gammaln((nu + dim) / 2) - gammaln(nu / 2) - dim / 2 * jnp.log(nu * jnp.pi)
    volume = jnp.log(jnp.diagonal(mixture.root, axis1=-2, axis2=-1)).sum(axis=-1)
    log_t = constant + volume - (nu + dim) / 2 * jnp.log1p((z**2).sum(axis=-1) / nu)
    return logsumexp(log_t + mixture.log_share, axis=(0, 2))
