"""The reader keeps targets apart from history, projects without loss, refuses what is unsound."""

import json
import warnings

import numpy as np
import obspy
import pyproj
import pytest
import shapely
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bayesquake.errors import CatalogError, OptionError
from bayesquake.io.catalog import iso_time, read_catalog
from bayesquake.models.event_classification.caution import SuspectCatalogueWarning
from bayesquake.models.event_classification.data import read
from bayesquake.models.event_classification.dataset import event_dataset
from bayesquake.models.event_classification.errors import (
    BelowCompletenessError,
    CatalogTimeError,
    DuplicateEventError,
    EmptyWindowError,
    MissingMagnitudeBinError,
    OutsidePolygonError,
    PolygonError,
)
from bayesquake.models.event_classification.region import (
    BEND_KM,
    Region,
    bounding_box,
    centre_of,
    is_inside,
    open_region,
    plane_polygon,
    signed_area,
    simple_polygon,
)
from bayesquake.physics.projection import to_geographic, to_plane

SQUARE = [(0, 0), (100, 0), (100, 100), (0, 100)]
EXAMPLE = {
    "start": "1981-01-01",
    "end": "2007-01-01",
    "completeness_magnitude": 3.6,
    "magnitude_rounding": 0.1,
    "sort": True,
}

seeds = st.integers(0, 2**32 - 1)


