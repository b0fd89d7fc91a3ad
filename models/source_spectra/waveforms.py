"""Multitaper power spectra of waveforms: one event per stream, one window per trace.

Convention: the signal window follows the S (or P) pick, the noise window of the same length
ends before the P pick. Windows of T seconds have the same Fourier frequencies k/T at every
sampling rate; of these, every 2W with W = time_bandwidth/T is kept, because closer ones share
tapered energy and are correlated.
"""

import functools
import math
import os
import warnings
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import obspy
import xarray as xr
from multitaper import MTSpec
from multitaper.utils import dpss
from scipy.signal import detrend

from bayesquake.errors import OptionError

from .errors import SpectraError
from .picks import read_picks

__all__ = ["StationLeftOutWarning", "power_spectrum", "read_waveforms"]

NOISE_GAP_S = 0.5
"""The noise window ends this long before the P pick, which may be late."""

HIGHEST_FREQUENCY = 0.8
"""Of the Nyquist frequency; above, anti-alias filters shape the spectrum."""

DIMENSIONS = ("event", "trace", "freq")
STATION_CODE_LENGTH = 4
"""hypo71 cuts longer station codes to four letters."""


class StationLeftOutWarning(UserWarning):
    """Some stations cannot be used."""


class Spectra(NamedTuple):
    """Signal and noise spectrum of one trace at all frequencies k/T, power in counts²/Hz."""

    sampling_rate: float
    power: np.ndarray
    noise_power: np.ndarray
    nu: np.ndarray


def read_waveforms(
    sources,
    picks,
    *,
    events=None,
    origin_times=None,
    vp_vs=None,
    phase="S",
    window=(-0.3, 3.7),
    stations=None,
    exclude=None,
    components="auto",
    time_bandwidth=3.0,
    tapers=5,
):
    """Compute the power spectra of a cluster of events.

    Parameters
    ----------
    sources : sequence of path or obspy.Stream
        One per event: any waveform file ObsPy reads, in raw counts.
    picks : sequence of path
        One hypo71 phase file per event, in the same order.
    events : sequence of str, optional
        Names of the events; by default the stems of the file names.
    origin_times : sequence of str or obspy.UTCDateTime, optional
        One per event; with ``vp_vs`` they stand in for missing S picks.
    vp_vs : float, optional
        Ratio of the P and S velocities: the S wave arrives at
        origin time + vp_vs x (P pick - origin time).
    phase : "S" or "P"
        The wave whose spectrum is taken.
    window : (float, float)
        Begin and end of the signal window in seconds after the pick of that phase.
    stations : sequence of str, optional
        The only stations to use; they are used even where their sampling rate changes.
    exclude : sequence of str, optional
        Stations to leave out.
    components : str
        Last letters of the channels to use, such as "EN"; "auto" takes all but the vertical
        for S and the vertical for P.
    time_bandwidth : float
        Time-bandwidth product NW of the tapers.
    tapers : int
        Number of tapers K.

    Returns
    -------
    xarray.Dataset
        Variables ``power``, ``noise_power`` (counts²/Hz), ``nu`` and ``mask`` (event, trace,
        freq), ``sampling_rate`` (event, trace) in Hz, NaN where an event lacks the trace. A
        trace is kept if two events have it. Frequencies run from 2W up to 0.8 times the
        smallest Nyquist frequency.

    Raises
    ------
    SpectraError
        A file cannot be read, or no trace is common to two events.
    OptionError
        The value of an option makes no sense.

    Warns
    -----
    StationLeftOutWarning
        Stations lack a pick or a complete window, or changed their sampling rate.
    """
    check_options(window, time_bandwidth, tapers)
    names = check_events(sources, picks, events, origin_times)
    streams = [open_stream(source) for source in sources]
    tables = [read_picks(path) for path in picks]
    origins = [as_time(time) for time in origin_times or [None] * len(streams)]
    wanted = ("Z" if phase == "P" else "not Z") if components == "auto" else components
    records = [select(stream, wanted, stations, exclude) for stream in streams]
    check_stations(stations, records)

    left_out: dict[str, set[str]] = defaultdict(set)
    changed = changing_rate(records) - set(stations or ())
    left_out["the sampling rate differs between the events; name them in stations to keep them"] = (
        changed
    )
    spectra: dict[str, dict[int, Spectra]] = defaultdict(dict)
    for index, (record, table, origin) in enumerate(zip(records, tables, origins, strict=True)):
        for trace_id, trace in record.items():
            station = trace.stats.station
            if station in changed:
                continue
            try:
                p_time, arrival = arrivals(table, station, phase, origin, vp_vs)
                signal, noise = cut_windows(trace, p_time, arrival, window)
            except SpectraError as reason:
                left_out[f"{names[index]}: {reason}"].add(station)
                continue
            rate = trace.stats.sampling_rate
            _, power, nu = power_spectrum(signal, rate, time_bandwidth, tapers)
            _, noise_power, _ = power_spectrum(noise, rate, time_bandwidth, tapers)
            spectra[trace_id][index] = Spectra(rate, power, noise_power, nu)

    reasons = "; ".join(
        f"{', '.join(sorted(stations))} ({reason})"
        for reason, stations in left_out.items()
        if stations
    )
    common = {name: spectra[name] for name in sorted(spectra) if len(spectra[name]) > 1}
    if not common:
        recorded = "; ".join(
            f"{name}: {', '.join(sorted(stations_of(record))) or 'none'}"
            for name, record in zip(names, records, strict=True)
        )
        raise SpectraError(
            "no trace is common to two events. Stations recorded by "
            f"{recorded}. Left out: {reasons or 'none'}. Add picks or records of the same stations"
        )
    if reasons:
        warnings.warn(f"stations left out: {reasons}", StationLeftOutWarning, stacklevel=2)
    return assemble(names, common, phase, window, time_bandwidth, tapers)


