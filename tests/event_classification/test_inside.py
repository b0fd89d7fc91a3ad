"""The share of offspring inside a polygon is the integral of the kernel over it."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from bayesquake.models.event_classification.inside import mass_inside

mass = jax.jit(mass_inside)
SQUARE = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]])
NOTCHED = np.array([[0, 0], [10, 0], [10, 10], [6, 10], [5, 1.0], [4, 10], [0, 10]], float)
few = settings(deadline=None, max_examples=25)


def one(x, y, D, q, polygon):
    return float(mass(np.array([[x], [y]]), np.log([D]), q, polygon)[0])


def rectangle_by_quadrature(x, y, D, q, low, high):
    """Integrate the kernel over a box, the inner integral by the substitution u = tan."""

    def strip(v):
        h = np.hypot(np.sqrt(D), v - y)
        inner = quad(
            lambda a: np.cos(a) ** (2 * q - 2),
            np.arctan((low[0] - x) / h),
            np.arctan((high[0] - x) / h),
            epsabs=0,
            epsrel=1e-11,
        )[0]
        return inner * h ** (1 - 2 * q)

    points = [y] if low[1] < y < high[1] else None
    total = quad(strip, low[1], high[1], points=points, epsabs=0, epsrel=1e-10, limit=200)[0]
    return (q - 1) / np.pi * D ** (q - 1) * total


@few
@given(st.floats(-5.0, 15.0), st.floats(-5.0, 15.0), st.floats(-3.0, 2.0), st.floats(1.05, 3.0))
def test_the_mass_in_a_square_is_the_integral_over_it(x, y, log_D, q):
    D = np.exp(log_D)
    expected = rectangle_by_quadrature(x, y, D, q, (0.0, 0.0), (10.0, 10.0))
    assert one(x, y, D, q, SQUARE) == pytest.approx(expected, rel=1e-6, abs=2e-7)


@few
@given(st.floats(0.5, 9.5), st.floats(0.5, 9.5))
def test_a_notch_takes_away_what_lay_in_it(x, y):
    notch = np.array([[5.0, 1.0], [6.0, 10.0], [4.0, 10.0]])
    whole, less = one(x, y, 0.5, 1.6, SQUARE), one(x, y, 0.5, 1.6, notch)
    assert one(x, y, 0.5, 1.6, NOTCHED) == pytest.approx(whole - less, abs=3e-7)


@few
@given(st.floats(0.0, 2 * np.pi), st.floats(-100.0, 100.0), st.integers(0, 6))
def test_neither_rotation_nor_shift_nor_the_first_vertex_matters(angle, shift, first):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x = np.array([2.0, 7.0])
    moved = turn @ x + shift
    polygon = np.roll(NOTCHED, first, axis=0) @ turn.T + shift
    assert one(*moved, 0.8, 1.5, polygon) == pytest.approx(one(*x, 0.8, 1.5, NOTCHED), abs=1e-9)


def test_limits_of_narrow_and_wide_kernels():
    assert one(5.0, 5.0, 1e-12, 2.0, SQUARE) == pytest.approx(1.0, abs=1e-9)
    assert one(11.0, 5.0, 1e-12, 2.0, SQUARE) == pytest.approx(0.0, abs=1e-9)
    assert one(5.0, 0.0, 1e-12, 2.0, SQUARE) == pytest.approx(0.5, abs=1e-6)
    assert one(0.0, 0.0, 1e-12, 2.0, SQUARE) == pytest.approx(0.25, abs=1e-6)
    flat = 100.0 / (np.pi * 1e6)
    assert one(5.0, 5.0, 1e6, 2.0, SQUARE) == pytest.approx(flat, rel=1e-3)


def test_the_derivatives_are_finite_on_edges_and_vertices():
    points = np.array([[0.0, 0.0, 5.0, 5.0], [0.0, 5.0, 0.0, 5.0]])

    def total(log_D, q):
        return mass_inside(points, log_D, q, SQUARE).sum()

    slopes = jax.jit(jax.grad(total, argnums=(0, 1)))(np.zeros(4), 1.5)
    assert all(np.isfinite(np.asarray(slope)).all() for slope in slopes)
