"""What is added to a result: classification, residuals and forecasts, and their files."""

import functools
from collections import Counter

import jax
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import bayesquake as bq
from bayesquake.cli import app
from bayesquake.diagnostics.sensitivity import prior_sensitivity
from bayesquake.errors import OptionError, ResultError
from bayesquake.models.event_classification.answers import answers
from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.forecast import forecast_catalogs, write_csep
from bayesquake.models.event_classification.likelihood import (
    log_likelihood,
    log_magnitude_density,
)
from bayesquake.models.event_classification.outputs import complete
from bayesquake.models.event_classification.simulate import simulate

CHAINS, DRAWS = 2, 30


def draws_around(truth, seed=0):
    """Draws that scatter a little around the truth, each (chain, draw)."""
    rng = np.random.default_rng(seed)
    shape = (CHAINS, DRAWS)
    return {name: value * np.exp(0.02 * rng.normal(size=shape)) for name, value in truth.items()}


@pytest.fixture(scope="module")
def posterior(truth):
    return draws_around(truth)


@pytest.fixture(scope="module")
def groups(simulated, posterior):
    dataset = simulated[1]
    plan = complete(dataset, classification_draws=40, forecast_days=100.0, forecast_draws=50)
    return plan(posterior, prepare(dataset), jax.random.key(0))


def test_classification_is_of_every_event_and_its_quantiles_bracket_the_mean(groups, simulated):
    found = groups["classification"]
    n = simulated[1].sizes["event"]
    assert found.sizes["event"] == n
    assert found.sizes["draw_c"] == 40
    assert (found["phi_q05"] <= found["phi_mean"] + 1e-12).all()
    assert (found["phi_mean"] <= found["phi_q95"] + 1e-12).all()
    assert np.allclose(found["class_prob"].sum("class"), 1.0)
    assert found["class"].to_numpy().tolist() == ["background", "triggered"]
    drawn = (found["parent"] == -1).mean("draw_c")
    error = np.sqrt(found["phi_mean"] * (1 - found["phi_mean"]) / 40)
    assert (abs(drawn - found["phi_mean"]) < 5 * error + 0.03).all()
    assert found["parent"].dtype == np.int32
    chosen = found.attrs["chosen_event"]
    assert float(found["cocluster"][chosen]) == 1.0
    assert simulated[1]["magnitude"].to_numpy().argmax() == chosen


def test_answers_count_what_the_draws_of_all_parents_say(groups, simulated):
    said = answers(xr.DataTree.from_dict(groups))
    classes, n = groups["classification"], simulated[1].sizes["event"]
    background = (classes["parent"].to_numpy() < 0).sum(axis=1)
    assert said["Targets"].startswith(f"{n} of {n} events")
    assert said["Background events among the targets"].startswith(f"{background.mean():.3g} (")
    clusters = [
        len({root for root, count in Counter(draw).items() if count > 1})
        for draw in classes["root"].to_numpy().tolist()
    ]
    counted = said["Clusters of two events or more with a target"]
    assert counted.startswith(f"{np.mean(clusters):.3g} ({min(clusters)}")
    largest = int(classes["magnitude"].argmax("event"))
    named = next(question for question in said if question.startswith("Event "))
    assert named.startswith(f"Event {largest}, day {classes['time_days'].values[largest]:.2f}")
    assert "Events in the 100 days after the window" in said


def test_log_likelihood_terms_add_up_in_every_draw(groups, simulated, posterior):
    terms = groups["log_likelihood"]["term"]
    arrays = prepare(simulated[1])
    for chain in range(CHAINS):
        draw = int(terms["draw"][-1])
        values = {name: x[chain, draw] for name, x in posterior.items()}
        expected = float(jax.jit(log_likelihood)(values, arrays))
        total = float(terms.isel(chain=chain, draw=-1).sum())
        assert total == pytest.approx(expected, abs=1e-3)
        of_magnitudes = float(log_magnitude_density(values["beta"], arrays.magnitudes))
        total = float(groups["log_likelihood"]["magnitude"].isel(chain=chain, draw=-1).sum())
        assert total == pytest.approx(of_magnitudes, rel=1e-12)


