"""Times in layers agree with a bisection of Snell's law, and so do their derivatives."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesquake.physics.travel_time.layered import (
    direct_wave_time,
    first_arrival_time,
    head_wave_end,
    head_wave_time,
)

TOPS = np.array([0.0, 3.0, 8.0, 16.0, 28.0])
NORMAL = np.array([4.8, 5.6, 6.0, 6.5, 7.5])
LOW_VELOCITY_ZONE = np.array([4.8, 5.9, 5.2, 6.5, 7.5])
EQUAL = np.array([5.0, 5.0, 6.0, 6.0, 7.5])

compiled_first_arrivals = jax.jit(first_arrival_time)
direct_waves = jax.jit(direct_wave_time)
gradients = jax.jit(jnp.vectorize(jax.grad(first_arrival_time, (0, 1, 2)), excluded=(3, 4)))
velocity_gradient = jax.jit(jax.grad(first_arrival_time, 4))


def first_arrivals(*arguments):
    return np.asarray(compiled_first_arrivals(*arguments))[()]


def arguments(distance, source, station, velocity):
    return distance, source, station, jnp.asarray(TOPS), jnp.asarray(velocity)


def time_by_bisection(distance, source, station, velocity, tops=TOPS):
    """Return the first arrival by bisection of the slowness and by tracing of each head wave."""
    shallow, deep = sorted((source, station))
    edges = [-np.inf, *tops[1:], np.inf]
    crossed = [
        (min(deep, bottom) - max(shallow, top), v)
        for (top, bottom), v in zip(pairwise(edges), velocity, strict=True)
        if min(deep, bottom) > max(shallow, top)
    ]
    if deep - shallow < 1e-9:
        touched = np.searchsorted(tops[1:], [shallow, deep], side="right")
        crossed = [(1e-9, velocity[k]) for k in set(touched.tolist())]
    times = [direct_time_by_bisection(distance, crossed)]
    for n in range(1, len(tops)):
        if max(source, station) > tops[n]:
            continue
        delay, reach, possible = 0.0, 0.0, True
        for end in (source, station):
            for (top, bottom), v in zip(pairwise(edges[: n + 1]), velocity, strict=False):
                piece = bottom - max(end, top)
                if piece > 0:
                    possible &= bool(v < velocity[n])
                    if possible:
                        angle = np.arcsin(v / velocity[n])
                        reach += piece * np.tan(angle)
                        delay += piece * np.cos(angle) / v
        if possible and distance >= reach:
            times.append(distance / velocity[n] + delay)
    return min(times)


def direct_time_by_bisection(distance, crossed):
    """Bisect log(1/v_max - p), in which grazing rays are as easy as steep ones."""
    h, v = np.array(crossed).T
    fastest = v.max()

    def ray(slack):
        p = (1 - np.exp(slack)) / fastest
        cosine = np.sqrt(
            np.where(v == fastest, np.exp(slack) * (2 - np.exp(slack)), (1 - p * v) * (1 + p * v))
        )
        return np.sum(h * p * v / cosine), np.sum(h / v / cosine)

    low, high = -80.0, 0.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if ray(middle)[0] < distance else (middle, high)
    return ray((low + high) / 2)[1]


@pytest.mark.parametrize("velocity", [NORMAL, LOW_VELOCITY_ZONE, EQUAL])
@given(
    distance=st.floats(0.0, 200.0),
    source=st.floats(-2.0, 40.0) | st.sampled_from(list(TOPS)),
    station=st.floats(-2.0, 40.0) | st.sampled_from(list(TOPS)),
)
@settings(max_examples=300)
def test_first_arrivals_agree_with_bisection(velocity, distance, source, station):
    time = first_arrivals(*arguments(distance, source, station, velocity))
    assert time == pytest.approx(
        time_by_bisection(distance, source, station, velocity), rel=0, abs=1e-8
    )


@given(distance=st.floats(0.0, 200.0), source=st.floats(-2.0, 40.0), station=st.floats(-2.0, 40.0))
def test_source_and_station_may_be_exchanged(distance, source, station):
    forth = first_arrivals(*arguments(distance, source, station, LOW_VELOCITY_ZONE))
    back = first_arrivals(*arguments(distance, station, source, LOW_VELOCITY_ZONE))
    assert forth == pytest.approx(back, rel=0, abs=1e-12)


@pytest.mark.parametrize("velocity", [NORMAL, LOW_VELOCITY_ZONE, EQUAL])
@pytest.mark.parametrize("interface", TOPS[1:])
def test_time_is_continuous_where_the_source_crosses_an_interface(velocity, interface):
    distance = np.linspace(0.0, 150.0, 301)
    at = first_arrivals(*arguments(distance, interface, 0.0, velocity))
    for side in (-1e-6, 1e-6):
        beside = first_arrivals(*arguments(distance, interface + side, 0.0, velocity))
        np.testing.assert_allclose(at, beside, rtol=0, atol=1e-5)


def test_a_source_on_an_interface_keeps_its_head_wave():
    time = first_arrivals(*arguments(100.0, 8.0, 0.0, NORMAL))
    vertical = np.sqrt(1 / NORMAL[:2] ** 2 - 1 / NORMAL[2] ** 2)
    along_the_interface = 100 / NORMAL[2] + 3 * vertical[0] + 5 * vertical[1]
    assert time <= along_the_interface + 1e-12
    assert direct_waves(*arguments(100.0, 8.0, 0.0, NORMAL)) > along_the_interface + 0.5


@pytest.mark.parametrize("velocity", [NORMAL, LOW_VELOCITY_ZONE])
def test_gradients_agree_with_differences(velocity):
    generator = np.random.default_rng(3)
    distance = generator.uniform(1.0, 150.0, 400)
    source = generator.uniform(0.5, 35.0, 400)
    station = generator.uniform(-1.5, 0.4, 400)
    step = 1e-5
    values = [distance, source, station]
    analytic = gradients(*arguments(*values, velocity))
    for axis in range(3):
        there, back = list(values), list(values)
        there[axis], back[axis] = values[axis] + step, values[axis] - step
        difference = (
            first_arrivals(*arguments(*there, velocity))
            - first_arrivals(*arguments(*back, velocity))
        ) / (2 * step)
        smooth = away_from_jumps(*values, velocity)
        assert smooth.mean() > 0.9
        np.testing.assert_allclose(analytic[axis][smooth], difference[smooth], rtol=0, atol=1e-6)


def away_from_jumps(distance, source, station, velocity, margin=1e-3):
    """Mark paths on which no wave overtakes another and no end crosses an interface nearby."""
    corners = [
        gradients(*arguments(distance + dx, source + dz, station, velocity))[0]
        for dx in (-margin, 0.0, margin)
        for dz in (-margin, 0.0, margin)
    ]
    return np.ptp(corners, axis=0) < 1e-4


@pytest.mark.parametrize("velocity", [NORMAL, LOW_VELOCITY_ZONE])
@pytest.mark.parametrize(
    ("distance", "source"), [(5.0, 2.0), (12.0, 9.5), (40.0, 11.0), (110.0, 5.0), (60.0, 25.0)]
)
def test_velocity_gradients_agree_with_differences(velocity, distance, source):
    analytic = velocity_gradient(*arguments(distance, source, -0.3, velocity))
    for k in range(len(velocity)):
        step = 1e-5 * np.eye(len(velocity))[k]
        difference = (
            first_arrivals(*arguments(distance, source, -0.3, velocity + step))
            - first_arrivals(*arguments(distance, source, -0.3, velocity - step))
        ) / 2e-5
        assert analytic[k] == pytest.approx(float(difference), rel=0, abs=1e-6)


@pytest.mark.parametrize("velocity", [NORMAL, LOW_VELOCITY_ZONE])
@pytest.mark.parametrize(
    ("distance", "source"), [(5.0, 2.0), (12.0, 9.5), (40.0, 11.0), (110.0, 5.0), (60.0, 25.0)]
)
def test_second_derivatives_agree_with_differences_of_the_gradient(velocity, distance, source):
    point = jnp.concatenate([jnp.array([distance, source, -0.3]), jnp.asarray(velocity)])

    def time(point):
        return first_arrival_time(point[0], point[1], point[2], jnp.asarray(TOPS), point[3:])

    gradient = jax.jit(jax.grad(time))
    steps = 1e-5 * np.eye(point.size)
    difference = np.stack([(gradient(point + s) - gradient(point - s)) / 2e-5 for s in steps])
    hessian = jax.jit(jax.hessian(time))(point)
    np.testing.assert_allclose(hessian, difference, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-12)


def test_time_above_the_source_has_finite_derivatives():
    def time(x, y):
        distance = jnp.sqrt(x**2 + y**2 + 1e-18)
        return first_arrival_time(*arguments(distance, 9.0, 0.0, NORMAL))

    assert np.all(np.isfinite(jax.hessian(time, (0, 1))(0.0, 0.0)))


def test_grazing_rays_and_thin_layers_stay_finite():
    for depth in (3.0, 3.0 + 1e-9, 3.0 + 1e-6, 8.0 + 1e-9):
        values = jax.value_and_grad(direct_wave_time, (0, 1, 4))(
            *arguments(150.0, depth, 0.0, NORMAL)
        )
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(values))


def test_times_obey_euler_in_velocity_and_length():
    """T scales as length over velocity: d·T_d + z·T_z = T = -v·T_v, interfaces moving along."""
    distance, source = 60.0, 11.0

    def time(scale, velocity):
        return first_arrival_time(
            scale * distance, scale * source, 0.0, scale * jnp.asarray(TOPS), velocity
        )

    value, (scale, velocity) = jax.value_and_grad(time, (0, 1))(1.0, jnp.asarray(NORMAL))
    assert scale == pytest.approx(float(value), rel=1e-12)
    assert -jnp.sum(velocity * NORMAL) == pytest.approx(float(value), rel=1e-12)


def test_one_layer_is_a_straight_line_upwards_too():
    time = first_arrival_time(3.0, -4.0, 0.0, jnp.array([0.0]), jnp.array([5.0]))
    assert time == pytest.approx(1.0, abs=1e-12)
    level = first_arrival_time(3.0, 2.0, 2.0, jnp.array([0.0]), jnp.array([5.0]))
    assert level == pytest.approx(0.6, abs=1e-8)


def test_ends_of_head_waves_may_be_computed_once_and_shared():
    stations, sources = jnp.array([0.0, -0.4, 5.0]), jnp.array([1.0, 9.0])
    source_end = head_wave_end(sources, jnp.asarray(TOPS), jnp.asarray(NORMAL))
    station_end = head_wave_end(stations, jnp.asarray(TOPS), jnp.asarray(NORMAL))
    distance = jnp.array([[20.0, 60.0, 90.0], [30.0, 120.0, 150.0]])
    pairs = jax.tree.map(lambda leaf: leaf[:, None], source_end)
    head = head_wave_time(distance, pairs, station_end, jnp.asarray(NORMAL))
    assert head.shape == (2, 3, 5)
    direct = direct_wave_time(*arguments(distance, sources[:, None], stations, NORMAL))
    np.testing.assert_array_equal(
        jnp.minimum(direct, head.min(-1)),
        first_arrival_time(*arguments(distance, sources[:, None], stations, NORMAL)),
    )


def test_a_low_velocity_layer_gives_no_head_wave_along_its_top():
    end = head_wave_end(jnp.array(0.0), jnp.asarray(TOPS), jnp.asarray(LOW_VELOCITY_ZONE))
    assert np.isinf(end.delay[2])
    assert np.isfinite(end.delay[jnp.array([1, 3, 4])]).all()
