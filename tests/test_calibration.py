"""Calibration runs are reproducible, resume, and accept a right posterior."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bayesquake as bq
from bayesquake.diagnostics.calibration import calibrate, calibration_table

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
    import jax

    parameters, dataset = model.simulate(jax.random.key(1), RUN["design"], priors=PRIORS)
    arrays = model.prepare(dataset, knots=33, basis_size=12)
    truth = model.calibrated(parameters, arrays)
    assert len(truth) == 14
    assert truth["mu_at_1d"] == jnp.interp(0.0, arrays.knots, parameters["mu"])
