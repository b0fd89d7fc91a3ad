import numpy as np
import pytest
import xarray as xr
from obspy.core.event import (
    Catalog,
    Event,
    FocalMechanism,
    NodalPlane,
    NodalPlanes,
    Origin,
)

from bayesquake.errors import BayesquakeError, OptionError
from bayesquake.io.datasets import labelled
from bayesquake.model.registry import load_model
from bayesquake.models.orientation_dependence.data.mechanisms import (
    DATA,
    ExchangedAxesWarning,
    prepare,
)
from bayesquake.models.orientation_dependence.errors import (
    DegenerateMarginalError,
    InconsistentPlanesError,
    MechanismFormatError,
    OrientationError,
    SinkhornError,
)

read = load_model("orientation_dependence").read
HEADER = "time,latitude,longitude,depth,M,Mw,strike1,dip1,slip1,strike2,dip2,slip2"
ROWS = [
    "53:36.1,34:28.8,139:18.2,12km,4.7,4.5,91,79,156,186,67,12",
    "36:33.2,37:50.8,142:32.0,42km,4.7,4.7,121,44,122,260,54,63",
    "10:00.0,36:00.0,141:00.0,30 km,5.0,5.1,0,45,90,180,45,90",
]


def mechanisms_of(frame, depth):
    """Return frames and depths as a data set of the model."""
    return labelled(DATA, {"frame": frame, "depth": depth})


def csv(tmp_path, rows=ROWS, header=HEADER):
    path = tmp_path / "mechanisms.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def changed(cell, value, row=1):
    """Return the rows with one cell of a row changed."""
    rows = [line.split(",") for line in ROWS]
    rows[row][HEADER.split(",").index(cell)] = value
    return [",".join(line) for line in rows]


@pytest.fixture
def catalog(planes_of):
    first = np.array([[121.0, 44.0, 122.0], [10.0, 30.0, 80.0], [200.0, 60.0, 100.0]])
    events = []
    for depth_km, one, two in zip((12.0, 42.5, 90.0), first, planes_of(*first.T), strict=True):
        planes = [NodalPlane(strike=s, dip=d, rake=r) for s, d, r in (one, two)]
        mechanism = FocalMechanism(nodal_planes=NodalPlanes(*planes))
        events.append(Event(origins=[Origin(depth=1000 * depth_km)], focal_mechanisms=[mechanism]))
    return Catalog(events)


def test_the_accompanying_file_is_read(mechanisms):
    assert dict(mechanisms.sizes) == {"event": 158, "axis": 2, "xyz": 3}
    assert mechanisms.attrs["exchanged"] == 58
    assert mechanisms["depth"].attrs["units"] == "km"


def test_reading_warns_of_exchanged_axes(mechanism_file):
    with pytest.warns(ExchangedAxesWarning, match="58 of 158"):
        read(mechanism_file)


def test_a_table_a_data_set_and_a_file_of_it_agree(tmp_path):
    table = read(csv(tmp_path))
    assert table["depth"].to_numpy().tolist() == [12.0, 42.0, 30.0]
    table.to_netcdf(tmp_path / "m.nc")
    for again in (read(table), read(tmp_path / "m.nc")):
        assert again.attrs["content_hash"] == table.attrs["content_hash"]
    columns = dict(zip(HEADER.split(","), np.array([r.split(",") for r in ROWS]).T, strict=True))
    loose = xr.Dataset({name: ("event", column) for name, column in columns.items()})
    assert np.allclose(read(loose)["frame"], table["frame"])


def test_an_obspy_catalogue_is_read(tmp_path, catalog):
    dataset = read(catalog)
    assert np.allclose(dataset["depth"], [12.0, 42.5, 90.0])
    catalog.write(str(tmp_path / "m.xml"), format="QUAKEML")
    assert np.allclose(read(tmp_path / "m.xml")["frame"], dataset["frame"])


def test_an_obspy_event_without_planes_or_depth_is_refused(catalog):
    origins, catalog[1].origins = catalog[1].origins, []
    with pytest.raises(MechanismFormatError, match=r"event 1 .*depth is missing"):
        read(catalog)
    catalog[1].origins, catalog[0].focal_mechanisms = origins, []
    with pytest.raises(MechanismFormatError, match=r"event 0 .*strike1 is missing"):
        read(catalog)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("depth", "shallow"),
        ("depth", ""),
        ("depth", "nan"),
        ("strike1", ""),
        ("dip2", "95"),
        ("slip1", "inf"),
        ("depth", "12000"),
    ],
)
def test_an_unreadable_cell_is_named_by_its_line(tmp_path, cell, value):
    name = cell.replace("slip", "rake")
    with pytest.raises(MechanismFormatError, match=f"mechanisms.csv, line 3: {name}"):
        read(csv(tmp_path, changed(cell, value)))


def test_inconsistent_planes_are_named_by_their_line(tmp_path):
    with pytest.raises(InconsistentPlanesError, match="line 2"):
        read(csv(tmp_path, changed("slip2", "60", row=0)))


def test_constant_depth_is_refused(tmp_path):
    rows = [",".join([*r.split(",")[:3], "10km", *r.split(",")[4:]]) for r in ROWS]
    with pytest.raises(DegenerateMarginalError, match="depths are 10 km"):
        read(csv(tmp_path, rows))


def test_one_orientation_is_refused():
    frame = np.tile(np.eye(3)[:2], (5, 1, 1))
    with pytest.raises(DegenerateMarginalError, match="one orientation"):
        prepare(mechanisms_of(frame, np.arange(5.0)))


def test_a_missing_column_and_too_few_rows_are_refused(tmp_path):
    with pytest.raises(MechanismFormatError, match="no column strike2"):
        read(csv(tmp_path, header=HEADER.replace("strike2", "azimuth2")))
    with pytest.raises(MechanismFormatError, match="at least 3"):
        read(csv(tmp_path, ROWS[:2]))


def test_what_is_no_mechanism_file_is_refused(tmp_path):
    broken = tmp_path / "broken.nc"
    broken.write_text("no netcdf")
    (tmp_path / "text.txt").write_text("no events")
    for source in (tmp_path / "absent.csv", broken, tmp_path / "text.txt", 3.0):
        with pytest.raises(MechanismFormatError):
            read(source)


def test_changed_frames_of_a_data_set_are_refused(tmp_path):
    dataset = read(csv(tmp_path))
    with pytest.raises(InconsistentPlanesError, match="event 0"):
        read(dataset.assign(frame=1.1 * dataset["frame"]))
    with pytest.raises(MechanismFormatError, match="depth = nan is no finite"):
        read(dataset.assign(depth=dataset["depth"] * np.nan))


def test_an_unknown_statistic_is_refused(tmp_path):
    with pytest.raises(OptionError, match="frame_bingham"):
        prepare(read(csv(tmp_path)), statistic="watson")


def test_an_unknown_way_to_tell_the_axes_is_refused(tmp_path):
    with pytest.raises(OptionError, match="moment_tensor"):
        read(csv(tmp_path), axes="nodal")


@pytest.mark.parametrize(
    "error", [InconsistentPlanesError, DegenerateMarginalError, MechanismFormatError, SinkhornError]
)
def test_errors_share_their_ancestors(error):
    assert issubclass(error, OrientationError)
    assert issubclass(error, BayesquakeError)
    assert issubclass(error, ValueError)
