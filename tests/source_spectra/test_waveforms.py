"""Picks are read by column, and windows become power spectra with the right level and scatter."""

import warnings

import numpy as np
import obspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obspy import UTCDateTime
from scipy.special import polygamma

from bayesquake.errors import OptionError
from bayesquake.models.source_spectra.data import pairs_of, read
from bayesquake.models.source_spectra.errors import SpectraError
from bayesquake.models.source_spectra.picks import DuplicatePickWarning, read_picks
from bayesquake.models.source_spectra.waveforms import StationLeftOutWarning, power_spectrum

ORIGIN = UTCDateTime("2010-01-18T17:04:06.39")
P_DELAY, S_DELAY = 3.0, 5.4


def pick_line(station, p_time, s_seconds=None, p_weight=0, s_weight=1):
    """Write a hypo71 line; the S seconds count from the minute of ``p_time``."""
    second = p_time.second + p_time.microsecond / 1e6
    line = f"{station:4s}EPU{p_weight} {p_time.strftime('%y%m%d%H%M')}{second:5.2f}"
    return line if s_seconds is None else f"{line}{'':7s}{s_seconds:5.2f}ES {s_weight}"


def write_picks(path, stations, origin=ORIGIN, s_delay=S_DELAY):
    p_time = origin + P_DELAY
    second = None if s_delay is None else origin.second + origin.microsecond / 1e6 + s_delay
    lines = [pick_line(station, p_time, second) for station in stations]
    path.write_text("\n".join([*lines, f"{10:19d}"]) + "\n")
    return path


def record(stations, rate=100.0, seed=0, origin=ORIGIN, scale=1.0, begin=-8.0, end=20.0):
    """Return white noise of standard deviation ``scale`` counts, ten times that after the P."""
    rng = np.random.default_rng(seed)
    stream = obspy.Stream()
    time = np.arange(round((end - begin) * rate)) / rate + begin
    for station in stations:
        for channel in ("HHE", "HHN", "HHZ"):
            header = {
                "network": "XX",
                "station": station,
                "channel": channel,
                "sampling_rate": rate,
                "starttime": origin + begin,
            }
            samples = scale * rng.normal(size=len(time)) * np.where(time < P_DELAY, 1, 10)
            stream.append(obspy.Trace(samples, header))
    return stream


@pytest.fixture
def two_events(tmp_path):
    def build(first=("AAA", "BBB"), second=("AAA", "BBB"), **changes):
        streams = [record(first, seed=1), record(second, seed=2, **changes)]
        picks = [
            write_picks(tmp_path / "one.phs", first),
            write_picks(tmp_path / "two.phs", second),
        ]
        return streams, picks

    return build


