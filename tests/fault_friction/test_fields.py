"""Friction fields: the mode from anywhere, its curvature, and what the fields tell."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.errors import BayesquakeError, DriverError
from bayesquake.model.priors import resolve_priors
from bayesquake.models.fault_friction.errors import CoarseCellsWarning, ResolutionError
from bayesquake.models.fault_friction.physics.frozen import grid_of
from bayesquake.models.fault_friction.search import climbed, search_of
from bayesquake.models.fault_friction.steps import followed
from bayesquake.targets.target import target_of_arrays

MODEL = bq.load_model("fault_friction")
DESIGN = {"cells": (6, 6), "cell_size": 20e3, "epochs": 20, "years": 8.0, "allow_unresolved": True}
COARSE = {"allow_unresolved": True}


@pytest.fixture(scope="module")
def twin():
    return MODEL.simulate(jax.random.key(4), DESIGN)


@pytest.fixture(scope="module")
def target(twin):
    return bq.target(MODEL, twin[1], **COARSE)


def test_the_mode_is_one_from_anywhere_in_the_prior(twin, target):
    arrays = jax.tree.map(jnp.asarray, MODEL.prepare(twin[1], **COARSE))
    base = target_of_arrays(dataclasses.replace(MODEL, coordinates=None), arrays)
    priors = {name: prior.distribution() for name, prior in resolve_priors(MODEL).items()}
    search = search_of(base, tuple(priors.items()))
    ends = [
        climbed(
            lambda x: base.log_density(x, arrays),
            lambda x: search.slopes(x, arrays),
            np.random.default_rng(seed).normal(size=base.dim),
        )
        for seed in range(3)
    ]
    values = [end.value for end in ends]
    np.testing.assert_allclose(values, values[0], atol=0.1)
    found = base.ravel(target.data.mode)
    np.testing.assert_allclose(ends[0].position, found, atol=0.05)


def test_held_steps_give_the_density_of_steps_chosen_anew(twin, target):
    free = dataclasses.replace(MODEL, coordinates=None)
    anew = target_of_arrays(free, MODEL.prepare(twin[1], **COARSE))
    apart = [
        target.log_density(position, target.data)
        - anew.log_density(anew.unconstrain(values, anew.data), anew.data)
        for position in np.random.default_rng(0).normal(size=(8, target.dim)) * 0.7
        for values in [target.constrain(position, target.data)]
    ]
    np.testing.assert_allclose(apart, target.data.root.log_determinant, atol=1e-4)
    mode = anew.ravel(target.data.mode)
    grid = grid_of(followed(anew, mode, anew.data), anew.data.times)
    own = target_of_arrays(free, anew.data._replace(grid=jax.tree.map(jnp.asarray, grid)))
    np.testing.assert_allclose(
        own.log_density(mode, own.data), anew.log_density(mode, anew.data), atol=1e-6
    )


def test_b_may_vanish_without_a_wall(target):
    """Far on the strengthening side B is a rounding error, and the density goes on."""
    values = target.constrain(np.zeros(target.dim), target.data)
    latents = {name: x for name, x in values.items() if name.endswith("white")}
    corner = {**latents, "b_minus_a_white": latents["b_minus_a_white"].at[0].add(-5)}
    position = target.unconstrain({**values, **corner}, target.data)
    fields = target.constrain(position, target.data)
    assert float(fields["b_minus_a_field"][0] / fields["a_field"][0]) == -1
    assert np.isfinite(target.log_density(position, target.data))


def test_fields_are_as_far_from_the_truth_as_they_say(twin):
    truth, dataset = twin
    result = bq.fit(
        MODEL, dataset, driver="laplace", hessian="low_rank", starts=1, seed=1, **COARSE
    )
    rows = {row.name: row for row in bq.check(result).rows}
    assert rows["gradient at the mode"].passed
    assert rows["curvature left out"].passed
    assert result["narrowing"]["sd_ratio"].to_numpy().max() < 1.1
    assert not result["quality"]["lost_motion"].any()
    arrays = MODEL.prepare(dataset, **COARSE)
    away = []
    for name, k in (("log_a", 0), ("b_minus_a", 1), ("log_characteristic_slip", 2)):
        field = arrays.fields.root @ truth[f"{name}_white"] * arrays.fields.spread[k]
        field += getattr(arrays.fields, f"expected_{name}")
        moments = result["moments"][f"{name.removeprefix('log_')}_field"]
        mean, sd = (moments.sel(moment=m).to_numpy() for m in ("mean", "sd"))
        if name.startswith("log"):
            mean, sd = np.log(mean), sd / mean
        away.append((field - mean) / sd)
        assert (sd < 1.05 * arrays.fields.spread[k]).all()
    inside = (np.abs(away) < 1.645).mean()
    assert 0.8 < inside < 0.98


def test_chains_and_the_gaussian_at_the_mean_agree():
    _, dataset = MODEL.simulate(jax.random.key(2), DESIGN | {"cells": (3, 2), "cell_size": 40e3})
    gaussian = bq.fit(MODEL, dataset, seed=1, fields="draws", **COARSE)
    rows = {row.name: row for row in bq.check(gaussian).rows}
    assert bq.check(gaussian).passed
    assert 0.1 < rows["shift of a mean"].value < 1
    chains = bq.fit(
        MODEL, dataset, driver="nuts", warmup=300, draws=500, seed=1, fields="draws", **COARSE
    )
    rows = {row.name: row for row in bq.check(chains).rows}
    assert rows["R-hat"].value < 1.03
    assert rows["divergences"].value < 0.005
    assert rows["error of held steps"].passed
    for name in ("a_field", "b_minus_a_field", "characteristic_slip_field"):
        one, other = (np.asarray(result["posterior"][name]) for result in (gaussian, chains))
        sd = other.std(axis=(0, 1))
        assert np.abs((one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))) / sd).max() < 0.35, name
        np.testing.assert_allclose(one.std(axis=(0, 1)), sd, rtol=0.2)


def test_a_fault_that_cannot_be_followed_is_told_with_time_and_cell(twin):
    _, dataset = twin
    brittle = dataset["expected_characteristic_slip"] * 1e-6
    with pytest.raises(BayesquakeError, match=r"epoch \d+, cell \d+.*yr"):
        bq.target(MODEL, dataset.assign(expected_characteristic_slip=brittle), **COARSE)


def test_fields_in_which_b_is_negative_are_refused_by_cell(twin):
    _, dataset = twin
    negative = dataset["expected_b_minus_a"].copy()
    negative[7] = -1.1e5
    with pytest.raises(BayesquakeError, match=r"cell 7: B = A"):
        bq.target(MODEL, dataset.assign(expected_b_minus_a=negative))
    with pytest.raises(BayesquakeError, match="36 cells needs expected_a"):
        bq.target(MODEL, dataset.drop_vars("expected_a"))


def test_cells_too_long_for_their_friction_are_refused_or_warned_of(twin):
    _, dataset = twin
    with pytest.raises(ResolutionError, match=r"20 km long, and L_b = .* 10 km"):
        MODEL.prepare(dataset)
    with pytest.warns(CoarseCellsWarning, match="30 km"):
        MODEL.prepare(dataset.assign(expected_characteristic_slip=dataset["x"] * 0 + 0.12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MODEL.prepare(dataset.assign(expected_characteristic_slip=dataset["x"] * 0 + 0.3))


def test_many_faults_at_once_are_refused():
    few = DESIGN | {"cells": (2, 1), "epochs": 4, "years": 1.0}
    with pytest.raises(DriverError, match="one data set at a time"):
        bq.calibrate(MODEL, 2, design=few, driver="laplace", **COARSE)
