"""The reader: from any earthquake catalogue to the events of one aftershock window.

Convention: t is in days after the main shock, which is itself no event; the window is
[0, T]; every number is validated before it is used, and what is left out is counted.
"""

import numbers
import warnings
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesquake.errors import CatalogError, OptionError
from bayesquake.io.catalog import (
    content_hash,
    days_after,
    describe_event,
    iso_time,
    named_as_catalogue,
    read_catalog,
    source_of,
)
from bayesquake.io.datasets import checked, opened_netcdf, require_attributes
from bayesquake.io.magnitudes import MAGNITUDE, ROUNDING, SAME_MAGNITUDE
from bayesquake.model.options import any_of, flag, moment, number, one_of, takes, text

from .dataset import DATA, EARLIEST_DAYS, END_DAYS, FEWEST_EVENTS

__all__ = ["SecondMainShockWarning", "detect_rounding", "find_sentinel", "read"]

ROUNDING_STEPS = (1.0, 0.5, 0.25, 0.2, 0.1, 0.05, 0.01)
EARTHQUAKE_MAGNITUDES = (-4.0, 10.0)
"""Numbers outside this range are no magnitudes of earthquakes that a network locates."""

NAMED_MAGNITUDE = 0.05
"""A main shock is the event of the magnitude that is given, within this."""
SAME_CLOCK_TIME_DAYS = 1 / 86400
"""A main-shock time written by hand may drop the decimals of its seconds."""
SAME_TIME_DAYS = 1e-3 / 86400


class SecondMainShockWarning(UserWarning):
    """An event as large as the main shock lies inside the window."""


class MainShock(NamedTuple):
    """The main shock: days after the catalogue's t = 0, magnitude, index if it is in there."""

    time: float
    magnitude: float
    event: int | None


@takes(
    main_shock_magnitude=any_of(None, MAGNITUDE),
    main_shock_time=any_of(None, moment()),
    end_days=any_of(None, END_DAYS),
    completeness_magnitude=any_of(None, MAGNITUDE),
    magnitude_rounding=any_of(one_of("auto"), ROUNDING),
    sentinel=any_of(None, one_of(False), number("mag", at_least=-1e6, at_most=1e6)),
    sort=flag(),
    format=any_of(None, text("the name of an event format")),
)
def read(
    source,
    *,
    main_shock_magnitude=None,
    main_shock_time=None,
    end_days=None,
    completeness_magnitude=None,
    magnitude_rounding="auto",
    sentinel=None,
    sort=False,
    format=None,
):
    """Read and validate the catalogue of an aftershock sequence.

    Parameters
    ----------
    source : path, obspy.Catalog or xarray.Dataset
        Anything `bayesquake.io.catalog.read_catalog` reads, or a data set returned here
        or by the simulator, in memory or as a NetCDF file.
    main_shock_magnitude : float, optional
        M0. By default that of the event at t = 0, or of the first event where times are
        absolute and it is the largest. Alone, it names the main shock of a catalogue in
        absolute times: the earliest event of that magnitude (within 0.05).
    main_shock_time : str, datetime, obspy.UTCDateTime or float, optional
        Absolute time (UTC), or days on the catalogue's own scale. Earlier events are
        left out.
    end_days : float, optional
        T, the end of the window in days after the main shock; later events are left out.
        The time of the last event by default.
    completeness_magnitude : float, optional
        Mc; smaller events are left out. No cut by default.
    magnitude_rounding : "auto" or float
        Step δ of the magnitudes; 0 declares them continuous.
    sentinel : float or False, optional
        The magnitude that means "not determined"; such events are left out and counted.
        By default a value that looks like one is an error; False accepts every value from -5 to 10.
    sort : bool
        Sort the events by time instead of refusing an unsorted catalogue.
    format : str, optional
        ``"CSV"`` or the name of an ObsPy event format; detected by default.

    Returns
    -------
    xarray.Dataset
        Variables ``t`` (event,) in days and ``mag`` (event,); where known ``longitude``,
        ``latitude`` (degrees) and ``depth`` (km). Attributes ``M0``, ``T`` (days), ``Mc``
        (NaN without a cut), ``delta_m`` (0 if continuous), ``main_shock_time`` and
        ``reference_time`` (both the ISO 8601 time of t = 0, or ""), ``source``,
        ``content_hash``, and the numbers of events left out: ``dropped_sentinels``,
        ``events_before_main_shock``, ``events_after_end``.

    Raises
    ------
    CatalogError
        The catalogue cannot be read or breaks a condition of the model.
    OptionError
        The value of an option makes no sense.

    Warns
    -----
    SecondMainShockWarning
        An event of magnitude M0 or more lies inside the window.
    """
    catalogue, window = open_source(source, format)
    check_finite(catalogue)
    if main_shock_time is None:
        check_not_negative(catalogue)
    if sort:
        catalogue = catalogue.isel(event=np.argsort(catalogue["time"].to_numpy(), kind="stable"))
    check_sorted(catalogue)

    if window:
        check_inside(window, catalogue, main_shock_time, end_days, completeness_magnitude)
        given = main_shock_magnitude is not None
        main_shock = MainShock(0.0, main_shock_magnitude if given else window["M0"], None)
        end_days = window["T"] if end_days is None else end_days
        if completeness_magnitude is None and not np.isnan(window["Mc"]):
            completeness_magnitude = window["Mc"]
        if magnitude_rounding == "auto" and not np.isnan(window["delta_m"]):
            magnitude_rounding = window["delta_m"]
        if sentinel is None and window.get("content_hash") == window_hash(catalogue, window):
            # Untouched since it was read: its magnitudes have been accepted before.
            sentinel = False
    else:
        main_shock = find_main_shock(catalogue, main_shock_magnitude, main_shock_time, sentinel)

    events, before = after_main_shock(catalogue, main_shock)
    T = end_of_window(events, end_days)
    inside = events["time"].to_numpy() <= T
    events, after = events.isel(event=inside), int(np.count_nonzero(~inside))
    events, dropped = drop_sentinels(events, sentinel)
    if magnitude_rounding == "auto":
        magnitude_rounding = detect_rounding(events["magnitude"].to_numpy())
    events = cut_at_completeness(events, completeness_magnitude, T)
    warn_of_second_main_shock(events, main_shock)

    reference_time = catalogue.attrs["reference_time"]
    if reference_time:
        reference_time = iso_time(reference_time, main_shock.time)
    Mc = np.nan if completeness_magnitude is None else float(completeness_magnitude)
    dataset = events.drop_vars("row").rename(time="t", magnitude="mag")
    dataset["t"].attrs = {"units": "d", "long_name": "time after the main shock"}
    dataset.attrs = {
        "main_shock_time": reference_time,
        "M0": float(main_shock.magnitude),
        "T": T,
        "Mc": Mc,
        "delta_m": float(magnitude_rounding),
        "reference_time": reference_time,
        "source": catalogue.attrs["source"],
        "dropped_sentinels": dropped + int(window.get("dropped_sentinels", 0)),
        "events_before_main_shock": before + int(window.get("events_before_main_shock", 0)),
        "events_after_end": after + int(window.get("events_after_end", 0)),
    }
    dataset.attrs["content_hash"] = window_hash(events, dataset.attrs)
    return checked(DATA, dataset, source_of(dataset))


