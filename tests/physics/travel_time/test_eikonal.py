"""Times on a grid agree with exact ones, and their adjoint with differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesquake.physics.travel_time.eikonal import first_arrival_times

SHAPE, SPACING = (40, 40, 20), (1.0, 1.0, 1.0)
SMALL = (22, 18, 12)
GRADIENT = 0.08
"""Increase of the velocity with depth (1/s), from 5 km/s."""

ON_NODE, OFF_NODE = (15.0, 20.0, 5.0), (15.3, 20.4, 5.2)
SURFACE, SURFACE_OFF_NODE = (15.0, 20.0, 0.0), (15.3, 20.4, 0.0)

times = jax.jit(first_arrival_times, static_argnums=(2, 3, 4))


def nodes(shape, spacing):
    return np.meshgrid(
        *(np.arange(n) * h for n, h in zip(shape, spacing, strict=True)), indexing="ij"
    )


def gradient_medium(shape, spacing, gradient=GRADIENT):
    return jnp.asarray(1 / (5 + gradient * nodes(shape, spacing)[2]))


def exact_times(shape, spacing, source, gradient=GRADIENT):
    """Return the times in velocity linear in depth: arcs of circles."""
    position = nodes(shape, spacing)
    square = sum((x - s) ** 2 for x, s in zip(position, source, strict=True))
    there, here = 5 + gradient * position[2], 5 + gradient * source[2]
    return np.arccosh(1 + gradient**2 * square / (2 * there * here)) / gradient


def error_ms(source, order, shape=SHAPE, spacing=SPACING, gradient=GRADIENT):
    medium = gradient_medium(shape, spacing, gradient)
    computed = times(medium, jnp.array(source), spacing, (0.0, 0.0, 0.0), order)
    return 1e3 * np.sqrt(np.mean((computed - exact_times(shape, spacing, source, gradient)) ** 2))


@pytest.mark.parametrize(
    ("source", "first", "second"),
    [
        (ON_NODE, 0.6, 0.15),
        (OFF_NODE, 0.6, 0.15),
        (SURFACE, 1.2, 0.2),
        (SURFACE_OFF_NODE, 1.2, 0.2),
    ],
)
def test_times_in_a_gradient_are_within_the_error_of_their_order(source, first, second):
    assert error_ms(source, 1) < first
    assert error_ms(source, 2) < second


def test_times_are_right_where_velocity_doubles_within_ten_cells():
    assert error_ms((10.3, 9.4, 1.2), 2, SMALL, gradient=0.5) < 2.5


def test_half_the_spacing_leaves_a_third_of_the_error_or_less():
    source = (9.0, 7.0, 4.0)
    coarse = error_ms(source, 2, (20, 16, 11))
    assert error_ms(source, 2, (39, 31, 21), (0.5, 0.5, 0.5)) < coarse / 3


@pytest.mark.parametrize("order", [1, 2])
def test_a_uniform_medium_is_solved_exactly(order):
    slowness = jnp.full(SHAPE, 0.2)
    computed = times(slowness, jnp.array(OFF_NODE), SPACING, (0.0, 0.0, 0.0), order)
    distance = np.sqrt(
        sum((x - s) ** 2 for x, s in zip(nodes(SHAPE, SPACING), OFF_NODE, strict=True))
    )
    np.testing.assert_allclose(computed, 0.2 * distance, rtol=0, atol=1e-9)


def test_head_waves_along_a_jump_between_two_rows_are_first_arrivals():
    depth = nodes(SHAPE, SPACING)[2]
    slowness = jnp.asarray(np.where(depth < 2.5, 1 / 4.0, 1 / 7.0))
    computed = times(slowness, jnp.array(SURFACE), SPACING, (0.0, 0.0, 0.0), 2)
    shallower, deeper = (24 / 7 + 2 * h * np.sqrt(1 / 4.0**2 - 1 / 7.0**2) for h in (2.0, 3.0))
    assert shallower < computed[39, 20, 0] < deeper < 24 / 4


def media():
    random = np.random.default_rng(1)
    x, y, depth = nodes(SMALL, SPACING)
    smooth = 5 + GRADIENT * depth + 0.3 * np.sin(x / 4) * np.cos(y / 5)
    return {
        "smooth": smooth,
        "rough": (5 + GRADIENT * depth) * (1 + 0.05 * random.standard_normal(SMALL)),
        "jump": np.where(depth < 5.5, 5.0, 6.2) + 0.02 * depth,
    }


@partial(jax.jit, static_argnums=3)
def weighted(slowness, source, weights, order):
    arrival = first_arrival_times(slowness, source, SPACING, order=order)
    return jnp.sum(weights * arrival)


adjoint = jax.jit(jax.value_and_grad(weighted, (0, 1)), static_argnums=3)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("medium", ["smooth", "rough", "jump"])
def test_adjoint_agrees_with_differences(medium, order):
    random = np.random.default_rng(2)
    slowness, source = jnp.asarray(1 / media()[medium]), jnp.array([10.3, 9.4, 4.2])
    weights = jnp.asarray(random.standard_normal(SMALL))
    value, (field, place) = adjoint(slowness, source, weights, order)
    assert jnp.sum(slowness * field) == pytest.approx(float(value), rel=1e-8)

    def difference(moved_slowness, moved_source, step):
        there = weighted(slowness + moved_slowness, source + moved_source, weights, order)
        back = weighted(slowness - moved_slowness, source - moved_source, weights, order)
        return float(there - back) / (2 * step)

    agreed = []
    for _ in range(5):
        direction = random.standard_normal(SMALL) * slowness
        expected = difference(1e-7 * direction, 0.0, 1e-7)
        agreed.append(float(jnp.sum(field * direction)) == pytest.approx(expected, rel=1e-5))
    for axis in range(3):
        expected = difference(0.0, 1e-7 * jnp.eye(3)[axis], 1e-7)
        agreed.append(float(place[axis]) == pytest.approx(expected, rel=1e-5))
    # A difference across a change of stencil sees its step; the derivative cannot.
    assert sum(agreed) >= 7


def test_stations_in_one_batch_equal_stations_alone():
    slowness = jnp.asarray(1 / media()["rough"])
    sources = jnp.array([[10.3, 9.4, 0.0], [3.0, 2.0, 1.0], [17.7, 12.1, 7.9]])
    solve = partial(first_arrival_times, slowness, spacing=SPACING)
    together = jax.jit(jax.vmap(solve))(sources)
    assert np.all(np.isfinite(together))
    for source, batched in zip(sources, together, strict=True):
        np.testing.assert_allclose(jax.jit(solve)(source), batched, rtol=0, atol=1e-12)


def test_times_are_reciprocal_within_their_error():
    slowness = jnp.asarray(1 / media()["smooth"])
    here, there = (4, 3, 1), (17, 14, 9)
    forth = times(slowness, jnp.array(here, float), SPACING, (0.0, 0.0, 0.0), 2)[there]
    back = times(slowness, jnp.array(there, float), SPACING, (0.0, 0.0, 0.0), 2)[here]
    assert forth == pytest.approx(float(back), abs=1e-3)


def test_grids_may_start_anywhere_and_have_unequal_spacing():
    spacing = (1.0, 0.8, 0.25)
    slowness = gradient_medium(SMALL, spacing)
    source = np.array([10.3, 9.4, 2.2])
    at_zero = times(slowness, jnp.array(source), spacing, (0.0, 0.0, 0.0), 2)
    moved = times(slowness, jnp.array(source - 7.0), spacing, (-7.0, -7.0, -7.0), 2)
    np.testing.assert_allclose(at_zero, moved, rtol=0, atol=1e-12)
    exact = exact_times(SMALL, spacing, source)
    assert np.sqrt(np.mean((at_zero - exact) ** 2)) < 0.06e-3


def test_axes_may_come_in_any_order():
    slowness = jnp.asarray(1 / media()["smooth"])
    source = jnp.array([10.3, 9.4, 4.2])
    expected = times(slowness, source, SPACING)
    for axes in ((2, 0, 1), (1, 2, 0)):
        turned = times(slowness.transpose(axes), source[jnp.array(axes)], SPACING)
        np.testing.assert_allclose(turned, expected.transpose(axes), rtol=0, atol=1e-12)


@pytest.mark.parametrize("width", [1, 2])
def test_sections_of_one_or_two_planes_are_solved(width):
    shape, source = (40, width, 20), (15.3, 0.0, 5.2)
    computed = times(gradient_medium(shape, SPACING), jnp.array(source), SPACING)
    exact = exact_times(shape, SPACING, source)
    assert 1e3 * np.sqrt(np.mean((computed - exact) ** 2)) < 0.2


def test_single_precision_gives_the_same_times():
    double = times(gradient_medium(SHAPE, SPACING), jnp.array(OFF_NODE), SPACING)
    single = times(
        gradient_medium(SHAPE, SPACING).astype(jnp.float32),
        jnp.array(OFF_NODE, jnp.float32),
        SPACING,
    )
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, rtol=0, atol=2e-4)
