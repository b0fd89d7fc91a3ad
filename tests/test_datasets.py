"""Data sets are read, labelled and checked by one declaration, and every complaint has a place."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from obspy.core.event import Catalog, Event, Magnitude

from bayesquake.errors import DatasetError, OptionError
from bayesquake.io.datasets import (
    Schema,
    Variable,
    checked,
    labelled,
    prepared,
    reader,
    table_reader,
)
from bayesquake.io.units import is_unit
from bayesquake.model.options import number, options_of, takes

DATA = Schema(
    {"magnitude": Variable("mag", "magnitude", low=-5, high=10, also=("mag",))},
    attributes={"magnitude_rounding": number("mag", at_least=0, at_most=1)},
)
FIELD = Schema(
    {"slip": Variable("m", "slip", ("y", "x"), missing=True)}, coordinates={"x": ["west", "east"]}
)


def magnitude_of(event):
    return {"magnitude": event.magnitudes[0].mag if event.magnitudes else None}


@reader(DATA, event=magnitude_of)
@takes(magnitude_rounding=number("mag", at_least=0, at_most=1))
def read(table, *, magnitude_rounding=0.1):
    """Read magnitudes."""
    magnitude = table.numbers("magnitude")
    return labelled(DATA, {"magnitude": magnitude}, magnitude_rounding=magnitude_rounding)


@prepared(DATA)
def prepare(dataset):
    """Return the magnitudes."""
    return dataset["magnitude"].to_numpy()


def csv(tmp_path, text):
    path = tmp_path / "catalogue.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_a_file_of_it_a_catalogue_and_a_data_set_agree(tmp_path):
    table = read(csv(tmp_path, "# from a network\nMag,place\n3.1,a\n\n4.25 mag,b\n"))
    assert table["magnitude"].to_numpy().tolist() == [3.1, 4.25]
    assert table["magnitude"].attrs == {"units": "mag", "long_name": "magnitude"}
    table.to_netcdf(tmp_path / "data.nc")
    events = [Event(magnitudes=[Magnitude(mag=m)]) for m in (3.1, 4.25)]
    loose = xr.Dataset({"mag": ("event", [3.1, 4.25])})
    for source in (table, tmp_path / "data.nc", Catalog(events), loose):
        again = read(source)
        assert again.attrs["content_hash"] == table.attrs["content_hash"]
        assert np.array_equal(again["magnitude"], table["magnitude"])


def test_the_reader_takes_the_options_of_its_function_and_a_format():
    assert options_of(read) == {"magnitude_rounding", "format"} == set(read.options)
    assert read.__doc__ == "Read magnitudes."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mag\n3\nx\n", r"catalogue.csv, line 3: magnitude = 'x' is no number of mag from -5 to"),
        ("mag\n3\n\n\nnan\n4\n", r"catalogue.csv, line 5: magnitude is missing \(1 such rows\)"),
        ("mag\n3\n11\n", "line 3: magnitude = '11' is no number of mag from -5 to 10"),
        ("depth\n3\n", r"has no column magnitude \(or mag\), only depth; add it"),
        ("mag,magnitude\n3,3\n", "more than one column gives the magnitude"),
        ("mag,mag\n3,3\n", "more than one column gives the magnitude"),
        ("mag\n", "a header but no rows"),
        ("mag\n3,4\n", "line 2: the row has more cells"),
    ],
)
def test_an_unreadable_table_is_named_by_file_row_and_remedy(tmp_path, text, message):
    with pytest.raises(DatasetError, match=message):
        read(csv(tmp_path, text))


def test_events_without_what_is_needed_are_named():
    with pytest.raises(DatasetError, match=r"Catalog, event 1 \(smi.*\): magnitude is missing"):
        read(Catalog([Event(magnitudes=[Magnitude(mag=3.0)]), Event()]))
    with pytest.raises(DatasetError, match="or an ObsPy catalogue that holds events"):
        read(Catalog([]))
    with pytest.raises(DatasetError, match="nothing can be read from int"):
        read(3)


def test_files_that_are_not_there_or_not_readable_are_named(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        read(tmp_path / "no.csv")
    with pytest.raises(DatasetError, match="is a folder"):
        read(tmp_path)
    for name in ("broken.nc", "broken.xml"):
        (tmp_path / name).write_text("nonsense")
        with pytest.raises(DatasetError, match=name):
            read(tmp_path / name)


def test_an_option_that_a_data_set_contradicts_is_refused(tmp_path):
    dataset = read(csv(tmp_path, "mag\n3\n4\n"))
    assert read(dataset, magnitude_rounding=0.1).identical(dataset)
    with pytest.raises(OptionError, match=r"magnitude_rounding = 0.2 cannot be applied"):
        read(dataset, magnitude_rounding=0.2)


def test_a_schema_alone_makes_a_reader_whose_options_are_its_attributes(tmp_path):
    plain = table_reader(DATA, event=magnitude_of)
    path = csv(tmp_path, "mag\n3\n4\n")
    assert plain(path, magnitude_rounding=0.1).identical(read(path))
    with pytest.raises(OptionError, match="read needs magnitude_rounding, a number of at least 0"):
        plain(path)


STATION = {"slowness": Variable("s/km", "slowness", ("station",), low=0, also=("u",))}
LAYERS = Schema(
    {
        "speed": Variable("km/s", "speed", ("layer",), low=0),
        "density": Variable("g/cm3", "density", ("layer",), low=0, optional=True, also=("rho",)),
    }
)


def test_a_variable_that_is_optional_is_checked_where_it_is(tmp_path):
    bare = labelled(LAYERS, {"speed": [5.0, 6.0]})
    whole = labelled(LAYERS, {"speed": [5.0, 6.0], "density": [2.6, 2.9]})
    assert set(bare) == {"speed"}
    assert bare.attrs["content_hash"] != whole.attrs["content_hash"]
    assert checked(LAYERS, bare).identical(bare)
    with pytest.raises(DatasetError, match=r"layer 1: density = -2\.9"):
        checked(LAYERS, whole.assign(density=("layer", [2.6, -2.9])))
    read_layers = table_reader(LAYERS)
    for text, expected in {"speed\n5\n6\n": bare, "speed,rho\n5,2.6\n6,2.9\n": whole}.items():
        again = read_layers(csv(tmp_path, text))
        assert again.attrs["content_hash"] == expected.attrs["content_hash"]


def test_of_two_layouts_the_nearest_is_asked_for():
    @prepared(LAYERS, Schema(STATION))
    def speeds(dataset):
        return dataset["speed"].to_numpy() if "speed" in dataset else 1 / dataset["slowness"]

    assert speeds(labelled(LAYERS, {"speed": [5.0]})).tolist() == [5.0]
    assert speeds(labelled(Schema(STATION), {"slowness": [0.25]})).to_numpy().tolist() == [4.0]
    with pytest.raises(DatasetError, match="slowness = -1 is no finite number of s/km"):
        speeds(labelled(Schema(STATION), {"slowness": [-1.0]}))


@pytest.mark.parametrize(
    ("given", "unit"),
    [
        ("degrees_E", "degrees_east"),
        ("degree_north", "degrees_north"),
        ("Kilometres", "km"),
        ("hertz", "Hz"),
        ("Nm", "N m"),
        ("Days", "d"),
        ("1", "km"),
        ("", "s"),
    ],
)
def test_a_unit_is_known_by_its_spellings(given, unit):
    assert is_unit(given, unit)
    assert not is_unit(given, "furlong") or given in ("", "1")


@pytest.mark.parametrize(
    ("given", "unit"), [("m", "km"), ("kHz", "Hz"), ("rad", "degrees_east"), ("dyn cm", "N m")]
)
def test_another_unit_is_another_unit(given, unit):
    assert not is_unit(given, unit)


POISON = {
    "a table in place of a data set": lambda d: d.to_dataframe(),
    "no variable": lambda d: d.drop_vars("magnitude"),
    "text": lambda d: d.assign(magnitude=d["magnitude"].astype(str)),
    "complex": lambda d: d.assign(magnitude=d["magnitude"] * 1j),
    "another dimension": lambda d: d.rename(event="shot"),
    "another axis": lambda d: d.assign(magnitude=d["magnitude"].expand_dims("station")),
    "not a number": lambda d: d.assign(magnitude=d["magnitude"].where(d["event"] != 1)),
    "infinite": lambda d: d.assign(magnitude=d["magnitude"] + np.inf),
    "out of range": lambda d: d.assign(magnitude=d["magnitude"] * 1e3),
    "in another unit": lambda d: d.assign(magnitude=d["magnitude"].assign_attrs(units="N m")),
    "empty": lambda d: d.isel(event=[]),
    "no attribute": lambda d: d.drop_attrs(),
    "an impossible attribute": lambda d: d.assign_attrs(magnitude_rounding="coarse"),
    "an attribute that is no number": lambda d: d.assign_attrs(magnitude_rounding=np.nan),
}


@pytest.mark.parametrize("poison", POISON)
def test_reader_and_preparation_refuse_the_same_poisoned_data(poison, tmp_path):
    good = labelled(DATA, {"magnitude": [3.0, 4.0, 5.0]}, magnitude_rounding=0.1)
    assert prepare(good).tolist() == [3.0, 4.0, 5.0]
    poisoned = POISON[poison](good)
    for door in (prepare, lambda d: checked(DATA, d)):
        with pytest.raises(DatasetError):
            door(poisoned)


def test_the_place_of_a_bad_number_is_named_by_its_labels():
    field = labelled(FIELD, {"slip": [[1.0, np.nan], [2.0, np.inf]]})
    with pytest.raises(DatasetError, match=r"data set, y 1, x east: slip = inf is no finite"):
        checked(FIELD, field)


@given(st.lists(st.floats(-5, 10), min_size=1, max_size=20), st.floats(0, 1))
def test_any_possible_data_set_passes_and_keeps_its_hash(magnitudes, rounding):
    dataset = labelled(DATA, {"magnitude": magnitudes}, magnitude_rounding=rounding)
    assert read(dataset).identical(read(read(dataset)))
    assert read(dataset).attrs["content_hash"] == dataset.attrs["content_hash"]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_by_name(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = read(path)
    except DatasetError as problem:
        message = str(problem)
    else:
        assert np.isfinite(found["magnitude"]).all()
        return
    assert str(path) in message
