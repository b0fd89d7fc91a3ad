"""Result files are whole or absent, and carry everything needed to repeat the run."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

import bayesquake as bq
from bayesquake.errors import ResultError
from bayesquake.inference.fit import fit
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.io.files import replace_when_complete
from bayesquake.results.netcdf import open_result, write_netcdf

COARSE = {"basis_size": 16, "knots": 33}
RUN = {"chains": 2, "warmup": 60, "draws": 40}


@pytest.fixture(scope="module")
def model():
    return bq.load_model("aftershock_rate")


@pytest.fixture(scope="module")
def dataset(model):
    parameters = {"log_K": -5.2, "p": 1.1, "log_c": -4.0, "beta": 2.0, "log_sigma": -1.4}
    parameters |= {"mu_1d": 1.8, "mu_slope": -0.7, "eta": 0.2, "ell": 0.7}
    return model.simulate(jax.random.key(3), {"M0": 7.0}, parameters)[1]


@pytest.fixture(scope="module")
def result(model, dataset):
    return fit(model, dataset, seed=5, **RUN, **COARSE)


def test_netcdf_round_trip_is_identical(result, tmp_path):
    path = tmp_path / "posterior.nc"
    write_netcdf(result, path)
    again = open_result(path)
    assert again.identical(result)
    assert xr.open_datatree(path)["posterior"]["mu"].shape == (2, 40, 33)


def test_arviz_reads_the_file(result, tmp_path):
    import arviz

    path = tmp_path / "posterior.nc"
    write_netcdf(result, path)
    table = arviz.summary(arviz.from_netcdf(path), var_names=["p", "b_value"])
    assert list(table.index) == ["p", "b_value"]


def test_every_variable_has_units_and_every_attribute_is_plain(result):
    for group in result.subtree:
        for name, variable in group.data_vars.items():
            assert variable.attrs.get("units"), f"{group.path}/{name}"
    plain = (str, int, float, np.generic)
    assert all(isinstance(value, plain) for value in result.attrs.values())


def test_the_file_alone_reproduces_the_draws(model, result):
    configuration = json.loads(result.attrs["configuration"])
    again = fit(
        model,
        model.read(result["observed_data"].to_dataset()),
        driver=configuration["driver"],
        seed=int(result.attrs["seed"]),
        **configuration["settings"],
        **configuration["options"],
    )
    assert np.array_equal(again["posterior"]["p"], result["posterior"]["p"])


def test_a_second_fit_of_equal_shape_compiles_nothing(model, dataset, result):
    other = dataset.assign(mag=dataset["mag"] + 0.01)
    with recorded_compilations() as compiled:
        again = fit(model, other, seed=6, **RUN, **COARSE)
    assert compiled.count == 0
    assert again.attrs["compile_seconds"] == 0


def test_bins_of_the_log_likelihood_are_the_folds(model, dataset, result):
    arrays = model.prepare(dataset, **COARSE)
    values = {name: result["posterior"][name][1, 7].to_numpy() for name in result["posterior"]}
    terms = model.folds.terms(values, arrays)
    assert np.allclose(terms, result["log_likelihood"]["term"][1, 7], rtol=1e-10)
    assert int(result["observed_data"]["detected_count"].sum()) == dataset.sizes["event"]


def test_a_laplace_result_says_that_it_is_approximate(model, dataset):
    result = fit(model, dataset, driver="laplace", draws=200, seed=1, **COARSE)
    assert result.attrs["approximate"] == 1
    assert np.isfinite(result["checks"]["pareto_k_hat"])


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.nc"
    path.write_text("before")

    def fail(temporary):
        Path(temporary).write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        replace_when_complete(path, fail)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["result.nc"]


def test_a_file_that_is_no_result_is_refused(tmp_path):
    foreign = tmp_path / "foreign.nc"
    xr.Dataset({"x": ("i", [1.0])}).to_netcdf(foreign, engine="h5netcdf")
    with pytest.raises(ResultError, match=r"foreign\.nc"):
        open_result(foreign)
    former = tmp_path / "former.nc"
    xr.DataTree(xr.Dataset(attrs={"bayesquake_version": "0.1.0"})).to_netcdf(former)
    with pytest.raises(ResultError, match=r"former\.nc: has the form of results of .* again"):
        open_result(former)
    with pytest.raises(ResultError, match="no such file"):
        open_result(tmp_path / "missing.nc")
