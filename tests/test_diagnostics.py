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
from bayesquake.results.checks import Check, as_group, failing, rows_of, worst
from bayesquake.results.evidence import (
    LARGEST_CHECKED,
    chain_checks,
    field_error,
    field_rhat,
    largest_error,
    pareto_k,
    weighted_change_check,
)

CHAINS, DRAWS = 4, 1000


def result_of(draws, energy=None, diverging=None, missing=0, **further):
    rng = np.random.default_rng(0)
    lead = draws.shape
    energy = rng.normal(size=lead) if energy is None else energy
    diverging = np.zeros(lead, bool) if diverging is None else diverging
    posterior = xr.Dataset({"x": (("chain", "draw"), draws, {"units": "km"})}).assign(further)
    statistics = {"energy": energy, "diverging": diverging}
    return xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "checks": as_group(chain_checks(posterior, statistics, missing)),
        }
    )


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
    assert failed(result_of(independent_draws(), missing=7)) == {"missing draws"}


def test_monte_carlo_error_of_independent_draws_is_sd_over_root_n():
    row = summary_table(result_of(independent_draws())).loc["x"]
    assert row["mcse_mean"] == pytest.approx(row["sd"] / np.sqrt(CHAINS * DRAWS), rel=0.1)
    assert row["unit"] == "km"


def test_a_result_without_evidence_is_an_error():
    with pytest.raises(ResultError, match="checks"):
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
    latents = (("chain", "draw"), draws, {"units": "1", "role": "latent"})
    checks = check(result_of(independent_draws(), z=latents))
    shown = {row.name: row for row in checks.rows}["R-hat of latents"]
    assert checks.passed
    assert shown.value > 1.01
    assert shown.passed is None


def test_a_quantity_that_never_moves_fails_unless_the_model_declares_it_fixed():
    lead = (("chain", "draw"), np.full((CHAINS, DRAWS), 3.0))
    assert failed(result_of(independent_draws(), depth=lead)) == {"still quantities"}
    assert failed(result_of(independent_draws(), depth=(*lead, {"fixed": 1}))) == set()


def field(displaced, seed=8):
    """Return draws of a field of which a few places in one chain are displaced by 1 sd."""
    draws = np.random.default_rng(seed).normal(size=(CHAINS, DRAWS, LARGEST_CHECKED + 1))
    draws[0, :, :displaced] += 1.0
    return ("chain", "draw", "place"), draws


def test_a_field_of_any_size_is_checked_at_every_place():
    assert failed(result_of(independent_draws(), slowness=field(0))) == set()
    assert failed(result_of(independent_draws(), slowness=field(1))) == {
        "Monte-Carlo error of fields"
    }


def test_the_error_of_a_field_is_that_of_independent_draws():
    draws = np.random.default_rng(9).normal(size=(CHAINS, 4000, 200))
    of_mean = 1 / np.sqrt(CHAINS * 4000)
    assert of_mean < field_error(draws) < 1.7 * of_mean
    assert field_error(draws) < largest_error(CHAINS)


def test_the_error_of_a_field_is_in_effective_draws_whatever_the_tails():
    normal = np.random.default_rng(11).normal(size=(CHAINS, DRAWS, 500))
    far = np.exp(20 * normal) * 1e-200
    assert field_error(far) < 2 / np.sqrt(CHAINS * DRAWS)


@pytest.mark.parametrize("length", [100, 1000, 100_000])
def test_chains_that_disagree_miss_the_limit_of_a_field_however_long_they_are(length):
    draws = np.random.default_rng(10).normal(size=(CHAINS, length, 1))
    draws += 3.0 * np.arange(CHAINS)[:, None, None]
    assert field_error(draws) > largest_error(CHAINS)


def test_chains_that_disagree_a_little_everywhere_are_seen_in_a_field():
    draws = np.random.default_rng(12).normal(size=(CHAINS, 10_000, 50))
    assert field_rhat(draws) < 1.001
    draws += 0.3 * np.array([-1.5, -0.5, 0.5, 1.5])[:, None, None]
    assert field_rhat(draws) > 1.01


def test_weights_tell_of_an_approximation_that_is_too_wide_or_too_narrow():
    rng = np.random.default_rng(13)
    z = rng.normal(size=(CHAINS, DRAWS))
    for sd, fails in ((1.0, False), (0.95, False), (1.5, True), (0.8, True)):
        log_weight = -0.5 * (sd * z) ** 2 + 0.5 * z**2
        assert failing(weighted_change_check(sd * z[..., None], log_weight)) == fails
    assert pareto_k(np.zeros(10)) == np.inf


def test_rows_of_one_name_are_both_kept():
    rows = rows_of(as_group([R_HAT, R_HAT._replace(value=[1.0, 1.0, 1.0], kind="data")]))
    assert [row.kind for row in rows] == ["adequacy", "data"]


def of_problems(*rows):
    tree = xr.DataTree.from_dict({"checks": as_group(rows)})
    tree["checks"] = tree["checks"].to_dataset().assign_coords(problem=["a", "b", "c"])
    return tree


R_HAT = Check("R-hat", [1.0, np.nan, 1.3], 1.01, "below", "adequacy", "problem", "largest R-hat")
CHANGE = Check("change", [np.nan, 0.02, np.nan], 0.1, "below", "adequacy", "problem", "on half")


def test_one_bad_problem_among_many_fails_and_is_named():
    report = check(of_problems(R_HAT, CHANGE))
    row, other = report.rows
    assert not report.passed
    assert row.value == 1.3
    assert "c (1 in all)" in row.meaning
    assert other.passed


def test_a_problem_of_which_no_row_speaks_fails():
    report = check(of_problems(R_HAT._replace(value=[1.0, np.nan, 1.0])))
    assert [row.name for row in report.rows if row.passed is False] == ["unexamined problems"]
    assert "b" in report.rows[-1].meaning


def test_a_result_without_a_row_of_adequacy_fails():
    information = Check("acceptance rate", 0.8)
    precise = Check("bulk ESS", 4000.0, 400.0, "above", "precision")
    tree = xr.DataTree.from_dict({"checks": as_group([information, precise])})
    assert {row.name for row in check(tree).rows if row.passed is False} == {"unexamined"}


def test_a_number_that_is_none_fails():
    assert failing(Check("E-BFMI", np.nan, 0.3, "above", "adequacy"))


def test_rows_return_from_their_group():
    stored = rows_of(as_group([R_HAT, CHANGE]))
    for row, again in zip((R_HAT, CHANGE), stored, strict=True):
        assert np.array_equal(row.value, again.value, equal_nan=True)
        assert row._replace(value=0) == again._replace(value=0)
    assert worst(R_HAT) == 1.3