def power_spectrum(samples, sampling_rate, time_bandwidth=3.0, tapers=5):
    """Estimate the power spectral density of a window by adaptive multitapering.

    A linear trend is removed first. With the tapered periodograms S_k and Thomson's adaptive
    amplitude weights d_k the estimate is P = sum d_k² S_k / sum d_k², whose degrees of freedom
    are nu = 2 (sum d_k²)² / sum d_k⁴ at every frequency. The total is *not* rescaled to the
    variance of the window: such a factor would tie all frequencies together.

    Parameters
    ----------
    samples : array_like (sample,)
        The window, in counts.
    sampling_rate : float
        In Hz.
    time_bandwidth : float
        NW.
    tapers : int
        K.

    Returns
    -------
    freq : numpy.ndarray (freq,)
        Multiples of one over the window length from zero to the Nyquist frequency, Hz.
    power : numpy.ndarray (freq,)
        One-sided power spectral density, counts²/Hz; its integral is the variance.
    nu : numpy.ndarray (freq,)
        Degrees of freedom: power is distributed as its mean times chi-square(nu)/nu.

    References
    ----------
    Thomson, D. J. (1982), Proc. IEEE 70, 1055-1096, doi:10.1109/PROC.1982.12433, section V.
    """
    samples = detrend(np.asarray(samples, np.float64), type="linear")
    n = len(samples)
    sequences, eigenvalues = slepian(n, time_bandwidth, tapers)
    estimate = MTSpec(
        samples,
        nw=time_bandwidth,
        kspec=tapers,
        dt=1 / sampling_rate,
        nfft=n,
        vn=sequences,
        lamb=eigenvalues,
    )
    freq = np.fft.rfftfreq(n, 1 / sampling_rate)
    squared_weights = estimate.wt[: len(freq)] ** 2
    total = squared_weights.sum(axis=1)
    power = (squared_weights * estimate.sk[: len(freq)]).sum(axis=1) / total / sampling_rate
    # The negative frequencies fold onto the positive ones; zero and Nyquist stand alone.
    power[1 : (n + 1) // 2] *= 2
    return freq, power, 2 * total**2 / (squared_weights**2).sum(axis=1)


@functools.cache
def slepian(n, time_bandwidth, tapers):
    """Return the tapers (sample, taper) and their eigenvalues (taper,)."""
    return dpss(n, time_bandwidth, tapers)


def check_options(window, time_bandwidth, tapers):
    """Require options that make sense together."""
    if not window[0] < window[1]:
        raise OptionError(
            f"window = {window!r} must be its begin and end in seconds after the pick, "
            "as in (-0.3, 3.7)"
        )
    if tapers > 2 * time_bandwidth:
        raise OptionError(
            f"tapers = {tapers} must lie between 2 and 2 x time_bandwidth = "
            f"{2 * time_bandwidth:g}; further tapers leak"
        )


def check_events(sources, picks, events, origin_times):
    """Return the names of the events, and require one of everything for each event."""
    if len(sources) < 2:
        raise SpectraError(
            "spectral ratios need the waveforms of at least two events; give a list of files"
        )
    for index, source in enumerate(sources):
        if not isinstance(source, str | os.PathLike | obspy.Stream):
            raise SpectraError(
                f"the waveforms of event {index + 1} are {type(source).__name__}; give a file or "
                "an obspy.Stream"
            )
    given = {"picks": picks, "events": events, "origin_times": origin_times}
    for option, values in given.items():
        if values is not None and len(values) != len(sources):
            raise SpectraError(
                f"{len(sources)} waveform files but {len(values)} {option}; give one per event, in "
                "the same order"
            )
    names = (
        list(events)
        if events is not None
        else [default_name(source, index) for index, source in enumerate(sources)]
    )
    if len(set(names)) < len(names):
        raise OptionError(f"the event names {', '.join(names)} repeat; pass events= with others")
    return names


def default_name(source, index):
    """Return the stem of a file name, or the event's number."""
    return f"E{index + 1}" if isinstance(source, obspy.Stream) else Path(source).stem


def open_stream(source):
    """Return a stream whose traces of one channel are joined, gaps being masked."""
    if isinstance(source, obspy.Stream):
        stream = source.copy()
    elif not Path(source).is_file():
        raise SpectraError(f"{source} does not exist; give the path of a waveform file")
    else:
        try:
            stream = obspy.read(str(source))
        except Exception as error:  # ObsPy's formats raise whatever their parsers raise.
            raise SpectraError(
                f"{source} is no waveform file that ObsPy reads ({error}); convert it to miniSEED"
            ) from error
    try:
        return stream.merge()
    except Exception as error:  # ObsPy raises the bare class here.
        raise SpectraError(
            f"{'stream' if isinstance(source, obspy.Stream) else source}: traces of one channel do "
            f"not fit together ({error}); split or resample them"
        ) from error


def as_time(time):
    """Return an origin time, None if not given."""
    if time is None or isinstance(time, obspy.UTCDateTime):
        return time
    try:
        return obspy.UTCDateTime(time)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"origin_times: {time!r} is no time; write it as in 2010-01-18T17:04:06.39 (UTC)"
        ) from error


