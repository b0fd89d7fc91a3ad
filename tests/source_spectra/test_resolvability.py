"""The resolvability without data is the Fisher information of the likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesquake.models.source_spectra.likelihood import log_f_density
from bayesquake.models.source_spectra.resolvability import (
    corner_frequency_sd,
    location_information,
)
from bayesquake.models.source_spectra.spectrum import log_spectral_ratio

FREQ = np.geomspace(0.5, 40.0, 30)
TRUTH = jnp.array([np.log(3.0), np.log(4.0), np.log(30.0)])
REPLICATES = 20_000


def location(theta, n=2.0, g=2.0):
    return log_spectral_ratio(jnp.log(FREQ), *theta, n, g)


def sd_of(information):
    covariance = np.linalg.inv(information)
    return np.sqrt([covariance[0, 0], covariance[:2, :2].sum()])


@pytest.mark.parametrize("nu", [(2.0, 2.0), (10.0, 2.0)])
def test_standard_deviations_are_those_of_the_variance_of_the_score(nu):
    rng = np.random.default_rng(1)
    replicas = np.asarray(location(TRUTH)) + np.log(rng.f(*nu, (REPLICATES, len(FREQ))))

    def log_likelihood(theta, y):
        return log_f_density(y, location(theta), *nu).sum()

    scores = jax.jit(jax.vmap(jax.grad(log_likelihood), (None, 0)))(TRUTH, replicas)
    expected = sd_of(np.cov(np.asarray(scores).T))
    found = corner_frequency_sd(FREQ, location_information(*nu), 3.0, 12.0)
    assert np.allclose(found, expected, rtol=4 / np.sqrt(2 * REPLICATES))


def test_standard_deviations_are_those_of_the_expected_curvature_with_a_prior():
    sd = np.array([1.2, 0.8, 2.0])
    brune = {"n": 2.0, "g": 1.0}
    J = jax.jit(jax.jacfwd(lambda theta: location(theta, **brune)))(TRUTH)
    information = location_information(10.0, 10.0) * J.T @ J + np.diag(sd**-2.0)
    found = corner_frequency_sd(
        FREQ, location_information(10.0, 10.0), 3.0, 12.0, **brune, prior_sd=sd
    )
    assert np.allclose(found, sd_of(np.asarray(information)), rtol=1e-9)


def test_a_corner_frequency_beyond_the_band_is_known_from_the_prior_alone():
    information = location_information(10.0, 10.0)
    sd1, sd2 = corner_frequency_sd(FREQ, information, 3.0, [12.0, 4e3], prior_sd=(1.2, 0.8, 2.0))
    assert sd1[1] < 0.1
    assert sd2[0] < 0.2
    assert sd2[1] == pytest.approx(np.hypot(0.8, sd1[1]), rel=0.01)


def test_equal_corner_frequencies_are_never_resolved():
    sd1, sd2 = corner_frequency_sd(FREQ, location_information(10.0, 10.0), 5.0, [5.0, 15.0])
    assert sd1[0] > 1e3 * sd1[1]
    assert sd2[0] > 1e3 * sd2[1]
    assert np.isfinite([sd1, sd2]).all()


def test_four_times_the_traces_halve_the_standard_deviations_on_the_whole_map():
    fc = np.geomspace(0.5, 40.0, 25)
    one = location_information(4.0, 4.0)
    below = np.tril_indices(25, -1)
    single = corner_frequency_sd(FREQ, one, fc[None, :], fc[:, None])
    fourfold = corner_frequency_sd(FREQ, 4 * one, fc[None, :], fc[:, None])
    for a, b in zip(single, fourfold, strict=True):
        assert a.shape == (25, 25)
        assert np.allclose(b[below], a[below] / 2, rtol=1e-6)
