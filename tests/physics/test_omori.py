"""The Omori-Utsu integral is exact, and p = 1 is an ordinary point of it."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesquake.physics.omori import (
    SERIES_BELOW,
    log_exprel,
    log_omori_integral,
    omori_utsu_log_rate,
)

START, END, LOG_C = 0.01, 1.0, np.log(0.02)
SPAN = np.log((END + np.exp(LOG_C)) / (START + np.exp(LOG_C)))
SWITCH = SERIES_BELOW / SPAN
"""|1 - p| at which the series hands over to the exact expression."""

NEAR_ONE = (0.0, 1e-14, 1e-10, 1e-7, 1e-4, 0.999 * SWITCH, 1.001 * SWITCH, 0.01)


@jax.jit
def value_and_derivatives(p, log_c):
    """Return F, its gradient and its second derivatives in (p, ln c)."""

    def integral(values):
        return jax.numpy.exp(log_omori_integral(START, END, values[1], values[0]))

    values = jax.numpy.stack([p, log_c])
    return integral(values), jax.grad(integral)(values), jax.hessian(integral)(values)


def as_numpy(p):
    return [np.asarray(value) for value in value_and_derivatives(p, LOG_C)]


def integral_by_quadrature(start, end, c, p, power=0):
    """Return ∫ (t + c)^-p (-ln(t + c))^power dt, by Gauss-Legendre quadrature in ln(t + c)."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    low, high = np.log(start + c), np.log(end + c)
    y = low + 0.5 * (high - low) * (1 + nodes)
    return 0.5 * (high - low) * np.sum(weights * np.exp((1 - p) * y) * (-y) ** power)


@settings(deadline=None, max_examples=100)
@given(
    st.floats(0.3, 2.5), st.floats(-12.0, 1.0), st.sampled_from([0.0, 1e-4, 0.1]), st.floats(-3, 3)
)
def test_integral_equals_quadrature(p, log_c, start, log10_length):
    end = start + 10**log10_length
    expected = integral_by_quadrature(start, end, np.exp(log_c), p)
    assert np.exp(log_omori_integral(start, end, log_c, p)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("distance", NEAR_ONE)
def test_value_and_derivatives_are_exact_around_p_equal_to_one(distance, side):
    p, c = 1 + side * distance, np.exp(LOG_C)
    value, gradient, hessian = as_numpy(p)
    expected = [integral_by_quadrature(START, END, c, p, power) for power in range(3)]
    ends = np.array([END + c, START + c])
    slope_in_c = np.subtract(*ends**-p)
    curvature_in_c = np.subtract(*(-p * ends ** (-p - 1)))
    assert value == pytest.approx(expected[0], rel=1e-12)
    assert gradient == pytest.approx([expected[1], c * slope_in_c], rel=1e-10)
    assert hessian[0, 0] == pytest.approx(expected[2], rel=1e-7)
    assert hessian[1, 1] == pytest.approx(c * slope_in_c + c**2 * curvature_in_c, rel=1e-9)


@pytest.mark.parametrize("place", [0.0, SWITCH, -SWITCH])
def test_value_and_gradient_are_continuous_through_p_equal_to_one(place):
    step = 1e-9
    below, above = (as_numpy(1 + place + s) for s in (-step, step))
    assert below[0] == pytest.approx(above[0], rel=1e-7)
    assert below[1] == pytest.approx(above[1], rel=1e-7)


def test_second_derivatives_are_finite_everywhere():
    log_F = jax.hessian(lambda v: log_omori_integral(0.0, 1.0, v[1], v[0]))
    grid = np.array([(p, log_c) for p in (0.5, 1.0, 1.0 + 1e-12, 2.0) for log_c in (-14.0, 0.0)])
    assert np.isfinite(jax.jit(jax.vmap(log_F))(grid)).all()


def test_log_exprel_is_zero_at_zero_and_does_not_overflow():
    assert log_exprel(0.0) == 0.0
    assert log_exprel(800.0) == pytest.approx(800.0 - np.log(800.0))
    assert log_exprel(-800.0) == pytest.approx(-np.log(800.0))


def test_rate_is_the_derivative_of_the_integral():
    t, log_K, p = 0.3, -4.0, 1.1
    rate = jax.grad(lambda end: jax.numpy.exp(log_K + log_omori_integral(0.0, end, LOG_C, p)))(t)
    assert np.exp(omori_utsu_log_rate(t, log_K, LOG_C, p)) == pytest.approx(float(rate), rel=1e-12)
