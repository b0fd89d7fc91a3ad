"""Detected magnitudes follow Normal(μ - βσ², σ) + Exponential(β), and all that follows from it."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import log_ndtr, logsumexp
from scipy.stats import exponnorm, norm

from bayesquake.physics.detection_function import (
    detection_probability,
    log_detected_density,
    log_detected_fraction,
    log_fraction_above,
    magnitude_cdf,
    rounding_quadrature,
)

M0 = 6.8
mus = st.floats(0.5, 5.0)
sigmas = st.floats(0.05, 0.6)
betas = st.floats(0.8, 3.5)
above_mu = st.floats(-4.0, 12.0)
"""Magnitude minus μ, in units of σ."""

jitted_density = jax.jit(log_detected_density)
few = settings(deadline=None, max_examples=25)


def integrate(function, low, high):
    value, _ = quad(function, low, high, epsabs=0, epsrel=1e-12, limit=500)
    return value


def normalised_density(magnitude, mu, sigma, beta):
    return np.exp(
        log_detected_density(magnitude, mu, sigma, beta, M0)
        - log_detected_fraction(mu, sigma, beta, M0)
    )


def detected_rate(magnitude, mu, sigma, beta):
    """β e^{-βM} Φ((M - μ)/σ), in SciPy."""
    return beta * np.exp(-beta * magnitude) * norm.cdf((magnitude - mu) / sigma)


@few
@given(mus, sigmas, betas, above_mu)
def test_detected_magnitudes_follow_normal_plus_exponential(mu, sigma, beta, distance):
    magnitude = mu + distance * sigma
    convolution = integrate(
        lambda x: norm.pdf(x, mu - beta * sigma**2, sigma) * beta * np.exp(-beta * (magnitude - x)),
        mu - 12 * sigma,
        min(magnitude, mu + 12 * sigma),
    )
    assert normalised_density(magnitude, mu, sigma, beta) == pytest.approx(convolution, rel=1e-9)


@few
@given(mus, sigmas, betas, above_mu)
def test_fraction_above_a_cut_is_the_integral_of_the_detected_rate(mu, sigma, beta, distance):
    cut = mu + distance * sigma
    edge = max(cut, mu + 10 * sigma)
    integral = integrate(lambda M: detected_rate(M, mu, sigma, beta), cut, edge)
    integral += integrate(lambda M: detected_rate(M, mu, sigma, beta), edge, edge + 30 / beta)
    fraction = np.exp(log_fraction_above(cut, mu, sigma, beta, 0.0))
    assert fraction == pytest.approx(integral, rel=1e-9)


@few
@given(mus, sigmas, betas)
def test_fraction_above_a_cut_far_below_detection_is_the_whole_detected_fraction(mu, sigma, beta):
    whole = log_detected_fraction(mu, sigma, beta, M0)
    assert log_fraction_above(mu - 40 * sigma, mu, sigma, beta, M0) == pytest.approx(
        whole, abs=1e-12
    )


@few
@given(mus, sigmas, betas, above_mu)
def test_cdf_is_that_of_the_exponentially_modified_normal(mu, sigma, beta, distance):
    magnitude = mu + distance * sigma
    law = exponnorm(1 / (beta * sigma), loc=mu - beta * sigma**2, scale=sigma)
    scale = np.exp(beta * mu - 0.5 * (beta * sigma) ** 2)
    integral = scale * integrate(
        lambda M: detected_rate(M, mu, sigma, beta), mu - 12 * sigma, magnitude
    )
    assert magnitude_cdf(magnitude, mu, sigma, beta) == pytest.approx(
        law.cdf(magnitude), rel=1e-9, abs=1e-12
    )
    assert magnitude_cdf(magnitude, mu, sigma, beta) == pytest.approx(integral, rel=1e-9, abs=1e-12)


@few
@given(mus, st.floats(0.05, 0.6), betas, above_mu)
def test_density_of_a_rounded_magnitude_is_the_fraction_inside_its_bin(mu, sigma, beta, distance):
    delta = 0.1
    magnitude = mu + distance * sigma
    edges = np.array([magnitude - delta / 2, magnitude + delta / 2])
    above = np.exp(log_fraction_above(edges, mu, sigma, beta, magnitude))
    binned = jitted_density(
        np.array([magnitude]), np.array([mu]), sigma, beta, magnitude, rounding_quadrature(delta)
    )
    # The difference of two nearly equal fractions carries their rounding error.
    rounding_error = 4e-16 * above[0] / delta
    expected = (above[0] - above[1]) / delta
    assert np.exp(binned[0]) == pytest.approx(expected, rel=1e-9, abs=rounding_error)


def test_detection_probability_is_one_half_at_mu_and_rises_over_sigma():
    assert detection_probability(2.0, 2.0, 0.2) == pytest.approx(0.5)
    assert detection_probability(2.2, 2.0, 0.2) == pytest.approx(norm.cdf(1.0))


@pytest.mark.parametrize("rounding", [None, rounding_quadrature(0.1)])
def test_density_and_gradient_stay_finite_for_events_far_below_detection(rounding):
    def density(mu):
        return log_detected_density(np.array([1.0]), mu[None], 0.05, 2.0, M0, rounding)[0]

    value_and_slope = jax.jit(jax.value_and_grad(density))
    for mu in (1.0, 2.0, 6.0):
        value, slope = value_and_slope(mu)
        assert np.isfinite(value)
        assert np.isfinite(slope)
        assert slope < 0


def test_rounded_density_far_below_detection_is_the_mean_over_the_bin():
    sigma, beta, magnitude = 0.1, 2.0, 1.0
    offsets, log_weights = rounding_quadrature(0.1)
    mu = magnitude + sigma * np.linspace(20.0, 60.0, 81)
    expected = np.log(beta) + logsumexp(
        log_ndtr((magnitude + offsets - mu[:, None]) / sigma) - beta * offsets + log_weights, axis=1
    )
    binned = jitted_density(
        np.full(mu.shape, magnitude), mu, sigma, beta, magnitude, (offsets, log_weights)
    )
    np.testing.assert_allclose(binned, expected, rtol=1e-11)


@pytest.mark.parametrize(("delta", "sigma", "offset"), [(0.1, 0.003, -0.05), (0.5, 0.015, -0.24)])
def test_a_rounding_bin_wider_than_the_detection_edge_keeps_its_mean(delta, sigma, offset):
    rounding = rounding_quadrature(delta)
    offsets, log_weights = rounding
    terms = log_weights - 2.0 * offsets + log_ndtr((offset + offsets) / sigma)
    expected = np.log(2.0) - 2.0 * offset + logsumexp(terms)
    found = log_detected_density(np.array([offset]), np.zeros(1), sigma, 2.0, 0.0, rounding)
    assert np.isclose(found[0], expected, rtol=1e-9)
