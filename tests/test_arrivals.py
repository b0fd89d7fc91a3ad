"""Arrival times of locators and catalogues become one data set, which writers give back."""

import os
from pathlib import Path

import numpy as np
import obspy
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayesquake.errors import DatasetError
from bayesquake.io.arrivals.dataset import ARRIVALS, DuplicatePickWarning, read_arrivals
from bayesquake.io.arrivals.relocations import read_relocations
from bayesquake.io.arrivals.writers import write_arrivals
from bayesquake.io.datasets import labelled

OF_OBSPY = Path(os.path.dirname(obspy.__file__)) / "io"
PHA = """# 1985  1 24  2 19 58.71  37.8832 -122.2415    9.80 1.40  0.15  0.51  0.02      38542
NCCSP       2.850  -1.000   P
NCCBW       3.430   0.500   P
NCCBW       5.930   0.200   S
NCCMC       2.920   0.000   P
"""
OBS = "{0} ? ? ? {1} ? 20181130 1729 {2} GAU 0.02 0 0 0\n"


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


@st.composite
def arrivals(draw):
    events, stations = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    places = st.tuples(st.integers(0, events - 1), st.integers(0, stations - 1), st.integers(0, 1))
    picks = np.array(sorted(draw(st.sets(places, min_size=1))))
    of_event, of_station = (np.unique(picks[:, i], return_inverse=True) for i in (0, 1))
    first = np.unique(of_station[1], return_index=True)[1].argsort().argsort()
    number, count = len(picks), len(of_event[0])
    hundredths = draw(st.lists(st.integers(-999, 99_999), min_size=number, max_size=number))
    weights = draw(st.lists(st.integers(0, 3), min_size=number, max_size=number))
    degrees = draw(st.lists(st.integers(-899_999, 899_999), min_size=count, max_size=count))
    seconds = draw(st.lists(st.integers(0, 200_000_000_000), min_size=count, max_size=count))
    values = {
        "time": np.array(hundredths) / 100,
        "pick_error": 0.05 * 2.0 ** np.array(weights),
        "event_index": of_event[1],
        "station_index": first[of_station[1]],
        "phase_index": picks[:, 2],
        "reference_time": np.array(seconds) / 100,
        "latitude": np.array(degrees) / 1e4,
        "longitude": 2 * np.array(degrees) / 1e4,
        "depth": np.abs(degrees) / 1e4,
    }
    names = [f"S{i}" for i in range(len(of_station[0]))]
    return labelled(ARRIVALS, values).assign_coords(
        event=[str(i) for i in range(count)], station=names
    )


def same(found, expected):
    """Require equal numbers and names; depths are given to 10 m in a CNV file."""
    for name in expected.data_vars:
        tolerance = 0.00501 if name == "depth" else 1e-6
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=tolerance)
    for name in ("event", "station"):
        assert list(found[name].to_numpy()) == list(expected[name].to_numpy())