def test_white_noise_has_its_variance_as_the_integral_of_its_spectrum():
    rng = np.random.default_rng(3)
    for n in (500, 501):
        rate, sigma = 125.0, 7.0
        levels = [
            power_spectrum(sigma * rng.normal(size=n), rate)[1][6 : n // 2 - 6].mean()
            for _ in range(300)
        ]
        # 300 windows of about 240 bins of nu = 10, of which one in six is independent.
        assert np.mean(levels) == pytest.approx(2 * sigma**2 / rate, rel=0.01)


def test_adaptive_degrees_of_freedom_of_white_noise_describe_its_scatter():
    rng = np.random.default_rng(4)
    spectra = [power_spectrum(rng.normal(size=500), 125.0) for _ in range(300)]
    log_power = np.log([power[12:240:6] for _, power, _ in spectra])
    nu = np.array([nu[12:240:6] for _, _, nu in spectra])
    assert (nu > 0).all()
    assert (nu <= 10 + 1e-9).all()
    assert 9.0 < nu.mean() < 10.0
    # The variance of ln(chi-square(nu)/nu) is trigamma(nu/2); 11 400 values, so 2 % to one sd.
    assert log_power.var() == pytest.approx(polygamma(1, nu.mean() / 2), rel=0.06)


def test_degrees_of_freedom_fall_where_a_steep_spectrum_scatters_more():
    rng = np.random.default_rng(6)
    n, rate = 500, 125.0
    amplitude = 1 / (1 + (np.fft.rfftfreq(4 * n, 1 / rate) / 5) ** 2)
    estimates = []
    for noise in rng.normal(size=(1000, 4 * n)):
        samples = np.fft.irfft(np.fft.rfft(noise) * amplitude)[n : 2 * n]
        estimates.append(power_spectrum(samples, rate)[1:])
    power, nu = np.array(estimates).transpose(1, 0, 2)[:, :, 6:199:6]
    assert nu[:, 0].mean() > 9.9
    assert nu[:, -1].mean() < 7
    scatter = np.log(power).var(axis=0)
    # The weights follow the data, which adds 3 to 6 % to the scatter; 1000 windows leave 2 %.
    for band in (slice(0, 11), slice(11, 22), slice(22, 33)):
        expected = polygamma(1, nu[:, band] / 2).mean()
        assert scatter[band].mean() == pytest.approx(expected, rel=0.12)


def test_frequencies_two_half_bandwidths_apart_are_uncorrelated():
    rng = np.random.default_rng(5)
    power = np.array([power_spectrum(rng.normal(size=400), 100.0)[1] for _ in range(400)])
    logs = np.log(power[:, 12:180]) - np.log(power[:, 12:180]).mean(axis=0)

    def correlation(lag):
        return (logs[:, lag:] * logs[:, :-lag]).mean() / (logs**2).mean()

    assert correlation(1) > 0.5
    assert abs(correlation(6)) < 0.04


def test_a_sinusoid_and_a_trend_land_where_they_belong():
    rate, n, amplitude = 100.0, 400, 3.0
    time = np.arange(n) / rate
    samples = amplitude * np.sin(2 * np.pi * 20 * time) + 50 + 8 * time
    freq, power, _ = power_spectrum(samples, rate)
    assert freq[np.argmax(power)] == pytest.approx(20, abs=0.75)
    assert power.sum() * (freq[1] - freq[0]) == pytest.approx(amplitude**2 / 2, rel=0.01)
    assert power[freq < 10].sum() < 1e-3 * power.sum()


def test_windows_catch_signal_and_noise_at_every_full_bandwidth(two_events, tmp_path):
    streams, picks = two_events()
    spectra = read(streams, picks=picks, events=["big", "small"])
    assert spectra["power"].dims == ("event", "trace", "freq")
    assert list(spectra["event"].to_numpy()) == ["big", "small"]
    assert list(spectra["trace"].to_numpy()) == [
        "XX.AAA..HHE",
        "XX.AAA..HHN",
        "XX.BBB..HHE",
        "XX.BBB..HHN",
    ]
    np.testing.assert_allclose(spectra["freq"], np.arange(1.5, 40.01, 1.5))
    assert spectra.attrs["half_bandwidth_hz"] == 0.75
    assert spectra.attrs["nu_max"] == 10
    spectra.to_netcdf(tmp_path / "spectra.nc")
    assert read(tmp_path / "spectra.nc").identical(spectra)
    # Standard deviations 10 and 1 counts at 100 Hz; 208 values of nu = 10 scatter by 3 %.
    assert float(spectra["power"].mean()) == pytest.approx(2 * 100 / 100, rel=0.12)
    assert float(spectra["noise_power"].mean()) == pytest.approx(2 * 1 / 100, rel=0.12)


def test_records_at_other_rates_have_the_same_frequencies(two_events):
    streams, picks = two_events(rate=250.0)
    spectra = read(streams, picks=picks, stations=["AAA"])
    np.testing.assert_allclose(spectra["freq"], np.arange(1.5, 40.01, 1.5))
    np.testing.assert_array_equal(spectra["sampling_rate"], [[100, 100], [250, 250]])
    # The same variance spread over a band that is wider by 2.5.
    level = spectra["power"].mean(("trace", "freq")).to_numpy()
    assert level[0] / level[1] == pytest.approx(2.5, rel=0.2)


def test_stations_whose_rate_changes_are_left_out(two_events):
    streams, picks = two_events()
    streams[1] = record(["AAA"], rate=250.0) + record(["BBB"], seed=3)
    with pytest.warns(StationLeftOutWarning, match=r"AAA \(the sampling rate differs"):
        spectra = read(streams, picks=picks)
    assert list(spectra["trace"].to_numpy()) == ["XX.BBB..HHE", "XX.BBB..HHN"]


def test_a_missing_s_pick_follows_from_the_velocity_ratio(tmp_path):
    streams = [record(["AAA"], seed=1), record(["AAA"], seed=2)]
    with_s = [write_picks(tmp_path / f"{i}.phs", ["AAA"]) for i in range(2)]
    without = [write_picks(tmp_path / f"{i}_p.phs", ["AAA"], s_delay=None) for i in range(2)]
    ratio = S_DELAY / P_DELAY
    computed = read(streams, picks=without, origin_times=[ORIGIN, str(ORIGIN)], vp_vs=ratio)
    assert computed.identical(read(streams, picks=with_s))
    with pytest.raises(SpectraError, match=r"no trace is common.*AAA.*vp_vs"):
        read(streams, picks=without)


def test_a_p_window_takes_the_vertical_and_keeps_its_noise_before_the_signal(two_events):
    streams, picks = two_events()
    spectra = read(streams, picks=picks, phase="P", window=(-1.0, 3.0))
    assert all(str(trace).endswith("Z") for trace in spectra["trace"].to_numpy())
    assert float(spectra["noise_power"].max()) < 0.1 * float(spectra["power"].mean())


def test_a_trace_that_one_of_three_events_lacks_is_masked_there(tmp_path, two_events):
    streams, picks = two_events()
    streams.append(record(["AAA"], seed=3))
    picks.append(write_picks(tmp_path / "three.phs", ["AAA"]))
    spectra = read(streams, picks=picks)
    used = spectra["mask"].any("freq").to_numpy()
    np.testing.assert_array_equal(used, [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]])
    assert (spectra["power"].where(spectra["mask"] == 0, 1) == 1).all()
    pairs = pairs_of(spectra)
    assert pairs["mask"].any("freq").sum("trace").to_numpy().tolist() == [4, 2, 2]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"begin": 1.0}, "does not cover the noise window"),
        ({"end": 7.0}, "does not cover the signal window"),
    ],
)
def test_short_records_leave_their_station_out(two_events, change, reason):
    streams, picks = two_events()
    streams[1] = record(["AAA"], seed=2, **change) + record(["BBB"], seed=3)
    with pytest.warns(StationLeftOutWarning, match=f"AAA .*{reason}"):
        spectra = read(streams, picks=picks)
    assert spectra.sizes["trace"] == 2


