"""Arrival picks of one event from a hypo71 phase file.

Convention: one fixed-width line per station. Columns, counted from 0: station 0-3, P remark
4-7 (the weight is its last letter), P time 9-23 as yymmddHHMMSS.ss, S seconds 31-35, S remark
36-39. The S seconds count from the minute of the P time, so they may exceed 60. Weights run
from 0 (best) to 4; a blank one is 0. A line that holds nothing but a small number such as 10
ends the event.
"""

import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple

from obspy import UTCDateTime

from .errors import SpectraError

__all__ = ["DuplicatePickWarning", "Pick", "read_picks"]

STATION, P_WEIGHT, P_MINUTE, P_SECONDS = slice(0, 4), slice(7, 8), slice(9, 19), slice(19, 24)
S_SECONDS, S_WEIGHT = slice(31, 36), slice(39, 40)
SECONDS = re.compile(r"\d+\.\d*|\.\d+")
END_OF_EVENT = re.compile(r"\s*\d{1,2}\s*")
FIRST_YEAR = 1970
"""hypo71 is of 1971, so its two-digit years are those from 1970 to 2069."""


class DuplicatePickWarning(UserWarning):
    """A phase file gives the picks of a station more than once."""


class Pick(NamedTuple):
    """The arrivals of one event at one station."""

    station: str
    p_time: UTCDateTime
    p_weight: int
    s_time: UTCDateTime | None
    s_weight: int | None


def read_picks(path):
    """Read the picks of one event.

    Parameters
    ----------
    path : path
        A hypo71 phase file that holds a single event.

    Returns
    -------
    dict of str to Pick
        By station code, in the order of the file. Of a station given twice, the line of
        the smaller P weight is kept; at equal weights one with an S pick, then the one of
        the smaller S weight, then the earlier line.

    Raises
    ------
    SpectraError
        The file is missing or holds no pick or several events, or a line does not fit the
        columns.

    Warns
    -----
    DuplicatePickWarning
        A station is given more than once.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise SpectraError(f"{path} does not exist; give the path of a hypo71 phase file")
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise SpectraError(f"{path} is no hypo71 phase file: it is not plain text") from error

    picks: dict[str, Pick] = {}
    repeated: list[str] = []
    ended = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if END_OF_EVENT.fullmatch(line):
            ended = True
            continue
        place = f"{path}, line {number}"
        if ended:
            raise SpectraError(f"{place}: a second event begins here; give one file per event")
        pick = parse_line(line, place)
        if pick.station in picks:
            repeated.append(pick.station)
        picks[pick.station] = min(picks.get(pick.station, pick), pick, key=quality)
    if not picks:
        raise SpectraError(f"{path} holds no picks; a phase file has one line per station")
    if repeated:
        warnings.warn(
            f"{path} gives {', '.join(dict.fromkeys(repeated))} more than once; "
            "the line of the better weight is used",
            DuplicatePickWarning,
            stacklevel=2,
        )
    return picks


def parse_line(line, place):
    """Return the pick of one line; ``place`` is how a complaint names it."""
    station = line[STATION].strip()
    if not station:
        raise SpectraError(
            f"{place}: columns 1-4 hold no station code; shift the line into the hypo71 columns"
        )
    minute = start_of_minute(line[P_MINUTE], place)
    s_seconds = line[S_SECONDS]
    has_s = bool(s_seconds.strip())
    return Pick(
        station=station,
        p_time=minute + seconds(line[P_SECONDS], "P", place),
        p_weight=weight(line[P_WEIGHT], "P", place),
        s_time=minute + seconds(s_seconds, "S", place) if has_s else None,
        s_weight=weight(line[S_WEIGHT], "S", place) if has_s else None,
    )


def start_of_minute(text, place):
    """Return the minute that the seconds of P and S count from."""
    digits = text.replace(" ", "0")
    try:
        if not (len(digits) == 10 and digits.isdecimal()):
            raise ValueError(text)
        year, month, day, hour, minute = (int(digits[i : i + 2]) for i in range(0, 10, 2))
        year += FIRST_YEAR - FIRST_YEAR % 100 + (100 if year < FIRST_YEAR % 100 else 0)
        return UTCDateTime(year, month, day, hour, minute)
    except ValueError as error:
        raise SpectraError(
            f"{place}: columns 10-19 hold {text!r}, which is no time yymmddHHMM; correct the line"
        ) from error


def seconds(text, phase, place):
    """Return the seconds after the minute; a decimal point is required."""
    if not SECONDS.fullmatch(text.strip()):
        raise SpectraError(
            f"{place}: the seconds of {phase} read {text!r}, which is no number with a decimal "
            "point; shift or correct the line"
        )
    return float(text)


def weight(text, phase, place):
    """Return the weight code, 0 for a blank one."""
    text = text.strip() or "0"
    if not text.isdecimal():
        raise SpectraError(
            f"{place}: the weight of {phase} reads {text!r}, not a digit; shift or correct the line"
        )
    return int(text)


def quality(pick):
    """Return the rank of a pick, the best being the smallest."""
    return (pick.p_weight, pick.s_time is None, pick.s_weight or 0)