@pytest.mark.parametrize("format", ["CSV", "CNV"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=arrivals())
def test_written_arrivals_are_read_back(tmp_path, format, data):
    path = tmp_path / f"arrivals.{format.lower()}"
    write_arrivals(data, path, format)
    same(read_arrivals(path), data)


def test_weights_of_ph2dt_are_errors_and_weight_zero_is_left_out(tmp_path):
    found = read_arrivals(written(tmp_path, "a.pha", PHA.replace("# ", "#")), best_error=0.03)
    np.testing.assert_allclose(found["pick_error"], [0.03, 0.06, 0.12])
    assert list(found["phase_index"].to_numpy()) == [0, 0, 1]
    assert list(found["station"].to_numpy()) == ["NCCSP", "NCCBW"]
    assert float(found["depth"][0]) == 9.8
    assert float(found["reference_time"][0]) == pytest.approx(475381198.71)


def test_a_file_of_ph2dt_reads_as_obspy_reads_it(tmp_path):
    path = written(tmp_path, "a.pha", PHA.replace("NCCMC       2.920   0.000   P\n", ""))
    ours, theirs = read_arrivals(path), read_arrivals(obspy.read_events(str(path)))
    for name in ("time", "event_index", "station_index", "phase_index", "reference_time", "depth"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-5)


def test_cnv_written_by_obspy_is_read():
    path = OF_OBSPY / "cnv" / "tests" / "data" / "obspyck_20141020150701.cnv"
    found = read_arrivals(path)
    assert found.sizes == {"pick": 8, "event": 1, "station": 4}
    assert float(found["latitude"][0]) == 48.0471
    np.testing.assert_allclose(found["time"][:2], [1.52, 2.85])


def test_observations_of_nonlinloc_begin_at_the_earliest_pick(tmp_path):
    text = (
        OBS.format("A", "P", 59.5) + OBS.format("B", "Sg", 61.25) + "\n\n" + OBS.format("A", "P", 1)
    )
    found = read_arrivals(written(tmp_path, "a.obs", text))
    np.testing.assert_allclose(found["time"], [0.0, 1.75, 0.0])
    assert list(found["event_index"].to_numpy()) == [0, 0, 1]
    assert "latitude" not in found
    own = read_arrivals(OF_OBSPY / "nlloc" / "tests" / "data" / "nlloc.obs")
    assert own.sizes["pick"] == 8


def test_locations_of_nonlinloc_come_through_obspy():
    found = read_arrivals(OF_OBSPY / "nlloc" / "tests" / "data" / "nlloc.hyp")
    assert found.sizes == {"pick": 5, "event": 1, "station": 5}
    np.testing.assert_allclose(found["pick_error"], 0.05)
    assert float(found["depth"][0]) == pytest.approx(1.43359)


def test_events_of_obspy_may_lack_picks_origins_and_errors(tmp_path):
    event = obspy.core.event
    errors = [{"uncertainty": 0.1}, {"lower_uncertainty": 0.1, "upper_uncertainty": 0.3}, {}]
    picks = [
        event.Pick(
            time=obspy.UTCDateTime(1000 + i),
            time_errors=error,
            phase_hint=phase,
            waveform_id=event.WaveformStreamID("XX", "A"),
        )
        for i, (phase, error) in enumerate(zip(["Pn", "Sg", "AML"], errors, strict=True))
    ]
    found = read_arrivals(event.Catalog([event.Event(), event.Event(picks=picks)]))
    assert found.sizes == {"pick": 2, "event": 1, "station": 1}
    np.testing.assert_allclose(found["time"], [0, 1])
    np.testing.assert_allclose(found["pick_error"], [0.1, 0.2])
    with pytest.raises(DatasetError, match="nothing in its events can be used"):
        read_arrivals(event.Catalog([event.Event()]))


def test_arrivals_survive_netcdf(tmp_path):
    found = read_arrivals(written(tmp_path, "a.pha", PHA))
    found.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_equal(read_arrivals(tmp_path / "a.nc"), found)


def test_the_best_of_several_picks_is_kept_when_asked(tmp_path):
    text = PHA + "NCCSP       2.950   0.500   P\n"
    path = written(tmp_path, "a.pha", text)
    with pytest.raises(DatasetError, match=r"event 38542, station NCCSP has a second P pick"):
        read_arrivals(path)
    with pytest.warns(DuplicatePickWarning, match="1 of 4 picks"):
        found = read_arrivals(path, duplicates="best")
    same(found, read_arrivals(written(tmp_path, "b.pha", PHA)))


def test_events_may_stand_in_a_file_of_their_own(tmp_path):
    picks = written(tmp_path, "picks.csv", "event,station,phase,time_s\nb,A,P,1.5\na,A,S,2.5\n")
    text = "event,x_km,y_km,depth_km,t0_s\na,1,2,3,0.5\nb,4,5,6,0.1\nc,7,8,9,0\n"
    found = read_arrivals(picks, events=written(tmp_path, "events.csv", text))
    np.testing.assert_allclose(found["x"], [4, 1])
    np.testing.assert_allclose(found["origin_time"], [0.1, 0.5])
    assert found["pick_error"].isnull().all()
    lacking = written(tmp_path, "events.csv", "event,x_km\na,1\n")
    with pytest.raises(DatasetError, match=r"lacks event b"):
        read_arrivals(picks, events=lacking)


@pytest.mark.parametrize(
    ("name", "text", "place", "reason"),
    [
        ("a.csv", "event,station,phase,time_s\n1,A,P,\n", "line 2", "time is missing"),
        ("a.csv", "event,station,phase,time_s\n1,A,P,nan\n", "line 2", "time is missing"),
        ("a.csv", "event,station,phase,time_s\n1,A,PKP,1\n", "line 2", "'PKP' is not known"),
        ("a.csv", "event,station,phase,time_s\n1,,P,1\n", "line 2", "station is missing"),
        ("a.csv", "event,station,phase,time_s,sigma_s\n1,A,P,1,0\n", "line 2", "pick_error"),
        ("a.csv", "event,station,phase,time_s,sigma_s\n1,A,P,1,-1\n", "line 2", "pick_error"),
        ("a.pha", PHA + "NCCSP 2.9 1\n", "line 6", "station, travel time, weight and phase"),
        ("a.pha", PHA + "NCCSP 2.x 1 P\n", "line 6", "give numbers"),
        ("a.pha", PHA.replace(" 1 24 ", "13 24 "), "line 1", "no date"),
        (
            "a.cnv",
            "100527 1656 24.61 48.0471N  11.6455E   4.58   0.93 0\nUH1 X0  1.52\n",
            "line 2",
            "column 1",
        ),
        (
            "a.cnv",
            "100527 1656 24.61 48.0471N  11.6455E   4.58   0.93 0\nUH1 P0  1.52\n\nUH1\n",
            "line 4",
            "date, time and place",
        ),
        ("a.obs", OBS.format("A", "P", 1) + "A ? ? ? P ? 20181130 1729\n", "line 2", "correct it"),
        ("a.obs", OBS.format("A", "P", "inf"), "line 1", "finite"),
    ],
)
def test_what_no_pick_can_be_says_where_and_why(tmp_path, name, text, place, reason):
    with pytest.raises(DatasetError) as refused:
        read_arrivals(written(tmp_path, name, text))
    assert place in str(refused.value)
    assert reason in str(refused.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    text=st.text(st.characters(codec="ascii"), max_size=80),
    begin=st.sampled_from(
        ["", PHA, OBS.format("A", "P", 1), "100527 1656 24.61 48.0471N  11.6455E   4.58   0.93 0\n"]
    ),
)
def test_damaged_files_are_read_or_refused_by_name(tmp_path, text, begin):
    path = tmp_path / "damaged.txt"
    path.write_text(begin + text)
    refused = None
    try:
        read_arrivals(path)
    except DatasetError as problem:
        refused = problem
    assert refused is None or "damaged.txt" in str(refused)


def test_what_does_not_fit_into_cnv_is_refused(tmp_path):
    found = read_arrivals(written(tmp_path, "a.pha", PHA))
    with pytest.raises(DatasetError, match="NCCSP has more than the 4 letters"):
        write_arrivals(found, tmp_path / "a.cnv", "CNV")
    short = found.assign_coords(station=["A", "B"])
    with pytest.raises(DatasetError, match="does not fit"):
        write_arrivals(short.assign(time=short["time"] + 10_000), tmp_path / "a.cnv", "CNV")
    with pytest.raises(DatasetError, match="needs preliminary"):
        write_arrivals(short.drop_vars("depth"), tmp_path / "a.cnv", "CNV")
    with pytest.raises(DatasetError, match="no format of arrivals"):
        write_arrivals(short, tmp_path / "a.cnv", "HYPO71")
    assert not (tmp_path / "a.cnv").exists()


def test_picks_of_published_studies_are_read(shared_data):
    folder = shared_data / "tomography"
    calaveras = read_arrivals(
        folder / "calaveras" / "picks.csv", events=folder / "calaveras" / "events.csv"
    )
    assert calaveras.sizes == {"pick": 11522, "event": 308, "station": 112}
    assert int((calaveras["phase_index"] == 1).sum()) == 189
    hayward = read_arrivals(folder / "hayward16" / "El16.pha")
    assert hayward.sizes["event"] == 16
    (alaska,) = (folder / "nlloc_alaska").glob("*.obs")
    assert read_arrivals(alaska).sizes == {"pick": 274, "event": 7, "station": 69}


RELOC = (
    "    38542  37.878642 -122.244507     9.251      -48.7       62.3      -57.2      3.2      3.2"
    "     14.0 1985  1 24  2 19 58.740  1.4   106   103   177     0  0.006  0.047 \n"
)


def test_relocations_of_hypodd_are_absolute_and_their_errors_are_km(tmp_path):
    found = read_relocations(written(tmp_path, "a.reloc", RELOC))
    assert list(found["event"].to_numpy()) == ["38542"]
    assert float(found["depth"][0]) == 9.251
    assert float(found["error_z"][0]) == pytest.approx(0.014)
    assert float(found["origin_time"][0]) == pytest.approx(475381198.74)
    with pytest.raises(DatasetError, match="line 1: a relocation has 23 or 24 columns"):
        read_relocations(written(tmp_path, "a.reloc", RELOC[:90]), format="HYPODD_RELOC")


@pytest.mark.parametrize(
    ("folder", "count"), [("calaveras", 308), ("hayward16", 16), ("parkfield3d", 517)]
)
def test_relocations_of_published_studies_are_read(shared_data, folder, count):
    found = read_relocations(shared_data / "tomography" / folder / "hypoDD.reloc")
    assert found.sizes["event"] == count
    assert float(found["depth"].min()) > 0
