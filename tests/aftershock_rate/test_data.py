"""The reader keeps the aftershocks of one window, counts the rest, and refuses what is unsound."""

import json
import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st
from obspy import UTCDateTime
from obspy.core.event import Catalog, Event, Magnitude, Origin

from bayesquake.errors import CatalogError, OptionError
from bayesquake.models.aftershock_rate.data import (
    SecondMainShockWarning,
    detect_rounding,
    find_sentinel,
    read,
)

START = UTCDateTime("2004-10-23T08:56:00.300000Z")


def sequence(n=40, seed=0, M0=6.8, decimals=2):
    """Return times (day), the first being 0, and magnitudes of a main shock and n aftershocks."""
    rng = np.random.default_rng(seed)
    t = np.sort(10 ** rng.uniform(-3, 0, n)).round(6)
    mag = (2 + rng.exponential(1 / 2.3, n)).clip(max=M0 - 0.5).round(decimals)
    return np.r_[0.0, t], np.r_[M0, mag]


def write_csv(path, t, mag, time="t_days"):
    path.write_text(f"{time},mag\n" + "".join(f"{a},{b}\n" for a, b in zip(t, mag, strict=True)))
    return path


def as_dataset(t, mag, **attributes):
    return xr.Dataset({"t": ("event", t), "mag": ("event", mag)}, attrs=attributes)


def as_catalog(t, mag):
    return Catalog(
        [
            Event(
                origins=[Origin(time=START + float(days) * 86400)],
                magnitudes=[Magnitude(mag=float(magnitude))],
            )
            for days, magnitude in zip(t, mag, strict=True)
        ]
    )


@pytest.mark.parametrize(("hours", "n"), [(3, 158), (6, 320), (12, 548), (24, 866)])
def test_kobe_windows_hold_the_known_numbers_of_events(shared_data, hours, n):
    kobe = read(shared_data / "aftershock/kobe1995_jma.csv", end_days=hours / 24)
    assert kobe.sizes["event"] == n
    assert kobe.attrs["events_after_end"] == 2992 - n
    assert (kobe.attrs["M0"], kobe.attrs["delta_m"]) == (7.3, 0.1)
    assert kobe["t"].min() > 0
    assert kobe["t"].max() <= hours / 24


def test_miyagi_has_35_undetermined_magnitudes_on_its_first_day(shared_data):
    path = shared_data / "aftershock/miyagi2003_jma_day1.csv"
    with pytest.raises(CatalogError, match=r"line 11: magnitude 0\.0 .*35 of 378.*sentinel=0\.0"):
        read(path)
    miyagi = read(path, sentinel=0.0)
    assert miyagi.sizes["event"] == 378 - 35
    assert miyagi.attrs["dropped_sentinels"] == 35
    assert miyagi["mag"].min() > 1


@pytest.mark.parametrize("name", ["laquila2009_horus.csv", "emilia2012_horus.csv"])
@pytest.mark.parametrize("end_days", [0.125, 1.0, None])
def test_genuine_small_magnitudes_are_not_taken_for_sentinels(shared_data, name, end_days):
    horus = read(shared_data / "aftershock" / name, end_days=end_days)
    assert horus.attrs["delta_m"] == 0.01
    assert horus.attrs["dropped_sentinels"] == 0


def test_laquila_is_the_same_window_in_zmap_and_csv(shared_data):
    folder = shared_data / "aftershock"
    horus = read(folder / "laquila2009_horus.csv", end_days=1.0)
    zmap = read(folder / "laquila2009_horus_day1.zmap", end_days=1.0)
    np.testing.assert_allclose(zmap["t"], horus["t"], rtol=0, atol=1e-3 / 86400)
    np.testing.assert_array_equal(zmap["mag"], horus["mag"])
    assert zmap.attrs["main_shock_time"] == "2009-04-06T01:32:40.400000Z"
    assert zmap.attrs["content_hash"] == horus.attrs["content_hash"]


