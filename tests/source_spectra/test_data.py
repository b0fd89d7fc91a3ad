"""Every source of spectra becomes one of two layouts, and what the model cannot use is refused."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bayesquake.errors import OptionError
from bayesquake.models.source_spectra.arrays import prepare
from bayesquake.models.source_spectra.data import LargerEventWarning, pairs_of, read, validate
from bayesquake.models.source_spectra.errors import SpectraError
from bayesquake.models.source_spectra.outputs import complete

pytestmark = pytest.mark.filterwarnings(
    "ignore::bayesquake.models.source_spectra.data.LargerEventWarning"
)

FREQ = np.arange(1.0, 13.0)
NOISE_FORM = ["power1", "power2", "noise1", "noise2"]


def table(pairs=("a", "b"), traces=("S1", "S2"), freq=FREQ, seed=0, **columns):
    """Return the long table of pairs with random powers."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([pairs, traces, freq], names=["pair", "trace", "freq_hz"])
    rows = index.to_frame(index=False)
    rows["power1"], rows["power2"] = np.exp(rng.normal(3, 1, len(rows))), rng.gamma(5, 1, len(rows))
    return rows.assign(**({"nu1": 10.0, "nu2": 10.0} | columns))


def write(rows, path):
    rows.to_csv(path, index=False)
    return path


@pytest.fixture
def csv(tmp_path):
    return lambda rows: write(rows, tmp_path / "spectra.csv")


def cluster(K=3, traces=("S1", "S2"), freq=FREQ, seed=0, **attributes):
    """Return the spectra of K events, each ten times the power of the one before."""
    rng = np.random.default_rng(seed)
    shape = (K, len(traces), len(freq))
    dims = ("event", "trace", "freq")
    power = 10.0 ** np.arange(K)[:, None, None] * rng.gamma(5, 0.2, shape)
    return xr.Dataset(
        {"power": (dims, power), "noise_power": (dims, power / 100), "nu": (dims, 10 + 0 * power)},
        {"event": [f"E{k}" for k in range(K)], "trace": list(traces), "freq": freq},
        attributes,
    )


def test_synthetic_pairs_get_a_trace_and_lose_their_truth(shared_data, tmp_path):
    path = shared_data / "source/synthetic_pairs.nc"
    pairs = read(path)
    assert dict(pairs.sizes) == {"pair": 60, "trace": 1, "freq": 60}
    assert set(pairs) == {"log_power_ratio", "nu1", "nu2", "mask"}
    raw = xr.load_dataset(path)
    np.testing.assert_array_equal(pairs["log_power_ratio"][:, 0], raw["log_power_ratio"])
    np.testing.assert_array_equal(pairs["nu2"].mean(("trace", "freq")), raw["nu2"])
    assert pairs.attrs["nu_max"] == 10
    assert read(raw).attrs["content_hash"] == pairs.attrs["content_hash"]
    pairs.to_netcdf(tmp_path / "again.nc")
    assert read(tmp_path / "again.nc").identical(pairs)


def test_reading_again_changes_nothing_in_either_layout(csv, tmp_path):
    rows = table(noise1=0.5, noise2=0.25, moment1=2e15, moment2=1e13)
    options = {"tempered": True, "half_bandwidth_hz": 0.7, "nu_max": 12}
    for number, source in enumerate([csv(rows), csv(table()), cluster()]):
        spectra = read(source, **options)
        assert read(spectra).identical(spectra)
        path = tmp_path / f"{number}.nc"
        spectra.to_netcdf(path)
        assert read(path).identical(spectra)
        assert spectra.attrs["nu_max"] == 12
        for variable in spectra.variables.values():
            assert {"units", "long_name"} <= set(variable.attrs)


