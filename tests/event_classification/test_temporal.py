"""One sweep along the catalogue gives the triggered rate that all pairs give."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesquake.models.event_classification.pairs import Events, triggered_rate
from bayesquake.models.event_classification.temporal import (
    sum_of_exponentials,
    triggered_rate_in_time,
)
from bayesquake.models.event_classification.triggering import triggering_kernel

SIZE = 256


def rate_by(path):
    return jax.jit(lambda values, events: path(triggering_kernel(values, space=False), events))


sweep, pairs = rate_by(triggered_rate_in_time), rate_by(triggered_rate)


def random_events(seed, ties):
    rng = np.random.default_rng(seed)
    time = np.sort(np.cumsum(rng.exponential(1.0, SIZE) * 10.0 ** rng.uniform(-6, 2, SIZE)))
    return Events(np.floor(time) if ties else time, None, None, rng.exponential(0.4, SIZE))


parameters = st.fixed_dictionaries(
    {
        "k": st.floats(0.02, 1.0),
        "alpha": st.floats(0.3, 2.5),
        "c": st.floats(1e-5, 1.0),
        "p": st.floats(1.02, 2.5),
    }
)
few = settings(deadline=None, max_examples=20)


@few
@given(parameters, st.integers(0, 1000), st.booleans())
def test_the_sweep_equals_the_sum_over_pairs(values, seed, ties):
    events = random_events(seed, ties)
    assert np.allclose(sweep(values, events), pairs(values, events), rtol=1e-8, atol=0)


@few
@given(parameters, st.floats(0.92, 1.3), st.floats(50.0, 1e5), st.integers(0, 1000))
def test_the_sweep_equals_the_sum_over_pairs_with_a_taper(values, p, tau, seed):
    events = random_events(seed, ties=False)
    tapered = values | {"p": p, "tau": tau}
    assert np.allclose(sweep(tapered, events), pairs(tapered, events), rtol=1e-8, atol=1e-300)


def test_both_paths_have_the_same_derivatives(truth):
    values = {name: truth[name] for name in ("k", "alpha", "c", "p")}
    events = random_events(7, ties=True)
    weights = np.random.default_rng(1).normal(size=SIZE)
    slopes = [
        jax.jit(jax.grad(lambda v, path=path: weights @ path(v, events)))(values)
        for path in (sweep, pairs)
    ]
    for name in values:
        assert float(slopes[0][name]) == pytest.approx(float(slopes[1][name]), rel=1e-7)


@few
@given(st.floats(0.92, 3.0), st.floats(1e-5, 1.0), st.floats(-6.0, 5.0))
def test_a_sum_of_exponentials_is_the_decay(p, c, log10_t):
    rates, weights = sum_of_exponentials(c, p)
    t = 10.0**log10_t
    assert float(weights @ np.exp(-rates * t)) == pytest.approx((t + c) ** -p, rel=3e-8)
