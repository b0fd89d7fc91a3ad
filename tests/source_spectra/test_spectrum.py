"""Source spectra, their ratios, and stress drops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from bayesquake.models.source_spectra.softplus import softplus, softplus_difference
from bayesquake.models.source_spectra.spectrum import (
    RUPTURE_MODELS,
    SHAPES,
    log_source_spectrum,
    log_spectral_ratio,
    log_stress_drop,
    log_stress_drop_ratio,
)

FREQUENCY = np.geomspace(0.01, 1000, 101)


@pytest.mark.parametrize("name", SHAPES)
def test_spectrum_is_flat_below_and_falls_off_above_its_corner(name):
    n, g = SHAPES[name]
    spectrum = np.exp(log_source_spectrum(np.log(FREQUENCY), np.log(5.0), n, g))
    assert np.allclose(spectrum, (1 + (FREQUENCY / 5.0) ** (n * g)) ** (-1 / g), rtol=1e-13)
    assert np.isclose(spectrum[0], 1.0, rtol=1e-5)
    assert np.isclose(spectrum[-1], (1000 / 5.0) ** -n, rtol=1e-4)


def test_ratio_is_that_of_the_spectra():
    log_f = np.log(FREQUENCY)
    ours = log_spectral_ratio(log_f, np.log(4.0), np.log(3.0), np.log(30.0), 2.0, 2.0)
    spectra = [log_source_spectrum(log_f, np.log(fc), 2.0, 2.0) for fc in (4.0, 12.0)]
    assert np.allclose(ours, 2 * (np.log(30.0) + spectra[0] - spectra[1]), atol=1e-13)


def test_ratio_tends_to_moment_and_stress_drop_ratios_at_the_ends():
    d, m = np.log(3.0), np.log(30.0)
    low, high = log_spectral_ratio(np.log([1e-4, 1e6]), np.log(4.0), d, m, 2.0, 2.0)
    assert np.isclose(low, 2 * m, atol=1e-8)
    assert np.isclose(high, 2 * (m - 2 * d), atol=1e-8)


def test_softplus_has_its_derivatives_of_first_and_second_order():
    x = jnp.linspace(-50, 50, 201)
    first, second = (jax.vmap(f)(x) for f in (jax.grad(softplus), jax.grad(jax.grad(softplus))))
    assert np.allclose(first, expit(x), rtol=1e-13)
    assert np.allclose(second, expit(x) * expit(-x), rtol=1e-12)
    y = x[::-1] / 3
    for f in (softplus, lambda x: jax.grad(softplus)(x)):
        apart = jax.vmap(f)(x) - jax.vmap(f)(y)
        assert np.allclose(
            softplus_difference(x, y) if f is softplus else _slope_of_difference(x, y),
            apart,
            atol=1e-13,
        )


def _slope_of_difference(x, y):
    one = jnp.ones_like(x)
    return jax.jvp(softplus_difference, (x, y), (one, one))[1]


@pytest.mark.parametrize(("name", "k"), RUPTURE_MODELS.items())
def test_stress_drop_is_that_of_a_circular_crack(name, k):
    moment, fc, beta = 3e13, 7.0, 3500.0
    radius = k * beta / fc
    expected = 7 / 16 * moment / radius**3
    ours = log_stress_drop(np.log(moment), np.log(fc), np.log(k), np.log(beta))
    assert np.isclose(np.exp(ours), expected, rtol=1e-12), name


def test_constants_without_seven_sixteenths_are_madariagas():
    factor = (16 / 7) ** (1 / 3)
    assert np.isclose(factor * RUPTURE_MODELS["madariaga_p"], 0.42, atol=0.002)
    assert np.isclose(factor * RUPTURE_MODELS["madariaga_s"], 0.2766, atol=0.0002)
    assert not np.isclose(RUPTURE_MODELS["sato_hirasawa_s"], 0.2766, atol=0.005)


def test_spread_of_stress_drop_is_three_times_that_of_corner_frequency():
    ln_fc = np.random.default_rng(0).normal(1.5, 0.2, 500)
    drop = log_stress_drop(30.0, ln_fc, np.log(0.26), np.log(3500.0))
    assert np.isclose(drop.std(), 3 * ln_fc.std(), rtol=1e-12)


def test_stress_drop_ratio_is_free_of_moment_velocity_and_rupture_model():
    m, d, ln_f1 = 3.0, 0.9, 1.4
    for k, beta, moment in ((0.21, 3000.0, 1e12), (0.42, 3800.0, 1e15)):
        drops = [
            log_stress_drop(np.log(moment) - shift_m, ln_f1 + shift_f, np.log(k), np.log(beta))
            for shift_m, shift_f in ((0.0, 0.0), (m, d))
        ]
        assert np.isclose(drops[0] - drops[1], log_stress_drop_ratio(m, d))
