"""The likelihoods are those of ratios of chi-square variables, to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bayesquake.models.source_spectra.likelihood import (
    log_f_density,
    log_f_slopes,
    log_power_density,
)

DEGREES = (1.0, 2.0, 10.0, 200.0)
LOG_RATIOS = np.log(10.0) * np.linspace(-8, 8, 65)


def agree(ours, reference, tolerance):
    ours, reference = np.asarray(ours), np.asarray(reference)
    return (np.abs(ours - reference) <= tolerance * np.maximum(1.0, np.abs(reference))).all()


@pytest.mark.parametrize("nu1", DEGREES)
@pytest.mark.parametrize("nu2", DEGREES)
def test_log_ratio_density_is_fishers_times_the_jacobian(nu1, nu2):
    reference = stats.f.logpdf(np.exp(LOG_RATIOS), nu1, nu2) + LOG_RATIOS
    assert agree(log_f_density(LOG_RATIOS, 0.0, nu1, nu2), reference, 1e-12)


@pytest.mark.parametrize("nu1", DEGREES)
@pytest.mark.parametrize("nu2", DEGREES)
def test_slopes_equal_automatic_derivatives(nu1, nu2):
    def density(loc, y):
        return log_f_density(y, loc, nu1, nu2)

    first = jax.vmap(jax.grad(density), (None, 0))(0.3, LOG_RATIOS)
    second = jax.vmap(jax.grad(jax.grad(density)), (None, 0))(0.3, LOG_RATIOS)
    slopes = log_f_slopes(LOG_RATIOS - 0.3 + np.log(nu1 / nu2), nu1, nu2)
    assert np.isfinite(first).all()
    assert agree(slopes[0], first, 1e-10)
    assert agree(slopes[1], second, 1e-10)


positive = st.floats(1e-4, 1e4)


@settings(max_examples=50, deadline=None)
@given(
    power=st.tuples(positive, positive),
    log_s2=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    nu=st.tuples(st.floats(1, 200), st.floats(1, 200)),
)
def test_two_events_have_the_density_of_their_ratio(power, log_s2, nu):
    log_power, log_s2, nu = (jnp.array(x)[:, None] for x in (np.log(power), log_s2, nu))
    together = log_power_density(log_power, log_s2, nu, jnp.ones_like(nu))
    y, loc = log_power[0] - log_power[1], log_s2[0] - log_s2[1]
    assert agree(together, log_f_density(y, loc, *nu) - log_power.sum(axis=0), 1e-12)


def test_density_of_powers_integrates_the_path_term_out():
    log_power, log_s2 = np.array([0.3, -1.0, 0.9]), np.array([0.1, -0.5, 0.4])
    nu = np.array([4.0, 8.0, 3.0])
    log_G = np.linspace(-15, 15, 6001)
    expected = np.exp(log_G[:, None] + log_s2)
    density = stats.gamma.logpdf(np.exp(log_power), nu / 2, scale=2 * expected / nu).sum(axis=1)
    integral = np.log(np.trapezoid(np.exp(density), log_G))
    ours = log_power_density(log_power[:, None], log_s2[:, None], nu[:, None], np.ones((3, 1)))
    assert np.isclose(ours[0], integral, rtol=1e-10)


def test_a_masked_event_changes_nothing():
    rng = np.random.default_rng(0)
    log_power, log_s2 = rng.normal(size=(2, 3, 5))
    nu = rng.uniform(2, 20, (3, 5))
    two = log_power_density(log_power[:2], log_s2[:2], nu[:2], np.ones((2, 5)))
    mask = np.ones((3, 5))
    mask[2] = 0.0
    assert np.allclose(log_power_density(log_power, log_s2, nu, mask), two, rtol=1e-13)


def test_gradients_are_finite_where_all_is_masked():
    def total(log_s2):
        return log_power_density(
            jnp.zeros((3, 5)), log_s2, jnp.full((3, 5), 2.0), jnp.zeros((3, 5))
        ).sum()

    value, gradient = jax.value_and_grad(total)(jnp.ones((3, 5)))
    assert value == 0.0
    assert np.isfinite(gradient).all()
