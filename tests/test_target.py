"""Targets are reached by name, split into prior and likelihood, and take other priors."""

import dataclasses

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import bayesquake as bq
from bayesquake.errors import ModelNotFoundError, PriorError
from bayesquake.model.priors import Prior, read_priors, resolve_priors
from bayesquake.model.simulation import simulate_accepted
from bayesquake.targets.target import target_of_arrays


@pytest.fixture(scope="module", params=bq.list_models())
def whitened_and_plain(request):
    """The target of a small problem, and in the model's own unconstrained coordinates."""
    model = bq.load_model(request.param)
    problem = model.trials[0]
    _, dataset, _ = simulate_accepted(model, jax.random.key(1), problem.design)
    arrays = model.prepare(dataset, **problem.options)
    plain = dataclasses.replace(model, coordinates=None)
    return target_of_arrays(model, arrays), target_of_arrays(plain, arrays)


def test_prior_and_likelihood_add_up_to_the_log_density(whitened_and_plain):
    for target in whitened_and_plain:
        for seed in range(3):
            position = target.initial(jax.random.key(seed), target.data)
            prior = target.log_prior(position, target.data)
            likelihood = target.log_likelihood(position, target.data)
            expected = target.log_density(position, target.data)
            assert np.isclose(prior + likelihood, expected, rtol=1e-9)


def test_the_likelihood_is_the_same_in_other_coordinates_and_that_of_the_folds(whitened_and_plain):
    target, plain = whitened_and_plain
    position = target.initial(jax.random.key(7), target.data)
    likelihood = target.log_likelihood(position, target.data)
    values = target.constrain(position, target.data)
    elsewhere = plain.log_likelihood(plain.unconstrain(values, plain.data), plain.data)
    assert np.isclose(likelihood, elsewhere, rtol=1e-9)
    if target.fold_terms is not None:
        assert np.isclose(target.fold_terms(position, target.data).sum(), likelihood, rtol=1e-9)


def test_prior_positions_are_prior_draws(whitened_and_plain):
    for target in whitened_and_plain:
        key = jax.random.key(8)
        values = target.constrain(target.prior_position(key, target.data), target.data)
        for name, drawn in target.prior_draw(key, target.data).items():
            assert np.allclose(values[name], drawn, rtol=1e-8, atol=1e-8), name


def test_an_unknown_model_is_an_error_that_lists_the_known():
    with pytest.raises(ModelNotFoundError, match="aftershock_rate"):
        bq.load_model("nonsense")


def test_priors_are_overridden_by_distribution_prior_and_file(tmp_path):
    model = bq.load_model("aftershock_rate")
    file = tmp_path / "priors.toml"
    file.write_text('[p]\ndistribution = "Normal"\nloc = 1.12\nscale = 0.11\n')
    expected = {"loc": 1.12, "scale": 0.11}
    given = [
        {"p": dist.Normal(1.12, 0.11)},
        {"p": Prior("Normal", tuple(expected.items()))},
        read_priors(file),
    ]
    for overrides in given:
        resolved = resolve_priors(model, overrides)
        assert dict(resolved["p"].parameters) == pytest.approx(expected)
        assert resolved["log_c"] == model.priors["log_c"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"q": dist.Normal(0, 1)}, "no prior named q"),
        ({"p": Prior("Gaussian", ())}, "unknown to NumPyro"),
        ({"p": Prior("Normal", (("loc", 0.0), ("scale", -1.0)))}, "invalid"),
        ({"log_K": Prior("HalfNormal", (("scale", 1.0),))}, "whole real line"),
        ({"p": "3.0"}, "give a number to fix it"),
    ],
)
def test_a_prior_that_cannot_be_used_is_an_error(overrides, message):
    with pytest.raises(PriorError, match=message):
        resolve_priors(bq.load_model("aftershock_rate"), overrides)


def test_a_prior_bounded_below_keeps_to_the_bound_of_the_default():
    model = bq.load_model("event_classification")
    tighter = Prior("TruncatedNormal", (("loc", -4.0), ("low", -11.0), ("scale", 2.0)))
    assert resolve_priors(model, {"log_c": tighter})["log_c"].parameters == tighter.parameters
    unbounded = Prior("Normal", (("loc", -11.0), ("scale", 3.0)))
    with pytest.raises(PriorError, match=r"values above -11\.5129"):
        resolve_priors(model, {"log_c": unbounded})
