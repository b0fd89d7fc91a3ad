"""A catalogue says the same whatever file it comes from, and a bad one says where it is bad."""

import csv

import numpy as np
import obspy
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from obspy import UTCDateTime
from obspy.core.event import Catalog, Event, Magnitude, Origin

from bayesquake.errors import CatalogError
from bayesquake.io.catalog import (
    content_hash,
    count_from,
    days_after,
    describe_event,
    iso_time,
    read_catalog,
)

MILLISECOND = 1e-3 / 86400
MAIN_SHOCK = UTCDateTime("1995-01-16T20:46:52.250000Z")

finite = st.floats(allow_nan=False, allow_infinity=False)
events = st.lists(st.tuples(finite, finite), min_size=1, max_size=30)


def write_csv(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def obspy_catalog(n=20):
    rng = np.random.default_rng(3)
    seconds = np.sort(rng.uniform(0, 40 * 86400, n)).round(6)
    seconds[0] = 0.0
    return Catalog(
        [
            Event(
                origins=[
                    Origin(
                        time=MAIN_SHOCK + float(second),
                        longitude=round(float(rng.uniform(134, 136)), 4),
                        latitude=round(float(rng.uniform(34, 35)), 4),
                        depth=1000 * round(float(rng.uniform(0, 20)), 2),
                    )
                ],
                magnitudes=[Magnitude(mag=round(float(rng.exponential(0.5)) + 1, 2))],
            )
            for second in seconds
        ]
    )


def write_as_csv(catalog, path):
    rows = [
        (
            event.origins[0].depth / 1000,
            event.magnitudes[0].mag,
            str(event.origins[0].time),
            event.origins[0].latitude,
            event.origins[0].longitude,
        )
        for event in catalog
    ]
    return write_csv(path, ("depth_km", "mag", "time_utc", "lat", "lon"), rows)


@pytest.mark.parametrize("format", ["QUAKEML", "ZMAP", "CSV", "memory"])
def test_every_format_tells_the_same_events(tmp_path, format):
    catalog = obspy_catalog()
    if format == "memory":
        dataset = read_catalog(catalog)
    elif format == "CSV":
        dataset = read_catalog(write_as_csv(catalog, tmp_path / "events.csv"))
    else:
        catalog.write(str(tmp_path / "events.dat"), format=format)
        dataset = read_catalog(tmp_path / "events.dat")

    seconds = np.array([event.origins[0].time - MAIN_SHOCK for event in catalog])
    np.testing.assert_allclose(dataset["time"], seconds / 86400, rtol=0, atol=MILLISECOND)
    offset = days_after(MAIN_SHOCK, dataset.attrs["reference_time"])
    assert abs(offset) < MILLISECOND
    np.testing.assert_array_equal(dataset["magnitude"], [e.magnitudes[0].mag for e in catalog])
    np.testing.assert_allclose(dataset["depth"], [e.origins[0].depth / 1000 for e in catalog])
    np.testing.assert_array_equal(dataset["longitude"], [e.origins[0].longitude for e in catalog])


def test_zmap_times_are_exact_although_the_decimal_year_is_not(tmp_path):
    catalog = obspy_catalog()
    lines = []
    for event in catalog:
        time = event.origins[0].time
        fraction = (time - UTCDateTime(time.year, 1, 1)) / (365 * 86400)
        second = time.second + time.microsecond * 1e-6
        fields = [135.0, 34.5, f"{time.year + fraction:.8f}", time.month, time.day]
        fields += [event.magnitudes[0].mag, 10.0, time.hour, time.minute, f"{second:.6f}"]
        lines.append("\t".join(map(str, fields)))
    path = tmp_path / "coarse.zmap"
    path.write_text("\n".join(lines) + "\n")
    exact = read_catalog(catalog)["time"]
    np.testing.assert_allclose(read_catalog(path)["time"], exact, rtol=0, atol=MILLISECOND / 100)


def test_every_variable_has_a_unit_and_a_name():
    for variable in read_catalog(obspy_catalog()).variables.values():
        assert {"units", "long_name"} <= set(variable.attrs)


def test_missing_depths_stay_unknown_and_an_empty_column_is_left_out():
    catalog = obspy_catalog()
    for event in catalog:
        event.origins[0].latitude = None
    catalog[4].origins[0].depth = None
    dataset = read_catalog(catalog)
    assert "latitude" not in dataset
    assert np.flatnonzero(np.isnan(dataset["depth"])).tolist() == [4]


def test_preferred_origin_and_magnitude_win_over_the_first():
    catalog = obspy_catalog(3)
    event = catalog[1]
    event.origins.append(Origin(time=event.origins[0].time + 5))
    event.magnitudes.append(Magnitude(mag=6.6))
    before = read_catalog(catalog)
    event.preferred_origin_id = event.origins[1].resource_id
    event.preferred_magnitude_id = event.magnitudes[1].resource_id
    after = read_catalog(catalog)
    assert before["magnitude"].item(1) == event.magnitudes[0].mag
    assert after["magnitude"].item(1) == 6.6
    assert (after["time"] - before["time"]).item(1) * 86400 == pytest.approx(5)


@given(rows=events)
def test_days_and_magnitudes_are_read_back_exactly(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "events.csv"
    dataset = read_catalog(write_csv(path, ("t_days", "mag"), rows))
    np.testing.assert_array_equal(dataset["time"], [t for t, _ in rows])
    np.testing.assert_array_equal(dataset["magnitude"], [mag for _, mag in rows])
    np.testing.assert_array_equal(dataset["row"], np.arange(len(rows)) + 2)


@given(
    rows=st.lists(st.tuples(*5 * [finite]), min_size=1, max_size=10),
    order=st.permutations(range(5)),
    names=st.tuples(
        st.sampled_from(["t_days", "time", " T_DAYS"]),
        st.sampled_from(["mag", "magnitude", "Magnitude"]),
        st.sampled_from(["lon", "longitude"]),
        st.sampled_from(["lat", "Latitude "]),
        st.sampled_from(["depth_km", "depth"]),
    ),
)
def test_order_and_spelling_of_columns_do_not_matter(tmp_path_factory, rows, order, names):
    folder = tmp_path_factory.mktemp("csv")
    plain = write_csv(folder / "a.csv", ("t_days", "mag", "lon", "lat", "depth_km"), rows)
    other = write_csv(
        folder / "b.csv", [names[i] for i in order], [[row[i] for i in order] for row in rows]
    )
    expected, dataset = read_catalog(plain), read_catalog(other)
    xr.testing.assert_equal(dataset, expected)
    assert dataset.attrs["content_hash"] == expected.attrs["content_hash"]


@given(rows=events, data=st.data())
def test_a_corrupt_cell_is_named_by_line_and_column(tmp_path_factory, rows, data):
    bad = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, 1))
    text = data.draw(st.sampled_from(["abc", "1.2.3", "--", "1 2", "0x1p3", "1_000"]))
    cells = [list(map(str, row)) for row in rows]
    cells[bad][column] = text
    path = tmp_path_factory.mktemp("csv") / "bad.csv"
    write_csv(path, ("t_days", "mag"), cells)
    name = ("t_days", "mag")[column]
    with pytest.raises(CatalogError, match=rf"bad\.csv, line {bad + 2}, column {name}: '{text}'"):
        read_catalog(path)