def window_hash(events, window):
    """Return the hash of times, magnitudes, M0, T, Mc and the rounding step."""
    settings = [window[name] for name in ("M0", "T", "Mc", "delta_m")]
    return content_hash(events["time"], events["magnitude"], settings)


def open_source(source, format):
    """Return the catalogue, and the attributes of its window if it has been cut before."""
    source = opened_netcdf(source, format, CatalogError)
    if not isinstance(source, xr.Dataset):
        return read_catalog(source, format=format), {}
    catalogue = read_catalog(named_as_catalogue(source, {"t": "time", "mag": "magnitude"}))
    if not {"M0", "T"} <= set(source.attrs):
        return catalogue, {}
    window = {"Mc": np.nan, "delta_m": np.nan} | source.attrs
    require_attributes(DATA, source, source_of(source))
    return catalogue, window


def check_finite(catalogue):
    """Require finite times and magnitudes."""
    for name in ("time", "magnitude"):
        values = catalogue[name].to_numpy()
        bad = ~np.isfinite(values)
        if bad.any():
            first = int(np.argmax(bad))
            raise CatalogError(
                f"{describe_event(catalogue, first)}: the {name} is {values[first]} "
                f"({np.count_nonzero(bad)} such events); fill it in or remove the event"
            )


def check_not_negative(catalogue):
    """Require times from t = 0 on where the catalogue sets its own zero."""
    time = catalogue["time"].to_numpy()
    if catalogue.attrs["time_origin"] == "file" and (time < 0).any():
        first = int(np.argmax(time < 0))
        raise CatalogError(
            f"{describe_event(catalogue, first)}: t = {time[first]:g} days lies before the main "
            f"shock ({np.count_nonzero(time < 0)} such events); remove the earlier events, or pass "
            "main_shock_time=0.0 to leave them out"
        )


def check_sorted(catalogue):
    """Require times that do not decrease."""
    step = np.diff(catalogue["time"].to_numpy())
    if (step < 0).any():
        first = int(np.argmax(step < 0)) + 1
        raise CatalogError(
            f"{describe_event(catalogue, first)}: the event is earlier than the one before it; "
            "sort the catalogue by time or pass sort=True"
        )