def test_the_hash_follows_the_numbers_that_matter():
    base = read(cluster()).attrs["content_hash"]
    assert read(cluster(seed=1)).attrs["content_hash"] != base
    assert read(cluster(), nu_max=11.0).attrs["content_hash"] != base
    assert read(cluster(), moments=[1, 2, 3]).attrs["content_hash"] != base
    assert read(cluster().isel(freq=slice(None, None, -1))).attrs["content_hash"] == base


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_table_written_and_read_back_is_the_same(tmp_path, data):
    names = st.text("abcXYZ_./-0189", min_size=1, max_size=6)
    sizes = [
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(5, 9)),
    ]
    pairs, traces = (
        data.draw(st.lists(names, min_size=n, max_size=n, unique=True)) for n in sizes[:2]
    )
    frequency = st.floats(1e-3, 1e3)
    freq = np.sort(data.draw(st.lists(frequency, min_size=sizes[2], max_size=9, unique=True)))
    shape = (len(pairs), len(traces), len(freq))
    mask = data.draw(arrays.arrays(bool, shape))
    mask[:, 0, :5] = True
    mask[0, :] = True
    positive = st.floats(1e-200, 1e200)
    power1, power2 = (data.draw(arrays.arrays(float, shape, elements=positive)) for _ in range(2))
    nu1, nu2 = (
        data.draw(arrays.arrays(float, shape, elements=st.floats(0.1, 50))) for _ in range(2)
    )
    order = np.argwhere(mask)
    rest = data.draw(st.permutations(range(len(order) - mask[0].sum())))
    order = np.r_[order[: mask[0].sum()], order[mask[0].sum() :][list(rest)]]
    at = tuple(order.T)
    rows = pd.DataFrame(
        {
            "pair": np.array(pairs)[at[0]],
            "trace": np.array(traces)[at[1]],
            "freq_hz": freq[at[2]],
            **{"power1": power1[at], "power2": power2[at], "nu1": nu1[at], "nu2": nu2[at]},
            "noise1": power2[at],
            "noise2": power1[at],
        }
    )
    spectra = read(write(rows, tmp_path / "spectra.csv"))
    pairs = list(dict.fromkeys(rows["pair"]))
    assert list(spectra["pair"].to_numpy()) == pairs
    assert list(spectra["trace"].to_numpy()) == traces
    np.testing.assert_array_equal(spectra["freq"], freq)
    assert len(rows) == mask.sum() == int(spectra["mask"].sum())
    place = (rows["pair"].map(pairs.index).to_numpy(), at[1], at[2])
    for name, values in {
        "power1": power1,
        "noise1": power2,
        "nu2": nu2,
        "log_power_ratio": np.log(power1) - np.log(power2),
    }.items():
        np.testing.assert_array_equal(spectra[name].to_numpy()[place], values[at])


def test_pairs_on_different_grids_are_masked_on_the_union(csv):
    rows = pd.concat(
        [table(["a"], ["S1"]), table(["b"], ["S1", "S2"], FREQ[::2] + 0.5)], ignore_index=True
    )
    spectra = read(csv(rows))
    assert dict(spectra.sizes) == {"pair": 2, "trace": 2, "freq": 18}
    assert int(spectra["mask"].sum()) == len(rows) == 12 + 2 * 6
    assert spectra["mask"].sum(("trace", "freq")).to_numpy().tolist() == [12, 12]
    masked = spectra.where(spectra["mask"] == 0)
    assert np.nanmax(np.abs(masked["log_power_ratio"])) == 0
    assert np.nanmin(masked["nu1"]) == np.nanmax(masked["nu2"]) == 2


def test_noise_form_is_kept_whole_or_not_at_all(csv):
    assert not set(NOISE_FORM) & set(read(csv(table())))
    assert set(NOISE_FORM) <= set(read(csv(table(noise1=1.0, noise2=2.0))))
    with pytest.raises(SpectraError, match=r"noise1 alone.*noise1 and noise2"):
        read(csv(table(noise1=1.0)))


def test_the_band_option_cuts_frequencies():
    spectra = read(cluster(), minimum_frequency=3.0, maximum_frequency=9.5)
    np.testing.assert_array_equal(spectra["freq"], np.arange(3.0, 10.0))
    with pytest.raises(SpectraError, match=r"between minimum_frequency.*S1, S2.*widen"):
        read(cluster(), minimum_frequency=30.0)


def test_pairs_put_the_event_of_greater_power_or_moment_first():
    spectra = read(cluster())
    pairs = pairs_of(spectra)
    assert pairs["pair"].to_numpy().tolist() == ["E1/E0", "E2/E0", "E2/E1"]
    power = spectra["power"].to_numpy()
    np.testing.assert_allclose(pairs["log_power_ratio"][1], np.log(power[2] / power[0]))
    np.testing.assert_array_equal(pairs["noise2"][1], spectra["noise_power"][0])
    assert read(pairs).identical(pairs)

    by_moment = pairs_of(read(cluster(), moments=[3e15, 2e14, 1e13]), [("E2", "E0")])
    assert by_moment["pair"].to_numpy().tolist() == ["E0/E2"]
    assert (float(by_moment["moment1"][0]), float(by_moment["moment2"][0])) == (3e15, 1e13)
    np.testing.assert_allclose(by_moment["log_power_ratio"], -pairs["log_power_ratio"][[1]])


