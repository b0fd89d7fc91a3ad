r"""Friction of a fault from how it slips.

A fault under rate-and-state friction and plate loading has the slip rate V(t) and the state θ(t),
see `physics.laws`. What is seen of it at the times t_k is

.. math:: y_k = \ln\frac{V(t_k)}{V_{pl}} + \sigma \epsilon_k, \qquad \epsilon_k \sim N(0, 1).

A block on a spring has the four unknowns A, B - A, L and the stiffness k, with independent priors
on ln A, B - A, ln L and ln k.

References
----------
Ito, Kano & Nagao 2023, doi:10.48550/arXiv.2109.13143 (friction fields from slow slip)
Kano et al. 2013, doi:10.5047/eps.2013.08.002 (friction from slip rates by adjoints)
"""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesquake.model.model import Quantity
from bayesquake.model.priors import Prior

from .physics.by_jacobian import by_jacobian
from .physics.laws import Fault, Motion
from .physics.trajectory import trajectory

__all__ = [
    "PRIORS",
    "QUANTITIES",
    "declare",
    "declare_friction",
    "expected_log_slip_rate",
    "spring",
    "start_of",
]

OURS = "our default"
PRIORS = {
    "log_a": Prior("Normal", {"loc": np.log(1e5), "scale": 0.3}, "ln Pa", "ln A", OURS),
    "b_minus_a": Prior("Normal", {"loc": 4e4, "scale": 1e4}, "Pa", "B - A", OURS),
    "log_characteristic_slip": Prior(
        "Normal", {"loc": np.log(0.04), "scale": 0.3}, "ln m", "ln L", OURS
    ),
    "log_stiffness": Prior(
        "Normal", {"loc": np.log(1.2e6), "scale": 0.2}, "ln(Pa/m)", "ln k", OURS
    ),
}

QUANTITIES = {
    "a": Quantity("Pa", "direct effect A = a σ"),
    "b_minus_a": Quantity("Pa", "B - A, positive where steady slip weakens the fault"),
    "characteristic_slip": Quantity("m", "slip L over which the state evolves"),
    "stiffness": Quantity("Pa/m", "stiffness k of the spring"),
    "stiffness_ratio": Quantity("1", "stiffness over the critical one (B - A) / L"),
    "log_a": Quantity("1", "ln of A in Pa", role="latent"),
    "log_characteristic_slip": Quantity("1", "ln of L in m", role="latent"),
    "log_stiffness": Quantity("1", "ln of k in Pa/m", role="latent"),
}


def declare(data, priors):
    """Declare the model on one series of slip rates.

    Parameters
    ----------
    data : data.arrays.FaultArrays
    priors : dict of numpyro.distributions.Distribution
    """
    unknowns = declare_friction(priors)
    a, b_minus_a, *_ = numbers_of(unknowns)
    expected = expected_log_slip_rate(unknowns, data)[:, None]
    followed = jnp.isfinite(expected).all() & (a + b_minus_a > 0)
    density = dist.Normal(jnp.where(followed, expected, 0.0), data.error)
    terms = jnp.where(data.seen, density.log_prob(data.log_slip_rate), 0.0)
    numpyro.factor("log_slip_rate", jnp.where(followed, terms.sum(), -jnp.inf))


def declare_friction(priors):
    """Declare friction and stiffness, and return ln A, B - A, ln L and ln k, (4,)."""
    unknowns = jnp.stack([numpyro.sample(name, priors[name]) for name in PRIORS])
    a, b_minus_a, slip, stiffness = numbers_of(unknowns)
    numpyro.deterministic("a", a)
    numpyro.deterministic("characteristic_slip", slip)
    numpyro.deterministic("stiffness", stiffness)
    numpyro.deterministic("stiffness_ratio", stiffness * slip / b_minus_a)
    return unknowns


def numbers_of(unknowns):
    """Return A, B - A (Pa), L (m) and k (Pa/m) of ln A, B - A, ln L and ln k."""
    log_a, b_minus_a, log_slip, log_stiffness = unknowns
    return jnp.exp(log_a), b_minus_a, jnp.exp(log_slip), jnp.exp(log_stiffness)


def spring(unknowns, data):
    """Return the block on a spring of ln A, B - A, ln L and ln k."""
    a, b_minus_a, slip, stiffness = numbers_of(unknowns)
    return Fault(
        a=a[None],
        b=(a + b_minus_a)[None],
        characteristic_slip=slip[None],
        stiffness=stiffness[None, None],
        plate_rate=data.plate_rate,
        damping=data.damping,
    )


def start_of(data):
    """Return the motion at time zero."""
    return Motion(
        data.start_log_slip_rate, data.start_log_state, jnp.zeros_like(data.start_log_state)
    )


@by_jacobian
def expected_log_slip_rate(unknowns, data):
    """Return q at the observed times, (epoch,), not finite where the spring was not followed."""
    path = trajectory(
        spring(unknowns, data),
        start_of(data),
        data.times,
        law=data.integration.law,
        tolerance=data.integration.tolerance,
    )
    return path.motion.log_slip_rate[:, 0]