def check_inside(window, catalogue, main_shock_time, end_days, completeness_magnitude):
    """Require that a data set cut before fits its window, and is not asked to widen it."""
    T, Mc, name = window["T"], window["Mc"], source_of(catalogue)
    time = catalogue["time"].to_numpy()
    if main_shock_time is not None:
        raise OptionError(
            f"{name} already counts time from its main shock; main_shock_time cannot move it"
        )
    if time.size and time[-1] > T:
        raise CatalogError(
            f"{describe_event(catalogue, time.size - 1)}: the event at t = {time[-1]:g} days lies "
            f"after the end of the window, T = {T:g} days; correct T or remove the later events"
        )
    if end_days is not None and end_days > T:
        raise CatalogError(
            f"{name} was cut at T = {T:g} days; read its source again with end_days = {end_days:g}"
        )
    if completeness_magnitude is not None and completeness_magnitude < Mc:
        raise CatalogError(
            f"{name} was cut at Mc = {Mc:g}; read its source again with "
            f"completeness_magnitude = {completeness_magnitude:g}"
        )


def find_main_shock(catalogue, magnitude, time, sentinel):
    """Return the main shock that the caller names or that the catalogue shows by itself."""
    times = catalogue["time"].to_numpy()
    magnitudes = catalogue["magnitude"].to_numpy()
    if sentinel is not None and sentinel is not False:
        magnitudes = np.where(magnitudes == sentinel, -np.inf, magnitudes)
    if time is not None:
        zero, tolerance = main_shock_days(catalogue, time)
        matches = np.abs(times - zero) <= tolerance
    elif catalogue.attrs["time_origin"] == "file":
        zero, matches = 0.0, times == 0
    elif magnitude is not None:
        zero, matches = None, np.abs(magnitudes - magnitude) <= NAMED_MAGNITUDE + 1e-9
        matches &= np.cumsum(matches) == 1
    else:
        zero, matches = None, (np.arange(times.size) == 0) & (magnitudes == magnitudes.max())

    if matches.any():
        index = int(np.argmax(np.where(matches, magnitudes, -np.inf)))
        M0 = magnitudes[index] if magnitude is None else magnitude
        return MainShock(float(times[index]), float(M0), index)
    if zero is not None and magnitude is not None:
        return MainShock(zero, float(magnitude), None)
    raise CatalogError(
        f"{catalogue.attrs['source'] or 'catalogue'}: {lack_of_main_shock(zero, magnitude, time)}; "
        f"{suggest_main_shock(catalogue, int(np.argmax(magnitudes)))}"
    )


def main_shock_days(catalogue, time):
    """Return the main-shock time on the catalogue's scale and its tolerance, both in days."""
    reference_time = catalogue.attrs["reference_time"]
    if isinstance(time, numbers.Real):
        if catalogue.attrs["time_origin"] != "file":
            raise OptionError(
                f"main_shock_time = {time!r} must be a time as in '1995-01-16T20:46:52', because "
                "the catalogue gives absolute times"
            )
        return float(time), SAME_TIME_DAYS
    if not reference_time:
        raise OptionError(
            f"main_shock_time = {time!r} must be a number of days, because the catalogue gives "
            "times in days only"
        )
    try:
        return days_after(reference_time, time), SAME_CLOCK_TIME_DAYS
    except CatalogError as error:
        raise OptionError(f"main_shock_time: {error}") from error


def lack_of_main_shock(zero, magnitude, time):
    """Say which clue to the main shock is missing."""
    if time is not None:
        return f"there is no event at main_shock_time = {time} and no main_shock_magnitude"
    if magnitude is not None:
        return f"no event has main_shock_magnitude = {magnitude:g}"
    if zero is not None:
        return "no main shock is given and no event has t = 0"
    return "no main shock is given and the first event is not the largest"


def suggest_main_shock(catalogue, largest):
    """Say how to name the main shock, with the largest event as the example."""
    days, magnitude = catalogue["time"].item(largest), catalogue["magnitude"].item(largest)
    time = f"{days:g}"
    if catalogue.attrs["reference_time"]:
        time = f"'{iso_time(catalogue.attrs['reference_time'], days)}'"
    return (
        "pass main_shock_magnitude (and main_shock_time if it is not t = 0); the largest event, "
        f"{describe_event(catalogue, largest)}, would be "
        f"main_shock_magnitude={magnitude:g}, main_shock_time={time}"
    )


def after_main_shock(catalogue, main_shock):
    """Return the events after the main shock, timed from it, and the number before it."""
    time = catalogue["time"].to_numpy() - main_shock.time
    before = time < 0
    keep = ~before
    if main_shock.event is not None:
        keep[main_shock.event] = False
    events = catalogue.assign(time=("event", time)).isel(event=keep)
    check_count(events, "after the main shock", "give a longer catalogue")
    return events, int(np.count_nonzero(before))


