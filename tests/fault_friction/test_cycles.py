"""Slip rates of several cycles, which fit at wrong phases too."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.model.priors import resolve_priors
from bayesquake.models.fault_friction.results.derived import motions
from bayesquake.models.fault_friction.search import search_of
from bayesquake.models.fault_friction.windows import within
from bayesquake.targets.target import target_of_arrays

MODEL = bq.load_model("fault_friction")
CYCLES = {"epochs": 120, "years": 20.0}
TRUTH = {
    "log_a": 11.5612,
    "b_minus_a": 34144.7,
    "log_characteristic_slip": -3.6212,
    "log_stiffness": 13.7175,
}


@pytest.fixture(scope="module")
def twin():
    return MODEL.simulate(jax.random.key(7), CYCLES, TRUTH)[1]


def test_a_growing_series_finds_the_mode_where_no_search_of_all_of_it_does(twin):
    target = bq.target(MODEL, twin)
    mode = target.constrain(target.initial(jax.random.key(0), target.data), target.data)
    log_density = target.log_likelihood(target.unconstrain(mode, target.data), target.data)
    truth = target.log_likelihood(target.unconstrain(TRUTH, target.data), target.data)
    assert log_density > truth - 6


def test_later_epochs_tell_nothing_within_a_window(twin):
    arrays = jax.tree.map(jnp.asarray, MODEL.prepare(twin))
    base = target_of_arrays(dataclasses.replace(MODEL, coordinates=None), arrays)
    priors = {name: prior.distribution() for name, prior in resolve_priors(MODEL).items()}
    search = search_of(base, tuple(priors.items()))
    position = jnp.array([0.3, 11.4, -3.3, 13.6])
    early = jax.tree.map(jnp.asarray, MODEL.prepare(twin.isel(epoch=slice(30))))
    for found, expected in zip(
        search.slopes(position, within(arrays, 30)), search.slopes(position, early), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert search.misfit(position, within(arrays, 30)) == pytest.approx(
        float(search.misfit(position, early)), rel=1e-4
    )


@pytest.mark.parametrize(("shift", "told"), [(0.0, 0.0), (0.2, 1.0)])
def test_motion_at_a_wrong_phase_leaves_observations_unexplained(twin, shift, told):
    drawn = {name: np.full(10, value) for name, value in TRUTH.items()}
    drawn["log_stiffness"] = drawn["log_stiffness"] + shift
    data = jax.tree.map(jnp.asarray, MODEL.prepare(twin))
    _, quality = motions(drawn, data)
    assert quality["unexplained"].mean() == pytest.approx(told, abs=0.3)
    limit = quality["unexplained"].attrs["largest_share"]
    assert (quality["unexplained"].mean() > limit) == (shift > 0)
