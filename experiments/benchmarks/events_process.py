r"""The aftershock density with the Gaussian process at every event, to compare with.

The library puts the process of the detection curve on a time grid. Here μ has one latent
per event, :math:`\mu_i = a + b_\mu x_i + (S z)_i`, either by a dense Cholesky factor S of the
Matérn-3/2 covariance or by its state-space form; the rest is the same: event terms from the
model's own functions, and the integral by two Gauss-Legendre points between events in
x = log10(days), with μ linear there.
"""

import jax.numpy as jnp
import numpy as np
from tinygp import kernels, noise
from tinygp.solvers import QuasisepSolver

from bayesquake.models.aftershock_rate.dataset import EARLIEST_DAYS
from bayesquake.models.aftershock_rate.gp import matern32
from bayesquake.models.aftershock_rate.grid import quadrature_points
from bayesquake.physics.detection_function import (
    log_detected_density,
    log_detected_fraction,
)
from bayesquake.physics.omori import log_omori_integral, omori_utsu_log_rate

__all__ = ["dense_process", "log_density", "start", "state_space_process"]

JITTER = 1e-6
"""Variance added at the events, in units of η²: without it close events break the factor."""

UNCONSTRAINED = ("log_K", "p", "log_c", "mu_1d", "mu_slope")


def dense_process(x, eta, ell, z):
    """Return the process at the events by a dense Cholesky factor, (event,)."""
    covariance = matern32(x, x, eta, ell) + JITTER * eta**2 * jnp.eye(x.size)
    return jnp.linalg.cholesky(covariance) @ z


def state_space_process(x, eta, ell, z):
    """Return the process at the events by its quasiseparable factor, (event,)."""
    kernel = eta**2 * kernels.quasisep.Matern32(scale=ell)
    diagonal = noise.Diagonal(jnp.full(x.shape, JITTER * eta**2))
    return QuasisepSolver(kernel, x, diagonal, assume_sorted=True).dot_triangular(z)


def start(events):
    """Return a position: unconstrained parameters and latents, at typical values."""
    values = {
        "log_K": -4.0,
        "p": 1.05,
        "log_c": -4.0,
        "mu_1d": 2.0,
        "mu_slope": -0.7,
        "log_beta": np.log(1.96),
        "log_sigma": np.log(0.25),
        "log_eta": np.log(0.3),
        "log_ell": np.log(0.7),
    }
    rng = np.random.default_rng(0)
    return {name: jnp.asarray(value) for name, value in values.items()} | {
        "z": jnp.asarray(0.1 * rng.standard_normal(events))
    }


def log_density(process, priors):
    """Return the log density ``(position, data)`` with the process at the events.

    Parameters
    ----------
    process : callable
        `dense_process` or `state_space_process`.
    priors : dict of numpyro.distributions.Distribution
    """

    def density(position, data):
        t, magnitude, M0, T = data
        x = jnp.log10(jnp.maximum(t, EARLIEST_DAYS))
        beta, sigma, eta, ell = (
            jnp.exp(position[f"log_{name}"]) for name in ("beta", "sigma", "eta", "ell")
        )
        omori = (position["log_K"], position["log_c"], position["p"])
        line = position["mu_1d"] + position["mu_slope"] * x
        mu = line + process(x, eta, ell, position["z"])

        events = omori_utsu_log_rate(t, *omori) + log_detected_density(
            magnitude, mu, sigma, beta, M0
        )
        edges = jnp.concatenate([jnp.array([np.log10(EARLIEST_DAYS)]), x, jnp.log10(T)[None]])
        mu_edges = jnp.concatenate([mu[:1], mu, mu[-1:]])
        times, share, log_measure = quadrature_points(edges[:-1], edges[1:] + 1e-12)
        mu_t = (1 - share) * mu_edges[:-1] + share * mu_edges[1:]
        log_seen = omori_utsu_log_rate(times, *omori) + log_detected_fraction(mu_t, sigma, beta, M0)
        earliest = jnp.exp(
            position["log_K"]
            + log_omori_integral(0.0, EARLIEST_DAYS, position["log_c"], position["p"])
            + log_detected_fraction(mu[0], sigma, beta, M0)
        )
        prior = sum(priors[name].log_prob(position[name]) for name in UNCONSTRAINED)
        prior += priors["log_sigma"].log_prob(position["log_sigma"])
        for name, value in (("beta", beta), ("eta", eta), ("ell", ell)):
            prior += priors[name].log_prob(value) + position[f"log_{name}"]
        return (
            events.sum()
            - earliest
            - jnp.exp(log_seen + log_measure).sum()
            + prior
            - 0.5 * (position["z"] ** 2).sum()
        )

    return density
