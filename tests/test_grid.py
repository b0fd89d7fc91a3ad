"""A posterior by evidence on a grid is exact, and says when it is not."""

import jax
import numpy as np
import pytest
from scipy import stats

import bayesquake as bq
from bayesquake.diagnostics.refit import refit
from bayesquake.errors import DriverError
from bayesquake.inference.grid import grid

MODEL = bq.load_model("benchmark_motion")


@pytest.fixture(scope="module")
def dataset():
    return MODEL.simulate(jax.random.key(3), parameters={"white": 1.0, "step": 0.5})[1]


@pytest.fixture(scope="module")
def result(dataset):
    return bq.fit(MODEL, dataset, seed=1)


@pytest.fixture(scope="module")
def quadrature(dataset):
    """The axes of both scales, and the posterior mass of each pair times the evidence.

    Written apart from the model, in other coordinates: evenly spaced in the scales themselves.
    """
    y = dataset["position"].to_numpy()
    place = np.arange(1, y.size + 1)
    walk = np.minimum(place[:, None], place)
    white, step = np.linspace(0.2, 2.5, 90), np.linspace(0.02, 2.0, 90)
    mass = np.empty((white.size, step.size))
    for i, j in np.ndindex(mass.shape):
        covariance = step[j] ** 2 * walk + white[i] ** 2 * np.eye(y.size)
        mass[i, j] = stats.multivariate_normal(np.zeros(y.size), covariance).pdf(y)
    mass *= stats.lognorm(1).pdf(white)[:, None] * stats.lognorm(1, scale=np.exp(-1)).pdf(step)
    return white, step, mass * (white[1] - white[0]) * (step[1] - step[0])


def test_weights_of_the_gaussian_at_the_mode_give_the_evidence_too(dataset, quadrature):
    *_, mass = quadrature
    gaussian = bq.fit(MODEL, dataset, driver="laplace", draws=2000, seed=3)
    error = gaussian.attrs["log_evidence_sd"]
    assert error < 0.05
    assert abs(gaussian.attrs["log_evidence"] - np.log(mass.sum())) < 4 * error


def test_moments_and_evidence_are_those_of_quadrature(quadrature, result):
    assert bq.check(result).passed
    white, step, mass = quadrature
    assert result.attrs["log_evidence"] == pytest.approx(np.log(mass.sum()), abs=0.01)
    share = mass / mass.sum()
    for name, axis, marginal in (("white", white, share.sum(1)), ("step", step, share.sum(0))):
        mean = marginal @ axis
        sd = np.sqrt(marginal @ (axis - mean) ** 2)
        draws = result["posterior"][name].to_numpy()
        assert abs(draws.mean() - mean) < 5 * sd / np.sqrt(draws.size)
        assert abs(draws.std() / sd - 1) < 0.06


def test_chains_agree(dataset, result):
    chains = bq.fit(MODEL, dataset, driver="nuts", seed=2)
    for name in ("white", "step"):
        one, other = (r["posterior"][name].to_numpy().ravel() for r in (chains, result))
        assert stats.ks_2samp(one[::10], other[::10]).pvalue > 1e-3


def test_what_was_integrated_out_is_drawn_after(dataset, result):
    walk = result["walk"]["walk"]
    assert walk.dims == ("chain", "draw", "epoch")
    residual = (dataset["position"] - walk).std("epoch")
    assert abs(float(residual.mean()) / float(result["posterior"]["white"].mean()) - 1) < 0.2


def test_a_grid_result_is_reported_saved_and_made_again(result, tmp_path):
    bq.report(result, tmp_path / "report.html")
    bq.write_netcdf(result, tmp_path / "result.nc")
    again = refit(bq.open_result(tmp_path / "result.nc"))
    assert np.array_equal(again["posterior"]["step"], result["posterior"]["step"])


def test_a_grid_that_is_too_coarse_or_too_narrow_fails(dataset):
    coarse = bq.fit(MODEL, dataset, nodes=5, seed=1)
    narrow = bq.fit(MODEL, dataset, reach=2.0, seed=1)
    failed = [
        {row.name for row in bq.check(r).rows if row.passed is False} for r in (coarse, narrow)
    ]
    assert failed == [{"change on half the nodes"}, {"mass at the edge"}]


def test_too_many_unknowns_are_refused():
    model = bq.load_model("straight_rays")
    _, dataset = model.simulate(jax.random.key(1), {"rays": 4})
    with pytest.raises(DriverError, match="at most 4 unknowns, and this target has 3000"):
        grid(bq.target(model, dataset))
