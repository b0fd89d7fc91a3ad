"""Laws of friction and stiffness of faults: identities and analytic limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesquake.models.fault_friction.physics.laws import (
    Fault,
    Motion,
    Regularisation,
    motion_rate,
)
from bayesquake.models.fault_friction.physics.stiffness import (
    antiplane_half_space,
    planar_full_space,
)
from bayesquake.models.fault_friction.physics.trajectory import YEAR

PLATE_RATE = 0.065 / YEAR
LAWS = pytest.mark.parametrize("law", ["aging", "slip"])
REGULARISED = Regularisation(jnp.full(3, 0.6 * 5e6), 1e-6)


def some_fault(regularisation=None):
    stiffness = jnp.array([[9.0, -3.0, -1.0], [-3.0, 9.0, -3.0], [-1.0, -3.0, 9.0]]) * 1e5
    a, b = jnp.array([1.0, 0.9, 1.2]) * 1e5, jnp.array([1.4, 0.8, 1.5]) * 1e5
    slip = jnp.array([0.03, 0.04, 0.05])
    return Fault(a, b, slip, stiffness, PLATE_RATE, 7e6, regularisation)


def strength(q, s, fault):
    """The frictional strength as the laws state it, without logarithmic variables."""
    slip_rate, state = fault.plate_rate * jnp.exp(q), fault.characteristic_slip / fault.plate_rate
    state *= jnp.exp(s)
    if fault.regularisation is None:
        return fault.a * jnp.log(slip_rate / fault.plate_rate) + fault.b * jnp.log(
            fault.plate_rate * state / fault.characteristic_slip
        )
    reference, rate = fault.regularisation
    psi = reference + fault.b * jnp.log(rate * state / fault.characteristic_slip)
    return fault.a * jnp.arcsinh(slip_rate / (2 * rate) * jnp.exp(psi / fault.a))


@LAWS
@pytest.mark.parametrize("regularisation", [None, REGULARISED])
@given(values=st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_strength_follows_the_stress_of_springs_and_radiation(law, regularisation, values):
    fault = some_fault(regularisation)
    q, s = jnp.array(values[:3]), jnp.array(values[3:])
    rate = motion_rate(Motion(q, s, jnp.zeros(3)), fault, law)
    _, of_strength = jax.jvp(
        lambda q, s: strength(q, s, fault), (q, s), (rate.log_slip_rate, rate.log_state)
    )
    slip_rate = PLATE_RATE * jnp.exp(q)
    of_stress = -fault.stiffness @ (slip_rate - PLATE_RATE)
    of_stress -= fault.damping * slip_rate * rate.log_slip_rate
    rounding = 1e-11 * abs(fault.b * rate.log_state).max()
    np.testing.assert_allclose(of_strength, of_stress, rtol=1e-9, atol=rounding)
    np.testing.assert_allclose(rate.slip, slip_rate - PLATE_RATE)


@LAWS
def test_a_fault_that_creeps_with_the_plates_goes_on_creeping(law):
    rate = motion_rate(Motion(*jnp.zeros((3, 3))), some_fault(), law)
    np.testing.assert_allclose(jnp.stack(rate), 0)


@LAWS
def test_a_spring_slider_becomes_unstable_at_the_critical_stiffness(law):
    a, b, slip = 1e5, 1.4e5, 0.04

    def growth(stiffness):
        numbers = (jnp.array([value]) for value in (a, b, slip))
        fault = Fault(*numbers, jnp.array([[stiffness]]), PLATE_RATE, 0.0)

        def rate(y):
            return jnp.stack(motion_rate(Motion(y[:1], y[1:], y[:1]), fault, law)[:2]).ravel()

        return np.linalg.eigvals(jax.jacobian(rate)(jnp.zeros(2)))

    critical = (b - a) / slip
    assert growth(0.99 * critical).real.max() > 0 > growth(1.01 * critical).real.max()
    turning = PLATE_RATE / slip * np.sqrt((b - a) / a)
    np.testing.assert_allclose(abs(growth(critical).imag), turning)
    np.testing.assert_allclose(growth(critical).real, 0, atol=1e-9 * turning)


def test_the_regularised_law_is_the_logarithmic_one_at_high_strength():
    motion = Motion(jnp.array([1.0, 0.0, -2.0]), jnp.array([0.5, 0.0, -1.0]), jnp.zeros(3))
    plain = motion_rate(motion, some_fault(), "aging")
    regularised = motion_rate(motion, some_fault(REGULARISED), "aging")
    np.testing.assert_allclose(jnp.stack(plain), jnp.stack(regularised), rtol=1e-12)


def test_uniform_antiplane_slip_is_felt_from_its_lower_end_alone():
    edges = np.linspace(0, 40e3, 81)
    z, bottom, rigidity = (edges[1:] + edges[:-1]) / 2, edges[-1], 32e9
    stiffness = antiplane_half_space(edges[:-1], edges[1:], rigidity)
    expected = rigidity / (2 * np.pi) * (1 / (bottom - z) + 1 / (bottom + z))
    np.testing.assert_allclose(stiffness.sum(axis=1), expected, rtol=1e-10)
    np.testing.assert_allclose(stiffness, stiffness.T, atol=1e-12 * stiffness.max())
    assert np.linalg.eigvalsh(stiffness).min() > 0


@pytest.mark.parametrize("poisson_ratio", [0.0, 0.25])
def test_slip_like_a_bell_on_a_plane_takes_the_stress_of_its_fourier_integral(poisson_ratio):
    cells, rigidity, width = 24, 40e9, 2.5e3
    stiffness = planar_full_space((cells, cells), 1e3, rigidity, poisson_ratio)
    np.testing.assert_allclose(stiffness, stiffness.T, atol=1e-12 * stiffness.max())
    assert np.linalg.eigvalsh(stiffness).min() > 0
    x = (np.arange(cells) - cells // 2) * 1e3
    bell = np.exp(-(x[:, None] ** 2 + x**2) / (2 * width**2))
    middle = (stiffness @ bell.ravel()).reshape(cells, cells)[cells // 2, cells // 2]
    both_ways = (1 / (1 - poisson_ratio) + 1) / 2
    expected = rigidity / (2 * width) * np.sqrt(np.pi / 2) * both_ways
    np.testing.assert_allclose(middle, expected, rtol=2e-3)


def test_slow_slip_twin_has_the_stiffness_of_its_record():
    values = np.linalg.eigvalsh(planar_full_space((20, 20), 6e3, 40e9, 0.25))
    np.testing.assert_allclose(values[[0, -1]], [6.68e5, 1.673e7], rtol=1e-3)