def test_gaps_and_dead_channels_are_left_out(two_events):
    streams, picks = two_events()
    trace = streams[1][0]
    cut = ORIGIN + S_DELAY + 1
    parts = [trace.slice(endtime=cut), trace.slice(starttime=cut + 0.5)]
    streams[1] = streams[1][1:] + obspy.Stream(parts)
    dead = streams[1].select(station="BBB", channel="HHN")[0]
    dead.data = np.zeros_like(dead.data)
    with pytest.warns(StationLeftOutWarning) as caught:
        spectra = read(streams, picks=picks)
    (message,) = [str(warning.message) for warning in caught]
    assert "AAA (E2: the record has a gap in the signal window)" in message
    assert "BBB (E2: the record is constant in the signal window)" in message
    assert list(spectra["trace"].to_numpy()) == ["XX.AAA..HHN", "XX.BBB..HHE"]


def test_events_without_a_common_station_are_refused_by_name(two_events):
    streams, picks = two_events(first=("AAA", "BBB"), second=("CCC",))
    with pytest.raises(SpectraError, match=r"no trace.*one: AAA, BBB; two: CCC.*Add picks"):
        read(streams, picks=picks, events=["one", "two"])


def test_waveform_options_that_make_no_sense_are_refused(two_events, tmp_path):
    streams, picks = two_events()
    for options, word in [
        ({"phase": "X"}, "phase"),
        ({"window": (3.7, -0.3)}, "window"),
        ({"window": 4.0}, "window"),
        ({"window": ("a", "b")}, "window"),
        ({"tapers": 4.5}, "tapers"),
        ({"tapers": 9}, "tapers"),
        ({"tapers": 1}, "tapers"),
        ({"time_bandwidth": 0.5}, "time_bandwidth"),
        ({"vp_vs": 0.6}, "vp_vs"),
        ({"components": ""}, "components"),
        ({"events": ["same", "same"]}, "same"),
        ({"origin_times": ["yesterday", "today"]}, "yesterday"),
    ]:
        with pytest.raises(OptionError, match=word):
            read(streams, picks=picks, **options)
    with pytest.raises(SpectraError, match=r"1 picks.*one per event"):
        read(streams, picks=picks[:1])
    with pytest.raises(SpectraError, match="at least two events"):
        read(streams[:1], picks=picks[:1])
    with pytest.raises(SpectraError, match=r"source is one Stream.*lists"):
        read(streams[0], picks=picks)
    with pytest.raises(SpectraError, match=r"ZZZ.*stations"):
        read(streams, picks=picks, stations=["AAA", "ZZZ"])
    with pytest.raises(SpectraError, match=r"XX\.AAA.*no common band.*lengthen the window"):
        read(streams, picks=picks, window=(0.0, 0.1))
    with pytest.raises(SpectraError, match=r"XX\.AAA\.\.HHE.*widen the band"):
        read(streams, picks=picks, minimum_frequency=45.0)
    with pytest.raises(SpectraError, match=r"absent\.mseed does not exist"):
        read([tmp_path / "absent.mseed", streams[1]], picks=picks)
    with pytest.raises(SpectraError, match=r"one\.phs is no waveform file"):
        read([picks[0], streams[1]], picks=picks)


