r"""The most probable friction, by Newton steps with the precision of Gauss and Newton.

Every trial follows the fault anew on steps of its own: steps that are held serve only near the
motion that they were made for, and far from the mode would end in no numbers at all. Trials
whose motion cannot be followed are refused, and the region in which steps are trusted shrinks.

References
----------
Conn, Gould & Toint 2000, Trust-Region Methods, doi:10.1137/1.9780898719857
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer.util import constrain_fn, potential_energy
from scipy.optimize import minimize

from bayesquake.targets.points import at_points

from .friction import declare_friction
from .observation import declare_displacement, log_scale, residuals
from .physics.by_jacobian import value_and_jacobian

__all__ = ["BENT", "Climb", "Search", "climbed", "plain", "search_of"]

BENT = "b_minus_a"
"""The site in whose place coordinates of a spring hold w."""

OUT_OF_REACH = 1e30
"""Loss where the fault cannot be followed."""

FIRST_RADIUS, LARGEST_RADIUS = 3.0, 100.0
"""Of the trusted region, in standard deviations of the prior."""

SMALLEST_GAIN = 1e-3
"""Gain in log density that a step must promise to be worth it."""


class Climb(NamedTuple):
    """Where a search ended.

    Attributes
    ----------
    position : (dim,) array
    value : float
    distance : float
        To where the next step would lead, in standard deviations.
    jacobians : int
        How many it took.
    precision : (dim, dim) array
        Where it ended, of Gauss and Newton.
    """

    position: Any
    value: float
    distance: float
    jacobians: int
    precision: Any


def climbed(value, slopes, start, most_steps=200):
    """Return the mode of a log posterior.

    Parameters
    ----------
    value : callable
        ``position -> log posterior``, compiled, not finite where the fault cannot be followed.
    slopes : callable
        ``position -> (value, gradient, precision)``, compiled, asked for where a step has led.
    start : (dim,) array
    most_steps : int

    Returns
    -------
    Climb
    """

    @functools.lru_cache(maxsize=1)
    def at(position):
        return [np.asarray(x) for x in slopes(np.frombuffer(position))]

    def loss(position):
        found = float(value(position))
        return -found if np.isfinite(found) else OUT_OF_REACH

    def distance(position):
        _, gradient, precision = at(position.tobytes())
        return np.sqrt(gradient @ np.linalg.solve(precision, gradient))

    def enough(intermediate_result):
        if distance(intermediate_result.x) ** 2 < 2 * SMALLEST_GAIN:
            raise StopIteration

    found = minimize(
        loss,
        np.asarray(start),
        method="trust-exact",
        jac=lambda position: -at(position.tobytes())[1],
        hess=lambda position: at(position.tobytes())[2],
        callback=enough,
        options={
            "initial_trust_radius": FIRST_RADIUS,
            "max_trust_radius": LARGEST_RADIUS,
            "maxiter": most_steps,
            "gtol": 1e-8,
        },
    )
    last = float(distance(found.x))
    _, _, precision = at(found.x.tobytes())
    return Climb(found.x, -float(found.fun), last, at.cache_info().misses, precision)


class Search(NamedTuple):
    """What searches ask of the log posterior, functions of ``(position, data)``.

    Of a spring the position holds w in place of B - A, see `coordinates`.

    Attributes
    ----------
    slopes : callable
        ``-> (value, gradient, precision)``, the precision being that of the Jacobian of the
        residuals and of the prior, to which the scale of normal densities counts.
    misfit : callable
        ``-> mean square of the residuals`` over their errors.
    """

    slopes: Callable
    misfit: Callable


@functools.cache
def search_of(base, priors):
    """Return the `Search` of a model.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
        The model in its own unconstrained coordinates.
    priors : tuple of (str, numpyro.distributions.Distribution)
    """

    def unknowns(data):
        declare_friction(data, dict(priors))
        declare_displacement(data, dict(priors))

    def constrained(position, data):
        sites, log_slope = plain(base.unravel(position), data)
        with at_points():
            values = constrain_fn(unknowns, (data,), {}, sites, return_deterministic=True)
        return values, sites, log_slope

    def log_prior(position, data):
        values, sites, log_slope = constrained(position, data)
        with at_points():
            prior = log_slope - potential_energy(unknowns, (data,), {}, sites)
        return prior + log_scale(values, data)

    def apart(position, data):
        values, *_ = constrained(position, data)
        return residuals(values, data)

    @jax.jit
    def slopes(position, data):
        residual, jacobian = value_and_jacobian(lambda x: apart(x, data), position)
        prior, prior_slope = jax.value_and_grad(log_prior)(position, data)
        precision = jacobian.T @ jacobian - jax.hessian(log_prior)(position, data)
        return prior - (residual**2).sum() / 2, prior_slope - jacobian.T @ residual, precision

    @jax.jit
    def misfit(position, data):
        seen = sum(series.seen.sum() for series in data.observed.values())
        return (apart(position, data) ** 2).sum() / seen

    return Search(slopes, misfit)


def plain(sites, data):
    """Return sites with B - A in place of w, and the logarithm of the slope."""
    if BENT not in sites:
        return sites, 0.0
    scale, w = data.weakening_scale, sites[BENT]
    return {**sites, BENT: scale * jnp.sinh(w)}, jnp.log(scale * jnp.cosh(w))
