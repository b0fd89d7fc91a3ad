"""Fields of thousands of unknowns: no matrix of them is formed, and their moments are kept."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import bayesquake as bq
from bayesquake.diagnostics.refit import refit
from bayesquake.errors import DriverError
from bayesquake.inference import laplace as driver
from bayesquake.inference.kernels import lowrank
from bayesquake.inference.kernels.skewness import mean_shift

MODEL = bq.load_model("straight_rays")
RAYS = importlib.import_module("bayesquake.models.straight_rays.model")
CELLS = RAYS.CELLS


@pytest.fixture(scope="module")
def rays():
    return MODEL.simulate(jax.random.key(1))


@pytest.fixture(scope="module")
def result(rays):
    return bq.fit(MODEL, rays[1], seed=1, draws=500)


@pytest.fixture(scope="module")
def exact(rays):
    """Posterior mean and sd of every cell, by linear algebra in the space of the data."""
    _, dataset = rays
    y, x = RAYS.roots()
    covariance = RAYS.AMPLITUDE**2 * np.kron(y @ y.T, x @ x.T)
    lengths = RAYS.path_lengths(dataset).reshape(dataset.sizes["ray"], -1)
    of_data = lengths @ covariance @ lengths.T
    of_data += dataset.attrs["noise"] ** 2 * np.eye(len(lengths))
    gain = np.linalg.solve(of_data, lengths @ covariance).T
    mean = gain @ dataset["residual"].to_numpy()
    variance = np.diag(covariance) - (gain * (lengths @ covariance).T).sum(axis=1)
    return mean.reshape(CELLS), np.sqrt(variance).reshape(CELLS)


def test_a_linear_field_has_its_exact_posterior(result, exact):
    assert bq.check(result).passed
    found = result["moments"]["slowness"]
    mean, sd, error, error_of_sd = (found.sel(moment=m).to_numpy() for m in found["moment"].values)
    assert found.attrs["units"] == "s/km"
    assert np.abs((mean - exact[0]) / error).max() < 5
    assert np.abs((sd - exact[1]) / error_of_sd).max() < 5
    assert np.allclose(sd, exact[1], rtol=0.08)
    answer = result["posterior"]["mean_slowness"]
    assert abs(float(answer.mean()) - exact[0].mean()) < 5 * float(answer.std()) / 2000**0.5


def test_draws_of_the_field_are_left_out_unless_asked_for(rays, result):
    assert "slowness" not in result["posterior"]
    assert "z" not in result["posterior"]
    assert result["moments"]["slowness"].dims == ("moment", *result["moments"]["z"].dims[1:])
    whole = bq.fit(MODEL, rays[1], seed=1, draws=20, fields="draws")
    assert whole["posterior"]["slowness"].shape == (4, 20, *CELLS)
    assert "moments" not in whole.children


def test_a_field_is_reported_saved_and_made_again(result, tmp_path):
    bq.report(result, tmp_path / "report.html")
    bq.write_netcdf(result, tmp_path / "result.nc")
    assert (tmp_path / "result.nc").stat().st_size < 2e6
    again = refit(bq.open_result(tmp_path / "result.nc"))
    assert np.array_equal(again["moments"]["slowness"], result["moments"]["slowness"])


def test_no_hessian_of_thousands_is_formed_unasked(rays, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a dense Hessian was formed")

    monkeypatch.setattr(driver, "dense", refuse)
    monkeypatch.setattr(driver, "laplace_program", refuse)
    target = bq.target(MODEL, rays[1])
    assert target.dim == 3000
    driver.laplace(target, draws=10)
    with pytest.raises(AssertionError, match="dense"):
        driver.laplace(target, draws=10, hessian="dense")


@pytest.fixture(scope="module")
def attenuation():
    model = bq.load_model("attenuation")
    return bq.target(model, model.simulate(jax.random.key(2))[1])


def test_both_forms_of_the_hessian_give_one_gaussian(attenuation):
    target = attenuation
    whole, products = (
        driver.laplace(target, draws=2000, hessian=form, seed=3) for form in ("dense", "low_rank")
    )
    for statistic in (np.mean, np.std):
        one, other = (
            statistic(found.positions.reshape(-1, target.dim), axis=0)
            for found in (whole, products)
        )
        assert np.allclose(one, other, atol=0.06)
    assert np.allclose(
        np.median(whole.statistics["log_weight"]),
        np.median(products.statistics["log_weight"]),
        atol=0.02,
    )


def test_means_beside_the_mode_are_those_of_logarithms_of_gammas():
    """Mixed, so that no axis is special: mean ln a - 1/2a - 1/12a², mode ln a."""
    rng = np.random.default_rng(1)
    shape = rng.uniform(20, 200, size=40)
    mixing = rng.normal(size=(40, 40))

    def log_density(x):
        theta = mixing @ x
        return (shape * theta - jnp.exp(theta)).sum()

    gradients = jax.jit(jax.vmap(jax.grad(log_density)))
    mode = np.linalg.solve(mixing, np.log(shape))
    curvature = lowrank.dense(mixing.T * shape @ mixing)
    shift = mean_shift(gradients, mode, curvature)
    np.testing.assert_allclose(mixing @ shift, -1 / (2 * shape), rtol=0.02)
    np.testing.assert_allclose(
        np.log(shape) + mixing @ shift, special.digamma(shape), atol=0.1 / shape.min() ** 2
    )
    beside = mode + 1e-3 * rng.normal(size=40) / np.sqrt(np.diagonal(mixing.T * shape @ mixing))
    again = mean_shift(gradients, beside, curvature)
    np.testing.assert_allclose(mixing @ again, mixing @ shift, rtol=0.05)


def test_a_gaussian_stands_at_the_mean_if_asked(attenuation):
    target = attenuation
    at_mode, at_mean = (
        driver.laplace(target, draws=2000, hessian="dense", centre=centre, seed=3)
        for centre in ("mode", "mean")
    )
    rows = {row.name: row for row in at_mean.checks(None)}
    assert rows["gradient at the mode"].value < 1e-3
    apart = (at_mean.positions - at_mode.positions).reshape(-1, target.dim)
    shift = apart.mean(axis=0) / at_mode.positions.reshape(-1, target.dim).std(axis=0)
    assert 0 < np.abs(shift).max() < 0.3
    few = driver.laplace(target, draws=2000, hessian="low_rank", centre="mean", seed=3)
    moved = few.positions.reshape(-1, target.dim).mean(axis=0)
    np.testing.assert_allclose(
        moved, at_mean.positions.reshape(-1, target.dim).mean(axis=0), atol=0.06
    )


def test_lanczos_finds_the_eigenpairs_of_a_matrix():
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(400, 30)))[0]
    values = np.geomspace(1e4, 1e-3, 30) * np.where(np.arange(30) % 7 == 3, -0.3, 1.0)
    matrix = (vectors * values) @ vectors.T
    found = lowrank.low_rank(lambda v: v + matrix @ v, 400, 0.01, seed=1)
    kept = np.sort(values[np.abs(values) >= 0.01])
    assert np.allclose(np.sort(found.values), kept, rtol=1e-6)
    assert np.allclose((found.vectors * found.values) @ found.vectors.T, matrix, atol=0.02)
    assert found.neglected < 0.01
    noise = rng.normal(size=(3, 400))
    positive = found._replace(values=np.abs(found.values))
    assert np.allclose(positive.root(positive.inverse_root(noise)), noise)


def test_a_prior_that_is_not_white_is_named(monkeypatch):
    monkeypatch.setattr(lowrank, "LARGEST_RANK", 50)
    scales = np.linspace(2, 100, 400)
    with pytest.raises(DriverError, match="white latents"):
        lowrank.low_rank(lambda v: scales * v, 400, 0.01, seed=1)