@pytest.mark.filterwarnings("ignore::bayesquake.models.source_spectra.picks.DuplicatePickWarning")
def test_crl_events_keep_seven_stations(shared_data):
    folder = shared_data / "source"
    arguments = {
        "source": ",".join(str(folder / f"crl_E{i}.mseed") for i in (1, 2)),
        "picks": [folder / f"crl_picks_E{i}.phs" for i in (1, 2)],
    }
    with pytest.warns(StationLeftOutWarning, match=r"AGE, ALI.*DIM, KOU, TEM \(crl_E1: no S pick"):
        picked = read(**arguments)
    assert {name.split(".")[1] for name in picked["trace"].to_numpy()} == {
        "AIO",
        "PAN",
        "PSA",
        "PYR",
    }
    origins = ["2010-01-18T17:04:06.39", "2010-01-20T08:10:41.27"]
    with pytest.warns(StationLeftOutWarning, match="AGE, ALI"):
        spectra = read(**arguments, origin_times=origins, vp_vs=1.8, events="E1,E2")
    assert spectra.sizes == {"event": 2, "trace": 14, "freq": 33}
    assert len({name.split(".")[1] for name in spectra["trace"].to_numpy()}) == 7
    assert (spectra["sampling_rate"] == 125).all()
    assert (spectra["freq"][0], spectra["freq"][-1]) == (1.5, 49.5)
    assert list(pairs_of(spectra)["pair"].to_numpy()) == ["E2/E1"]
    assert read(spectra).identical(spectra)