def test_transformed_times_of_the_truth_are_uniform(groups):
    residuals = groups["residuals"]
    assert (np.diff(residuals["transformed_time"]) >= 0).all()
    assert float(residuals["ks_pvalue"]) > 0.01


def test_forecast_counts_have_the_mean_of_renewed_simulation(simulated, truth):
    """Without sources the forecast is background and its offspring: mu V / (1 - n)."""
    dataset = simulated[1].isel(event=slice(0, 1)).copy()
    arrays = prepare(dataset)
    quiet = {name: np.full(400, value) for name, value in truth.items()}
    quiet["k"], quiet["q"] = np.full(400, 0.1), np.full(400, 3.0)
    forecast = forecast_catalogs(
        jax.random.key(1), quiet, dataset, arrays, days=2000.0, catalogs=400
    )
    count = forecast["count"].to_numpy()
    ratio = 0.1 * 2.3 / 1.0 * (1 - np.exp(-1.0 * 4.5)) / (1 - np.exp(-2.3 * 4.5))
    expected = truth["mu"] * 1e4 * 2000 / (1 - ratio)
    error = count.std() / np.sqrt(count.size)
    assert 0.88 * expected < count.mean() < expected + 4 * error
    assert count.sum() == forecast.sizes["forecast_event"]


def test_forecast_magnitudes_reach_to_the_largest_possible_one(simulated, posterior):
    dataset = simulated[1]
    draws = {name: np.tile(x.ravel(), 20) for name, x in posterior.items()}
    draws["mu"] = np.full(1200, 1e-4)
    forecast = forecast_catalogs(
        jax.random.key(1),
        draws,
        dataset,
        prepare(dataset, maximum_magnitude=9.0),
        days=60.0,
        catalogs=1200,
    )
    dm = forecast["magnitude"].to_numpy() - 3.0
    assert dm.max() > float(dataset["magnitude"].max()) - 3.0 + 0.5
    assert dm.mean() == pytest.approx(1 / 2.3, rel=0.03)


def test_a_forecast_continues_after_the_window_inside_the_polygon(groups, simulated):
    forecast = groups["forecast"]
    end = simulated[1].attrs["T1"]
    time = forecast["time_days"].to_numpy()
    assert ((time >= end) & (time <= end + 100.0)).all()
    assert forecast["x_km"].min() >= 0
    assert forecast["x_km"].max() <= 100
    order = np.lexsort((time, forecast["catalog_id"]))
    assert (order == np.arange(time.size)).all()
    assert forecast["magnitude"].min() >= 3.0


@pytest.fixture(scope="module")
def catalogue_file(tmp_path_factory, truth):
    """A catalogue with longitudes, latitudes and times, in a file."""
    dataset = simulate(jax.random.key(4), {"T": 1200.0}, truth)[1]
    time = np.datetime64("2010-01-01", "ms") + (dataset["time_days"] * 86_400_000).astype(
        "timedelta64[ms]"
    )
    table = dataset[["magnitude"]].to_dataframe()
    table["time"] = np.datetime_as_string(time.to_numpy())
    table["latitude"] = 35.0 + (dataset["y_km"].to_numpy() - 50) / 111.2
    table["longitude"] = -118.0 + (dataset["x_km"].to_numpy() - 50) / 111.2 / np.cos(np.radians(35))
    path = tmp_path_factory.mktemp("catalogue") / "events.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def forecast_file(model, catalogue_file, truth, tmp_path_factory):
    dataset = model.read(catalogue_file, completeness_magnitude=3.0, magnitude_rounding=0.0)
    arrays = prepare(dataset)
    draws = {name: x.ravel() for name, x in draws_around(truth).items()}
    forecast = forecast_catalogs(jax.random.key(3), draws, dataset, arrays, days=10.0, catalogs=20)
    result = xr.DataTree.from_dict({"forecast": forecast})
    path = tmp_path_factory.mktemp("forecast") / "forecast.csv"
    write_csep(result, path)
    return forecast, path