@pytest.mark.parametrize("letter", "abc")
def test_synthetic_catalogues_take_m0_from_the_caller(shared_data, letter):
    path = shared_data / "aftershock" / f"synth_{letter}.csv"
    truth = json.loads(path.with_name(f"synth_{letter}_truth.json").read_text())
    catalogue = read(path, main_shock_magnitude=truth["M0"], end_days=truth["T_days"])
    assert catalogue.sizes["event"] == truth["n_detected"]
    assert catalogue.attrs["delta_m"] == 0.0


def test_the_main_shock_row_is_no_event(tmp_path):
    t, mag = sequence()
    catalogue = read(write_csv(tmp_path / "a.csv", t, mag))
    np.testing.assert_array_equal(catalogue["t"], t[1:])
    np.testing.assert_array_equal(catalogue["mag"], mag[1:])
    assert (catalogue.attrs["M0"], catalogue.attrs["T"]) == (mag[0], t[-1])
    given = read(tmp_path / "a.csv", main_shock_magnitude=7.0)
    np.testing.assert_array_equal(given["t"], t[1:])
    assert given.attrs["M0"] == 7.0


def test_without_a_row_at_zero_the_given_m0_makes_times_relative(tmp_path):
    t, mag = sequence()
    path = write_csv(tmp_path / "a.csv", t[1:], mag[1:])
    assert read(path, main_shock_magnitude=6.8).sizes["event"] == 40
    with pytest.raises(CatalogError, match=r"no event has t = 0; pass main_shock_magnitude .*line"):
        read(path)


def test_attributes_are_the_documented_ones_and_survive_netcdf(tmp_path):
    t, mag = sequence()
    catalogue = read(write_csv(tmp_path / "a.csv", t, mag), end_days=0.5)
    assert set(catalogue.attrs) == {
        "main_shock_time",
        "M0",
        "T",
        "Mc",
        "delta_m",
        "reference_time",
        "source",
        "content_hash",
        "dropped_sentinels",
        "events_before_main_shock",
        "events_after_end",
    }
    assert (catalogue["t"].attrs["units"], catalogue["mag"].attrs["units"]) == ("d", "mag")
    assert np.isnan(catalogue.attrs["Mc"])
    catalogue.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(read(tmp_path / "a.nc"), catalogue)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"main_shock_time": "2004-10-23T08:56:00.3"},
        {"main_shock_time": "2004-10-23T08:56:00"},
        {"main_shock_time": "2004-10-23T17:56:00+09:00"},
        {"main_shock_time": START},
        {"main_shock_time": datetime(2004, 10, 23, 8, 56, 0, 300000, tzinfo=UTC)},
        {"main_shock_magnitude": 6.8},
        {"main_shock_magnitude": 6.8, "main_shock_time": START},
    ],
)
def test_all_ways_to_name_the_main_shock_agree(options):
    t, mag = sequence()
    catalogue = read(as_catalog(t, mag), **options)
    np.testing.assert_allclose(catalogue["t"], t[1:], rtol=0, atol=1e-3 / 86400)
    assert catalogue.attrs["M0"] == 6.8
    assert catalogue.attrs["main_shock_time"] == "2004-10-23T08:56:00.300000Z"


def test_events_before_the_main_shock_are_left_out_and_counted():
    t, mag = sequence()
    foreshocks = np.array([-3.0, -2.0, -1.0])
    catalog = as_catalog(np.r_[foreshocks, t], np.r_[2.5, 4.0, 3.0, mag])
    with pytest.raises(CatalogError, match=r"first event is not the largest.*2004-10-23T08:56:00"):
        read(catalog)
    for options in ({"main_shock_magnitude": 6.8}, {"main_shock_time": START}):
        catalogue = read(catalog, **options)
        assert catalogue.attrs["events_before_main_shock"] == 3
        np.testing.assert_allclose(catalogue["t"], t[1:], rtol=0, atol=1e-3 / 86400)


