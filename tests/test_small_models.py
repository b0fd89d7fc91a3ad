"""Models of two files have all that the large ones have."""

import sys

import jax
import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayesquake as bq
from bayesquake.cli import main
from bayesquake.diagnostics.refit import refit
from bayesquake.errors import DatasetError, OptionError

SMALL = ("attenuation", "b_value")


@pytest.fixture(scope="module", params=SMALL)
def fitted(request):
    model = bq.load_model(request.param)
    truth, dataset = model.simulate(jax.random.key(7))
    return model, truth, dataset, bq.fit(model, dataset, seed=1, warmup=300, draws=500)


def test_a_fit_is_checked_reported_saved_and_made_again(fitted, tmp_path):
    model, truth, _, result = fitted
    assert bq.check(result).passed
    for name, value in truth.items():
        draws = result["posterior"][name]
        assert abs(float(draws.mean()) - value) < 4 * float(draws.std())
    bq.report(result, tmp_path / "report.html")
    assert model.title in (tmp_path / "report.html").read_text()
    bq.write_netcdf(result, tmp_path / "result.nc")
    again = refit(bq.open_result(tmp_path / "result.nc"))
    for name in truth:
        assert np.array_equal(again["posterior"][name], result["posterior"][name])


def test_a_calibration_holds_the_truth(fitted):
    model, truth, *_ = fitted
    ranks = bq.calibrate(model, 20, seed=2, warmup=150, draws=200)["ranks"]
    assert set(truth) <= set(ranks["quantity"].to_numpy())
    errors = ((ranks["mean"] - ranks["truth"]) / ranks["sd"]).to_numpy()
    assert np.sqrt((errors**2).mean()) < 1.5
    assert int(ranks["divergences"].sum()) == 0


def test_a_replicate_is_drawn_from_the_posterior(fitted):
    model, _, dataset, result = fitted
    ranks = bq.calibrate(model, 4, posterior=result, seed=3, warmup=150, draws=200)["ranks"]
    assert np.isfinite(ranks["rank"]).all()
    assert (ranks["size"] == next(iter(dataset.sizes.values()))).all()


def test_the_b_value_has_its_exact_posterior():
    """Counts of bins from another simulator; the posterior by quadrature."""
    width, beta = 0.1, 2.1
    k = np.random.default_rng(0).geometric(1 - np.exp(-beta * width), 300) - 1
    magnitude = 1.5 + width * k
    model = bq.load_model("b_value")
    dataset = model.read(
        xr.Dataset({"mag": ("event", magnitude)}),
        completeness_magnitude=1.5,
        magnitude_rounding=width,
    )
    result = bq.fit(model, dataset, seed=1)
    grid = np.linspace(1.5, 3.0, 3000)
    log_posterior = stats.lognorm(0.5, scale=2.0).logpdf(grid)
    log_posterior += k.size * np.log(-np.expm1(-grid * width)) - k.sum() * grid * width
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    mean = weight @ grid
    sd = np.sqrt(weight @ (grid - mean) ** 2)
    draws = result["posterior"]["beta"].to_numpy()
    assert abs(draws.mean() - mean) < 0.1 * sd
    assert abs(draws.std() / sd - 1) < 0.05


def test_what_a_reader_sees_to_holds_for_data_sets_too():
    model = bq.load_model("b_value")
    _, dataset = model.simulate(jax.random.key(1), {"completeness_magnitude": 2.0})
    small = dataset.assign(magnitude=dataset["magnitude"] - 1.0)
    for door in (model.read, model.prepare):
        with pytest.raises(DatasetError, match="leave out the magnitudes below"):
            door(small)
    with pytest.raises(OptionError, match="cannot be applied"):
        model.read(dataset, completeness_magnitude=3.0)


def test_the_command_line_takes_a_catalogue_as_it_comes(tmp_path, monkeypatch, capsys):
    rows = np.round(np.random.default_rng(1).exponential(0.45, 800) + 1.0, 1)
    data, out = tmp_path / "catalogue.csv", tmp_path / "result.nc"
    data.write_text("# a network\nTime,Mag\n" + "\n".join(f"x,{m:.1f}" for m in rows) + "\n")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bayesquake", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code or 0, capsys.readouterr().err

    fit = ["fit", "b_value", data, "--out", out, "--warmup", 200, "--draws", 500]
    given = ["--set", "completeness_magnitude=1.5", "--set", "magnitude_rounding=0.1"]
    status, error = run(*fit)
    assert status == 2
    assert "read needs completeness_magnitude" in error
    status, error = run(*fit, *given, "--set", "completness=2")
    assert "completness (did you mean completeness_magnitude?)" in error
    assert run(*fit, *given)[0] == 0
    assert run("check", out)[0] == 0
