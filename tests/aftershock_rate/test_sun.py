"""The unified skew-normal posterior agrees with brute force, and its weights stay alive."""

import jax
import numpy as np
import pytest
from scipy.special import log_ndtr

from bayesquake.models.aftershock_rate.gp import matern32
from bayesquake.models.aftershock_rate.sun import (
    effective_draws,
    skew_normal_posterior,
    truncated_normal,
    truncated_standard_normal,
    weighted_mean,
)

BETA, SIGMA = 2.1, 0.25


def catalogue(n, seed=0):
    """Return magnitudes, prior mean and prior covariance of μ at n events."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-3, 0, n))
    covariance = np.asarray(matern32(x, x, 0.3, 0.7)) + 0.3**2 + 0.1 * np.outer(x + 1.5, x + 1.5)
    mean = 2 - 0.7 * x
    mu = rng.multivariate_normal(mean, covariance)
    magnitude = rng.normal(mu - BETA * SIGMA**2, SIGMA) + rng.exponential(1 / BETA, n)
    return magnitude, mean, covariance


def test_marginal_and_mean_of_four_events_agree_with_brute_force():
    magnitude, mean, covariance = catalogue(4)
    exact = skew_normal_posterior(
        jax.random.key(1), magnitude, mean, covariance, BETA, SIGMA, draws=50_000
    )
    mu = np.random.default_rng(2).multivariate_normal(mean, covariance, 1_000_000)
    distance = magnitude - mu
    log_likelihood = (
        np.log(BETA) - BETA * distance - 0.5 * (BETA * SIGMA) ** 2 + log_ndtr(distance / SIGMA)
    ).sum(axis=1)
    weight = np.exp(log_likelihood)
    error = weight.std() / weight.mean() / np.sqrt(weight.size)
    log_marginal = np.log(weight.mean())
    assert abs(exact.log_marginal - log_marginal) < 4 * np.hypot(error, exact.standard_error)

    weight /= weight.sum()
    brute_mean = weight @ mu
    brute_error = np.sqrt(weight**2 @ (mu - brute_mean) ** 2)
    exact_mean, exact_error = weighted_mean(exact)
    assert (np.abs(exact_mean - brute_mean) < 4 * np.hypot(brute_error, exact_error)).all()

    exact_weight = np.exp(exact.log_weights)
    brute_sd = np.sqrt(weight @ (mu - brute_mean) ** 2)
    exact_sd = np.sqrt(exact_weight @ (np.asarray(exact.mu) - np.asarray(exact_mean)) ** 2)
    np.testing.assert_allclose(exact_sd, brute_sd, rtol=0.03)


def test_marginal_of_one_event_is_the_normal_plus_exponential_law():
    prior_sd, mean, magnitude = 0.4, 2.0, 2.3
    exact = skew_normal_posterior(
        jax.random.key(0),
        np.array([magnitude]),
        np.array([mean]),
        np.array([[prior_sd**2]]),
        BETA,
        SIGMA,
        draws=100,
    )
    distance, spread = magnitude - mean, np.hypot(prior_sd, SIGMA)
    expected = (
        np.log(BETA)
        - BETA * distance
        + 0.5 * BETA**2 * (prior_sd**2 - SIGMA**2)
        + log_ndtr((distance - BETA * prior_sd**2) / spread)
    )
    assert exact.log_marginal == pytest.approx(expected, rel=1e-10)


def test_weights_stay_alive_for_two_hundred_events():
    magnitude, mean, covariance = catalogue(200, seed=3)
    runs = [
        skew_normal_posterior(
            jax.random.key(seed), magnitude, mean, covariance, BETA, SIGMA, draws=2000
        )
        for seed in (0, 1)
    ]
    for run in runs:
        assert effective_draws(run) > 100
        assert run.standard_error < 0.1
    difference = runs[0].log_marginal - runs[1].log_marginal
    assert abs(difference) < 4 * np.hypot(runs[0].standard_error, runs[1].standard_error)


def test_truncated_draws_respect_their_bounds_far_in_the_tail():
    L = np.linalg.cholesky(np.array([[1.0, 0.9], [0.9, 1.0]]))
    upper = np.array([-40.0, -45.0])
    draw = jax.jit(truncated_normal, static_argnums=3)
    log_weight, e = draw(jax.random.key(0), upper, L, 1000)
    assert np.isfinite(log_weight).all()
    assert (np.asarray(e) @ L.T <= upper + 1e-9).all()


def test_tail_asymptote_continues_the_exact_quantile():
    u = np.array([0.01, 0.5, 0.99])
    exact, asymptote = (truncated_standard_normal(np.full(3, a), u) for a in (-29.999, -30.001))
    np.testing.assert_allclose(exact, asymptote, atol=0.003)


def test_simultaneous_events_share_their_detection_magnitude():
    magnitude, mean, covariance = catalogue(3)
    twice = np.array([0, 1, 1, 2])
    posterior = skew_normal_posterior(
        jax.random.key(0),
        magnitude[twice],
        mean[twice],
        covariance[np.ix_(twice, twice)],
        BETA,
        SIGMA,
        draws=50_000,
    )
    np.testing.assert_allclose(posterior.mu[:, 1], posterior.mu[:, 2], atol=1e-6)