def test_path_gains_do_not_decide_which_event_is_larger():
    gain = np.array([1.0, 1e6])[:, None]
    spectra = cluster(2)
    spectra["power"] = spectra["power"] * xr.DataArray(gain[:, 0], dims="trace")
    mask = np.ones(spectra["power"].shape)
    mask[1, 1, ::2] = 0  # The larger event lacks much of the louder trace.
    spectra["mask"] = (("event", "trace", "freq"), mask)
    assert pairs_of(read(spectra))["pair"].to_numpy().tolist() == ["E1/E0"]


def test_only_common_places_enter_a_pair():
    spectra = cluster(2)
    mask = np.ones(spectra["power"].shape)
    mask[0, 0, :4], mask[1, 1, 7:] = 0, 0
    spectra["mask"] = (("event", "trace", "freq"), mask)
    spectra["power"] = spectra["power"].where(spectra["mask"] == 1)
    pairs = pairs_of(read(spectra))
    np.testing.assert_array_equal(pairs["mask"][0], mask[0] * mask[1])
    assert np.isfinite(pairs["log_power_ratio"]).all()


def test_pairs_that_make_no_sense_are_refused():
    spectra = read(cluster())
    for pairs in [[("E0", "E9")], [("E0", "E0")], [("E0",)], []]:
        with pytest.raises(OptionError, match="pairs"):
            pairs_of(spectra, pairs)
    with pytest.raises(SpectraError, match="pairs already"):
        pairs_of(pairs_of(spectra))


@pytest.mark.parametrize("value", [0.0, -2.0, np.nan, np.inf])
@pytest.mark.parametrize("column", ["power1", "power2", "noise2"])
def test_powers_that_are_not_positive_are_named(csv, column, value):
    rows = table(noise1=1.0, noise2=1.0)
    rows.loc[[30, 41], column] = value
    with pytest.raises(
        SpectraError,
        match=rf"pair b, trace S1, 7 Hz: {column} is .*\(2 such places\).*positive; mask",
    ):
        read(csv(rows))


def test_bad_numbers_of_a_cluster_or_ratio_are_named_unless_masked():
    spectra = cluster()
    spectra["power"][1, 0, 3] = np.nan
    with pytest.raises(SpectraError, match=r"event E1, trace S1, 4 Hz: power is nan.*mask"):
        read(spectra)
    spectra["mask"] = spectra["power"].notnull()
    assert np.isfinite(read(spectra)["power"]).all()
    ratios = pairs_of(read(cluster()))[["log_power_ratio", "nu1", "nu2"]]
    ratios["log_power_ratio"][0, 0, 0] = np.inf
    with pytest.raises(SpectraError, match="E1/E0, trace S1, 1 Hz: log_power_ratio is inf"):
        read(ratios)


def test_degrees_of_freedom_outside_their_range_are_named(csv):
    for nu, nu_max in [(0.0, None), (-1.0, None), (12.0, 10.0)]:
        rows = table()
        rows.loc[5, "nu2"] = nu
        with pytest.raises(
            SpectraError, match=r"pair a, trace S1, 6 Hz: nu2 = .*nu_max = 10 .*number of tapers"
        ):
            read(csv(rows), nu_max=nu_max)
    spectra = cluster()
    spectra["nu"][0, 1, 2] = np.nan
    with pytest.raises(SpectraError, match="event E0, trace S2, 3 Hz: nu is nan"):
        read(spectra)


def test_fewer_than_five_frequencies_are_refused_by_name(csv):
    short = pd.concat([table(["a"]), table(["few"], freq=FREQ[:4])])
    with pytest.raises(SpectraError, match=r"pair few has 4 usable.*widen the band"):
        read(csv(short))
    read(csv(pd.concat([table(["a"]), table(["enough"], freq=FREQ[:5])])))
    spectra = cluster()
    mask = np.ones(spectra["power"].shape)
    mask[2, :, 3:] = 0
    spectra["mask"] = (("event", "trace", "freq"), mask)
    with pytest.raises(SpectraError, match="event E2 has 3 usable"):
        read(spectra)


