"""A parameter that is held at a value leaves the sampled space and stays in the result."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import bayesquake as bq
from bayesquake.cli import DEMO_DESIGN, DEMO_PARAMETERS
from bayesquake.diagnostics.refit import refit
from bayesquake.errors import PriorError
from bayesquake.experiments.benchmarks.eight_groups import EIGHT_GROUPS, SCHOOLS
from bayesquake.model.priors import Prior, fixed_sites, read_priors, resolve_priors
from bayesquake.model.simulation import simulate_accepted

FIXED = {"p": 1.08}


@pytest.fixture(scope="module")
def aftershocks():
    model = bq.load_model("aftershock_rate")
    _, dataset = model.simulate(jax.random.key(2), DEMO_DESIGN, DEMO_PARAMETERS)
    return model, dataset


@pytest.fixture(scope="module")
def result(aftershocks):
    model, dataset = aftershocks
    settings = {"basis_size": 12, "knots": 33, "chains": 4, "warmup": 300, "draws": 400}
    return bq.fit(model, dataset, priors=FIXED, seed=1, **settings)


def test_a_point_prior_is_a_number_a_distribution_a_prior_or_a_line_of_toml(tmp_path):
    model = bq.load_model("aftershock_rate")
    (tmp_path / "priors.toml").write_text("p = 1.08\n")
    for given in (
        FIXED,
        {"p": dist.Delta(1.08)},
        {"p": Prior("Delta", {"v": 1.08})},
        read_priors(tmp_path / "priors.toml"),
    ):
        resolved = resolve_priors(model, given)
        assert fixed_sites(resolved) == ("p",)
        assert resolved["p"].parameters == (("v", 1.08),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"p": float("nan")}, "'p'.*support"),
        ({"eta": -0.1}, "'eta' must be a distribution of positive values"),
        ({"p": [1.0, 1.1]}, "is of an array"),
        (dict.fromkeys(bq.load_model("aftershock_rate").priors, 1.0), "leave at least one free"),
        ({"ell": Prior("TruncatedNormal", {"loc": 1, "low": 5, "high": 1})}, "'ell'"),
        ({"ell": dist.Uniform(3.0, 2.0)}, "'ell'"),
    ],
)
def test_a_prior_without_a_possible_value_is_refused(given, message):
    with pytest.raises(PriorError, match=message):
        resolve_priors(bq.load_model("aftershock_rate"), given)


def test_the_target_is_the_plain_one_with_the_parameter_held(aftershocks):
    model, dataset = aftershocks
    options = {"basis_size": 8, "knots": 33}
    held = bq.target(model, dataset, priors=FIXED, **options)
    free = bq.target(model, dataset, **options)
    assert held.dim == free.dim - 1
    assert not any(name.startswith("p") for name in held.coordinates)
    for seed in (1, 2):
        values = held.constrain(held.initial(jax.random.key(seed), held.data), held.data)
        assert values["p"] == FIXED["p"]
        position = held.unconstrain(values, held.data)
        elsewhere = free.unconstrain(values, free.data)
        assert np.isclose(
            held.log_likelihood(position, held.data), free.log_likelihood(elsewhere, free.data)
        )


def test_the_fixed_parameter_stays_in_the_result_and_fails_nothing(result, tmp_path):
    assert np.unique(result["posterior"]["p"]).tolist() == [1.08]
    assert result["posterior"]["p"].attrs["fixed"] == 1
    assert "p" not in result["log_prior"]
    rows = {row.name: row for row in bq.check(result).rows}
    assert rows["still quantities"].value == 0
    assert rows["R-hat"].passed
    assert rows["bulk ESS"].passed
    assert rows["divergences"].passed
    bq.report(result, tmp_path / "report.html")
    bq.write_netcdf(result, tmp_path / "result.nc")
    again = refit(bq.open_result(tmp_path / "result.nc"))
    assert np.array_equal(again["posterior"]["beta"], result["posterior"]["beta"])


def test_calibration_ranks_what_is_free():
    ranks = bq.calibrate(EIGHT_GROUPS, 6, priors={"tau": 5.0}, seed=1, warmup=100, draws=200)
    assert ranks["ranks"]["quantity"].to_numpy().tolist() == ["mu", "theta_0"]


@pytest.mark.parametrize(
    ("name", "trial", "fixed"),
    [
        ("event_classification", 0, {"log_p_minus_1": -1.6}),
        ("aftershock_rate", 0, {"mu_slope": -0.6, "eta": 0.3}),
        ("source_spectra", 0, {"dln_fc": 0.6}),
        ("source_spectra", 1, {"dln_fc": 0.6}),
    ],
)
def test_every_model_is_sampled_with_a_parameter_held(name, trial, fixed):
    model = bq.load_model(name)
    problem = model.trials[trial]
    _, dataset, _ = simulate_accepted(model, jax.random.key(1), problem.design, priors=fixed)
    target = bq.target(model, dataset, priors=fixed, **problem.options)
    free = bq.target(model, dataset, **problem.options)
    assert target.dim < free.dim
    position = target.initial(jax.random.key(3), target.data)
    values = target.constrain(position, target.data)
    assert np.isfinite(target.log_density(position, target.data))
    assert np.isfinite(target.gradient(position, target.data)).all()
    assert np.allclose(target.unconstrain(values, target.data), position, atol=1e-7)


def test_one_group_of_independent_effects_is_known_exactly():
    """With the common mean and spread held, effects are independent normals."""
    tau, mu = 4.0, 3.0
    held = {"tau": tau, "mu": mu}
    with pytest.raises(PriorError, match="leave at least one free"):
        resolve_priors(EIGHT_GROUPS, held)
    result = bq.fit(EIGHT_GROUPS, SCHOOLS, priors={"tau": tau}, draws=2000, seed=3)
    y, error = SCHOOLS["y"].to_numpy(), SCHOOLS["error"].to_numpy()
    precision = 1 / (tau**2 + error**2)
    variance = 1 / (1 / 25 + precision.sum())
    mean = variance * (precision * y).sum()
    draws = result["posterior"]["mu"].to_numpy()
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / 2000)
    assert abs(draws.std() / np.sqrt(variance) - 1) < 0.06