def test_a_main_shock_missing_from_the_catalogue_needs_time_and_magnitude():
    t, mag = sequence()
    catalog = as_catalog(t[1:], mag[1:])
    catalogue = read(catalog, main_shock_time=START, main_shock_magnitude=6.8)
    assert catalogue.sizes["event"] == 40
    with pytest.raises(CatalogError, match="no event at main_shock_time"):
        read(catalog, main_shock_time=START)
    with pytest.raises(CatalogError, match=r"no event has main_shock_magnitude = 6\.8"):
        read(catalog, main_shock_magnitude=6.8)


def test_days_on_the_files_own_scale_name_the_main_shock(tmp_path):
    t, mag = sequence()
    path = write_csv(tmp_path / "a.csv", np.r_[1.0, t + 5], np.r_[3.0, mag])
    catalogue = read(path, main_shock_time=5.0)
    np.testing.assert_allclose(catalogue["t"], t[1:], rtol=0, atol=1e-12)
    assert (catalogue.attrs["M0"], catalogue.attrs["events_before_main_shock"]) == (6.8, 1)


def test_silence_after_the_last_event_is_part_of_the_window(tmp_path):
    t, mag = sequence()
    assert read(write_csv(tmp_path / "a.csv", t, mag), end_days=100).attrs["T"] == 100.0


@given(Mc=st.floats(2.0, 2.6), end_days=st.floats(0.3, 1.5))
def test_the_window_holds_exactly_the_events_up_to_t_and_from_mc(Mc, end_days):
    t, mag = sequence(n=200)
    catalogue = read(as_dataset(t, mag), completeness_magnitude=Mc, end_days=end_days)
    keep = (t > 0) & (t <= end_days) & (mag >= Mc - 1e-9)
    np.testing.assert_array_equal(catalogue["t"], t[keep])
    np.testing.assert_array_equal(catalogue["mag"], mag[keep])
    assert catalogue.attrs["events_after_end"] == np.count_nonzero(t > end_days)
    assert (catalogue.attrs["Mc"], catalogue.attrs["T"]) == (Mc, end_days)


def test_a_cut_at_a_rounded_magnitude_keeps_that_magnitude():
    t, mag = sequence(n=200, decimals=1)
    catalogue = read(as_dataset(t, mag), completeness_magnitude=0.1 * 23)
    assert catalogue["mag"].min() == 2.3


@pytest.mark.parametrize("step", [1, 0.5, 0.25, 0.2, 0.1, 0.05, 0.01])
@given(data=st.data())
def test_the_rounding_step_is_found(step, data):
    steps = data.draw(st.lists(st.integers(-100, 900), min_size=1, max_size=50))
    coarser = [s for s in (1, 0.5, 0.25, 0.2, 0.1, 0.05) if s > step]
    magnitudes = np.array(steps) * step
    assume(not any(np.allclose(magnitudes / s, np.round(magnitudes / s)) for s in coarser))
    assert detect_rounding(magnitudes) == step
    assert detect_rounding(np.append(magnitudes, np.pi)) == 0.0


def test_the_rounding_step_can_be_declared():
    t, mag = sequence(decimals=1)
    assert read(as_dataset(t, mag)).attrs["delta_m"] == 0.1
    assert read(as_dataset(t, mag), magnitude_rounding=0).attrs["delta_m"] == 0.0
    assert read(as_dataset(t, mag), magnitude_rounding=0.2).attrs["delta_m"] == 0.2


@given(bad=st.integers(1, 40), value=st.sampled_from(["nan", "inf", "-inf", ""]))
@pytest.mark.parametrize("column", ["time", "magnitude"])
def test_the_first_number_that_is_not_finite_is_named(tmp_path_factory, column, bad, value):
    t, mag = (list(map(str, values)) for values in sequence())
    {"time": t, "magnitude": mag}[column][bad] = value
    path = write_csv(tmp_path_factory.mktemp("csv") / "a.csv", t, mag)
    with pytest.raises(CatalogError, match=rf"a\.csv, line {bad + 2}: the {column} is -?(nan|inf)"):
        read(path)


@given(bad=st.integers(1, 40))
def test_the_first_negative_time_is_named(bad):
    t, mag = sequence()
    t[bad:] *= -1
    with pytest.raises(CatalogError, match=rf"event index {bad}: t = -.* before the main shock"):
        read(as_dataset(t, mag))


