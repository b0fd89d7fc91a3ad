"""Arrivals, stations and layers are joined on one plane, or refused by name."""

import warnings

import jax
import numpy as np
import pytest
import xarray as xr
from obspy.geodetics import gps2dist_azimuth

import bayesquake as bq
from bayesquake.errors import DatasetError, OptionError
from bayesquake.models.hypocenter_velocity.errors import (
    DomainError,
    ModelError,
    UndersideWarning,
)

MODEL = bq.load_model("hypocenter_velocity")

PLACES = {
    "A": (37.0, -121.0, 0.1),
    "B": (37.3, -121.2, 0.4),
    "C": (37.1, -121.5, 0.0),
    "D": (36.8, -121.3, 1.2),
}
PICKS = "event,station,phase,time_s\n" + "".join(
    f"{event},{station},{phase},{time}\n"
    for event, first in (("e1", 5.0), ("e2", 7.0))
    for k, station in enumerate(PLACES)
    for phase, time in (("P", first + k), ("S", 1.7 * (first + k)))
)
EVENTS = "event,latitude,longitude,depth_km\ne1,37.05,-121.25,6\ne2,37.0,-121.2,9\n"
LAYERS = "top_km,vp_km_s,vs_km_s\n-2,5,2.9\n4,6,3.4\n"


@pytest.fixture
def files(tmp_path):
    """A function that writes the four files, some of them changed, and reads them."""
    lines = [f"{name},{la},{lo},{e}" for name, (la, lo, e) in PLACES.items()]
    texts = {
        "picks": PICKS,
        "stations": "station,latitude,longitude,elevation_km\n" + "\n".join(lines) + "\n",
        "events": EVENTS,
        "layers": LAYERS,
    }

    def read(**changed):
        paths = {}
        for name, text in (texts | changed).items():
            paths[name] = None if text is None else tmp_path / f"{name}.csv"
            if text is not None:
                paths[name].write_text(text)
        picks = paths.pop("picks")
        return MODEL.read(picks, **paths)

    read.texts = texts
    return read


def test_places_on_the_plane_are_as_far_apart_as_on_the_earth(files):
    dataset = files()
    names = list(dataset["station"].to_numpy())
    for k, name in enumerate(names):
        latitude, longitude, elevation = PLACES[name]
        true = gps2dist_azimuth(latitude, longitude, 37.05, -121.25)[0] / 1000
        found = np.hypot(
            dataset["station_x"][k] - dataset["x"][0], dataset["station_y"][k] - dataset["y"][0]
        )
        assert np.isclose(found, true, rtol=1e-3)
        assert dataset["station_depth"][k] == -elevation
    assert dataset.attrs["preliminary"] == "given"


def test_without_preliminary_hypocentres_a_source_is_sought_near_its_first_station(files):
    dataset = files(events=None)
    assert dataset.attrs["preliminary"] == "first_station"
    assert dataset["x"][0] == dataset["station_x"][0]
    prepared = MODEL.prepare(dataset)
    apart = np.hypot(*(dataset[f"station_{a}"] - dataset[f"station_{a}"].mean() for a in "xy"))
    assert np.isclose(prepared.width[0], apart.max())
    place = prepared.centre + prepared.width[:, None] * prepared.start
    assert np.allclose(place[0], dataset["x"])
    assert np.allclose(np.logaddexp(0, place[2]), dataset["depth"] - dataset["top"][0])


def test_a_preliminary_origin_time_makes_the_mean_residual_vanish(files):
    dataset = files(layers="top_km,vp_km_s\n-2,5\n")
    distance = np.sqrt(
        (dataset["station_x"] - dataset["x"][0]) ** 2
        + (dataset["station_y"] - dataset["y"][0]) ** 2
        + (dataset["station_depth"] - dataset["depth"][0]) ** 2
    ).to_numpy()
    first = dataset["event_index"].to_numpy() == 0
    phase = dataset["phase_index"].to_numpy()[first]
    station = dataset["station_index"].to_numpy()[first].astype(int)
    travel = distance[station] / 5 * np.where(phase == 1, 1.73, 1.0)
    residual = dataset["time"].to_numpy()[first] - travel - float(dataset["origin_time"][0])
    assert abs(np.average(residual, weights=np.where(phase == 1, 1, 4))) < 1e-9


def test_what_was_read_is_read_again_from_its_file(files, tmp_path):
    dataset = files()
    dataset.to_netcdf(tmp_path / "data.nc")
    again = MODEL.read(tmp_path / "data.nc")
    assert again.attrs["content_hash"] == dataset.attrs["content_hash"]
    assert list(again["station"].to_numpy()) == list(PLACES)
    with pytest.raises(OptionError, match="has been read already"):
        MODEL.read(tmp_path / "data.nc", stations=tmp_path / "stations.csv")


def test_stations_without_picks_are_left_out(files):
    more = files.texts["stations"] + "E,37.0,-121.9,0\n"
    assert "E" not in files(stations=more)["station"]


def test_a_slower_layer_is_warned_of(files):
    with pytest.warns(UndersideWarning, match="layer 1: 4 km/s is slower"):
        files(layers="top_km,vp_km_s\n-2,5\n4,4\n")