@given(microseconds=st.lists(st.integers(0, 10**15), min_size=1, max_size=20))
def test_absolute_times_within_thirty_years_are_exact_to_a_microsecond(
    tmp_path_factory, microseconds
):
    start = np.datetime64("1900-01-01T00:00:00.000000")
    times = start + np.array(microseconds, "timedelta64[us]")
    path = tmp_path_factory.mktemp("csv") / "events.csv"
    dataset = read_catalog(write_csv(path, ("time_utc", "mag"), [(f"{t}Z", 1) for t in times]))
    assert dataset.attrs["reference_time"] == f"{times.min()}Z"
    recovered = [iso_time(dataset.attrs["reference_time"], days) for days in dataset["time"]]
    assert recovered == [f"{time}Z" for time in times]


@given(days=st.floats(-30000, 30000))
def test_days_after_inverts_iso_time(days):
    reference_time = "2009-04-06T01:32:40.400000Z"
    recovered = days_after(reference_time, iso_time(reference_time, days))
    assert recovered == pytest.approx(days, abs=MILLISECOND / 1000)


def test_offsets_of_local_time_are_honoured(tmp_path):
    rows = [("1995-01-17T05:46:52+09:00", 7.3), ("1995-01-16T20:46:53Z", 3.0)]
    dataset = read_catalog(write_csv(tmp_path / "jst.csv", ("time", "mag"), rows))
    assert dataset.attrs["reference_time"] == "1995-01-16T20:46:52.000000Z"
    np.testing.assert_allclose(dataset["time"] * 86400, [0, 1], atol=1e-6)


def test_printed_days_set_the_zero_and_utc_gives_the_exact_time(tmp_path):
    rows = [
        ("2020-01-01T00:00:00Z", -1, 2.0),
        ("2020-01-02T00:00:00Z", 0, 6.0),
        ("2020-01-03T08:00:00Z", 1.33, 3.0),
    ]
    dataset = read_catalog(write_csv(tmp_path / "both.csv", ("time_utc", "t_days", "mag"), rows))
    np.testing.assert_allclose(dataset["time"], [-1, 0, 4 / 3], atol=1e-9, rtol=0)
    assert dataset.attrs["reference_time"] == "2020-01-02T00:00:00.000000Z"
    assert dataset.attrs["time_origin"] == "file"


