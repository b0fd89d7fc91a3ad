"""Drawn parents have the probabilities of the model, and clusters follow from parents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.classification import (
    class_probabilities,
    classify,
    cluster_sizes,
    draw_parents,
    roots,
)
from bayesquake.models.event_classification.nearest_neighbour import (
    background_probability,
    log_proximity,
)


@pytest.fixture(scope="module")
def arrays(simulated):
    return prepare(simulated[1])


def test_drawn_parents_have_the_probabilities_of_the_model(
    simulated, arrays, truth, dense_triggered_rate
):
    dataset, draws = simulated[1], 3000
    n = dataset.sizes["event"]
    keys = jax.random.split(jax.random.key(0), draws)
    parent = np.asarray(
        jax.jit(lambda keys: jax.lax.map(lambda key: draw_parents(key, truth, arrays), keys))(keys)
    )[:, :n]
    time, x, y = (dataset[name].to_numpy() for name in ("time_days", "x_km", "y_km"))
    assert (parent < np.arange(n)).all()
    dm = dataset["magnitude"].to_numpy() - 3.0
    g = np.zeros((n, n))
    r2 = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    for j in range(0, n, 40):
        only = np.where(np.arange(n) == j, 1.0, 0.0)
        g[:, j] = dense_triggered_rate(truth, time, r2, dm, only)
    total = truth["mu"] + dense_triggered_rate(truth, time, r2, dm)
    seen = (parent < 0).mean(axis=0)
    phi = truth["mu"] / total
    assert (abs(seen - phi) < 5 * np.sqrt(phi * (1 - phi) / draws) + 1e-9).all()
    for j in range(0, n, 40):
        probability = g[:, j] / total
        seen = (parent == j).mean(axis=0)
        error = np.sqrt(probability * (1 - probability) / draws)
        assert (abs(seen - probability) < 5 * error + 1.5 / draws).all()


def test_class_probabilities_are_background_over_total(simulated, arrays, truth):
    probability, parent = classify(
        jax.random.key(1), {name: jnp.full(7, v) for name, v in truth.items()}, arrays
    )
    assert probability.shape == (7, 1, arrays.events.time.size)
    assert parent.shape == (7, arrays.events.time.size)
    phi = np.asarray(jax.jit(class_probabilities)(truth, arrays))[0]
    assert np.allclose(probability, phi, rtol=1e-12)
    assert phi[0] == 1.0
    true_background = (simulated[1]["parent"].to_numpy() == -1).mean()
    assert phi[: simulated[1].sizes["event"]].mean() == pytest.approx(true_background, abs=0.06)


parents = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*(st.integers(-1, i - 1) for i in range(n)))
)


@given(parents)
@settings(deadline=None)
def test_roots_are_the_first_ancestors_and_sizes_count_them(parent):
    expected = []
    for i, j in enumerate(parent):
        expected.append(i if j < 0 else expected[j])
    root = roots(np.array([parent]))
    assert root.tolist() == [expected]
    assert cluster_sizes(root).tolist() == [[expected.count(r) for r in expected]]


def test_true_roots_of_the_simulator_are_first_ancestors(simulated):
    parent = simulated[1]["parent"].to_numpy()
    found = roots(parent[None])[0]
    label = simulated[1]["root"].to_numpy()
    assert len(set(zip(found, label, strict=True))) == len(set(found)) == len(set(label))


def test_proximities_are_the_smallest_over_earlier_events(simulated, arrays):
    dataset = simulated[1]
    n = dataset.sizes["event"]
    time, x, y = (dataset[name].to_numpy() for name in ("time_days", "x_km", "y_km"))
    dm = dataset["magnitude"].to_numpy() - 3.0
    found = np.asarray(log_proximity(arrays.events))[:n]
    assert np.isinf(found[0])
    for i in (1, 17, n - 1):
        r = np.hypot(x[i] - x[:i], y[i] - y[:i]).clip(0.01)
        expected = np.log10((time[i] - time[:i]).clip(1e-5)) + 1.6 * np.log10(r) - dm[:i]
        assert found[i] == pytest.approx(expected.min(), abs=1e-9)


def test_nearest_neighbours_tell_background_from_triggered(simulated, arrays):
    dataset = simulated[1]
    n = dataset.sizes["event"]
    probability = background_probability(arrays.events, n)[:n]
    background = dataset["parent"].to_numpy() == -1
    assert probability[background].mean() > probability[~background].mean() + 0.3


def test_events_that_the_form_without_space_leaves_out_have_no_parents(model, simulated, truth):
    half = [(0.0, 0.0), (50.0, 0.0), (50.0, 100.0), (0.0, 100.0)]
    dataset = model.read(simulated[1], polygon=half)
    arrays = model.prepare(dataset, space=False)
    values = {name: np.full(20, value) for name, value in truth.items()}
    parent = classify(jax.random.key(0), values, arrays)[1][:, : dataset.sizes["event"]]
    inside = dataset["target"].to_numpy() == 1
    assert (parent[:, ~inside] == -1).all()
    assert np.isin(parent, np.append(np.flatnonzero(inside), -1)).all()
    assert (parent[:, inside] >= 0).any()
