"""Calibration runs are reproducible, resume, and accept a right posterior."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bayesquake as bq
from bayesquake.diagnostics import calibration as calibrations
from bayesquake.diagnostics.ranks import RANK_DRAWS, calibration_table, rank_ecdf, ranks_of
from bayesquake.diagnostics.simulations import from_posterior
from bayesquake.errors import ResultError, SimulationError
from bayesquake.experiments.benchmarks.eight_groups import EIGHT_GROUPS, SCHOOLS
from bayesquake.model.registry import folder_of, model_names
from bayesquake.results.netcdf import open_result, write_netcdf

STORED = [name for name in model_names() if (folder_of(name) / "calibration.nc").is_file()]


def calibrate(*arguments, **options):
    """Return the ranks of a calibration."""
    return calibrations.calibrate(*arguments, **options)["ranks"].to_dataset()


PRIORS = {
    "log_K": dist.Normal(-5.0, 0.3),
    "log_c": dist.Normal(-4.0, 0.5),
    "mu_1d": dist.Normal(2.0, 0.2),
    "mu_slope": dist.Normal(-0.7, 0.1),
    "log_sigma": dist.Normal(-1.4, 0.2),
    "eta": dist.HalfNormal(0.2),
}
RUN = {
    "seed": 1,
    "priors": PRIORS,
    "design": {"minimum_events": 20, "maximum_events": 128, "knots": 33},
    "warmup": 100,
    "draws": 200,
    "basis_size": 12,
    "knots": 33,
    "length": 128,
}


def test_a_run_that_was_stopped_resumes_to_the_same_ranks(tmp_path):
    settings = {"seed": 1, "chunk": 6, "warmup": 100, "draws": 200}
    whole = calibrate(EIGHT_GROUPS, 12, **settings)
    calibrate(EIGHT_GROUPS, 12, **settings, directory=tmp_path)
    next(iter(sorted(tmp_path.iterdir()))).unlink()
    resumed = calibrate(EIGHT_GROUPS, 12, **settings, directory=tmp_path)
    assert np.array_equal(whole["rank"], resumed["rank"])


def test_posteriors_of_simulated_catalogues_hold_the_truth():
    model = bq.load_model("aftershock_rate")
    calibration = calibrate(model, 6, **RUN, chunk=6)
    assert int(calibration["divergences"].sum()) == 0
    errors = (calibration["mean"] - calibration["truth"]) / calibration["sd"]
    assert np.abs(errors).max() < 6
    assert np.sqrt((errors**2).mean()) < 2


def test_the_calibrated_quantities_of_truth_and_posterior_are_the_same_function():
    model = bq.load_model("aftershock_rate")
    parameters, dataset = model.simulate(jax.random.key(1), RUN["design"], priors=PRIORS)
    arrays = model.prepare(dataset, knots=33, basis_size=12)
    truth = model.calibrated(parameters, arrays)
    assert len(truth) == 14
    assert truth["mu_at_1d"] == jnp.interp(0.0, arrays.knots, parameters["mu"])


@pytest.mark.parametrize("driver", ["nuts", "chees", "mclmc"])
def test_ranks_of_a_hierarchical_model_are_uniform(driver):
    replicates = 100
    calibration = calibrate(EIGHT_GROUPS, replicates, driver=driver, seed=4, chunk=100)
    table = calibration_table(calibration)
    assert np.abs(table["mean_rank"] - 0.5).max() < 4 / np.sqrt(12 * replicates)
    assert table["chi2_p"].min() > 1e-3
    assert table["binomial_p"].min() > 1e-3


def test_ranks_of_the_prior_itself_are_uniform_and_those_of_a_narrow_fit_are_not():
    repeats, inside = 10, np.zeros(2)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        truth, draws = rng.normal(size=(200, 2)), rng.normal(size=(200, 99, 2))
        draws[:, :, 1] *= 0.6
        ranks = ranks_of(draws, truth)
        for quantity in range(2):
            _, ecdf, lower, upper = rank_ecdf(ranks[:, quantity])
            inside[quantity] += ((ecdf >= lower) & (ecdf <= upper)).all()
    assert inside[0] >= 0.7 * repeats
    assert inside[1] == 0


def refusing(key, values, dataset):
    """Refuse about half of the replicates, those of a large first effect."""
    replica = EIGHT_GROUPS.replicate(key, values, dataset)
    if replica["y"][0] > 12.0:
        raise SimulationError("the first effect is too large")
    return replica


@pytest.mark.parametrize("replicate", [EIGHT_GROUPS.replicate, refusing], ids=["all", "half"])
def test_a_posterior_is_calibrated_at_its_own_data(replicate):
    model = dataclasses.replace(EIGHT_GROUPS, replicator=replicate)
    result = bq.fit(model, SCHOOLS, warmup=300, draws=1000, seed=1)
    replicates = 200
    calibration = calibrate(model, replicates, posterior=result, chunk=100, warmup=300)
    drawn = result["posterior"]["mu"].to_numpy().ravel()
    assert np.isin(calibration["truth"].sel(quantity="mu"), drawn).all()
    assert bool(calibration["refused"].any()) == (replicate is refusing)
    table = calibration_table(calibration)
    assert np.abs(table["mean_rank"] - 0.5).max() < 4 / np.sqrt(12 * replicates)
    assert table["chi2_p"].min() > 1e-3


def test_replicate_and_data_enter_the_posterior_together():
    result = bq.fit(EIGHT_GROUPS, SCHOOLS, warmup=100, draws=100, seed=1)
    simulations = from_posterior(EIGHT_GROUPS, result, jax.random.split(jax.random.key(2), 1))
    arrays = jax.tree.map(lambda leaf: leaf[0], simulations.take([0]))
    real, replica = arrays
    together = simulations.target(arrays)
    alone = bq.target(EIGHT_GROUPS, SCHOOLS)
    position = alone.initial(jax.random.key(3), alone.data)
    expected = alone.log_density(position, real) + alone.log_likelihood(position, replica)
    assert np.isclose(together.log_density(position, arrays), expected, rtol=1e-12)
    assert not np.allclose(real["y"], replica["y"])


def test_ranks_use_draws_of_every_chain_alike():
    draws = np.repeat([[0.0] * 98 + [1.0] * 98], 1, axis=0)
    assert abs(int(ranks_of(draws, np.array([0.5]))[0]) - RANK_DRAWS / 2) <= 1


def test_chunks_of_another_posterior_are_not_taken_over(tmp_path):
    narrow = {"mu": dist.Normal(0.0, 0.1)}
    runs = []
    for priors in (None, narrow):
        result = bq.fit(EIGHT_GROUPS, SCHOOLS, warmup=100, draws=100, seed=1, priors=priors)
        runs.append(calibrate(EIGHT_GROUPS, 2, posterior=result, chunk=2, directory=tmp_path))
    assert abs(float(runs[1]["truth"].sel(quantity="mu").max())) < 0.5
    assert not np.array_equal(runs[0]["truth"], runs[1]["truth"])


def test_a_condensed_calibration_has_the_same_table_and_checks(tmp_path):
    whole = calibrations.calibrate(EIGHT_GROUPS, 12, seed=1, warmup=100, draws=200)
    small = calibrations.condensed(whole)
    tables = [calibration_table(each["ranks"].to_dataset()) for each in (whole, small)]
    assert tables[0].equals(tables[1])
    assert tables[0].attrs == pytest.approx(tables[1].attrs)
    assert [row.value for row in bq.check(small).rows] == [
        row.value for row in bq.check(whole).rows
    ]
    write_netcdf(small, tmp_path / "small.nc")
    assert open_result(tmp_path / "small.nc")["ranks"]["rank"].equals(small["ranks"]["rank"])


@pytest.mark.parametrize("name", STORED)
def test_a_stored_calibration_is_small_complete_and_in_order(name):
    stored = calibrations.open_calibration(bq.load_model(name))
    assert (folder_of(name) / "calibration.nc").stat().st_size < 50_000
    assert stored["ranks"].sizes["replicate"] >= 200
    table = calibration_table(stored["ranks"].to_dataset())
    assert (table["chi2_p"] > 0.01 / len(table)).all()
    assert table["coverage"].between(0.84, 0.96).all()
    assert 0.87 < table["coverage"].mean() < 0.93


def test_a_model_without_a_calibration_is_an_error_that_names_the_file():
    with pytest.raises(ResultError, match=r"calibration\.nc"):
        calibrations.open_calibration(bq.load_model("aftershock_rate"))
