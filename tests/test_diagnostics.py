"""Diagnostics tell good draws from bad ones, and cross-validation finds exact answers."""

import numpy as np
import pytest
import xarray as xr

from bayesquake.diagnostics.convergence import check, summary_table
from bayesquake.diagnostics.predictive import (
    leave_one_out,
    posterior_predictive_pvalues,
)
from bayesquake.diagnostics.ranks import RANK_DRAWS, calibration_table
from bayesquake.errors import ResultError
from bayesquake.inference.laplace import pareto_k

CHAINS, DRAWS = 4, 1000


def result_of(draws, energy=None, diverging=None, interrupted=0):
    rng = np.random.default_rng(0)
    lead = draws.shape
    energy = rng.normal(size=lead) if energy is None else energy
    diverging = np.zeros(lead, bool) if diverging is None else diverging
    dims = ("chain", "draw")
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"x": (dims, draws, {"units": "km"})}),
            "sample_stats": xr.Dataset({"energy": (dims, energy), "diverging": (dims, diverging)}),
        }
    )
    tree.attrs["interrupted"] = interrupted
    return tree


def independent_draws(seed=1):
    return np.random.default_rng(seed).normal(size=(CHAINS, DRAWS))


def failed(result):
    return {row.name for row in check(result).rows if row.passed is False}


def test_independent_draws_pass_every_check():
    assert check(result_of(independent_draws())).passed


def test_a_displaced_chain_fails_on_r_hat():
    draws = independent_draws()
    draws[0] += 1.0
    assert "R-hat" in failed(result_of(draws))


def test_strong_autocorrelation_fails_on_ess():
    noise = independent_draws()
    draws = np.zeros_like(noise)
    for i in range(1, DRAWS):
        draws[:, i] = 0.99 * draws[:, i - 1] + noise[:, i]
    assert "bulk ESS" in failed(result_of(draws))


def test_divergences_a_stuck_energy_and_an_interruption_each_fail():
    diverging = np.zeros((CHAINS, DRAWS), bool)
    diverging[0, :5] = True
    energy = np.cumsum(independent_draws(), axis=1)
    assert failed(result_of(independent_draws(), diverging=diverging)) == {"divergences"}
    assert failed(result_of(independent_draws(), energy=energy)) == {"E-BFMI"}
    assert failed(result_of(independent_draws(), interrupted=1)) == {"finished"}


def test_monte_carlo_error_of_independent_draws_is_sd_over_root_n():
    row = summary_table(result_of(independent_draws())).loc["x"]
    assert row["mcse_mean"] == pytest.approx(row["sd"] / np.sqrt(CHAINS * DRAWS), rel=0.1)
    assert row["unit"] == "km"


def test_a_result_without_posterior_is_an_error():
    with pytest.raises(ResultError, match="posterior"):
        check(xr.DataTree())


def test_pareto_k_is_the_index_of_the_right_tail_of_the_weights():
    rng = np.random.default_rng(2)
    heavy_right = rng.exponential(0.9, size=400_000)
    assert pareto_k(heavy_right) == pytest.approx(0.9, abs=0.15)
    assert pareto_k(-heavy_right) < 0.3


def test_leave_one_out_of_a_conjugate_normal_is_exact():
    """With y ~ N(θ, 1) and θ ~ N(0, 10²), leaving y_i out gives a closed-form density."""
    rng = np.random.default_rng(3)
    y = rng.normal(1.0, 1.0, 30)
    precision = y.size + 0.01
    theta = rng.normal(y.sum() / precision, precision**-0.5, (CHAINS, 2500))
    log_density = -0.5 * (y - theta[..., None]) ** 2 - 0.5 * np.log(2 * np.pi)
    tree = xr.DataTree.from_dict(
        {"log_likelihood": xr.Dataset({"term": (("chain", "draw", "fold"), log_density)})}
    )
    without = precision - 1.0
    mean, variance = (y.sum() - y) / without, 1.0 + 1.0 / without
    exact = -0.5 * (y - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)
    estimate = leave_one_out(tree)
    assert np.allclose(estimate["elpd"], exact, atol=0.02)
    assert (estimate["pareto_k"] < 0.7).all()


def test_predictive_p_value_of_a_typical_observation_is_central():
    rng = np.random.default_rng(5)
    tree = xr.DataTree.from_dict(
        {
            "posterior_predictive": xr.Dataset(
                {"n": (("chain", "draw"), rng.poisson(20, (2, 5000)))}
            ),
            "observed_data": xr.Dataset({"n": ((), 20)}),
        }
    )
    assert float(posterior_predictive_pvalues(tree)["n"]) == pytest.approx(0.5, abs=0.03)


def calibration_of(ranks):
    return xr.Dataset(
        {"rank": (("replicate", "quantity"), ranks)},
        coords={"quantity": [f"q{i}" for i in range(ranks.shape[1])]},
        attrs={"rank_draws": RANK_DRAWS, "interval": 0.9},
    )


def test_uniform_ranks_are_calibrated_and_central_ranks_are_not():
    rng = np.random.default_rng(6)
    uniform = calibration_table(calibration_of(rng.integers(0, RANK_DRAWS + 1, (500, 4))))
    assert (uniform["chi2_p"] > 0.001).all()
    assert uniform["coverage"].between(0.85, 0.95).all()
    narrow = calibration_table(calibration_of(rng.integers(30, 70, (500, 1))))
    assert narrow["chi2_p"].iloc[0] < 1e-6
    assert narrow["coverage"].iloc[0] == 1.0


def test_latents_are_shown_and_do_not_decide():
    draws = independent_draws()
    draws[0] += 1.0
    result = result_of(independent_draws())
    latents = xr.Dataset({"z": (("chain", "draw"), draws, {"units": "1", "auxiliary": 1})})
    result["posterior"] = result["posterior"].to_dataset().merge(latents)
    checks = check(result)
    shown = {row.name: row for row in checks.rows}["R-hat of latents"]
    assert checks.passed
    assert shown.value > 1.01
    assert shown.passed is None
