"""Calibration runs are reproducible, resume, and accept a right posterior."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bayesquake as bq
from bayesquake.diagnostics.calibration import calibrate
from bayesquake.diagnostics.ranks import calibration_table, rank_ecdf, ranks_of
from bayesquake.experiments.benchmarks.eight_groups import EIGHT_GROUPS
from bayesquake.zoo import simulate_accepted

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
    model = bq.load_model("aftershock_rate")
    whole = calibrate(model, 12, **RUN, chunk=6)
    calibrate(model, 12, **RUN, chunk=6, directory=tmp_path)
    next(iter(sorted(tmp_path.iterdir()))).unlink()
    resumed = calibrate(model, 12, **RUN, chunk=6, directory=tmp_path)
    assert np.array_equal(whole["rank"], resumed["rank"])
    assert int(whole["divergences"].sum()) == 0

    table = calibration_table(whole)
    expected_errors = np.sqrt(0.25 / 12 / 3)
    assert np.abs(table["mean_rank"] - 0.5).max() < 5 * expected_errors
    errors = (whole["mean"] - whole["truth"]) / whole["sd"]
    assert np.abs(errors).max() < 6


def test_the_calibrated_quantities_of_truth_and_posterior_are_the_same_function():
    model = bq.load_model("aftershock_rate")
    parameters, dataset = model.simulate(jax.random.key(1), RUN["design"], priors=PRIORS)
    arrays = model.prepare(dataset, knots=33, basis_size=12)
    truth = model.calibrated(parameters, arrays)
    assert len(truth) == 14
    assert truth["mu_at_1d"] == jnp.interp(0.0, arrays.knots, parameters["mu"])


@pytest.mark.parametrize("driver", ["nuts", "chees", "mclmc"])
def test_ranks_of_a_hierarchical_model_are_uniform(driver):
    replicates = 200
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


def test_a_posterior_is_calibrated_at_real_data():
    model = bq.load_model("aftershock_rate")
    _, dataset, _ = simulate_accepted(model, jax.random.key(3), RUN["design"], priors=PRIORS)
    options = {name: RUN[name] for name in ("basis_size", "knots", "length")}
    result = bq.fit(model, dataset, priors=PRIORS, warmup=200, draws=200, seed=1, **options)
    calibration = calibrate(
        model, 6, posterior=result, priors=PRIORS, warmup=200, draws=200, chunk=6, **options
    )
    drawn = result["posterior"]["p"].to_numpy().ravel()
    assert np.isin(calibration["truth"].sel(quantity="p"), drawn).all()
    narrower = calibration["sd"].mean("replicate").sel(quantity="p") < drawn.std()
    assert narrower
    errors = (calibration["mean"] - calibration["truth"]) / calibration["sd"]
    assert np.abs(errors).max() < 6