def write_csv(path, header, rows):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def planar_rows(n=20, seed=0):
    """Return rows of identifier, time (days), x and y (km), magnitude and depth (km)."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.permutation(1000)[:n] - 200) / 10
    x, y = rng.uniform(1, 99, (2, n)).round(3)
    magnitude = (3 + rng.exponential(0.4, n)).round(2)
    return [
        [f"e{k}", *values]
        for k, values in enumerate(
            zip(time, x, y, magnitude, rng.uniform(0, 20, n).round(1), strict=True)
        )
    ]


def planar_csv(path, rows):
    return write_csv(path, "event_id,time_days,x_km,y_km,magnitude,depth", rows)


def geographic(longitude, latitude, reference_time="2010-01-01T00:00:00Z"):
    n = len(longitude)
    return xr.Dataset(
        {
            "time": ("event", np.arange(n) * 1.0),
            "magnitude": ("event", np.full(n, 3.0)),
            "longitude": ("event", longitude),
            "latitude": ("event", latitude),
        },
        attrs={"reference_time": reference_time},
    )


def angle_sorted(points):
    """Return the vertices of the convex hull, counter-clockwise."""
    return np.array(shapely.MultiPoint(points).convex_hull.exterior.coords)[:-1]


def test_sim_small_has_the_known_targets_and_history(shared_data):
    path = shared_data / "pointprocess/sim_small.csv"
    dataset = read(path, start=0, end=2000, polygon=SQUARE, magnitude_rounding=0)
    truth = json.loads(path.with_suffix(".json").read_text())
    assert dataset.sizes["event"] == truth["n"] == 2202
    assert dataset["target"].sum() == truth["n_target"] == 1545
    assert dataset.attrs["area_km2"] == 1e4
    table = read_catalog(path)
    np.testing.assert_array_equal(dataset["time_days"], table["time"])
    np.testing.assert_array_equal(dataset["event_id"], table["event_id"])


def test_the_window_tells_the_targets_that_the_simulator_marked(shared_data):
    path = shared_data / "pointprocess/sim_small.csv"
    marked = read(path, end=2000, polygon=SQUARE, magnitude_rounding=0)
    unmarked = read(marked.drop_vars("target"))
    assert marked.attrs["T0"] == 0
    xr.testing.assert_identical(unmarked, marked)


def test_the_example_catalogue_has_the_known_targets_and_history(shared_data):
    folder = shared_data / "pointprocess"
    polygon = folder / "california_polygon.csv"
    dataset = read(folder / "mizrahi_example_catalog.csv", polygon=polygon, **EXAMPLE)
    assert (dataset.sizes["event"], int(dataset["target"].sum())) == (3303, 2350)
    assert (dataset.attrs["T0"], dataset.attrs["T1"]) == (0.0, 9496.0)
    assert dataset.attrs["epoch"] == "1981-01-01T00:00:00.000000Z"
    assert (np.diff(dataset["time_days"]) >= 0).all()


def test_the_area_of_california_is_that_on_the_ellipsoid(shared_data):
    vertices = open_region(shared_data / "pointprocess/california_polygon.csv", True).vertices
    region = Region(vertices, geographic=True)
    area = signed_area(plane_polygon(region, centre_of(region)))
    along = np.linspace(0, 1, 500, endpoint=False)[:, None]
    edges = np.roll(vertices, -1, axis=0) - vertices
    fine = (vertices[:, None] + along * edges[:, None]).reshape(-1, 2)
    exact, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*fine.T)
    assert area == pytest.approx(exact / 1e6, rel=3e-5)
    # Straight edges between the projected vertices cut off what the parallels enclose.
    albers = pyproj.Proj(proj="aea", lat_1=31.0, lat_2=43.5, lon_0=0, ellps="WGS84", units="km")
    chords = np.column_stack(albers(*vertices.T))
    assert abs(signed_area(chords)) == pytest.approx(959_823, abs=1)


def test_the_san_jacinto_box_holds_every_event_but_two(shared_data):
    path = shared_data / "pointprocess/sanjac10_2008_2015.csv"
    box = [(-117, 33), (-116, 33), (-116, 34), (-117, 34)]
    dataset = read(path, polygon=box, start="2009-01-01", end="2014-01-01", magnitude_rounding=0.01)
    assert dataset.sizes["event"] + dataset.attrs["events_after_end"] == 16_891
    outside = (dataset["time_days"] >= 0) & (dataset["target"] == 0)
    np.testing.assert_allclose(dataset["longitude"][outside], [-115.999284, -116.989238])
    np.testing.assert_allclose(dataset["latitude"][outside], [33.749747, 34.001391])
    assert not dataset["target"][dataset["time_days"] < 0].any()
    assert 0 < -dataset["time_days"][0] < 366
    exact, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(
        np.r_[np.linspace(-117, -116, 99), np.linspace(-116, -117, 99)],
        np.r_[np.full(99, 33), np.full(99, 34)],
    )
    assert dataset.attrs["area_km2"] == pytest.approx(exact / 1e6, rel=1e-3)


def test_every_variable_has_a_unit_and_a_name(tmp_path):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    dataset = read(path, magnitude_rounding=0.01, marks="depth")
    for variable in dataset.variables.values():
        assert {"units", "long_name"} <= set(variable.attrs)
    assert dataset["depth"].attrs["units"] == "km"
    assert all(isinstance(value, str | int | float) for value in dataset.attrs.values())


def test_positions_on_a_plane_stay_and_their_bounding_box_is_the_default_polygon(tmp_path):
    rows = planar_rows()
    dataset = read(planar_csv(tmp_path / "a.csv", rows), magnitude_rounding=0.01)
    x, y = np.array([row[2:4] for row in rows]).T
    np.testing.assert_array_equal(dataset["x_km"], x)
    np.testing.assert_array_equal(dataset["polygon"].min("vertex"), [x.min(), y.min()])
    np.testing.assert_array_equal(dataset["polygon"].max("vertex"), [x.max(), y.max()])
    assert dataset.attrs["polygon_origin"] == "bounding box of the events"
    assert dataset.attrs["T0"] == 0
    np.testing.assert_array_equal(dataset["target"], [row[1] >= 0 for row in rows])


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_matter_when_they_are_sorted(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("csv")
    rows = planar_rows(seed=seed)
    shuffled = [rows[k] for k in np.random.default_rng(seed).permutation(len(rows))]
    plain = read(planar_csv(folder / "a.csv", rows), magnitude_rounding=0.01)
    (folder / "b").mkdir()
    other = planar_csv(folder / "b/a.csv", shuffled)
    xr.testing.assert_identical(read(other, magnitude_rounding=0.01, sort=True), plain)


@given(seed=seeds, lon=st.floats(-180, 180), lat=st.floats(-70, 70), sphere=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_data_set_read_again_is_the_same(tmp_path_factory, seed, lon, lat, sphere):
    rng = np.random.default_rng(seed)
    source = geographic(lon + rng.uniform(-3, 3, 30), lat + rng.uniform(-3, 3, 30))
    source["sharpness"] = "event", rng.normal(size=30)
    dataset = read(
        source,
        start=iso_time("2010-01-01", 3.25),
        end=25.0,
        magnitude_rounding=0.1,
        marks="sharpness",
        distance="sphere" if sphere else "plane",
        earth_radius_km=6378.1,
    )
    path = tmp_path_factory.mktemp("nc") / "events.nc"
    dataset.to_netcdf(path)
    xr.testing.assert_identical(read(path), dataset)
    xr.testing.assert_identical(read(dataset), dataset)
    assert dataset.attrs["events_after_end"] == 4


def test_the_truth_of_a_simulation_stays_while_every_event_does():
    rng = np.random.default_rng(1)
    simulated = event_dataset(
        time_days=np.arange(10.0),
        x_km=rng.uniform(0, 100, 10),
        y_km=rng.uniform(0, 100, 10),
        magnitude=np.linspace(3, 4, 10),
        target=np.arange(10) > 2,
        polygon_km=SQUARE,
        T0=2.5,
        T1=20.0,
        m_c=3.0,
        delta_m=0.0,
    )
    simulated["parent"] = "event", np.full(10, -1), {"units": "1", "long_name": "parent"}
    simulated.attrs["true_k"] = 0.2
    xr.testing.assert_identical(read(simulated), simulated)
    cut = read(simulated, completeness_magnitude=3.3, cut=True)
    assert "parent" not in cut
    assert cut.attrs["events_below_completeness"] == 10 - cut.sizes["event"] == 3


def test_a_data_set_cut_before_cannot_be_widened(tmp_path):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    dataset = read(path, magnitude_rounding=0.01, end=50.0)
    with pytest.raises(CatalogError, match=r"a\.csv ends at T1 = 50 days"):
        read(dataset, end=60.0)
    with pytest.raises(CatalogError, match=r"a\.csv is cut at m_c"):
        read(dataset, completeness_magnitude=2.0)
    narrower = read(dataset.drop_vars("target"), start=10.0, end=40.0, polygon=SQUARE)
    assert (narrower.attrs["T0"], narrower.attrs["T1"]) == (10.0, 40.0)


@given(seed=seeds, n=st.integers(3, 12))
@settings(max_examples=50, deadline=None)
def test_points_inside_a_convex_polygon_are_left_of_every_edge(seed, n):
    rng = np.random.default_rng(seed)
    vertices = angle_sorted(rng.normal(size=(n, 2)))
    assume(abs(signed_area(vertices)) > 1e-3)
    region = Region(simple_polygon(vertices[::-1]), geographic=False)
    points = rng.normal(size=(200, 2))
    edge = np.roll(region.vertices, -1, axis=0) - region.vertices
    offset = points[:, None] - region.vertices
    left = edge[:, 0] * offset[..., 1] - edge[:, 1] * offset[..., 0] >= 0
    np.testing.assert_array_equal(is_inside(region, *points.T), left.all(axis=1))


@given(lon=st.floats(-180, 180), lat=st.floats(-80, 80), seed=seeds)
@settings(max_examples=50, deadline=None)
def test_the_projection_is_inverted_and_keeps_areas(lon, lat, seed):
    east, north = np.random.default_rng(seed).uniform(-4, 4, (2, 20))
    x, y = to_plane(lon + east, lat + north, (lon, lat))
    back = to_geographic(x, y, (lon, lat))
    np.testing.assert_allclose((back[0] - lon - east + 180) % 360 - 180, 0, atol=1e-9)
    np.testing.assert_allclose(back[1], lat + north, rtol=0, atol=1e-9)


@given(lon=st.floats(-180, 180), lat=st.floats(-70, 70), width=st.floats(0.01, 15))
@settings(max_examples=30, deadline=None)
def test_chords_stay_near_the_projected_edges_and_are_few(lon, lat, width):
    region = Region(
        simple_polygon([(lon, lat), (lon + width, lat), (lon + width, lat + 5), (lon, lat + 5)]),
        geographic=True,
    )
    centre = centre_of(region)
    polygon = shapely.LinearRing(plane_polygon(region, centre))
    edges = shapely.segmentize(shapely.LinearRing(region.vertices), 0.05)
    points = shapely.points(*to_plane(*shapely.get_coordinates(edges).T, centre))
    departure = shapely.distance(polygon, points).max()
    assert departure < 1.02 * BEND_KM
    assert len(polygon.coords) < 10 or departure > 0.5 * BEND_KM


@pytest.mark.parametrize("wrap", [False, True])
def test_a_region_across_180_degrees_is_that_across_the_prime_meridian(wrap):
    rng = np.random.default_rng(5)
    east, latitude = rng.uniform(-4, 4, 50), rng.uniform(-20, -15, 50)
    box = np.array([(-3.0, -19), (3, -19), (3, -16), (-3, -16)])
    here = read(geographic(east, latitude), polygon=box, magnitude_rounding=0.1)
    shift = 180 + east
    box[:, 0] += 180
    if wrap:
        shift = (shift + 180) % 360 - 180
        box[:, 0] = (box[:, 0] + 180) % 360 - 180
    there = read(geographic(shift, latitude), polygon=box, magnitude_rounding=0.1)
    for name in ("x_km", "y_km"):
        np.testing.assert_allclose(there[name], here[name], rtol=0, atol=1e-8)
    np.testing.assert_array_equal(there["target"], here["target"])
    assert 0 < there["target"].sum() < 50
    assert there.attrs["area_km2"] == pytest.approx(here.attrs["area_km2"], rel=1e-12)
    assert abs(there.attrs["centre_longitude"]) == pytest.approx(180)

    whole = read(geographic(shift, latitude), magnitude_rounding=0.1)
    assert whole["target"].all()
    assert np.ptp(whole["polygon"].to_numpy()) < 900


def test_quakeml_is_read_with_its_identifiers_and_depths(tmp_path):
    catalog = obspy.read_events()
    path = tmp_path / "events.xml"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # one of its identifiers is no valid URI
        catalog.write(str(path), format="QUAKEML")
    dataset = read(path, magnitude_rounding=0.1, sort=True, marks=["depth"])
    assert dataset["event_id"].to_numpy().tolist() == [
        str(event.resource_id) for event in catalog[::-1]
    ]
    assert dataset.attrs["epoch"] == "2012-04-04T14:08:46.000000Z"
    np.testing.assert_array_equal(dataset["target"], 1)
    back = to_geographic(
        dataset["x_km"],
        dataset["y_km"],
        (dataset.attrs["centre_longitude"], dataset.attrs["centre_latitude"]),
    )
    np.testing.assert_allclose(back[0], [e.origins[0].longitude for e in catalog[::-1]])
    assert dataset.attrs["marks"] == "depth"


def test_the_epoch_does_not_depend_on_events_before_it():
    source = geographic(np.linspace(1, 2, 20), np.linspace(1, 2, 20) ** 2)
    options = {"polygon": [(0, 0), (3, 0), (3, 5), (0, 5)], "magnitude_rounding": 0.1}
    whole = read(source, start="2010-01-05T06:00:00", **options)
    later = source.isel(event=slice(3, None))
    later = later.assign(time=later["time"] - 3).assign_attrs(reference_time="2010-01-04")
    part = read(later, start="2010-01-05T06:00:00", **options)
    np.testing.assert_array_equal(part["time_days"], whole["time_days"][3:])
    assert part.attrs["T1"] == whole.attrs["T1"] == 14.75


def test_a_flat_list_of_numbers_is_pairs(tmp_path):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    pairs = read(path, polygon=SQUARE, magnitude_rounding=0.01)
    flat = read(path, polygon=(0, 0, 0, 100, 100, 100, 100, 0), magnitude_rounding=0.01)
    file = write_csv(tmp_path / "square.csv", "y_km,x_km", [(y, x) for x, y in SQUARE])
    assert flat.attrs["area_km2"] == pairs.attrs["area_km2"] == 1e4
    np.testing.assert_array_equal(flat["target"], pairs["target"])
    xr.testing.assert_identical(read(path, polygon=file, magnitude_rounding=0.01), pairs)


def test_the_hash_sees_every_number_that_the_model_sees(tmp_path):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    base = {"polygon": SQUARE, "magnitude_rounding": 0.01}
    changes = [
        {},
        {"start": 1.0},
        {"end": 60.0},
        {"polygon": [(0, 0), (101, 0), (100, 100), (0, 100)]},
        {"completeness_magnitude": 2.9},
        {"magnitude_rounding": 0.0},
        {"area_km2": 9e3},
        {"earth_radius_km": 6378.1},
        {"marks": "depth"},
    ]
    hashes = {read(path, **(base | change)).attrs["content_hash"] for change in changes}
    assert len(hashes) == len(changes)


BAD_ROWS = {
    "missing time": (4, 1, "", CatalogTimeError, r"line 6: the time is nan"),
    "unsorted": (4, 1, -99.0, CatalogTimeError, r"line 6: .*earlier than the one before"),
    "missing position": (5, 2, "nan", CatalogError, r"line 7: the x is nan"),
    "missing magnitude": (5, 4, "", CatalogError, r"line 7: the magnitude is nan"),
    "small": (3, 4, 2.5, BelowCompletenessError, r"line 5: magnitude 2\.5 is below m_c = 3"),
    "duplicate": (8, 0, "e2", DuplicateEventError, r"line 10: .* e2 .*line 4 too"),
    "missing mark": (8, 5, "", CatalogError, r"line 10: the depth is nan"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named(tmp_path, case):
    row, column, value, error, message = BAD_ROWS[case]
    rows = planar_rows()
    rows[row][column] = value
    path = planar_csv(tmp_path / "bad.csv", rows)
    with pytest.raises(error, match=rf"^bad\.csv, {message}") as caught:
        read(
            path,
            polygon=SQUARE,
            completeness_magnitude=3.0,
            magnitude_rounding=0.01,
            marks="depth",
        )
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_several_bad_rows_are_counted_and_cut_on_request(tmp_path):
    rows = planar_rows()
    for row in (3, 7, 9):
        rows[row][4] = 2.0
    path = planar_csv(tmp_path / "bad.csv", rows)
    options = {"polygon": SQUARE, "completeness_magnitude": 3.0, "magnitude_rounding": 0.01}
    with pytest.raises(BelowCompletenessError, match=r"line 5 \(the first of 3 such events\)"):
        read(path, **options)
    dataset = read(path, cut=True, **options)
    assert dataset.sizes["event"] == 17
    assert dataset.attrs["events_below_completeness"] == 3


def test_magnitudes_rounded_to_the_completeness_are_kept(tmp_path):
    rows = planar_rows()
    for row, step in zip(rows, range(20), strict=True):
        row[4] = 3 + 0.1 * step
    path = planar_csv(tmp_path / "a.csv", rows)
    dataset = read(path, completeness_magnitude=3.3, magnitude_rounding=0.1, cut=True)
    assert dataset.sizes["event"] == 17


def test_targets_marked_by_the_source_must_be_in_window_and_polygon(tmp_path):
    rows = [[k, 10.0 + k, 5 * k, 5 * k, 3.0, 1] for k in range(1, 11)]
    path = write_csv(tmp_path / "bad.csv", "id,time_days,x_km,y_km,magnitude,target", rows)
    options = {"polygon": SQUARE, "magnitude_rounding": 0}
    assert read(path, **options)["target"].all()
    small = [(0, 0), (32, 0), (32, 32), (0, 32)]
    with pytest.raises(OutsidePolygonError, match=r"bad\.csv, line 8 \(the first of 4 such.*35"):
        read(path, **(options | {"polygon": small}))
    with pytest.raises(CatalogTimeError, match=r"bad\.csv, line 2 \(the first of 2 .*T0 = 13 days"):
        read(path, start=13.0, **options)
    rows[3][5] = 2
    write_csv(path, "id,time_days,x_km,y_km,magnitude,target", rows)
    with pytest.raises(CatalogError, match=r"bad\.csv, line 5: target is 2"):
        read(path, **options)


def test_a_missing_rounding_step_is_asked_for(tmp_path):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    with pytest.raises(MissingMagnitudeBinError, match=r"a\.csv: .*pass magnitude_rounding"):
        read(path, polygon=SQUARE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 50.0, "end": 50.0}, "T1 = 50 days, not after T0 = 50"),
        ({"start": 60.0, "end": 50.0}, "T1 = 50 days, not after T0 = 60"),
        ({"start": 500.0, "end": 600.0}, "none of the 20 events is a target"),
        ({"start": -900.0, "end": -800.0}, "all 20 events lie after T1 = -800"),
        ({"polygon": [(200, 0), (300, 0), (200, 100)]}, "none of the 20 events is a target"),
        ({"completeness_magnitude": 9.0, "cut": True}, "all 20 events are below m_c = 9"),
    ],
)
def test_an_empty_window_is_refused(tmp_path, options, message):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    with pytest.raises(EmptyWindowError, match=rf"^a\.csv: .*{message}"):
        read(path, **({"polygon": SQUARE, "magnitude_rounding": 0.01} | options))


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([(0, 0), (100, 100), (100, 0), (0, 100)], "Self-intersection"),
        ([(0, 0), (100, 0), (50, 0)], "no area"),
        ([(0, 0), (100, 0), (50, 0), (0, 0)], "no area"),
        ([(0, 0), (100, 0), (0, 0)], "2 different vertices"),
        ([(0, 0), (np.nan, 0), (0, 9)], r"vertex 2"),
    ],
)
def test_a_polygon_that_is_not_simple_is_refused(tmp_path, polygon, message):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PolygonError, match=message) as caught:
            read(path, polygon=polygon, magnitude_rounding=0.01)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("", "a header but no rows"),
        ("latitude,longitude\n1,2\n", "line 1: .*no such columns but latitude, longitude"),
        ("x_km,y_km\n0,0\n9,zero\n9,9\n", "line 3: '9, zero' is no vertex"),
        ("x_km,y_km\n0,0\n9,9\n", "2 different vertices"),
    ],
)
def test_a_polygon_file_that_cannot_be_read_says_why(tmp_path, text, message):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    polygon = tmp_path / "region.csv"
    if text is not None:
        polygon.write_text(text)
    with pytest.raises(PolygonError, match=rf"region\.csv.*{message}") as caught:
        read(path, polygon=polygon, magnitude_rounding=0.01)
    assert "\n" not in str(caught.value)


def test_a_box_without_area_or_around_the_globe_is_refused():
    with pytest.raises(PolygonError, match="data set, bounding box"):
        read(geographic([1.0, 2.0], [5.0, 5.0]), magnitude_rounding=0.1)
    with pytest.raises(PolygonError, match="180 degrees of longitude"):
        bounding_box(np.array([-170.0, -60, 60, 170]), np.arange(4.0), geographic=True)
    with pytest.raises(PolygonError, match="95 is no latitude"):
        open_region([(0, 90), (1, 90), (1, 95)], geographic=True)


@pytest.mark.parametrize(
    "options",
    [
        {"polygon": 7},
        {"polygon": [1, 2, 3]},
        {"polygon": [("a", "b")]},
        {"start": True},
        {"start": "2010-01-01"},
        {"end": np.nan},
        {"completeness_magnitude": "3"},
        {"magnitude_rounding": "auto"},
        {"magnitude_rounding": -0.1},
        {"cut": 1},
        {"sort": "yes"},
        {"distance": "haversine"},
        {"earth_radius_km": 0},
        {"area_km2": -1.0},
        {"marks": 3},
        {"marks": "magnitude"},
        {"marks": "depth,depth"},
    ],
)
def test_option_values_of_the_wrong_kind_are_refused(tmp_path, options):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    name = next(iter(options))
    with pytest.raises(OptionError, match=rf"^{name}"):
        read(path, **({"polygon": SQUARE, "magnitude_rounding": 0.01} | options))


def test_positions_and_columns_that_are_absent_are_asked_for(tmp_path):
    path = planar_csv(tmp_path / "a.csv", planar_rows())
    with pytest.raises(CatalogError, match=r"a\.csv has no longitudes and latitudes"):
        read(path, magnitude_rounding=0.01, distance="sphere")
    with pytest.raises(CatalogError, match=r"a\.csv, line 1: no column sharpness"):
        read(path, magnitude_rounding=0.01, marks="sharpness")
    path = write_csv(tmp_path / "b.csv", "time_days,magnitude", [(1, 3), (2, 3)])
    with pytest.raises(CatalogError, match=r"b\.csv has no positions"):
        read(path, magnitude_rounding=0.01)
    source = geographic([1.0, 2, 3], [4.0, 95, 6])
    with pytest.raises(CatalogError, match="event index 1: the latitude is 95"):
        read(source, magnitude_rounding=0.1)
    (tmp_path / "c.nc").write_text("no NetCDF")
    with pytest.raises(CatalogError, match=r"c\.nc is no NetCDF"):
        read(tmp_path / "c.nc")
    with pytest.raises(CatalogError, match="does not exist"):
        read(tmp_path / "d.nc")


def suspect_table(magnitude, days=100.0):
    n = len(magnitude)
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "time_days": ("event", np.linspace(0.0, days, n)),
            "x_km": ("event", rng.uniform(0, 50, n)),
            "y_km": ("event", rng.uniform(0, 50, n)),
            "magnitude": ("event", magnitude),
        }
    )


MAGNITUDES = np.round(3.0 + np.random.default_rng(1).exponential(0.4, 200), 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"completeness_magnitude": 2.0, "magnitude_rounding": 0.01}, "which lowers the b-value"),
        ({"magnitude_rounding": 0.01, "start": 0.0, "end": 400.0}, "the last 300 of the 400 days"),
        ({"magnitude_rounding": 0.01, "start": -300.0}, "the first 300 of the 400 days"),
        ({"magnitude_rounding": 0.1}, "no multiples of magnitude_rounding = 0.1"),
    ],
)
def test_options_that_do_not_fit_the_events_are_warned_of(model, options, message):
    with pytest.warns(SuspectCatalogueWarning, match=message):
        dataset = model.read(suspect_table(MAGNITUDES), **options)
    assert message in dataset.attrs["cautions"]
    assert model.read(dataset).attrs["cautions"] == dataset.attrs["cautions"]


def test_options_that_fit_the_events_are_not_warned_of(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error", SuspectCatalogueWarning)
        table = suspect_table(MAGNITUDES)
        dataset = model.read(table, magnitude_rounding=0.01, start=0.0, end=105.0)
    assert dataset.attrs["cautions"] == ""


def test_targets_are_found_anew_in_another_window_or_polygon(model):
    table = suspect_table(MAGNITUDES)
    late = model.read(table, magnitude_rounding=0.01, start=50.0, end=100.0)
    whole = model.read(late, start=0.0)
    assert int(late["target"].sum()) == 100
    assert int(whole["target"].sum()) == whole.sizes["event"] == 200
    square = [(0.0, 0.0), (25.0, 0.0), (25.0, 50.0), (0.0, 50.0)]
    half = model.read(late, polygon=square)
    inside = (late["x_km"] <= 25.0) & (late["target"] == 1)
    assert np.array_equal(half["target"] == 1, inside)


def test_a_column_that_takes_events_of_the_window_for_history_is_warned_of(model):
    table = suspect_table(MAGNITUDES).assign(target=("event", np.arange(200) % 2))
    with pytest.warns(SuspectCatalogueWarning, match="100 events in the window and the polygon"):
        model.read(table, magnitude_rounding=0.01, start=0.0)


def test_a_completeness_between_the_steps_of_magnitudes_is_warned_of(model):
    table = suspect_table(np.round(MAGNITUDES, 1))
    with pytest.warns(SuspectCatalogueWarning, match="pass completeness_magnitude=3"):
        model.read(table, magnitude_rounding=0.1, completeness_magnitude=2.95)


def test_a_magnitude_in_the_bin_of_the_largest_possible_one_is_accepted(model):
    dataset = model.read(suspect_table(np.round(MAGNITUDES, 1)), magnitude_rounding=0.1)
    largest = float(dataset["magnitude"].max())
    model.prepare(dataset, maximum_magnitude=largest)
    with pytest.raises(CatalogError, match="is not below"):
        model.prepare(dataset, maximum_magnitude=largest - 0.1)


@pytest.mark.parametrize("n", [2, 6, 15])
def test_a_density_of_few_background_events_is_finite(model, n):
    dataset = model.read(suspect_table(MAGNITUDES[:n]), magnitude_rounding=0.01, start=0.0)
    density = model.prepare(dataset, background="density").background
    assert np.isfinite(density.log_ratio[:n]).all()
    assert np.isfinite(density.weight).all()