WRONG = {
    "an unknown station": (
        {"picks": PICKS + "e1,Z,P,9.0\n"},
        DatasetError,
        "pick 16: station Z is not among the 4 stations",
    ),
    "a second pick": ({"picks": PICKS + "e1,A,P,9.0\n"}, DatasetError, "event e1, station A"),
    "too few picks": (
        {"picks": PICKS + "e3,A,P,1.0\n", "events": EVENTS + "e3,37,-121,5\n"},
        DatasetError,
        "event e3: 1 picks, 4 are needed",
    ),
    "a source above the layers": (
        {"events": EVENTS.replace("37.05,-121.25,6", "37.05,-121.25,-3")},
        DomainError,
        "event e1: its depth, -3 km, is above the top of the layers, -2 km",
    ),
    "exchanged degrees": (
        {
            "events": "event,latitude,longitude,depth_km\ne1,12.25,45.05,6\ne2,12.2,45.0,9\n",
            "stations": "station,latitude,longitude,elevation_km\n"
            + "".join(f"{name},45.{k},12.{k},0\n" for k, name in enumerate(PLACES)),
        },
        DatasetError,
        "seem exchanged",
    ),
    "events elsewhere": (
        {"events": EVENTS.replace("37.", "17.")},
        DomainError,
        "more than 1000 km from the stations",
    ),
    "layers out of order": (
        {"layers": "top_km,vp_km_s\n4,5\n-2,6\n"},
        ModelError,
        "is not below that of the layer above",
    ),
    "a velocity of nothing": (
        {"layers": "top_km,vp_km_s\n-2,0\n4,6\n"},
        ModelError,
        "line 2: vp = .0.",
    ),
    "a velocity that is missing": (
        {"layers": "top_km,vp_km_s\n-2,\n4,6\n"},
        ModelError,
        "line 2: vp is missing",
    ),
    "an elevation without unit": (
        {"stations": "station,latitude,longitude,elevation\nA,37,-121,0\n"},
        DatasetError,
        "does not say its unit",
    ),
    "a station far away": (
        {
            "stations": "station,latitude,longitude,elevation_km\nA,37,-121,0\nB,37.3,-121.2,0\n"
            "C,37.1,-121.5,0\nD,47.3,-111.2,0\n"
        },
        DomainError,
        "station D: .* km from the centre",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_by_name(files, what):
    changed, error, message = WRONG[what]
    with pytest.raises(error, match=message):
        files(**changed)


def test_arrivals_need_stations_and_layers(files, tmp_path):
    files()
    with pytest.raises(OptionError, match="read needs layers"):
        MODEL.read(tmp_path / "picks.csv", stations=tmp_path / "stations.csv")


def test_bends_need_a_layer_between_two(files):
    with pytest.raises(ModelError, match="2 layers have no top"):
        MODEL.prepare(files(), velocity_prior="kink")


def test_own_s_velocities_must_be_known(files):
    dataset = files(layers="top_km,vp_km_s,vs_km_s\n-2,5,2.9\n4,6,0\n")
    MODEL.prepare(dataset)
    with pytest.raises(ModelError, match="layer 1 has no S velocity"):
        MODEL.prepare(dataset, s_velocity="own")


def test_the_order_of_the_picks_does_not_matter():
    _, dataset = MODEL.simulate(jax.random.key(1), {"events": 3})
    mixed = dataset.isel(pick=np.random.default_rng(1).permutation(dataset.sizes["pick"]))
    one, other = (MODEL.prepare(each) for each in (dataset, mixed))
    assert np.array_equal(dataset["time"][one.place[one.mask]], one.time[one.mask])
    assert np.array_equal(mixed["time"][other.place[other.mask]], one.time[one.mask])
    for values in zip(*map(jax.tree.leaves, (one, other._replace(place=one.place))), strict=True):
        assert np.array_equal(*values)
    truth, _ = MODEL.simulate(jax.random.key(1), {"events": 3})
    values = {**truth, "station_term": np.zeros((2, 8)), "sigma": np.array([1e-9, 1e-9])}
    again = MODEL.replicate(jax.random.key(2), values, mixed)
    first = MODEL.replicate(jax.random.key(2), values, dataset)
    keys = ["event_index", "station_index", "phase_index"]
    by_pick = [d.to_dataframe()[[*keys, "time"]].sort_values(keys)["time"] for d in (first, again)]
    assert np.allclose(*by_pick, atol=1e-6)


def test_a_share_of_the_p_picks_can_be_late():
    design = {"events": 60, "stations": 12}
    key = jax.random.key(6)
    (_, right), (_, wrong) = (
        MODEL.simulate(key, {**design, "late_p_share": share, "late_by": (2.0, 5.0)})
        for share in (0.0, 0.2)
    )
    late = wrong["time"].to_numpy() - right["time"].to_numpy()
    of_p = right["phase_index"].to_numpy() == 0
    assert (late[~of_p] == 0).all()
    assert 0.15 < (late[of_p] > 0).mean() < 0.25
    assert ((late[late > 0] >= 2) & (late[late > 0] <= 5)).all()


def test_real_arrivals_of_calaveras_are_read(shared_data):
    folder = shared_data / "tomography" / "calaveras"
    if not folder.is_dir():
        pytest.skip("shared/data/tomography/calaveras is absent")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = MODEL.read(
            folder / "picks.csv",
            events=folder / "events.csv",
            stations=folder / "stations.csv",
            layers=folder / "velocity_layers.csv",
        )
    assert dict(dataset.sizes) == {"pick": 11522, "event": 308, "station": 112, "layer": 21}
    assert isinstance(dataset, xr.Dataset)
    assert float(dataset["depth"].mean()) == pytest.approx(4.90, abs=0.01)