def test_crl_picks_are_read_and_the_better_duplicate_wins(shared_data):
    with pytest.warns(DuplicatePickWarning, match="TRIZ"):
        picks = read_picks(shared_data / "source/crl_picks_E1.phs")
    assert len(picks) == 17
    assert picks["TRIZ"].p_time == UTCDateTime("2010-01-18T17:04:09.69")
    assert (picks["TRIZ"].p_weight, picks["TRIZ"].s_weight) == (0, 1)
    assert picks["TRZ"].s_time == UTCDateTime("2010-01-18T17:04:12.51")
    assert picks["KALE"].p_weight == 4
    assert picks["DIM"].s_time is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_picks(shared_data / "source/crl_picks_E2.phs")) == 18


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    stations=st.lists(
        st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=4),
        min_size=1,
        max_size=8,
        unique=True,
    ),
    hundredths=st.integers(0, 100 * 365 * 86400 * 100),
    s_minus_p=st.none() | st.integers(0, 3999),
    weights=st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_written_picks_are_read_back(tmp_path, stations, hundredths, s_minus_p, weights):
    p_time = UTCDateTime(1970, 1, 1) + hundredths // 100 + (hundredths % 100) / 100
    second = p_time.second + p_time.microsecond / 1e6
    s_seconds = None if s_minus_p is None else second + s_minus_p / 100
    path = tmp_path / "picks.phs"
    lines = [pick_line(name, p_time, s_seconds, *weights) for name in stations]
    path.write_text("\n".join([*lines, f"{10:19d}"]))
    picks = read_picks(path)
    assert list(picks) == stations
    for pick in picks.values():
        assert abs(pick.p_time - p_time) < 1e-4
        assert pick.p_weight == weights[0]
        if s_minus_p is None:
            assert (pick.s_time, pick.s_weight) == (None, None)
        else:
            assert pick.s_time - p_time == pytest.approx(s_minus_p / 100, abs=0.011)
            assert pick.s_weight == weights[1]


GOOD = pick_line("AAA", ORIGIN, 70.5)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([GOOD, "AAA broken"], r"line 2: columns 10-19 hold"),
        ([GOOD.replace("100118", "101318")], r"line 1: columns 10-19 .*correct the line"),
        ([GOOD[:19] + "  6 3" + GOOD[24:]], r"line 1: the seconds of P"),
        ([GOOD[:31] + " x.50" + GOOD[36:]], r"line 1: the seconds of S"),
        ([GOOD[:7] + "?" + GOOD[8:]], r"line 1: the weight of P"),
        (["    " + GOOD[4:]], r"line 1: columns 1-4 hold no station"),
        ([GOOD, f"{10:19d}", GOOD], r"line 3: a second event begins.*one file per event"),
        ([f"{10:19d}"], r"holds no picks"),
    ],
)
def test_malformed_pick_lines_are_refused_by_line(tmp_path, lines, complaint):
    path = tmp_path / "bad.phs"
    path.write_text("\n".join(lines))
    with pytest.raises(SpectraError, match=rf"bad\.phs.*{complaint}"):
        read_picks(path)


def test_a_pick_file_that_is_absent_or_not_text_is_refused(tmp_path):
    with pytest.raises(SpectraError, match="does not exist"):
        read_picks(tmp_path / "absent.phs")
    (tmp_path / "binary.phs").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpectraError, match="not plain text"):
        read_picks(tmp_path / "binary.phs")


def test_s_seconds_beyond_the_minute_and_blank_weights(tmp_path):
    path = tmp_path / "late.phs"
    path.write_text(GOOD[:7] + " " + GOOD[8:39] + "\n" + pick_line("AAA", ORIGIN, 71.5, 2))
    with pytest.warns(DuplicatePickWarning):
        pick = read_picks(path)["AAA"]
    assert pick.s_time == UTCDateTime("2010-01-18T17:05:10.5")
    assert (pick.p_weight, pick.s_weight) == (0, 0)