def test_an_event_or_pair_without_common_trace_is_refused_by_name():
    spectra = cluster(3, traces=("S1", "S2", "S3"))
    mask = np.ones(spectra["power"].shape)
    mask[2, :2], mask[:2, 2] = 0, 0
    spectra["mask"] = (("event", "trace", "freq"), mask)
    with pytest.raises(SpectraError, match=r"event E2 has no common trace.*S3.*same stations"):
        read(spectra)
    with pytest.raises(SpectraError, match="E0 is alone"):
        read(cluster(1))
    mask[1, 2] = 1
    spectra["mask"] = (("event", "trace", "freq"), mask)
    with pytest.raises(
        SpectraError, match="pair E0/E2 has no common trace: none of the traces S1, S2, S3"
    ):
        pairs_of(read(spectra))


def test_log_stacked_ratios_are_refused():
    ratios = pairs_of(read(cluster()))
    for marked in (
        ratios.assign_attrs(log_stacked="true"),
        ratios.assign(log_power_ratio=ratios["log_power_ratio"].assign_attrs(log_stacked=True)),
    ):
        with pytest.raises(SpectraError, match=r"log stack.*does not follow the F.*average powers"):
            read(marked)
        with pytest.raises(SpectraError, match="log stack"):
            validate(marked)
    assert read(ratios.assign_attrs(log_stacked="false")).identical(ratios)


def test_frequencies_closer_than_two_half_bandwidths_need_tempering(csv):
    close = cluster(half_bandwidth_hz=0.75)
    with pytest.raises(SpectraError, match=r"spacing of 1 Hz.*2W = 1.5 Hz.*tempered=True"):
        read(close)
    assert read(close, tempered=True).attrs["tempered"] == 1
    read(cluster(half_bandwidth_hz=0.5))
    # Interleaved grids of two pairs are as sparse as either.
    rows = pd.concat([table(["a"]), table(["b"], freq=FREQ + 0.5)])
    read(csv(rows), half_bandwidth_hz=0.5)
    with pytest.raises(SpectraError, match=r"2W = 1.02 Hz"):
        read(csv(rows), half_bandwidth_hz=0.51)


def test_moments_that_contradict_the_order_are_refused(csv):
    with pytest.raises(SpectraError, match=r"pair a: moment1 = 1e\+13 .*2 such pairs.*swap events"):
        read(csv(table(moment1=1e13, moment2=1e14)))
    with pytest.raises(SpectraError, match=r"pair a: moment2 = -1.0 N m.*positive"):
        read(csv(table(moment1=1e13, moment2=-1.0)))
    rows = table(moment1=1e15, moment2=1e14)
    rows.loc[3, "moment1"] = 2e15
    with pytest.raises(SpectraError, match=r"line 5: moment1 differs.*pair a"):
        read(csv(rows))
    with pytest.raises(OptionError, match="2 numbers for 3 events"):
        read(cluster(), moments=[1e14, 1e15])
    with pytest.raises(OptionError, match="numbers in N m"):
        read(cluster(), moments="big,bigger,biggest")
    with pytest.raises(OptionError, match="moment1 and moment2"):
        read(csv(table()), moments=[1e14, 1e15])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda rows: rows.drop(columns="nu2"), "no column nu2"),
        (lambda rows: rows.astype({"power1": object}).replace({"power1": {rows.power1[4]: "x"}}),
         "line 6, column power1: 'x' is no number"),
        (lambda rows: rows.assign(freq_hz=rows.freq_hz - 1), "line 2: freq_hz = 0.0"),
        (lambda rows: pd.concat([rows, rows[7:8]]), "line 50: pair a, trace S1, 8.0 Hz .*twice"),
        (lambda rows: rows.assign(pair=""), "line 2: the pair has no name"),
        (lambda rows: rows[:0], "no rows"),
    ],
)  # fmt: skip
def test_tables_that_are_no_tables_are_refused_by_line(csv, change, complaint):
    with pytest.raises(SpectraError, match=rf"spectra\.csv.*{complaint}"):
        read(csv(change(table())))


