"""Sums over pairs, tile by tile, are the sums over all pairs, and so are their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from bayesquake.models.event_classification.arrays import bucket
from bayesquake.models.event_classification.pairs import (
    Events,
    squared_distance,
    tile_size,
    triggered_rate,
)
from bayesquake.models.event_classification.triggering import (
    from_form_a,
    to_form_a,
    triggering_kernel,
)

SIZE = 192
rate_of = jax.jit(
    lambda values, events: triggered_rate(triggering_kernel(values, space=True), events)
)
weights = np.random.default_rng(0).normal(size=SIZE)
weighted = jax.jit(lambda values, events: weights @ rate_of(values, events))
gradient = jax.jit(jax.grad(weighted))


def random_events(seed, n=SIZE, ties=False):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 300.0, n))
    if ties:
        time = np.floor(time)
    return Events(time, rng.uniform(0, 60.0, (2, n)), None, rng.exponential(0.4, n))


def planar(events):
    x, y = events.position
    return (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2


parameters = st.fixed_dictionaries(
    {
        "k": st.floats(0.02, 1.0),
        "alpha": st.floats(0.3, 2.5),
        "c": st.floats(1e-4, 1.0),
        "p": st.floats(1.02, 2.0),
        "d": st.floats(0.05, 5.0),
        "gamma": st.floats(0.0, 2.0),
        "q": st.floats(1.05, 3.0),
    }
)
few = settings(deadline=None, max_examples=15)


@few
@given(parameters, st.integers(0, 1000), st.booleans())
def test_tiles_add_up_to_the_sum_over_all_pairs(dense_triggered_rate, values, seed, ties):
    events = random_events(seed, ties=ties)
    dense = dense_triggered_rate(values, events.time, planar(events), events.dm)
    assert np.allclose(rate_of(values, events), dense, rtol=1e-11, atol=0)


@few
@given(parameters, st.integers(0, 1000))
def test_derivatives_equal_those_of_the_plain_sum(values, seed):
    events = random_events(seed)
    found = gradient(values, events)
    size = np.abs(weights) @ rate_of(values, events)
    for name, value in values.items():
        unit = 1.0 if name in ("alpha", "gamma") else value
        step = 3e-6 * unit
        high = weighted(values | {name: value + step}, events)
        low = weighted(values | {name: value - step}, events)
        # The weights have both signs, so a derivative may be far below the rounding of the sum.
        scale = np.abs(unit * found[name]) + 1e-2 * size
        assert abs(unit * found[name] - (high - low) / 6e-6) < 1e-6 * scale, name


def test_forward_and_reverse_mode_and_the_hessian_agree(truth):
    events = random_events(1)
    values = {name: truth[name] for name in ("k", "alpha", "c", "p", "d", "gamma", "q")}
    forward = jax.jit(jax.jacfwd(weighted))(values, events)
    reverse = gradient(values, events)
    hessian = jax.jit(jax.hessian(weighted))(values, events)
    step = 1e-5
    for name, value in values.items():
        assert float(forward[name]) == pytest.approx(float(reverse[name]), rel=1e-12)
        high = gradient(values | {name: value * (1 + step)}, events)
        low = gradient(values | {name: value * (1 - step)}, events)
        for other in values:
            slope = float(high[other] - low[other]) / (2 * step * value)
            assert float(hessian[other][name]) == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_padding_neither_triggers_nor_moves_a_rate(truth):
    events = random_events(2, 150)
    padded = Events(
        np.concatenate([events.time, np.full(SIZE - 150, events.time[-1])]),
        np.pad(events.position, [(0, 0), (0, SIZE - 150)]),
        None,
        np.pad(events.dm, (0, SIZE - 150)),
    )
    shifted = padded._replace(dm=np.where(np.arange(SIZE) < 150, padded.dm, 5.0))
    assert np.array_equal(rate_of(truth, padded)[:150], rate_of(truth, shifted)[:150])


@given(st.integers(1, 200_000))
def test_padded_sizes_hold_whole_tiles_and_little_padding(n):
    size = bucket(n)
    assert n <= size <= max(64, 1.0625 * n + tile_size(size))
    assert size % tile_size(size) == 0


@few
@given(parameters, st.integers(0, 1000))
def test_the_tapered_form_without_taper_is_the_plain_form(values, seed):
    events = random_events(seed)
    endless = rate_of(values | {"tau": jnp.inf}, events)
    assert np.allclose(endless, rate_of(values, events), rtol=1e-9, atol=0)


@pytest.mark.parametrize("omega", [-0.2, 0.0, 0.3])
def test_the_tapered_form_is_the_published_one(dense_triggered_rate, omega):
    published = {
        "k0": 10**-2.49,
        "a": 1.69,
        "omega": omega,
        "tau": 10**3.99,
        "c": 10**-2.95,
        "d": 10**-0.35,
        "gamma": 1.22,
        "rho": 0.51,
    }
    o = published
    values = {name: float(value) for name, value in from_form_a(**o).items()}
    events = random_events(3)
    delay = np.where(events.time[:, None] > events.time, events.time[:, None] - events.time, np.inf)
    D = o["d"] * np.exp(o["gamma"] * events.dm)
    plain = o["k0"] * np.exp(o["a"] * events.dm - delay / o["tau"])
    plain = plain * (delay + o["c"]) ** -(1 + omega) * (planar(events) + D) ** -(1 + o["rho"])
    assert np.allclose(rate_of(values, events), plain.sum(axis=1), rtol=1e-8, atol=0)
    back = to_form_a(values)
    assert all(float(back[name]) == pytest.approx(value) for name, value in published.items())


def test_the_tapered_productivity_is_the_integral_of_the_kernel():
    o = {"k0": 0.01, "a": 1.5, "omega": -0.1, "tau": 500.0, "c": 0.01, "d": 0.5, "gamma": 1.0}
    k = float(from_form_a(**o, rho=0.6)["k"])
    in_time = quad(lambda s: np.exp(s - np.exp(s) / 500) * (np.exp(s) + 0.01) ** -0.9, -25, 10)[0]
    in_space = quad(lambda r2: np.pi * (r2 + 0.5) ** -1.6, 0, np.inf)[0]
    assert k == pytest.approx(0.01 * in_time * in_space, rel=1e-7)


@given(st.integers(0, 10_000), st.floats(1.0, 3000.0))
@settings(deadline=None, max_examples=50)
def test_distances_from_chords_are_those_of_great_circles(seed, reach):
    rng = np.random.default_rng(seed)
    R = 6378.1
    longitude, latitude = rng.uniform(-np.pi, np.pi), rng.uniform(-1.4, 1.4)
    step = rng.uniform(0.01, 1.0) * reach / R * np.array([1.0, -0.5])
    longitudes = np.array([longitude, longitude + step[0]])
    latitudes = np.array([latitude, np.clip(latitude + step[1], -1.5, 1.5)])
    half = np.sin(np.diff(latitudes) / 2) ** 2
    half = half + np.cos(latitudes).prod() * np.sin(np.diff(longitudes) / 2) ** 2
    great_circle = float((2 * R * np.arcsin(np.sqrt(half)))[0])
    unit = np.stack(
        [
            np.cos(latitudes) * np.cos(longitudes),
            np.cos(latitudes) * np.sin(longitudes),
            np.sin(latitudes),
        ]
    )
    events = Events(np.zeros(2), R * unit, 1 / (4 * R**2), np.zeros(2))
    tolerance = 1e-12 + 2 * (great_circle / (2 * R)) ** 8
    found = float(squared_distance(events, events)[0, 1])
    assert found == pytest.approx(great_circle**2, rel=max(tolerance, 1e-9))


def test_marks_of_offspring_scatter_around_those_of_their_parents(dense_triggered_rate, truth):
    rng = np.random.default_rng(5)
    marks = rng.normal(size=(2, SIZE))
    events = random_events(5)._replace(marks=marks)
    width = np.array([0.3, 0.8])
    found = rate_of(truth | {"mark_width": jnp.asarray(width)}, events)
    distance = (marks[:, :, None] - marks[:, None, :]) / width[:, None, None]
    normal = np.exp(-0.5 * distance**2) / (np.sqrt(2 * np.pi) * width[:, None, None])
    plain = dense_triggered_rate(truth, events.time, planar(events), events.dm, normal.prod(axis=0))
    assert np.allclose(found, plain, rtol=1e-11)
