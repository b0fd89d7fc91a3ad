"""Many independent posteriors in one data set: certified, checked and reported together."""

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import bayesquake as bq
from bayesquake.batch.tiers import EXACT
from bayesquake.batch.triage import triage_driver
from bayesquake.cli import app
from bayesquake.errors import DriverError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.models.source_spectra.problems import TRIAGE
from bayesquake.results.netcdf import write_netcdf

MODEL = bq.load_model("source_spectra")
DESIGN = {"pairs": 24, "frequencies": 24}


def simulated(seed, **changes):
    return MODEL.simulate(jax.random.key(seed), DESIGN | changes)


@pytest.fixture(scope="module")
def result():
    return bq.fit(MODEL, simulated(1)[1], draws=200, seed=3)


def test_every_pair_is_certified_and_some_by_exact_draws(result):
    tier = result["triage"]["tier"].to_numpy()
    assert (tier > 0).all()
    assert 0 < (tier == EXACT).mean() < 1
    assert result["posterior"]["fc1"].dims == ("chain", "draw", "pair")


def test_a_pair_has_the_same_posterior_alone_as_among_others(result):
    dataset = simulated(1)[1]
    alone = bq.fit(MODEL, dataset.isel(pair=[0]), draws=200, seed=3)
    first = result["posterior"].to_dataset().isel(pair=0)
    for name in ("ln_fc1", "dln_fc", "ln_moment_ratio"):
        assert np.allclose(alone["posterior"][name].isel(pair=0), first[name], atol=1e-6)


def test_a_data_set_for_each_pair_goes_the_way_of_one_for_all(result):
    dataset = simulated(1)[1]
    pairs = [dataset.isel(pair=[i]) for i in range(dataset.sizes["pair"])]
    many = bq.fit_many(MODEL, pairs, draws=200, seed=3)
    assert np.array_equal(many["triage"]["tier"], result["triage"]["tier"])
    for name in ("ln_fc1", "dln_fc", "ln_moment_ratio"):
        assert np.allclose(many["posterior"][name][..., 0], result["posterior"][name], atol=1e-6)


def test_exact_draws_have_the_posterior_of_long_chains():
    _, dataset = simulated(4, pairs=3, nu1=40.0, nu2=40.0)
    exact = bq.fit(MODEL, dataset, draws=1000, ess_limit=1e9, seed=0)
    assert (exact["triage"]["tier"] == EXACT).all()
    nuts = bq.fit(MODEL, dataset, driver="nuts", metric="dense", draws=1000, seed=0)
    for name in ("ln_fc1", "dln_fc", "ln_moment_ratio"):
        ours, theirs = (r["posterior"][name].to_numpy().reshape(-1, 3) for r in (exact, nuts))
        error = (ours.mean(axis=0) - theirs.mean(axis=0)) / theirs.std(axis=0)
        assert np.abs(error).max() < 0.1
        assert np.abs(ours.std(axis=0) / theirs.std(axis=0) - 1).max() < 0.1


def test_another_number_of_pairs_shares_the_programs_of_the_triage(result):
    target = bq.target(MODEL, simulated(2, pairs=40)[1])
    target.split()
    with recorded_compilations() as compiled:
        triage_driver(target, draws=200, seed=1, **TRIAGE)
    assert compiled.count == 0


def test_one_posterior_is_refused():
    _, dataset = MODEL.simulate(jax.random.key(0), {"events": 3, "frequencies": 20})
    with pytest.raises(DriverError, match="needs many independent problems"):
        bq.fit(MODEL, dataset, driver="triage")


def test_check_passes_unless_the_data_are_bad(result, tmp_path):
    assert bq.check(result).passed
    spoilt = result.copy()
    spoilt["checks"]["overdispersed"][()] = 1.0
    assert [row.name for row in bq.check(spoilt).rows if row.passed is False] == ["overdispersed"]
    write_netcdf(spoilt, tmp_path / "spoilt.nc")
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "spoilt.nc")])
    assert checked.exit_code == 1


def test_laplace_group_is_the_gaussian_at_the_mode(result):
    dataset = simulated(1)[1].isel(pair=[0])
    target = bq.target(MODEL, dataset)
    laplace = result["laplace"].to_dataset().isel(pair=0)
    order = [name.replace("[0]", "") for name in target.coordinates]
    position = laplace["map"].sel(param=order).to_numpy()
    hessian = jax.hessian(target.log_density)(position, target.data)
    assert np.abs(target.gradient(position, target.data)).max() < 0.05
    covariance = laplace["cov"].sel(param=order, param_bis=order).to_numpy()
    assert np.allclose(covariance @ -hessian, np.eye(3), atol=1e-6)


def test_result_returns_from_its_file_and_reports_every_pair(tmp_path):
    few = bq.fit(MODEL, simulated(5, pairs=2)[1], draws=100, seed=0)
    write_netcdf(few, tmp_path / "result.nc")
    again = bq.open_result(tmp_path / "result.nc")
    for name, values in few["posterior"].data_vars.items():
        assert np.array_equal(values, again["posterior"][name])
    bq.report(again, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "fc1[pair1]" in text
    assert "fc1[pair2]" in text