def test_sources_of_no_known_form_are_refused(tmp_path):
    (tmp_path / "text.nc").write_text("no NetCDF")
    for source, complaint in [
        (tmp_path / "absent.csv", "does not exist"),
        (tmp_path / "absent.nc", "does not exist"),
        (tmp_path / "text.nc", "write it again"),
        ("waves.mseed", "waveforms need picks"),
        (42, "from int"),
        (xr.Dataset(), "neither power"),
        (cluster().drop_vars("nu"), "no nu;.*degrees of freedom"),
        (cluster().drop_vars("freq"), "no coordinate freq"),
        (cluster().assign_coords(freq=FREQ - 1), "frequency 0 is 0.0 Hz"),
        (cluster().assign_coords(freq=np.r_[FREQ[:-1], 1.0]), "frequency twice"),
        (cluster().assign_coords(trace=["S", "S"]), "trace S occurs twice"),
        (cluster().rename(event="shock"), "no dimension event"),
        (cluster().assign(mask=0.5 * cluster()["nu"]), "other than 0 and 1"),
        (cluster().assign(nu=cluster()["nu"].expand_dims(component=2)), "nu must be numbers on"),
    ]:
        with pytest.raises(SpectraError, match=complaint):
            read(source)


def test_options_that_make_no_sense_are_refused():
    for options, word in [
        ({"stations": ["AAA"]}, "waveforms only"),
        ({"nu_max": -1.0}, "nu_max"),
        ({"nu_max": "ten"}, "nu_max"),
        ({"tempered": "yes"}, "tempered"),
        ({"half_bandwidth_hz": np.nan}, "half_bandwidth_hz"),
        ({"minimum_frequency": 0.0}, "minimum_frequency"),
        ({"minimum_frequency": 5.0, "maximum_frequency": 4.0}, "below maximum_frequency"),
    ]:
        with pytest.raises(OptionError, match=word):
            read(cluster(), **options)


def test_events_that_no_chain_of_traces_joins_are_refused_by_group():
    spectra = cluster(4, traces=("S1", "S2"))
    mask = np.zeros(spectra["power"].shape)
    mask[:2, 0] = mask[2:, 1] = 1
    spectra["mask"] = (("event", "trace", "freq"), mask)
    with pytest.raises(SpectraError, match=r"2 groups without a common trace, E0, E1; E2, E3"):
        read(spectra)
    mask[1, 1] = 1
    spectra["mask"] = (("event", "trace", "freq"), mask)
    assert read(spectra).sizes["event"] == 4


def test_a_ratio_that_contradicts_its_powers_is_refused():
    pairs = pairs_of(read(cluster()))
    assert read(pairs).identical(pairs)
    pairs["log_power_ratio"][2, 1, 4] += 0.01
    with pytest.raises(SpectraError, match=r"E2/E1, trace S2, 5 Hz: .*\(1 such place"):
        read(pairs)


def test_an_event_larger_than_the_first_is_named():
    with pytest.warns(LargerEventWarning, match=r"E1, E2 seem larger than E0.*largest first"):
        spectra = read(cluster())
    assert "largest first" in spectra.attrs["cautions"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ordered = read(cluster().isel(event=[2, 1, 0]))
        read(cluster(), moments=[3e14, 2e14, 1e14])
    assert "cautions" not in ordered.attrs


def test_stress_drop_options_that_make_no_sense_are_refused():
    pairs = pairs_of(read(cluster(), moments=[1e13, 1e14, 1e15]))
    for options, word in [
        ({"shear_velocity": "3500"}, r"at least 50 and at most 10000 \(m/s\)"),
        ({"shear_velocity": np.inf}, "at least 50"),
        ({"shear_velocity": 3.5}, "at least 50"),
        ({"shear_velocity": 3500.0, "moment": 1e13}, "leave out one of them"),
        ({"shear_velocity": 3500.0, "rupture_models": []}, "a sequence, each one of brune_s"),
    ]:
        with pytest.raises(OptionError, match=word):
            complete(pairs, **options)


def test_degrees_of_freedom_need_room_to_be_estimated():
    spectra = cluster()
    spectra["nu"] = 0.0 * spectra["nu"] + 1.0
    with pytest.raises(SpectraError, match="between 1 and nu_max = 1 cannot be estimated"):
        prepare(read(spectra), degrees_of_freedom="estimated")
