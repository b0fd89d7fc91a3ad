r"""The likelihood of spectra above noise: the path term integrated numerically.

With noise of power N the expected power is :math:`E_k = G S_k^2 + N_k` and G no longer cancels.
As G goes to zero the likelihood tends to a positive constant, so the improper prior 1/G
would make the integral diverge: ln G is uniform on a box fixed by the data alone,
:math:`\ln P_r + [-\ln 10^4, \ln 10^4 + 4 \ln\max(1, f / f_{\min})]` with r the smallest event,
whose moment is the unit. The upper side grows with frequency because there the spectrum of r
may have fallen by :math:`(f / f_c)^{-2}` and more, which G must make good.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, logsumexp

__all__ = [
    "Box",
    "box_of",
    "draw_log_expected",
    "hermite_applies",
    "log_noisy_density",
    "trapezoid_nodes",
]

BOX_FACTOR = np.log(1e4)
FALLOFF = 2.0
"""Assumed by the box, whatever the fall-off of the model."""

TRAPEZOID_STEP = 0.5
"""Step of the trapezoid rule in units of 1/√A, for an error of 1e-8 relative."""

HERMITE_NODES = 21
NEWTON_STEPS = 12
FEWEST_DEGREES = 10.0
SMALLEST_SIGNAL = 3.0
SMALLEST = 1e-12
"""Information below which there are no data."""


class Box(NamedTuple):
    """Ends of the box of ln G, (trace, freq) arrays."""

    low: Any
    high: Any


def box_of(log_power_of_smallest, log_f):
    """Return the box of ln G, see the module."""
    rise = 2 * FALLOFF * np.maximum(0.0, log_f - np.min(log_f, axis=-1, keepdims=True))
    return Box(log_power_of_smallest - BOX_FACTOR, log_power_of_smallest + BOX_FACTOR + rise)


def trapezoid_nodes(box, nu, mask):
    """Return how many nodes the trapezoid rule needs on the widest box."""
    A = float(np.max((0.5 * nu * mask).sum(axis=-3)))
    width = float(np.max(box.high - box.low))
    return int(np.ceil(width * np.sqrt(A) / TRAPEZOID_STEP)) + 1


def hermite_applies(power, noise, nu, mask):
    """Return whether 21 Gauss-Hermite nodes at the mode are accurate for these data.

    They are where every power is above 3 times the noise and has 10 degrees of freedom or more.
    """
    used = np.asarray(mask) > 0
    return bool(
        (np.asarray(nu)[used] >= FEWEST_DEGREES).all()
        and (np.asarray(power)[used] > SMALLEST_SIGNAL * np.asarray(noise)[used]).all()
    )


def log_noisy_density(log_power, log_noise, log_s2, nu, mask, box, nodes=None):
    r"""Return the log density of the powers of K events above noise.

    .. math:: \ln \frac{1}{w} \int \prod_k \mathrm{Gamma}(P_k;\, a_k,\, a_k / E_k) \, d\ln G

    over the box of width w.

    Parameters
    ----------
    log_power, log_noise, log_s2, nu, mask : (event, ...) array
        ln P, ln N, ln S² with the smallest event's moment as unit, degrees of freedom, and 1
        where there are data.
    box : Box
    nodes : int, optional
        Nodes of the trapezoid rule; 21 Gauss-Hermite nodes at the mode if not given.
    """
    a = 0.5 * nu
    log_integrand = _log_integrand(log_power, log_noise, log_s2, a, mask)
    if nodes is None:
        integral = _hermite(log_integrand, log_power, log_noise, log_s2, a, mask)
    else:
        integral = _trapezoid(log_integrand, box, nodes)
    return jnp.where(mask.sum(axis=0) > 0, integral - jnp.log(box.high - box.low), 0.0)


def draw_log_expected(key, log_power, log_noise, log_s2, nu, mask, box, nodes):
    """Draw ln G of every bin from its posterior given the sources, and return ln E of the events.

    Parameters
    ----------
    key : jax.random.key
    log_power, log_noise, log_s2, nu, mask, box
        As in `log_noisy_density`.
    nodes : int
        Values of ln G to choose from.

    Returns
    -------
    (event, ...) array
    """
    log_integrand = _log_integrand(log_power, log_noise, log_s2, 0.5 * nu, mask)
    place = jnp.linspace(0.0, 1.0, nodes)
    weight = jax.vmap(lambda share: log_integrand(_within(box, share)))(place)
    chosen = place[jax.random.categorical(key, weight, axis=0)]
    return jnp.logaddexp(_within(box, chosen) + log_s2, log_noise)


def _within(box, share):
    return box.low + share * (box.high - box.low)


def _log_integrand(log_power, log_noise, log_s2, a, mask):
    """Return the log of the integrand as a function of ln G."""
    constant = a * jnp.log(a) - gammaln(a) + (a - 1.0) * log_power

    def log_integrand(log_G):
        log_E = jnp.logaddexp(log_G + log_s2, log_noise)
        each = constant - a * (log_E + jnp.exp(log_power - log_E))
        return (mask * each).sum(axis=0)

    return log_integrand


def _trapezoid(log_integrand, box, nodes):
    width = box.high - box.low
    share = jnp.linspace(0.0, 1.0, nodes)
    values = jax.vmap(lambda share: log_integrand(_within(box, share)))(share)
    ends = jnp.ones(nodes).at[jnp.array([0, -1])].set(0.5)
    step = jnp.log(width / (nodes - 1))
    return logsumexp(values, b=ends.reshape(-1, *(1,) * width.ndim), axis=0) + step


def _hermite(log_integrand, log_power, log_noise, log_s2, a, mask):
    def slopes(log_G):
        log_E = jnp.logaddexp(log_G + log_s2, log_noise)
        signal = jnp.exp(log_G + log_s2 - log_E)
        excess = jnp.exp(log_power - log_E)
        first = (mask * a * signal * (excess - 1.0)).sum(axis=0)
        information = (mask * a * signal**2).sum(axis=0)
        return first, information

    def scoring(log_G, _):
        first, information = slopes(log_G)
        return log_G + jnp.clip(first / jnp.maximum(information, SMALLEST), -1.0, 1.0), None

    weight = mask * a
    total = jnp.maximum(weight.sum(axis=0), SMALLEST)
    start = (weight * (log_power - log_s2)).sum(axis=0) / total
    mode, _ = jax.lax.scan(scoring, start, length=NEWTON_STEPS)
    width = 1.0 / jnp.sqrt(jnp.maximum(slopes(mode)[1], SMALLEST))
    nodes, weights = np.polynomial.hermite.hermgauss(HERMITE_NODES)
    values = jax.vmap(lambda x: log_integrand(mode + np.sqrt(2.0) * width * x) + x**2)(
        jnp.asarray(nodes)
    )
    log_weights = jnp.log(weights).reshape(-1, *(1,) * width.ndim)
    return logsumexp(values + log_weights, axis=0) + jnp.log(np.sqrt(2.0) * width)