def test_disagreeing_clocks_are_refused(tmp_path):
    rows = [
        ("2020-01-02T00:00:00Z", 0, 6.0),
        ("2020-01-03T00:00:00Z", 1, 3.0),
        ("2020-01-04T00:00:00Z", 2.5, 3.0),
    ]
    path = write_csv(tmp_path / "both.csv", ("time_utc", "t_days", "mag"), rows)
    with pytest.raises(CatalogError, match=r"both\.csv, line 4: .*disagree"):
        read_catalog(path)


def test_missing_and_infinite_numbers_pass_through_with_their_rows(tmp_path):
    path = tmp_path / "holes.csv"
    path.write_text("t_days,mag\n0,5\n\n1,\nnan,2\n3,inf\n4\n\n")
    dataset = read_catalog(path)
    np.testing.assert_array_equal(dataset["time"], [0, 1, np.nan, 3, 4])
    np.testing.assert_array_equal(dataset["magnitude"], [5, np.nan, 2, np.inf, np.nan])
    assert [describe_event(dataset, i) for i in (1, 4)] == [
        "holes.csv, line 4",
        "holes.csv, line 7",
    ]


def test_comments_quotes_and_a_byte_order_mark_do_no_harm(tmp_path):
    path = tmp_path / "quoted.csv"
    path.write_text('\ufeff# JMA\n"t_days","mag",place\n"0", 5.0,"Kobe, Japan"\n', encoding="utf-8")
    dataset = read_catalog(path)
    assert (dataset["magnitude"].item(), dataset["row"].item()) == (5.0, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("t_days,mag\n", "no rows"),
        ("t_days,size\n1,2\n", "no column mag"),
        ("day,mag\n1,2\n", "no column t_days or time_utc"),
        ("1,2\n3,4\n", "no column t_days or time_utc and no column mag"),
        ("t_days,mag,magnitude\n1,2,3\n", "more than one column gives the magnitude"),
        ("t_days,mag\n1,2,3\n", "line 2: .*more cells"),
        ("t_days,mag\n1,2\n1,2,3\n", "line 3"),
        ("time_utc,mag\n2009-04-06T01:32:40Z,1\nyesterday,2\n", "line 3, column time_utc"),
        ("time_utc,mag\n2009-04-06T01:32:61Z,1\n", "line 2, column time_utc"),
        ("time_utc,mag\n,1\n", "UTC times is empty"),
    ],
)
def test_a_csv_file_that_cannot_be_read_says_why(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(CatalogError, match=rf"bad\.csv.*{message}"):
        read_catalog(path)


def test_latin_1_text_is_refused(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_bytes("t_days,mag,place\n1,2,Überlingen\n".encode("latin-1"))
    with pytest.raises(CatalogError, match="UTF-8"):
        read_catalog(path)


def test_sources_that_are_no_catalogue_are_refused(tmp_path):
    with pytest.raises(CatalogError, match="does not exist"):
        read_catalog(tmp_path / "nowhere.xml")
    with pytest.raises(CatalogError, match="is a folder"):
        read_catalog(tmp_path)
    (tmp_path / "letter.txt").write_text("Dear seismologist,\n")
    with pytest.raises(CatalogError, match=r"letter\.txt: no reader understands"):
        read_catalog(tmp_path / "letter.txt")
    with pytest.raises(CatalogError, match="holds no events"):
        read_catalog(obspy.Catalog())
    with pytest.raises(CatalogError, match="int"):
        read_catalog(7)


@pytest.mark.parametrize("lacking", ["origin time", "magnitude"])
def test_an_event_without_time_or_magnitude_is_named(tmp_path, lacking):
    catalog = obspy_catalog()
    if lacking == "magnitude":
        catalog[7].magnitudes = []
    else:
        catalog[7].origins = []
    catalog[7].resource_id = "smi:local/the-odd-one"
    catalog.write(str(tmp_path / "odd.xml"), format="QUAKEML")
    with pytest.raises(CatalogError, match=rf"odd\.xml, event index 7 .*the-odd-one.*{lacking}"):
        read_catalog(tmp_path / "odd.xml")


def test_plane_coordinates_identifiers_and_further_columns_are_carried(tmp_path):
    rows = [(7, 1.0, 3.0, 10.5, -2.0, 0.25, "a"), ("", 2.0, 3.5, 11.5, -3.0, "", "b")]
    path = write_csv(
        tmp_path / "plane.csv", ("id", "t_days", "mag", "x_km", "Y", "Sharpness", "place"), rows
    )
    dataset = read_catalog(path, columns=["Sharpness"], optional_columns=["target"])
    np.testing.assert_array_equal(dataset["x"], [10.5, 11.5])
    np.testing.assert_array_equal(dataset["y"], [-2, -3])
    np.testing.assert_array_equal(dataset["Sharpness"], [0.25, np.nan])
    assert dataset["event_id"].to_numpy().tolist() == ["7", ""]
    assert "target" not in dataset
    again = read_catalog(dataset, optional_columns=["Sharpness", "target"])
    xr.testing.assert_identical(again, dataset)
    assert "Sharpness" not in read_catalog(path)
    for variable in dataset.variables.values():
        assert {"units", "long_name"} <= set(variable.attrs)


def test_identifiers_of_quakeml_are_carried_and_do_not_change_the_hash(tmp_path):
    catalog = obspy_catalog()
    catalog.write(str(tmp_path / "events.xml"), format="QUAKEML")
    dataset = read_catalog(tmp_path / "events.xml")
    assert dataset["event_id"].to_numpy().tolist() == [str(e.resource_id) for e in catalog]
    names = ("time", "magnitude", "longitude", "latitude", "depth")
    assert dataset.attrs["content_hash"] == content_hash(*(dataset[name] for name in names))


def test_identifiers_that_obspy_makes_up_are_left_out(tmp_path):
    obspy_catalog().write(str(tmp_path / "events.zmap"), format="ZMAP")
    dataset = read_catalog(tmp_path / "events.zmap")
    assert "event_id" not in dataset.coords
    xr.testing.assert_identical(read_catalog(tmp_path / "events.zmap"), dataset)


def test_further_columns_that_are_absent_are_named(tmp_path):
    path = write_csv(tmp_path / "a.csv", ("t_days", "mag", "q", "q"), [(1, 2, 3, 4)])
    with pytest.raises(CatalogError, match=r"a\.csv, line 1: no column sharpness"):
        read_catalog(path, columns=["sharpness"])
    with pytest.raises(CatalogError, match=r"a\.csv, line 1: two columns are named q"):
        read_catalog(path, columns=["q"])
    with pytest.raises(CatalogError, match=r"catalogue: .*no column sharpness"):
        read_catalog(obspy_catalog(), columns=["sharpness"])
    with pytest.raises(CatalogError, match="no variable sharpness"):
        read_catalog(read_catalog(path), columns=["sharpness"])


@given(
    microseconds=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=20),
    zeros=st.tuples(st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15)),
)
def test_times_do_not_depend_on_where_they_were_counted_from(microseconds, zeros):
    day = 86_400_000_000
    first, second = ((np.array(microseconds) - zero) / day for zero in zeros)
    moved = count_from((zeros[1] - zeros[0]) / day, first)
    np.testing.assert_array_equal(moved, second)


