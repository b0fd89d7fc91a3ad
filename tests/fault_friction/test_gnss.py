"""Displacements as tables give them: units, places, gaps, and what cannot be."""

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesquake as bq
from bayesquake.errors import BayesquakeError, OptionError
from bayesquake.models.fault_friction import fault_in_half_space
from bayesquake.models.fault_friction.errors import GeometryError, UnitsError
from bayesquake.models.fault_friction.physics.trajectory import YEAR
from bayesquake.physics.projection import to_geographic

MODEL = bq.load_model("fault_friction")


@pytest.fixture(scope="module")
def fault():
    return fault_in_half_space(
        shape=(3, 2),
        cell_size=(30e3, 20e3),
        strike=220,
        dip=15,
        rake=90,
        top_depth=10e3,
        expected_b_minus_a=-3e4,
        start_log_slip_rate=2.0,
    )


def table(**changes):
    """Two stations at three times, millimetres."""
    columns = {
        "station": ["B", "A"] * 3,
        "time_yr": np.repeat([2004.0, 2004.5, 2005.25], 2),
        "x_km": [12.0, -40.0] * 3,
        "y_km": [5.0, -20.0] * 3,
        "east_mm": [1.0, 2.0, 3.0, 4.0, np.nan, 6.0],
        "north_mm": [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0],
        "up_mm": [0.5, 0.25, 0.0, -1.0, -2.0, -3.0],
        "error_mm": [2.0, 3.0] * 3,
    }
    return pd.DataFrame(columns | changes)


def written(frame, folder, without=()):
    path = folder / "gnss.csv"
    frame.drop(columns=list(without)).to_csv(path, index=False)
    return path


def half_yearly(fault, folder):
    """Three years of two stations above the fault that have not moved."""
    stations = pd.DataFrame({"station": ["A", "B"], "x_km": [-20.0, 0.0], "y_km": [18.0, 10.0]})
    rows = stations.merge(pd.DataFrame({"time_yr": np.arange(1, 7) / 2}), how="cross")
    frame = rows.assign(east_mm=0.0, north_mm=0.0, up_mm=0.0, error_mm=2.0)
    return MODEL.read(written(frame, folder), fault=fault)


def test_a_table_becomes_displacements_by_epoch_station_and_component(fault, tmp_path):
    path = written(table(), tmp_path)
    dataset = MODEL.read(path, fault=fault, start_time=2003.0)
    assert dataset["station"].to_numpy().tolist() == ["A", "B"]
    np.testing.assert_allclose(dataset["time"], np.array([1.0, 1.5, 2.25]) * YEAR)
    np.testing.assert_allclose(
        dataset["displacement"].sel(station="A", epoch=1), [4e-3, -4e-3, -1e-3]
    )
    assert np.isnan(dataset["displacement"].sel(station="B", epoch=2, component="east"))
    np.testing.assert_allclose(dataset["displacement_error"].sel(station="B", epoch=0), 2e-3)
    np.testing.assert_allclose(dataset["station_x"], [-40e3, 12e3])
    assert (dataset["start_log_slip_rate"] == 2.0).all()
    changed = MODEL.read(path, fault=fault, start_time=2003.0, start_log_slip_rate=-1.0)
    assert (changed["start_log_slip_rate"] == -1.0).all()


def test_stations_above_move_with_the_hanging_wall(fault, tmp_path):
    """The plane dips to the north-west, and reverse slip moves its upper side up and south-east."""
    above = table(x_km=[-20.0] * 6, y_km=[18.0] * 6, station=["A", "B"] * 3)
    moved = MODEL.read(written(above, tmp_path), fault=fault, start_time=2003.0)
    east, north, up = moved["displacement_of_slip"].sum("cell").sel(station="A").to_numpy()
    assert east > 0.1
    assert north < -0.05
    assert up > 0.02


@settings(max_examples=15, deadline=None)
@given(
    length=st.sampled_from([("mm", 1e3), ("cm", 1e2), ("m", 1.0)]),
    time=st.sampled_from([("d", 1 / 365.25), ("yr", 1.0), ("s", 1 / YEAR)]),
    order=st.permutations(range(6)),
)
def test_units_and_the_order_of_rows_change_nothing(fault, tmp_path_factory, length, time, order):
    folder = tmp_path_factory.mktemp("units")
    plain = MODEL.read(written(table(), folder), fault=fault, start_time=2003.0)
    frame = table()
    (unit, per_metre), (time_unit, years) = length, time
    for name in ("east", "north", "up", "error"):
        frame[f"{name}_{unit}"] = frame.pop(f"{name}_mm") / 1e3 * per_metre
    frame[f"time_{time_unit}"] = (frame.pop("time_yr") - 2003.0) / years
    again = MODEL.read(written(frame.iloc[list(order)], folder), fault=fault)
    for name in ("time", "displacement", "displacement_error", "displacement_of_slip"):
        np.testing.assert_allclose(again[name], plain[name], rtol=1e-9)