@given(bad=st.integers(2, 40))
def test_an_unsorted_event_is_named_and_sorting_mends_it(tmp_path_factory, bad):
    t, mag = sequence()
    order = np.arange(41)
    order[[bad - 1, bad]] = bad, bad - 1
    path = write_csv(tmp_path_factory.mktemp("csv") / "a.csv", t[order], mag[order])
    with pytest.raises(CatalogError, match=rf"a\.csv, line {bad + 2}: .*sort=True"):
        read(path)
    np.testing.assert_array_equal(read(path, sort=True)["t"], t[1:])
    np.testing.assert_array_equal(read(path, sort=True)["mag"], mag[1:])


@given(seed=st.integers(0, 1000))
def test_any_order_sorts_to_the_same_catalogue(seed):
    t, mag = sequence()
    order = np.random.default_rng(seed).permutation(41)
    shuffled = read(as_catalog(t[order], mag[order]), sort=True)
    np.testing.assert_allclose(shuffled["t"], t[1:], rtol=0, atol=1e-3 / 86400)


@pytest.mark.parametrize("end_days", [-1.0, 0.0, 1e-4])
def test_a_window_within_the_earliest_time_is_refused(end_days):
    with pytest.raises(OptionError, match=r"end_days = .* above 0.0001"):
        read(as_dataset(*sequence()), end_days=end_days)
    t, mag = sequence()
    with pytest.raises(CatalogError, match="window ends at"):
        read(as_dataset(1e-6 * t, mag))


def test_fewer_than_ten_events_are_refused():
    t, mag = sequence(n=9)
    with pytest.raises(CatalogError, match="only 9 events"):
        read(as_dataset(t, mag))
    t, mag = sequence()
    with pytest.raises(CatalogError, match="only 9 events in the window"):
        read(as_dataset(t, mag), end_days=t[9])
    assert read(as_dataset(t, mag), end_days=t[10]).sizes["event"] == 10


def test_a_completeness_magnitude_above_the_data_is_refused():
    with pytest.raises(CatalogError, match=r"Mc = 9 .*lower completeness_magnitude"):
        read(as_dataset(*sequence()), completeness_magnitude=9)


def test_a_data_set_with_events_after_its_window_is_refused():
    t, mag = sequence()
    with pytest.raises(CatalogError, match=r"event index 39: .*after the end of the window"):
        read(as_dataset(t[1:], mag[1:], M0=6.8, T=0.9 * t[-1]))


def test_a_hand_made_window_needs_only_m0_and_t():
    t, mag = sequence(decimals=1)
    catalogue = read(as_dataset(t[1:], mag[1:], M0=6.8, T=2.0))
    assert [catalogue.attrs[name] for name in ("M0", "T", "delta_m")] == [6.8, 2.0, 0.1]


def test_a_window_is_read_as_it_is_and_can_only_be_narrowed(tmp_path):
    t, mag = sequence(decimals=1)
    window = read(write_csv(tmp_path / "a.csv", t, mag), end_days=t[30], completeness_magnitude=2.1)
    xr.testing.assert_identical(read(window), window)
    narrower = read(window, end_days=t[25], completeness_magnitude=2.2)
    direct = read(tmp_path / "a.csv", end_days=t[25], completeness_magnitude=2.2)
    np.testing.assert_array_equal(narrower["t"], direct["t"])
    assert narrower.attrs["content_hash"] == direct.attrs["content_hash"]
    with pytest.raises(CatalogError, match="was cut at T"):
        read(window, end_days=100)
    with pytest.raises(CatalogError, match="was cut at Mc"):
        read(window, completeness_magnitude=2.0)
    with pytest.raises(OptionError, match="main_shock_time"):
        read(window, main_shock_time=0.5)


