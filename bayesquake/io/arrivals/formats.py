"""Text files of arrival times, each as one row of cells for every pick.

Every row has ``event``, ``station``, ``phase``, ``time`` (s after ``reference_time``) and
``pick_error`` (s) or ``quality``, by which the best error of a pick is multiplied; ``latitude``,
``longitude`` (degrees) and ``depth`` (km) are those of a preliminary location, where there is
one, at the origin time ``reference_time``.

- ``HYPODDPHA``, the input of ph2dt: travel times with weights from 0 to 1; a negative weight marks
  a pick that is always used; weight 0 leaves a pick out.
- ``CNV``, the input of VELEST: travel times with weights from 0, the best, to 3; 4 leaves it out.
- ``NLLOC_OBS``, the observations of NonLinLoc: arrival times with their errors.

References
----------
Waldhauser (2001), USGS Open-File Report 01-113: hypoDD.
Kissling et al. (1995), VELEST User's Guide.
Lomax et al. (2000), doi:10.1007/978-94-015-9536-0_5: NonLinLoc.
"""

import re

import numpy as np
import pandas as pd

from bayesquake.io.tables import LineError, TextFormat, numbers_of, words_of

__all__ = ["FORMATS"]

HEADER_WORDS = 14
"""# year month day hour minute second latitude longitude depth magnitude eh ez rms id."""

CNV_HEADER = re.compile(
    r"(?P<date>[\d ]{6}) (?P<minute>[\d ]{4}) (?P<second>[\d. ]{5}) "
    r"(?P<latitude>[\d. ]{7})(?P<north>[NS]) (?P<longitude>[\d. ]{8})(?P<east>[EW])"
    r"(?P<depth>[-\d. ]{7})"
)
CNV_PICK = re.compile(r"(?P<station>.{4})(?P<phase>[PSps])(?P<weight>\d)(?P<time>[-\d. ]{6})")
UNUSED_CNV_WEIGHT = 4
FIRST_YEAR = 1970
"""Years of two digits are those from 1970 to 2069."""

OBS_WORDS = 11
"""Station, instrument, component, onset, phase, polarity, date, hour-minute, second, GAU, error."""
NAMES_OF_EVENTS = ("PUBLIC_ID", "EQ_EVENT")
"""Words that begin lines about an event in a file of NonLinLoc."""


def time_of(clock, second, line):
    """Return a time as datetime64, of year, month, day, hour and minute; seconds may exceed 60."""
    year, month, day, hour, minute = clock
    try:
        begin = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:00", "ns")
    except ValueError:
        raise LineError(
            line, f"{year}-{month}-{day} {hour} h is no date and hour; correct it"
        ) from None
    return begin + np.timedelta64(round(1e9 * (60 * minute + second)), "ns")


def are_hypodd(lines):
    """Return whether the first line is the header of an event of ph2dt."""
    first = next((line for line in lines if line.strip()), "")
    return first.startswith("#") and len(first[1:].split()) == HEADER_WORDS


def hypodd_cells(lines):
    """Return the picks of a file for ph2dt."""
    rows, event = {}, None
    for line, text in enumerate(lines, start=1):
        words = text.split()
        if not words:
            continue
        if words[0].startswith("#"):
            header = text.strip()[1:].split()
            if len(header) != HEADER_WORDS:
                raise LineError(line, f"an event has {HEADER_WORDS} entries; complete them")
            numbers = numbers_of(header[:9], line)
            event = {
                "event": header[-1],
                "reference_time": time_of([int(n) for n in numbers[:5]], numbers[5], line),
                "latitude": numbers[6],
                "longitude": numbers[7],
                "depth": numbers[8],
            }
        elif event is None or len(words) != 4:
            raise LineError(line, "a pick is station, travel time, weight and phase; correct it")
        else:
            time, weight = numbers_of(words[1:3], line)
            if weight != 0:
                quality = 1.0 if abs(weight) >= 1 else 2.0 if abs(weight) >= 0.5 else 4.0
                pick = {"station": words[0], "phase": words[3], "time": time, "quality": quality}
                rows[line] = event | pick
    return pd.DataFrame.from_dict(rows, orient="index")