def test_degrees_and_kilometres_place_stations_alike(fault, tmp_path):
    centre = (137.0, 34.5)
    longitude, latitude = to_geographic(table()["x_km"], table()["y_km"], centre)
    frame = table(longitude=longitude, latitude=latitude).drop(columns=["x_km", "y_km"])
    placed = MODEL.read(written(frame, tmp_path), fault=fault, start_time=2003.0, centre=centre)
    plain = MODEL.read(written(table(), tmp_path), fault=fault, start_time=2003.0)
    np.testing.assert_allclose(placed["station_x"], plain["station_x"], atol=1e-3)
    with pytest.raises(BayesquakeError, match="give centre"):
        MODEL.read(written(frame, tmp_path), fault=fault)


def test_a_fault_may_bring_its_own_displacements_by_slip(fault, tmp_path):
    made = MODEL.read(written(table(), tmp_path), fault=fault, start_time=2003.0)
    own = fault.drop_vars(["corners", "slip_direction"]).assign(
        displacement_of_slip=made["displacement_of_slip"]
    )
    own.to_netcdf(tmp_path / "fault.nc")
    frame = table().drop(columns=["x_km", "y_km", "up_mm"])
    read = MODEL.read(written(frame, tmp_path), fault=tmp_path / "fault.nc", start_time=2003.0)
    np.testing.assert_allclose(read["displacement_of_slip"], made["displacement_of_slip"])
    assert read["displacement"].sel(component="up").isnull().all()
    with pytest.raises(BayesquakeError, match="no station A"):
        MODEL.read(written(frame, tmp_path), fault=own.isel(station=[1]), start_time=2003.0)


def test_a_component_has_its_own_errors_or_those_of_all(fault, tmp_path):
    frame = table(up_error_mm=[9.0] * 6)
    read = MODEL.read(written(frame, tmp_path), fault=fault, start_time=2003.0)
    of_a = read["displacement_error"].sel(station="A", epoch=0).to_numpy()
    np.testing.assert_allclose(of_a, [3e-3, 3e-3, 9e-3])


@pytest.mark.parametrize(
    ("frame", "options", "error", "message"),
    [
        (table().rename(columns={"east_mm": "east"}), {}, UnitsError, "east does not say its unit"),
        (table().rename(columns={"time_yr": "time"}), {}, UnitsError, "name it time_s"),
        (table().drop(columns="error_mm"), {}, BayesquakeError, "no column error"),
        (table(station=["A"] * 6), {}, BayesquakeError, "has this time already"),
        (table(x_km=np.arange(6.0)), {}, BayesquakeError, "its station is elsewhere"),
        (table(), {"start_time": 2004.2}, BayesquakeError, "before start_time"),
        (table(z_m=[-11e3, 0.0] * 3), {}, GeometryError, "11000 m deep, below the top"),
        (table(error_mm=[2.0, np.nan] * 3), {}, BayesquakeError, "has no displacement_error"),
        (table(), {"rigidity": 30e9}, OptionError, "its own rigidity"),
        (table(), {"fault": None}, OptionError, "give the fault"),
    ],
)
def test_what_cannot_be_is_refused_by_name(fault, tmp_path, frame, options, error, message):
    given_options = {"fault": fault, "start_time": 2003.0} | options
    with pytest.raises(error, match=message):
        MODEL.read(written(frame, tmp_path), **given_options)


def test_afterslip_in_a_table_is_fitted(fault, tmp_path):
    template = half_yearly(fault, tmp_path)
    options = {"allow_unresolved": True}
    truth, drawn = MODEL.simulate(jax.random.key(1), {"observed": template, **options})
    result = bq.fit(MODEL, drawn, seed=1, draws=300, **options)
    assert result["posterior"]["displacement_offset"].sizes["station"] == 2
    draws = result["posterior"]["displacement_offset_white"].stack(sample=("chain", "draw"))
    away = (truth["displacement_offset_white"] - draws.mean("sample")) / draws.std("sample")
    assert np.abs(away).max() < 4


def test_a_search_that_reaches_no_mode_is_told(fault, tmp_path):
    """Earthquakes of metres, seen to two millimetres at six times, are no slow slip."""
    weak = fault.assign(
        expected_b_minus_a=fault["expected_b_minus_a"] * 0 + 4e4,
        start_log_slip_rate=fault["start_log_slip_rate"] * 0 + 0.5,
    )
    template = half_yearly(weak, tmp_path)
    options = {"allow_unresolved": True}
    _, drawn = MODEL.simulate(jax.random.key(1), {"observed": template, **options})
    with pytest.raises(BayesquakeError, match=r"no mode was reached in \d+ Newton steps"):
        bq.target(MODEL, drawn, **options)