def test_a_data_set_is_read_as_it_is():
    dataset = read_catalog(obspy_catalog())
    xr.testing.assert_identical(read_catalog(dataset), dataset)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (xr.Dataset({"time": ("event", [1.0])}), "no variable magnitude"),
        (xr.Dataset({"time": ("x", [1.0]), "magnitude": ("x", [1.0])}), "dimension event"),
        (xr.Dataset({"time": ("event", ["a"]), "magnitude": ("event", [1.0])}), "numbers"),
        (
            xr.Dataset({"time": ("event", [1.0], {"units": "s"}), "magnitude": ("event", [1.0])}),
            "convert it to .d.",
        ),
    ],
)
def test_a_data_set_of_another_form_is_refused(dataset, message):
    with pytest.raises(CatalogError, match=message):
        read_catalog(dataset)


def test_the_hash_sees_numbers_and_their_place_only():
    assert content_hash([0.0, 1], [2]) == content_hash(np.array([-0.0, 1]), np.array([2.0]))
    assert content_hash([0, 1], [2]) != content_hash([0], [1, 2])
    assert content_hash([1, 2]) != content_hash([2, 1])
    assert content_hash([np.nan]) == content_hash([-np.nan])


def test_laquila_is_the_same_in_zmap_and_csv(shared_data):
    folder = shared_data / "aftershock"
    zmap = read_catalog(folder / "laquila2009_horus_day1.zmap")
    horus = read_catalog(folder / "laquila2009_horus.csv")
    first_day = horus.isel(event=horus["time"] <= 1)
    assert zmap.attrs["reference_time"] == horus.attrs["reference_time"]
    np.testing.assert_allclose(zmap["time"], first_day["time"], rtol=0, atol=MILLISECOND)
    for name in ("magnitude", "longitude", "latitude", "depth"):
        np.testing.assert_allclose(zmap[name], first_day[name], rtol=0, atol=1e-9)
