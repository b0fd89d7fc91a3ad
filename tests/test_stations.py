"""Stations are read with their units, and what cannot be a station is refused by its line."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayesquake.errors import DatasetError
from bayesquake.io.stations import read_stations

GEOGRAPHIC = "station,latitude,longitude,elevation_m\n"


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


places = st.tuples(
    st.floats(-90, 90), st.floats(-180, 360), st.integers(-15_000, 9_000), st.integers(0, 99)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(places, min_size=1, max_size=8))
def test_three_programs_give_the_same_stations(tmp_path, rows):
    names = [f"S{i:02d}" for i in range(len(rows))]
    csv = [f"{n},{a!r},{b!r},{m}" for n, (a, b, m, _) in zip(names, rows, strict=True)]
    plain = [f"{n} {a!r} {b!r} {m}" for n, (a, b, m, _) in zip(names, rows, strict=True)]
    source = [
        f"GTSRCE {n} LATLON {a!r} {b!r} {d / 10} {(m + 100 * d) / 1000!r}"
        for n, (a, b, m, d) in zip(names, rows, strict=True)
    ]
    expected = read_stations(written(tmp_path, "a.csv", GEOGRAPHIC + "\n".join(csv)))
    np.testing.assert_array_equal(expected["elevation"], [m / 1000 for _, _, m, _ in rows])
    for name, lines in (("a.dat", plain), ("a.in", source)):
        found = read_stations(written(tmp_path, name, "\n".join(lines)))
        xr.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
        assert list(found["station"].to_numpy()) == names


def test_local_positions_are_depths_below_the_datum(tmp_path):
    sources = read_stations(written(tmp_path, "a.in", "GTSRCE A XYZ 1 2 0.1 0.5\n"))
    table = read_stations(written(tmp_path, "a.csv", "station,x_km,y_km,z_km\nA,1,2,-0.4\n"))
    xr.testing.assert_allclose(sources, table)


def test_stations_survive_netcdf_and_are_taken_from_memory(tmp_path):
    stations = read_stations(written(tmp_path, "a.csv", GEOGRAPHIC + "A,35,140,12\nB,36,141,-3\n"))
    stations.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_equal(read_stations(tmp_path / "a.nc"), stations)
    xr.testing.assert_equal(read_stations(stations), stations)


@pytest.mark.parametrize(
    ("name", "text", "place", "reason"),
    [
        ("a.csv", "station,latitude,longitude,elevation\nA,35,140,12\n", "a.csv", "elevation_km"),
        ("a.csv", GEOGRAPHIC + "A,35,140,12\nA,36,140,12\n", "station A", "more than once"),
        ("a.csv", GEOGRAPHIC + "A,-121.5,37.2,12\n", "line 2", "latitude"),
        ("a.csv", GEOGRAPHIC + "A,35,140,12\n,35,140,12\n", "line 3", "station is missing"),
        ("a.csv", GEOGRAPHIC + "A,35,140,12000\n", "line 2", "elevation_m"),
        ("a.csv", "station,latitude,elevation_m\nA,35,12\n", "a.csv", "not longitude"),
        ("a.csv", "station,magnitude\nA,35\n", "a.csv", "no positions"),
        ("a.dat", "A 35\nB 36 140\n", "a.dat", "name the one it is of"),
        ("a.dat", "A 35 140 1 2 3\n", "line 1", "elevation in m"),
        ("a.in", "GTSRCE A LATLONDM 35 N 140 E 0 0\n", "line 1", "LATLON or XYZ"),
        ("a.in", "GTSRCE A XYZ 35 14x 0 0\n", "line 1", "give numbers"),
    ],
)
def test_what_no_station_can_be_says_where_and_why(tmp_path, name, text, place, reason):
    with pytest.raises(DatasetError) as refused:
        read_stations(written(tmp_path, name, text))
    assert place in str(refused.value)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("file", "count", "highest"),
    [
        ("calaveras/station.dat", 112, 0.0),
        ("nlloc_alaska/station_coordinates.txt", 80, 3.5),
        ("parkfield3d/ncsn.sta", 2327, 3.71),
        ("spanish_springs/stlist2.txt", 51, 3.0),
    ],
)
def test_stations_of_published_studies_are_read(shared_data, file, count, highest):
    stations = read_stations(shared_data / "tomography" / file)
    assert stations.sizes["station"] == count
    assert float(stations["elevation"].max()) <= highest
