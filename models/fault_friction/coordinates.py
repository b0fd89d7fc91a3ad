r"""Coordinates in which the posterior of a block on a spring is nearly standard normal.

What slip rates tell of friction they tell of its logarithms: in ln A, ln(B - A), ln L and ln k the
posterior is straight, in B - A itself it is a banana. Since B - A may be negative, chains hold

.. math:: w = \operatorname{arsinh}\frac{B - A}{c}

with c a fourth of the standard deviation of B - A, so that w is the logarithm where the sign is
known and smooth where it is not.

The mode is sought from many draws of the prior at once, by Marquardt's damped steps with the
precision :math:`D^T D + P` of the Jacobian D of the residuals and of the prior P: slip rates of a
cycle fit at wrong phases too, and a single search ends in one of these. The posterior is then
whitened by that precision.

References
----------
Marquardt 1963, doi:10.1137/0111030
"""

import jax
import jax.numpy as jnp
from numpyro.infer.util import constrain_fn, potential_energy

from bayesquake.inference.kernels.newton import newton_mode
from bayesquake.model import coordinates as around
from bayesquake.model.capabilities import Coordinates
from bayesquake.targets.points import at_points

from .model import PRIORS, declare_friction, expected_log_slip_rate
from .physics.by_jacobian import value_and_jacobian

__all__ = ["COORDINATES"]

STARTS = 32
"""Searches, of which the best is kept."""

BENT = "b_minus_a"
SHARE_OF_SD = 0.25


def condition(base, data, priors):
    """Return the data with the mode of the posterior and the root of its covariance."""

    def friction():
        declare_friction(priors)

    def log_prior(position):
        sites, log_slope = plain(base.unravel(position), data)
        with at_points():
            return log_slope - potential_energy(friction, (), {}, sites)

    def residuals(position):
        sites, _ = plain(base.unravel(position), data)
        with at_points():
            values = constrain_fn(friction, (), {}, sites, return_deterministic=True)
        expected = expected_log_slip_rate(jnp.stack([values[name] for name in PRIORS]), data)
        apart = (expected[:, None] - data.log_slip_rate) / data.error
        return jnp.where(data.seen, apart, 0.0).ravel()

    def slopes(position):
        residual, jacobian = value_and_jacobian(residuals, position)
        prior, prior_slope = jax.value_and_grad(log_prior)(position)
        precision = jacobian.T @ jacobian - jax.hessian(log_prior)(position)
        return prior - (residual**2).sum() / 2, prior_slope - jacobian.T @ residual, precision

    def start(key):
        position = base.prior_position(key, data)
        return base.ravel(straight(base.unravel(position), data))

    starts = jax.vmap(start)(jax.random.split(jax.random.key(0), STARTS))
    modes, _, precisions = jax.vmap(lambda position: newton_mode(slopes, position))(starts)
    best = jnp.argmax(jnp.where(jnp.isfinite(modes.log_density), modes.log_density, -jnp.inf))
    mode, root = base.unravel(modes.position[best]), around.root_of(precisions[best])
    return rescaled(around.Around(data, mode, root))


def rescaled(found):
    """Return a mode and root with the scale c by the standard deviation of B - A there."""
    data, mode, root = found
    if BENT not in mode:
        return found
    sites, _ = plain(mode, data)
    place = list(mode).index(BENT)
    row = jnp.arange(len(root)) == place
    slope = jnp.hypot(sites[BENT], data.weakening_scale)
    scale = SHARE_OF_SD * slope * jnp.linalg.norm(root[place])
    moved = data._replace(weakening_scale=scale)
    stretch = slope / jnp.hypot(sites[BENT], scale)
    return around.Around(
        moved, straight(sites, moved), jnp.where(row[:, None], stretch * root, root)
    )


def plain(sites, data):
    """Return sites with B - A in place of w, and the logarithm of the slope."""
    if BENT not in sites:
        return sites, 0.0
    scale, w = data.weakening_scale, sites[BENT]
    return {**sites, BENT: scale * jnp.sinh(w)}, jnp.log(scale * jnp.cosh(w))


def straight(sites, data):
    """Return sites with w in place of B - A."""
    if BENT not in sites:
        return sites
    return {**sites, BENT: jnp.arcsinh(sites[BENT] / data.weakening_scale)}


def forward(sites, values, data):
    """Return the unconstrained sites in place of whitened ones, and the log determinant."""
    moved, log_determinant = around.forward(sites, values, data)
    moved, log_slope = plain(moved, data.arrays)
    return moved, log_determinant + log_slope


def inverse(sites, values, data):
    """Return the whitened sites in place of unconstrained ones."""
    return around.inverse(straight(sites, data.arrays), values, data)


COORDINATES = Coordinates(condition, forward, inverse, around.initial, needs=())
