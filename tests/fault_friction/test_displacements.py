"""Friction fields from displacements of the ground."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.diagnostics.refit import refit
from bayesquake.errors import BayesquakeError
from bayesquake.inference.laplace import all_rows, few_pairs
from bayesquake.models.fault_friction.motion import path_of
from bayesquake.models.fault_friction.observation import expected_observations, residuals

MODEL = bq.load_model("fault_friction")
COARSE = {"allow_unresolved": True}
DESIGN = {
    "cells": (5, 5),
    "cell_size": 24e3,
    "epochs": 20,
    "years": 8.0,
    "stations": (3, 3),
    "slip_rates": False,
    **COARSE,
}


def mode_of(target):
    sites = target.data.mode
    return np.array(
        target.ravel({n: x if n == "displacement_error_scale" else 0 * x for n, x in sites.items()})
    )


def gauss_newton(target, position):
    """Return the precision by the Jacobian of the residuals, and of the prior."""

    def apart(position):
        values = target.constrain(position, target.data)
        white = [values[name] for name in values if name.endswith("_white")]
        of_data = residuals(values, target.data.arrays)
        return jnp.concatenate([of_data, *(x.ravel() for x in white)])

    jacobian = jax.jacfwd(apart)(jnp.asarray(position))
    return np.asarray(jacobian.T @ jacobian)


@pytest.fixture(scope="module")
def twin():
    return MODEL.simulate(jax.random.key(0), DESIGN, {"displacement_error_scale": 1.5})


@pytest.fixture(scope="module")
def target(twin):
    return bq.target(MODEL, twin[1], **COARSE)


@pytest.fixture(scope="module")
def result(twin):
    return bq.fit(
        MODEL, twin[1], driver="laplace", hessian="low_rank", starts=1, seed=1, draws=500, **COARSE
    )


def test_the_ground_moves_by_all_slip_since_the_start(twin):
    truth, dataset = twin
    data = jax.tree.map(jnp.asarray, MODEL.prepare(dataset, **COARSE))
    expected = expected_observations(truth, data)["displacement"]
    fine = jnp.linspace(0, data.times[-1], 4001)[1:]
    unknowns = jnp.stack(
        [truth[f"{name}_white"] for name in ("log_a", "b_minus_a", "log_characteristic_slip")]
    )
    path = path_of(unknowns, data._replace(times=fine))
    start = data.start_log_slip_rate[None]
    rates = np.exp(np.concatenate([start, path.motion.log_slip_rate])) - 1
    slip = np.trapezoid(rates * float(data.plate_rate), np.append(0, fine), axis=0)
    ground = dataset["displacement_of_slip"].to_numpy() @ slip
    offset = 0.01 * truth["displacement_offset_white"]
    np.testing.assert_allclose(expected[-1], ground + offset, atol=2e-6)


def test_few_eigenpairs_give_the_deviations_of_the_whole_hessian(target):
    mode = mode_of(target)
    deviations = [
        np.linalg.norm(curvature.inverse_root(np.eye(target.dim)), axis=0)
        for curvature in (few_pairs(target, mode, jax.random.key(1)), all_rows(target, mode, None))
    ]
    few, whole = deviations
    np.testing.assert_allclose(few, whole, rtol=0.02)
    root = target.data.root.root * np.sqrt(1 / (1 + target.data.root.curvature / 1.5**2))
    assert np.linalg.norm(root, axis=1).min() < 0.5


def test_the_coordinates_whiten_whatever_the_factor_of_errors(target):
    mode = mode_of(target)
    white = np.array(target.coordinates) != "displacement_error_scale"
    for factor in (0.7, 1.5):
        position = np.where(white, mode, np.log(factor))
        lowest, *_, highest = np.linalg.eigvalsh(gauss_newton(target, position)[white][:, white])
        assert lowest > 0.97
        assert highest < 1.03


def test_fields_offsets_and_errors_hold_the_truth(twin, result):
    truth, dataset = twin
    rows = {row.name: row for row in bq.check(result).rows}
    for name in ("gradient at the mode", "curvature left out", "error of held steps"):
        assert rows[name].passed, name
    posterior = result["posterior"]
    for name in ("displacement_offset_white", "log_a_white", "b_minus_a_white"):
        draws = posterior[name].stack(sample=("chain", "draw"))
        away = (truth[name] - draws.mean("sample")) / draws.std("sample")
        assert np.abs(away).max() < 4, name
        assert (np.abs(away) < 1.645).mean() > 0.75, name
    low, _, high = result["motion"]["displacement"].to_numpy()
    error = dataset["displacement_error"].to_numpy() * 1.5
    seen = dataset["displacement"].to_numpy()
    assert ((low - 2 * error < seen) & (seen < high + 2 * error)).mean() > 0.93


def test_the_factor_of_errors_is_that_of_what_is_left_to_fit(target, result):
    """Of all unknowns together its most probable value is too small by the numbers fitted."""
    together = np.exp(target.data.mode["displacement_error_scale"])
    seen = np.sum(target.data.arrays.observed["displacement"].seen)
    fitted = np.sum(target.data.root.curvature / (target.data.root.curvature + together**2))
    factor = result["posterior"]["displacement_error_scale"]
    freedom = 1 - fitted / seen
    assert 0.8 < freedom < 0.95
    np.testing.assert_allclose(together / np.sqrt(freedom), factor.mean(), rtol=0.01)
    np.testing.assert_allclose(factor.std(), factor.mean() / np.sqrt(2 * (seen - fitted)), rtol=0.1)
    assert abs(float(factor.mean()) - 1.5) < 2 * float(factor.std())
    assert float(factor.std()) < 0.06


def test_what_stations_tell_narrows_the_middle_most(result):
    ratio = result["narrowing"]["sd_ratio"].sel(field="B - A").to_numpy().reshape(5, 5)
    assert ratio[1:4, 1:4].mean() < 0.8 * ratio[:, [0, 4]].mean()


def test_the_result_is_reported_and_fitted_again_from_its_file(result, tmp_path):
    bq.write_netcdf(result, tmp_path / "result.nc")
    again = bq.open_result(tmp_path / "result.nc")
    bq.report(again, tmp_path / "report.html")
    assert "Motion" in (tmp_path / "report.html").read_text(encoding="utf-8")
    fitted = refit(again)["posterior"]["displacement_offset"]
    np.testing.assert_array_equal(fitted, result["posterior"]["displacement_offset"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop_vars("displacement"), "nothing was observed"),
        (lambda d: d.drop_vars("displacement_of_slip"), "needs displacement_of_slip"),
        (
            lambda d: d.assign(displacement_error=d["displacement_error"].where(d["epoch"] != 3)),
            "epoch 3, station 0, component 0: displacement has no displacement_error",
        ),
    ],
)
def test_displacements_that_cannot_be_used_are_refused(twin, change, message):
    with pytest.raises(BayesquakeError, match=message):
        MODEL.prepare(change(twin[1]), **COARSE)