def are_cnv(lines):
    """Return whether the first line is the header of an event of VELEST."""
    return CNV_HEADER.match(next((line for line in lines if line.strip()), "")) is not None


def cnv_cells(lines):
    """Return the picks of a file for VELEST."""
    rows, event, count = [], None, 0
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            event = None
            continue
        if event is None:
            event = cnv_event(text, line, count)
            count += 1
            continue
        text = text.rstrip()
        for start in range(0, len(text), 12):
            pick = CNV_PICK.fullmatch(text[start : start + 12].ljust(12))
            if pick is None:
                raise LineError(
                    line,
                    f"column {start + 1}: a pick is a station of 4 letters, P or S, a weight "
                    "and 6 digits of travel time; correct it",
                )
            (time,) = numbers_of([pick["time"]], line)
            weight = int(pick["weight"])
            if weight < UNUSED_CNV_WEIGHT:
                cells = {
                    "station": pick["station"].strip(),
                    "phase": pick["phase"],
                    "time": time,
                    "quality": 2.0**weight,
                }
                rows.append((line, event | cells))
    return pd.DataFrame([row for _, row in rows], index=[line for line, _ in rows])


def cnv_event(text, line, count):
    """Return the cells of the header of an event."""
    header = CNV_HEADER.match(text)
    if header is None:
        raise LineError(line, "an event begins with its date, time and place; correct it")
    clock = header["date"] + header["minute"]
    year, *rest = (int(n) for n in numbers_of([clock[i : i + 2] for i in range(0, 10, 2)], line))
    numbers = numbers_of(
        [header[name] for name in ("second", "latitude", "longitude", "depth")], line
    )
    year += 1900 if year + 1900 >= FIRST_YEAR else 2000
    return {
        "event": str(count),
        "reference_time": time_of([year, *rest], numbers[0], line),
        "latitude": numbers[1] * (1 if header["north"] == "N" else -1),
        "longitude": numbers[2] * (1 if header["east"] == "E" else -1),
        "depth": numbers[3],
    }


def is_obs(words):
    """Return whether words are a pick of NonLinLoc."""
    return len(words) >= OBS_WORDS and len(words[6]) == 8 and words[6].isdigit()


def are_obs(lines):
    """Return whether the first line, names of events apart, is a pick of NonLinLoc."""
    picks = [words for _, words in words_of(lines) if words[0] not in NAMES_OF_EVENTS]
    return any(is_obs(words) for words in picks[:1])


def obs_cells(lines):
    """Return the picks of a file for NonLinLoc; a blank line ends an event."""
    events: list[list] = [[]]
    for line, text in enumerate(lines, start=1):
        words = text.split("#")[0].split()
        if not words:
            if not text.strip():
                events.append([])
            continue
        if words[0] in NAMES_OF_EVENTS:
            continue
        if not is_obs(words):
            raise LineError(
                line,
                "a pick is station, instrument, component, onset, phase, polarity, date, "
                "hour and minute, second, GAU and error; correct it",
            )
        second, error, clock = numbers_of([words[8], words[10], words[7]], line)
        date, clock = int(words[6]), int(clock)
        day = [date // 10_000, date // 100 % 100, date % 100]
        moment = time_of([*day, clock // 100, clock % 100], second, line)
        events[-1].append((line, words[0], words[4], moment, error))
    rows = {}
    for number, picks in enumerate(filter(None, events)):
        reference = min(moment for _, _, _, moment, _ in picks)
        for line, station, phase, moment, error in picks:
            rows[line] = {
                "event": str(number),
                "reference_time": reference,
                "station": station,
                "phase": phase,
                "time": (moment - reference) / np.timedelta64(1, "s"),
                "pick_error": error,
            }
    return pd.DataFrame.from_dict(rows, orient="index")


FORMATS = (
    TextFormat("HYPODDPHA", are_hypodd, hypodd_cells),
    TextFormat("CNV", are_cnv, cnv_cells),
    TextFormat("NLLOC_OBS", are_obs, obs_cells),
)
