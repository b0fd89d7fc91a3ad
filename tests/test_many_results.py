"""A result of many data sets is checked, reported and fitted again like any other."""

import jax
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import bayesquake as bq
from bayesquake.cli import app
from bayesquake.results.gather import dataset_of

SIZES = {"small": 16, "larger": 20, "third": 16}
RUN = {"draws": 100, "seed": 1, "width": 4, "rhat_limit": 1.1, "ess_limit": 40}


@pytest.fixture(scope="module")
def model():
    return bq.load_model("orientation_dependence")


@pytest.fixture(scope="module")
def datasets(model):
    return [
        model.simulate(jax.random.key(i), {"events": size})[1]
        for i, size in enumerate(SIZES.values())
    ]


@pytest.fixture(scope="module")
def stored(model, datasets, tmp_path_factory):
    path = tmp_path_factory.mktemp("many") / "many.nc"
    bq.write_netcdf(bq.fit_many(model, datasets, names=list(SIZES), **RUN), path)
    return path


def test_the_file_holds_every_data_set_as_it_was(stored, datasets):
    result = bq.open_result(stored)
    for name, dataset in zip(SIZES, datasets, strict=True):
        xr.testing.assert_equal(dataset_of(result, name), dataset)
        assert dataset_of(result, name).attrs == dataset.attrs


def test_a_fit_from_the_file_alone_draws_the_same(stored, model):
    result = bq.open_result(stored)
    again = bq.fit_many(model, [dataset_of(result, n) for n in SIZES], names=list(SIZES), **RUN)
    assert again.attrs["data_hash"] == result.attrs["data_hash"]
    for name, draws in result["posterior"].data_vars.items():
        assert np.array_equal(draws, again["posterior"][name], equal_nan=True)


def test_the_checks_name_uncertified_problems(stored):
    result = bq.open_result(stored)
    assert bq.check(result).passed
    result["checks"]["r_hat"][0] = 1.2
    failed = [row for row in bq.check(result).rows if row.passed is False]
    assert [row.name for row in failed] == ["R-hat"]
    assert "small (1 in all)" in failed[0].meaning


@pytest.mark.parametrize("command", ["check", "provenance", "report"])
def test_every_command_takes_the_file(command, stored, tmp_path):
    out = ["--out", str(tmp_path / "report.html")] if command == "report" else []
    ended = CliRunner().invoke(app, [command, str(stored), *out])
    assert ended.exit_code == 0, ended.output
    if out:
        page = (tmp_path / "report.html").read_text()
        assert "worst of 3 problems" in page
        assert "theta" in page