def select(stream, components, stations, exclude):
    """Return the wanted traces by their identifier."""
    return {
        trace.id: trace
        for trace in stream
        if (not trace.id.endswith("Z") if components == "not Z" else trace.id[-1] in components)
        and (stations is None or trace.stats.station in stations)
        and trace.stats.station not in (exclude or ())
    }


def stations_of(record):
    """Return the station codes of a dictionary of traces."""
    return {trace.stats.station for trace in record.values()}


def check_stations(stations, records):
    """Require that every station asked for has been recorded."""
    unknown = set(stations or ()) - set().union(*map(stations_of, records))
    if unknown:
        raise SpectraError(
            f"the waveforms hold no usable channel of {', '.join(sorted(unknown))}; "
            "correct stations, exclude or components"
        )


def changing_rate(records):
    """Return the stations that have a channel sampled at several rates."""
    rates = defaultdict(set)
    for record in records:
        for trace_id, trace in record.items():
            rates[trace_id].add(trace.stats.sampling_rate)
    return {trace_id.split(".")[1] for trace_id, found in rates.items() if len(found) > 1}


def arrivals(picks, station, phase, origin, vp_vs):
    """Return the P time and the time of the wanted phase at a station."""
    pick = picks.get(station[:STATION_CODE_LENGTH])
    if pick is None:
        raise SpectraError("no pick")
    if phase == "P":
        return pick.p_time, pick.p_time
    if pick.s_time is not None:
        return pick.p_time, pick.s_time
    if origin is None or vp_vs is None:
        raise SpectraError("no S pick; give origin_times and vp_vs to compute it")
    if pick.p_time <= origin:
        raise SpectraError("the P pick precedes the origin time")
    return pick.p_time, origin + vp_vs * (pick.p_time - origin)


