"""Scores of a held-out window add up, and are those of the likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.likelihood import log_likelihood
from bayesquake.models.event_classification.scoring import (
    held_out_scores,
    score_parts,
    window_after,
)

likelihood = jax.jit(log_likelihood)


def test_windows_add_up_to_the_whole(simulated, truth):
    """ln L of a window is that of its first and its second half, history being known."""
    dataset = simulated[1]
    whole = likelihood(truth, prepare(dataset))
    halves = [window_after(dataset, 0.0, 500.0), window_after(dataset, 500.0, 1200.0)]
    assert sum(float(half["target"].sum()) for half in halves) == dataset.sizes["event"]
    parts = [likelihood(truth, prepare(half)) for half in halves]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-9)


def test_times_and_places_add_up_to_the_log_likelihood(simulated, truth):
    data = prepare(window_after(simulated[1], 500.0, 1200.0))
    in_time, in_space = jax.jit(score_parts)(truth, data)
    assert float(in_time + in_space) == pytest.approx(float(likelihood(truth, data)), rel=1e-10)


def test_places_score_nothing_where_triggering_is_flat_in_the_polygon(simulated, truth):
    """With kernels far wider than the polygon every place is as likely as any other."""
    data = prepare(simulated[1])
    _, in_space = jax.jit(score_parts)(truth | {"d": 1e9, "gamma": 0.0}, data)
    n = simulated[1].sizes["event"]
    assert float(in_space) == pytest.approx(-n * np.log(1e4), rel=1e-4)


def test_the_posterior_mean_of_the_likelihood_is_scored(simulated, truth):
    data = prepare(window_after(simulated[1], 800.0, 1200.0))
    draws = {name: jnp.array([value, 1.02 * value]) for name, value in truth.items()}
    single = [float(likelihood({name: x[i] for name, x in draws.items()}, data)) for i in range(2)]
    count = float(data.target.sum())
    expected = (np.logaddexp(*single) - np.log(2)) / count
    assert float(held_out_scores(draws, data)["total"]) == pytest.approx(expected, rel=1e-9)
