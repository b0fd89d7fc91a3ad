"""Marks tell classes of background events apart, and triggered from background events."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.errors import CatalogError
from bayesquake.models.event_classification.classification import class_probabilities
from bayesquake.models.event_classification.likelihood import log_likelihood
from bayesquake.models.event_classification.scoring import held_out_scores, window_after

LOW, HIGH, WIDTH, SCATTER = -2.0, 1.5, 0.4, 0.3


@pytest.fixture(scope="module")
def marked(model, truth):
    """A catalogue with a mark: of two kinds of background events, near the parent's otherwise."""
    dataset = model.simulate(jax.random.key(9), {"T": 700.0}, truth)[1]
    parent = dataset["parent"].to_numpy()
    rng = np.random.default_rng(2)
    is_low = rng.uniform(size=parent.size) < 0.4
    mark = np.where(is_low, LOW, HIGH) + WIDTH * rng.normal(size=parent.size)
    for i in np.flatnonzero(parent >= 0):
        mark[i] = mark[parent[i]] + SCATTER * rng.normal()
    marked = dataset.assign(frequency=("event", mark, {"units": "1"}))
    return marked.assign_attrs(marks="frequency"), is_low


def test_marks_of_the_mode_are_those_of_the_simulation_and_sharpen_the_classes(
    model, marked, truth
):
    dataset, is_low = marked
    n = dataset.sizes["event"]
    background = dataset["parent"].to_numpy() == -1
    target = bq.target(model, dataset, classes=2)
    found = target.constrain(jnp.zeros(target.dim), target.data)
    probability = jax.jit(class_probabilities)
    phi = np.asarray(probability(found, target.data))[:, :n]
    unmarked = np.asarray(probability(truth, model.prepare(dataset)))[:, :n]
    brier = [((given.sum(axis=0) - background) ** 2).mean() for given in (phi, unmarked)]
    assert brier[0] < 0.8 * brier[1]
    mark = dataset["frequency"].to_numpy()
    means = np.asarray(found["class_means"])[:, 0] * mark.std() + mark.mean()
    assert means == pytest.approx([LOW, HIGH], abs=0.15)
    assert float(found["mark_width"][0]) * mark.std() == pytest.approx(SCATTER, rel=0.15)
    share = is_low[background].mean()
    assert float(found["class_weight"][0]) == pytest.approx(share, abs=0.08)
    surely = background & (phi.sum(axis=0) > 0.9)
    assert ((phi[0] > phi[1])[surely] == is_low[surely]).mean() > 0.98


def test_a_mark_far_from_all_others_leaves_every_number_finite(model, marked, truth):
    dataset, _ = marked
    far = dataset["frequency"].to_numpy().copy()
    far[7] = 1e6
    dataset = dataset.assign(frequency=("event", far, {"units": "1"}))
    dataset = dataset.assign_attrs(mark_means=[0.0], mark_sds=[1.0])
    values = truth | {
        "class_means": jnp.array([[-2.0], [1.5]]),
        "class_widths": jnp.full((2, 1), 0.4),
        "class_weight": jnp.array([0.4, 0.6]),
        "mark_width": jnp.array([0.3]),
    }
    arrays = model.prepare(dataset, classes=2)
    loss = jax.jit(jax.value_and_grad(log_likelihood))
    found, slopes = loss(values, arrays)
    assert np.isfinite(found)
    assert all(np.isfinite(np.asarray(slope)).all() for slope in jax.tree.leaves(slopes))
    assert np.isfinite(np.asarray(jax.jit(class_probabilities)(values, arrays))).all()


def test_a_mark_that_is_the_same_for_all_is_refused(model, simulated):
    dataset = simulated[1].assign(depth=("event", np.full(simulated[1].sizes["event"], 10.0)))
    with pytest.raises(CatalogError, match="'depth' is the same for all"):
        model.prepare(dataset.assign_attrs(marks="depth"), classes=1)


def test_held_out_windows_are_scored_in_the_units_of_the_whole(model, marked, truth):
    dataset, _ = marked
    values = truth | {
        "class_means": jnp.array([[-1.0], [0.9]]),
        "class_widths": jnp.full((2, 1), 0.3),
        "class_weight": jnp.array([0.4, 0.6]),
        "mark_width": jnp.array([0.2]),
    }
    likelihood = jax.jit(log_likelihood)
    halves = [window_after(dataset, 0.0, 350.0), window_after(dataset, 350.0, 700.0)]
    parts = [model.prepare(half, classes=2) for half in halves]
    whole = float(likelihood(values, model.prepare(dataset, classes=2)))
    assert sum(float(likelihood(values, part)) for part in parts) == pytest.approx(whole, rel=1e-9)
    scores = held_out_scores({name: jnp.asarray(x)[None] for name, x in values.items()}, parts[1])
    assert float(scores["time"] + scores["space"]) == pytest.approx(float(scores["total"]))


def test_without_information_in_the_marks_the_classes_stay_as_they_were(model, simulated, truth):
    """Classes of one kind and offspring of the same marks leave every probability alone."""
    dataset = simulated[1].assign(
        depth=("event", np.random.default_rng(0).normal(size=simulated[1].sizes["event"]))
    )
    dataset["depth"].attrs["units"] = "km"
    with_marks = model.prepare(dataset.assign_attrs(marks="depth"), classes=1)
    without = model.prepare(dataset)
    wide = {
        "class_means": jnp.zeros((1, 1)),
        "class_widths": jnp.full((1, 1), 1e4),
        "class_weight": jnp.ones(1),
        "mark_width": jnp.full(1, 1e4),
    }
    probability = jax.jit(class_probabilities)
    assert np.allclose(
        probability(truth | wide, with_marks), probability(truth, without), atol=1e-6
    )