def cut_windows(trace, p_time, arrival, window):
    """Return the samples of the signal window and of the noise window."""
    length = window[1] - window[0]
    noise_end = min(p_time - NOISE_GAP_S, arrival + window[0])
    return (
        cut(trace, arrival + window[0], length, "signal"),
        cut(trace, noise_end - length, length, "noise"),
    )


def cut(trace, start, length, kind):
    """Return the samples of ``length`` seconds after ``start``."""
    rate = trace.stats.sampling_rate
    first, n = round((start - trace.stats.starttime) * rate), round(length * rate)
    if first < 0 or first + n > trace.stats.npts:
        raise SpectraError(
            f"the record does not cover the {kind} window; give a longer record or another window"
        )
    samples = trace.data[first : first + n]
    if np.ma.is_masked(samples) or not np.isfinite(samples).all():
        raise SpectraError(f"the record has a gap in the {kind} window")
    if np.ptp(samples) == 0:
        raise SpectraError(f"the record is constant in the {kind} window")
    return np.asarray(samples, np.float64)


def assemble(names, spectra, phase, window, time_bandwidth, tapers):
    """Return the data set of the spectra at every 2W."""
    length = window[1] - window[0]
    lowest_rate = min(one.sampling_rate for of in spectra.values() for one in of.values())
    highest = HIGHEST_FREQUENCY * lowest_rate / 2
    step = math.ceil(2 * time_bandwidth - 1e-9)
    bins = np.arange(step, math.floor(highest * length + 1e-9) + 1, step)
    if not len(bins):
        raise SpectraError(
            f"traces {', '.join(spectra)} have no common band: the lowest frequency "
            f"{step / length:g} Hz exceeds {HIGHEST_FREQUENCY} of the smallest Nyquist frequency, "
            f"{highest:g} Hz; lengthen the window"
        )
    shape = (len(names), len(spectra), len(bins))
    power, noise_power, nu = np.ones(shape), np.ones(shape), np.full(shape, 2.0)
    mask, rate = np.zeros(shape, np.int8), np.full(shape[:2], np.nan)
    for place, of_event in enumerate(spectra.values()):
        for event, one in of_event.items():
            power[event, place] = one.power[bins]
            noise_power[event, place] = one.noise_power[bins]
            nu[event, place] = one.nu[bins]
            mask[event, place] = 1
            rate[event, place] = one.sampling_rate
    return xr.Dataset(
        {
            "power": (DIMENSIONS, power),
            "noise_power": (DIMENSIONS, noise_power),
            "nu": (DIMENSIONS, nu),
            "mask": (DIMENSIONS, mask),
            "sampling_rate": (DIMENSIONS[:2], rate),
        },
        {"event": names, "trace": list(spectra), "freq": bins / length},
        {
            "nu_max": 2.0 * tapers,
            "half_bandwidth_hz": time_bandwidth / length,
            "phase": phase,
            "window": np.asarray(window, np.float64),
            "time_bandwidth": float(time_bandwidth),
            "tapers": int(tapers),
        },
    )
