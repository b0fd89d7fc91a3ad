"""Splines reproduce cubic polynomials, agree with SciPy's, and bend continuously."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import NdBSpline, make_interp_spline

from bayesquake.physics.travel_time.spline import spline_coefficients, spline_value

SHAPE = (7, 5, 6)
through = jax.jit(lambda values, place: spline_value(spline_coefficients(values), place))


def test_the_spline_of_one_axis_is_that_of_scipy():
    random = np.random.default_rng(0)
    values, place = random.standard_normal(9), random.uniform(0, 8, 50)
    expected = make_interp_spline(np.arange(9), values)(place)
    np.testing.assert_allclose(through(values, (place,)), expected, rtol=0, atol=1e-12)


def test_the_spline_of_three_axes_is_that_of_scipy():
    random = np.random.default_rng(1)
    values = random.standard_normal(SHAPE)
    place = [random.uniform(0, n - 1, 40) for n in SHAPE]
    knots, coefficients = [], values
    for axis, nodes in enumerate(SHAPE):
        spline = make_interp_spline(np.arange(nodes), coefficients, axis=axis)
        knots.append(spline.t)
        coefficients = np.moveaxis(spline.c, 0, axis) if axis else spline.c
    expected = NdBSpline(tuple(knots), coefficients, 3)(np.stack(place, axis=-1))
    np.testing.assert_allclose(through(values, place), expected, rtol=0, atol=1e-11)


@given(
    cubic=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    other=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    x=st.floats(0, 6),
    y=st.floats(0, 4),
)
def test_products_of_cubic_polynomials_are_reproduced(cubic, other, x, y):
    values = np.outer(np.polyval(cubic, np.arange(7)), np.polyval(other, np.arange(5)))
    expected = np.polyval(cubic, x) * np.polyval(other, y)
    assert float(through(values, (x, y))) == pytest.approx(expected, rel=1e-9, abs=1e-7)


def test_second_derivatives_are_continuous_at_nodes():
    values = np.random.default_rng(2).standard_normal(8)
    second = jax.jit(jax.hessian(lambda u: through(values, (u,))))
    for node in range(1, 7):
        assert second(node - 1e-9) == pytest.approx(float(second(node + 1e-9)), abs=1e-6)


def test_places_broadcast_and_the_values_are_differentiable():
    values = jnp.asarray(np.random.default_rng(3).standard_normal(SHAPE))
    place = (jnp.linspace(0, 6, 4)[:, None], jnp.linspace(0, 4, 3), 2.0)
    assert through(values, place).shape == (4, 3)
    gradient = jax.grad(lambda values: jnp.sum(through(values, place)))(values)
    assert jnp.sum(gradient * values) == pytest.approx(float(jnp.sum(through(values, place))))


def test_too_few_nodes_are_refused():
    with pytest.raises(ValueError, match="needs 4 nodes"):
        spline_coefficients(jnp.ones((5, 3)))
