r"""Exact draws of one pair by quadrature, where Markov chains may miss a mode.

The posterior of a pair with fixed shape has three unknowns. The moment ratio m, of which the
likelihood is nearly Gaussian, is integrated by Gauss-Hermite nodes at its conditional mode;
:math:`(\ln f_1, d)` lie on a grid which is cut to where the density is, twice. Draws come from
the inverse distribution function of the grid, with m from its conditional skewed
normal. Where the degrees of freedom are unknown, they make a third grid axis.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates
from jax.scipy.special import logsumexp

from .likelihood import f_constants

__all__ = [
    "FINER_AND_FINER",
    "Grid",
    "applies",
    "change_without_half",
    "exact_draws",
    "grid_moments",
    "pair_grid",
]

PRIOR_WIDTHS = 5.0
"""Half-width of the first grid, in prior standard deviations."""

DEPTHS = (200.0, 60.0, 24.0, 16.0)
"""Each grid is cut to where the log density is within this of its highest node: deep at first, for
the ridge of strong data may run between the nodes of a coarse grid."""

LARGEST_EDGE = 1e-3
"""Probability of an outermost row of nodes beyond which the grid does not hold the posterior."""

COARSE, FINE = 32, 60
"""Nodes per axis while the grid is cut, and at last."""

COARSE_NU, FINE_NU = 10, 20
"""Nodes of the degrees of freedom, where they are unknown."""

HERMITE_NODES = 7


class Grid(NamedTuple):
    """The posterior of a pair on its grid.

    Attributes
    ----------
    axes : tuple of (node,)
        ln f1, d and, where it is unknown, the logit of ν.
    log_density : (node, ...)
        With m integrated, up to a constant.
    m_mean, m_sd, m_skew : (node, ...)
        Conditional moments of m.
    """

    axes: Any
    log_density: Any
    m_mean: Any
    m_sd: Any
    m_skew: Any


def applies(arrays):
    """Return whether a pair has only the unknowns of the grid."""
    return all(part is None for part in (arrays.trace_mask, arrays.noise, arrays.stress_drop)) and (
        arrays.falloff is not None
    )


def pair_grid(arrays, priors, refine=1):
    """Return the posterior of one pair on its grid.

    Parameters
    ----------
    arrays : arrays.PairArrays
        Of one pair.
    priors : dict of numpyro.distributions.Distribution
    refine : int
        Multiplies the nodes of every axis.

    Returns
    -------
    Grid
    """
    names = ("ln_fc1", "dln_fc") + (() if arrays.nu_max is None else ("logit_nu",))
    coarse = (COARSE, COARSE) + (() if arrays.nu_max is None else (COARSE_NU,))
    fine = (FINE, FINE) + (() if arrays.nu_max is None else (FINE_NU,))
    fine = tuple(refine * size for size in fine)
    axes = []
    for name, size in zip(names, coarse, strict=True):
        centre, sd = priors[name].mean, jnp.sqrt(priors[name].variance)
        axes.append(centre + PRIOR_WIDTHS * sd * jnp.linspace(-1.0, 1.0, size))
    for depth, sizes in zip(DEPTHS, (coarse, coarse, coarse, fine), strict=True):
        axes = _cut(axes, _on_grid(_height, axes, arrays, priors), depth, sizes)
    return Grid(tuple(axes), *_on_grid(_moments, axes, arrays, priors))


def exact_draws(key, arrays, priors, count, refine=1):
    """Draw independently from the posterior of one pair.

    Parameters
    ----------
    key : jax.random.key
    arrays, priors, refine
        As of `pair_grid`.
    count : int

    Returns
    -------
    values : dict of (count, 1) arrays
        ``ln_fc1``, ``dln_fc``, ``ln_moment_ratio`` and ``logit_nu`` where it is unknown.
    change : float
        See `change_without_half`.
    """
    grid = pair_grid(arrays, priors, refine)
    key_node, key_order, key_within, key_m = jax.random.split(key, 4)
    shape = grid.log_density.shape
    cumulative = jnp.cumsum(jnp.exp(grid.log_density - grid.log_density.max()).ravel())
    # Systematic draws of the node, in random order: the grid's probabilities are met exactly.
    level = (jnp.arange(count) + jax.random.uniform(key_node)) / count
    node = jnp.searchsorted(cumulative, level * cumulative[-1])
    node = jax.random.permutation(key_order, node)
    index = jnp.stack(jnp.unravel_index(node, shape)).astype(float)
    within = jax.random.uniform(key_within, index.shape, minval=-0.5, maxval=0.5)
    # Spreading a node over its cell adds h²/12 to the variance; a move up the slope of the log
    # density by h²/24 takes as much away.
    slopes = jnp.stack([slope.ravel()[node] for slope in jnp.gradient(grid.log_density)])
    within = within + jnp.clip(slopes / 24.0, -0.5, 0.5)
    last = jnp.array(shape, float)[:, None] - 1.0
    place = jnp.clip(index + within, 0.0, last)
    mean, sd, skew = (
        map_coordinates(moment, list(place), order=1, mode="nearest")
        for moment in (grid.m_mean, grid.m_sd, grid.m_skew)
    )
    u = jax.random.normal(key_m, (count,))
    m = mean + sd * (u + skew / 6.0 * (u**2 - 1.0))
    names = ("ln_fc1", "dln_fc", "logit_nu")
    values = {
        name: axis[0] + x * (axis[1] - axis[0])
        for name, axis, x in zip(names, grid.axes, place, strict=False)
    }
    values["ln_moment_ratio"] = m
    return {name: x[:, None] for name, x in values.items()}, change_without_half(grid)


def grid_moments(grid):
    """Return mean and standard deviation of every axis, and of m, (parameter, 2)."""
    weight = _weight(grid)
    axes = jnp.meshgrid(*grid.axes, indexing="ij")
    found = []
    for x, variance in [*((axis, 0.0) for axis in axes), (grid.m_mean, grid.m_sd**2)]:
        mean = (weight * x).sum()
        found.append((mean, jnp.sqrt((weight * ((x - mean) ** 2 + variance)).sum())))
    return jnp.array(found)


FINER_AND_FINER = tuple(functools.partial(exact_draws, refine=n) for n in (1, 2, 4))
"""Samplers of which the next is tried where the grid does not hold the posterior."""


def _weight(grid):
    weight = jnp.exp(grid.log_density - grid.log_density.max())
    return weight / weight.sum()


def change_without_half(grid):
    """Return how far mean and standard deviation move when every second node is left out.

    The error of the rule with all nodes is far smaller, for it falls exponentially in the square
    of their number.

    Returns
    -------
    float
        The largest move of all parameters, in standard deviations; inf where the grid is too
        narrow for the posterior.
    """
    weight = _weight(grid)
    holds = jnp.isfinite(grid.log_density).all()
    for i in range(weight.ndim):
        marginal = weight.sum(axis=tuple(j for j in range(weight.ndim) if j != i))
        holds &= jnp.maximum(marginal[0], marginal[-1]) < LARGEST_EDGE
    every_second = (slice(None, None, 2),) * weight.ndim
    coarser = Grid(tuple(axis[::2] for axis in grid.axes), *(x[every_second] for x in grid[1:]))
    (mean, sd), (coarse_mean, coarse_sd) = grid_moments(grid).T, grid_moments(coarser).T
    change = jnp.maximum(jnp.abs(coarse_mean - mean) / sd, jnp.abs(coarse_sd / sd - 1)).max()
    return jnp.where(holds & jnp.isfinite(change), change, jnp.inf)


def _cut(axes, log_density, depth, sizes):
    """Return finer axes around where the log density is high."""
    high = log_density > log_density.max() - depth
    finer = []
    for i, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
        inside = high.any(axis=tuple(j for j in range(len(axes)) if j != i))
        step = axis[1] - axis[0]
        low = jnp.where(inside, axis, jnp.inf).min() - step
        top = jnp.where(inside, axis, -jnp.inf).max() + step
        finer.append(jnp.linspace(low, top, size))
    return finer


def _on_grid(function, axes, arrays, priors):
    """Apply a function of a node to the whole grid."""
    shape = tuple(axis.shape[0] for axis in axes)
    nodes = [part.ravel() for part in jnp.meshgrid(*axes, indexing="ij")]
    n_g = arrays.falloff * arrays.g
    powers = Powers(jnp.exp(n_g[:, None] * arrays.log_f)[:, None, :], jnp.exp(-arrays.y))
    columns = jax.lax.map(
        functools.partial(function, powers=powers, arrays=arrays, priors=priors),
        nodes,
        batch_size=shape[1],
    )
    return jax.tree.map(lambda column: column.reshape(shape), columns)


class Powers(NamedTuple):
    """What all nodes share: f^(n g), (1, 1, freq), and P2 / P1, (1, trace, freq)."""

    f: Any
    inverse_ratio: Any


class Conditional(NamedTuple):
    """The posterior of m at a node: about its mode and its scale, and its log density."""

    mode: Any
    scale: Any
    log_density: Any


def _conditional(node, powers, arrays, priors):
    r"""Return the posterior of m at a node.

    With :math:`e^{-t} = w e^{2 m}` the log density of a ratio is
    :math:`-\tfrac{\nu_2}{2} t - h \ln(1 + w e^{2 m})` up to a constant, h being the mean of the
    degrees of freedom: one w serves all values of m, and takes no logarithm. The mode is found by
    one Newton step from the m that lets the ratios average to the data.
    """
    ln_fc1, dln_fc, *rest = node
    log_prior = priors["ln_fc1"].log_prob(ln_fc1) + priors["dln_fc"].log_prob(dln_fc)
    nu1, nu2, constants = arrays.nu1, arrays.nu2, arrays.f_constants
    if rest:
        log_prior = log_prior + priors["logit_nu"].log_prob(rest[0])
        nu1 = nu2 = 1.0 + (arrays.nu_max - 1.0) * jax.nn.sigmoid(rest[0])
        constants = f_constants(nu1, nu2)
    mask, h = arrays.mask, arrays.mask * 0.5 * (nu1 + nu2)
    by_nu1, by_nu2 = (mask * nu1).sum(), (mask * nu2).sum()
    prior = priors["ln_moment_ratio"]
    prior_slope = jax.grad(prior.log_prob)

    n_g = arrays.falloff * arrays.g
    shape1, shape2 = (1.0 + powers.f * jnp.exp(-n_g * ln_fc) for ln_fc in (ln_fc1, ln_fc1 + dln_fc))
    w = powers.inverse_ratio * (nu2 / nu1) * _to_two_over_g(shape2 / shape1, arrays.g)
    total_log_w = (mask * nu2 * jnp.log(w)).sum()
    constant = 0.5 * total_log_w - (mask * constants.log_beta).sum() + log_prior
    start = -0.5 * (total_log_w + (mask * nu2 * constants.log_nu_ratio).sum()) / by_nu2
    v = 1.0 / (1.0 + w * jnp.exp(2 * start))
    slope = 2 * (h * v).sum() - by_nu1 + prior_slope(start)
    precision = 4 * (h * v * (1 - v)).sum() - jax.grad(prior_slope)(start)

    def log_density(m):
        log_v = -jnp.log(1.0 + w * jnp.exp(2 * m))
        return constant + by_nu2 * m + (h * log_v).sum() + prior.log_prob(m)

    return Conditional(start + slope / precision, 1.0 / jnp.sqrt(precision), log_density)


def _to_two_over_g(x, g):
    """Return x^(2/g) for a sharpness g of 1 or 2."""
    return jnp.where(g == 2.0, x, x**2)


def _height(node, powers, arrays, priors):
    """Return the log density with m integrated by Laplace's method."""
    m = _conditional(node, powers, arrays, priors)
    return m.log_density(m.mode) + jnp.log(m.scale)


def _moments(node, powers, arrays, priors):
    """Return the log density with m integrated, and the conditional moments of m."""
    m = _conditional(node, powers, arrays, priors)
    x, weight = np.polynomial.hermite_e.hermegauss(HERMITE_NODES)
    heights = jax.lax.map(lambda x: m.log_density(m.mode + m.scale * x), jnp.asarray(x))
    log_weight = heights + 0.5 * x**2 + jnp.log(weight)
    total = logsumexp(log_weight)
    share = jnp.exp(log_weight - total)
    mean = (share * x).sum()
    sd = jnp.sqrt((share * (x - mean) ** 2).sum())
    skew = (share * (x - mean) ** 3).sum() / sd**3
    return total + jnp.log(m.scale), m.mode + m.scale * mean, m.scale * sd, skew