def test_pycsep_loads_the_forecast(forecast_file):
    csep = pytest.importorskip("csep", reason="pyCSEP (extra `peers`) is not installed")
    forecast, path = forecast_file
    loaded = list(csep.load_catalog_forecast(str(path), type="ascii"))
    count = forecast["count"].to_numpy()
    assert [catalog.event_count for catalog in loaded] == count.tolist()
    assert (count == 0).any()
    assert count.sum() > 0
    magnitude = np.concatenate(
        [catalog.get_magnitudes() for catalog in loaded if catalog.event_count]
    )
    assert np.allclose(magnitude, forecast["magnitude"])
    latitude = np.concatenate([c.get_latitudes() for c in loaded if c.event_count])
    assert abs(latitude - 35.0).max() < 0.6


def test_the_forecast_file_has_a_row_for_every_event_and_empty_catalogue(forecast_file):
    forecast, path = forecast_file
    rows = path.read_text().splitlines()
    empty = int((forecast["count"] == 0).sum())
    assert len(rows) == forecast.sizes["forecast_event"] + empty
    assert all(len(row.split(",")) == 7 for row in rows)
    assert not path.with_name("forecast.csv.partial").exists()


def test_a_forecast_without_longitudes_or_without_events_to_come_is_refused(groups, tmp_path):
    result = xr.DataTree.from_dict({"forecast": groups["forecast"]})
    with pytest.raises(OptionError, match="no longitudes"):
        write_csep(result, tmp_path / "forecast.csv")
    with pytest.raises(ResultError, match="no group 'forecast'"):
        write_csep(xr.DataTree(), tmp_path / "forecast.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classification_draws": 0}, "classification_draws = 0"),
        ({"forecast_draws": 2.5}, "forecast_draws = 2.5"),
        ({"forecast_days": -1.0}, "forecast_days = -1.0"),
        ({"chosen_event": 10**6}, "chosen_event"),
    ],
)
def test_bad_options_are_refused_before_sampling(simulated, options, message):
    with pytest.raises(OptionError, match=message):
        complete(simulated[1], **options)


def test_a_catalogue_is_fitted_checked_and_reported_from_the_command_line(catalogue_file, tmp_path):
    run = functools.partial(CliRunner().invoke, app)
    fitted, report = tmp_path / "fit.nc", tmp_path / "fit.html"
    settings = (
        "magnitude_rounding=0",
        "completeness_magnitude=3.0",
        "space=false",
        "forecast_days=5",
        "classification_draws=20",
    )
    sampling = ("--seed", "1", "--draws", "60", "--warmup", "60", "--chains", "2")
    given = [word for setting in settings for word in ("--set", setting)]
    fit = run(
        [
            "fit",
            "event_classification",
            str(catalogue_file),
            "--out",
            str(fitted),
            *sampling,
            *given,
        ]
    )
    assert fit.exit_code == 0, fit.output
    assert run(["report", str(fitted), "--out", str(report)]).exit_code == 0
    page = report.read_text(encoding="utf-8")
    assert "Background events among the targets" in page
    result = bq.open_result(fitted)
    classes = result["classification"].to_dataset()
    days = (classes["time_utc"] - classes["time_utc"][0]) / np.timedelta64(1, "D")
    assert np.allclose(days, classes["time_days"] - classes["time_days"][0], atol=1e-9)
    assert {"posterior", "classification", "residuals", "forecast"} <= set(result.children)
    assert result["posterior"]["mu"].attrs["units"]
    sensitivity = prior_sensitivity(result)["likelihood"]
    assert sensitivity["log_beta"] > 0.05
    assert sensitivity["log_mu"] > 0.05