def end_of_window(events, end_days):
    """Return T: the given end, or the time of the last event (days)."""
    T = float(events["time"][-1] if end_days is None else end_days)
    if T <= EARLIEST_DAYS:
        raise CatalogError(
            f"{events.attrs['source'] or 'data set'}: the window ends at T = {T:g} days, not after "
            f"{EARLIEST_DAYS:g} days; give a later end_days"
        )
    return T


def drop_sentinels(events, sentinel):
    """Return the events of known magnitude, and the number left out."""
    magnitude = events["magnitude"].to_numpy()
    if sentinel is None:
        sentinel_found = find_sentinel(magnitude)
        if sentinel_found is not None:
            is_sentinel = magnitude == sentinel_found
            raise CatalogError(
                f"{describe_event(events, int(np.argmax(is_sentinel)))}: magnitude "
                f"{sentinel_found} looks like a mark for 'not determined' "
                f"({np.count_nonzero(is_sentinel)} of {magnitude.size} events, this the first); "
                f"pass sentinel={sentinel_found} to leave these events out, or sentinel=False if "
                "it is genuine"
            )
    if sentinel is None or sentinel is False:
        return events, 0
    known = magnitude != sentinel
    return events.isel(event=known), int(np.count_nonzero(~known))


def find_sentinel(magnitude):
    """Find a magnitude that stands for "not determined".

    Such a value is outside all earthquake magnitudes; or a zero at least 0.5 from all
    other values; or zero, the smallest or the largest value, if it occurs three times and
    more than 1.0 (and ten rounding steps) from the others, or twenty times and ten times as
    often as any value within 0.5 of it. The lowest bin of a complete, rounded catalogue holds
    at most a few times the count of the next one, so it passes.

    Parameters
    ----------
    magnitude : (event,)
        Magnitudes.

    Returns
    -------
    float or None
    """
    smallest, largest = EARTHQUAKE_MAGNITUDES
    outside = (magnitude < smallest) | (magnitude >= largest)
    if outside.any():
        return float(magnitude[np.argmax(outside)])
    values, counts = np.unique(magnitude, return_counts=True)
    step = detect_rounding(values[values != 0])
    for value in (0.0, *values[:1], *values[-1:]):
        count = counts[values == value].sum()
        distance = np.abs(values - value)
        gap = distance[values != value].min(initial=np.inf)
        near = counts[(values != value) & (distance <= 0.5)].max(initial=1)
        lone_zero = value == 0 and count > 0 and gap >= 0.5 and gap > step
        set_apart = count >= 3 and gap > max(1.0, 10 * step)
        spike = count >= 20 and count >= 10 * near and step < 0.5
        if lone_zero or set_apart or spike:
            return float(value)
    return None


def detect_rounding(magnitude):
    """Find the step that magnitudes are rounded to.

    Parameters
    ----------
    magnitude : (event,)
        Magnitudes.

    Returns
    -------
    float
        The largest of 1, 0.5, 0.25, 0.2, 0.1, 0.05 and 0.01 of which all magnitudes are
        multiples (within 1e-6); 0 if there is none.
    """
    for step in ROUNDING_STEPS:
        if np.all(np.abs(magnitude - step * np.round(magnitude / step)) < 1e-6):
            return step
    return 0.0


def cut_at_completeness(events, Mc, T):
    """Return the events of magnitude Mc and above, and require enough of them."""
    window = f"in the window of T = {T:g} days"
    check_count(events, window, "give a later end_days")
    if Mc is None:
        return events
    magnitude = events["magnitude"].to_numpy()
    events = events.isel(event=magnitude >= Mc - SAME_MAGNITUDE)
    check_count(
        events,
        f"{window} have M >= Mc = {Mc:g} (the largest has M = {magnitude.max():g})",
        "lower completeness_magnitude or give a later end_days",
    )
    return events


def check_count(events, where, remedy):
    """Require enough events for a fit."""
    if events.sizes["event"] < FEWEST_EVENTS:
        raise CatalogError(
            f"{events.attrs['source'] or 'data set'}: only {events.sizes['event']} events {where}, "
            f"and the model needs at least {FEWEST_EVENTS}; {remedy}"
        )


def warn_of_second_main_shock(events, main_shock):
    """Warn if an aftershock is as large as the main shock."""
    second = events["magnitude"].to_numpy() >= main_shock.magnitude
    if second.any():
        first = int(np.argmax(second))
        days, magnitude = events["time"].item(first), events["magnitude"].item(first)
        warnings.warn(
            f"{describe_event(events, first)}: a second main shock of M {magnitude:g} (M0 = "
            f"{main_shock.magnitude:g}) lies inside the window at t = {days:g} days, and its own "
            f"aftershocks are not modelled; end the window before it with end_days < {days:g}",
            SecondMainShockWarning,
            stacklevel=4,
        )