@pytest.mark.parametrize(
    ("value", "count"), [(0.0, 1), (0.0, 30), (-1.0, 3), (-9.9, 1), (9.9, 3), (99.0, 2)]
)
@given(seed=st.integers(0, 20))
def test_a_mark_for_undetermined_magnitudes_is_found_and_dropped(value, count, seed):
    t, mag = sequence(n=100)
    bad = np.random.default_rng(seed).choice(np.arange(1, 101), count, replace=False)
    mag[bad] = value
    with pytest.raises(
        CatalogError,
        match=rf"event index {bad.min()}: magnitude {value} .*\({count} of 100.*sentinel={value}",
    ):
        read(as_dataset(t, mag))
    catalogue = read(as_dataset(t, mag), sentinel=value)
    assert catalogue.attrs["dropped_sentinels"] == count
    assert catalogue.sizes["event"] == 100 - count
    if value < -5:
        with pytest.raises(CatalogError, match="no finite number of mag from -5 to 10"):
            read(as_dataset(t, mag), sentinel=False)
    elif value < 6.8:
        accepted = read(as_dataset(t, mag), sentinel=False)
        assert accepted.sizes["event"] == 100
        xr.testing.assert_identical(read(accepted), accepted)


def test_a_spike_amid_the_smallest_magnitudes_is_found():
    magnitude = np.random.default_rng(1).exponential(0.4, 2000).round(2) - 0.1
    assert find_sentinel(np.append(magnitude, np.zeros(900))) == 0.0
    assert find_sentinel(magnitude) is None


@given(
    step=st.sampled_from([0.0, 0.01, 0.1, 0.2, 0.5]),
    lowest=st.integers(-1, 4),
    b_value=st.floats(0.6, 1.5),
    n=st.integers(10, 3000),
    seed=st.integers(0, 10**6),
)
def test_complete_gutenberg_richter_catalogues_hold_no_sentinel(step, lowest, b_value, n, seed):
    rng = np.random.default_rng(seed)
    magnitude = lowest + rng.exponential(1 / (b_value * np.log(10)), n)
    magnitude = magnitude[magnitude < 9]
    if step:
        magnitude = lowest + step * np.floor((magnitude - lowest) / step)
    nearest = np.abs(magnitude[magnitude != 0]).min(initial=np.inf)
    assume(not np.any(magnitude == 0) or nearest < 0.5 or nearest <= step)
    assume(np.unique(magnitude).size > 2)
    assert find_sentinel(magnitude) is None


def test_a_second_main_shock_is_announced(tmp_path):
    t, mag = sequence()
    mag[20] = 6.9
    path = write_csv(tmp_path / "a.csv", t, mag)
    with pytest.warns(SecondMainShockWarning, match=r"a\.csv, line 22: a second main shock"):
        read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(path, end_days=t[19])


@pytest.mark.parametrize(
    "option",
    [
        {"main_shock_magnitude": "large"},
        {"main_shock_magnitude": np.nan},
        {"end_days": "1 day"},
        {"end_days": np.inf},
        {"end_days": True},
        {"completeness_magnitude": [2.0]},
        {"magnitude_rounding": "coarse"},
        {"magnitude_rounding": -0.1},
        {"magnitude_rounding": 2},
        {"magnitude_rounding": None},
        {"sentinel": "zero"},
        {"sentinel": True},
        {"sort": "yes"},
        {"main_shock_time": "2004-10-23"},
        {"main_shock_time": True},
    ],
)
def test_options_that_make_no_sense_are_named(option):
    (name,) = option
    with pytest.raises(OptionError, match=name):
        read(as_dataset(*sequence()), **option)


@pytest.mark.parametrize("time", [3.0, "yesterday", ""])
def test_absolute_catalogues_want_an_absolute_main_shock_time(time):
    with pytest.raises(OptionError, match="main_shock_time"):
        read(as_catalog(*sequence()), main_shock_time=time)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(CatalogError, match=r"nowhere\.csv does not exist"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(CatalogError, match=r"nowhere\.nc does not exist"):
        read(tmp_path / "nowhere.nc")
    (tmp_path / "damaged.nc").write_text("not NetCDF")
    with pytest.raises(CatalogError, match=r"damaged\.nc is no NetCDF"):
        read(tmp_path / "damaged.nc")
