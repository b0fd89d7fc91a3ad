"""Slip rates of one place on a fault, as programs for earthquake cycles write them.

``SEAS``
    Time series on the fault of the benchmark exercise: comments, the names of the columns, such as
    ``t slip slip_rate shear_stress state``, and numbers; slip rates are log10 of m/s. Of two
    components along the fault, the length of both together is taken.
``QDYN``
    The files ``output_ot_*`` and ``output_vmax`` of QDYN: comments number the columns, as in
    ``# 4=V, 5=theta``, and slip rates are in m/s.

Rows with the time of the row before, as rounding and restarts leave them, are left out.

References
----------
Erickson et al. 2020, doi:10.1785/0220190248 (the exercise and its files)
Luo, Ampuero, Galvez, van den Ende & Idini 2017, doi:10.5281/zenodo.322459 (QDYN)
"""

import re

import numpy as np
import pandas as pd

from bayesquake.io.tables import LineError, TextFormat

__all__ = ["FORMATS"]

SEAS_RATES = ("slip_rate", "slip_rate_1", "slip_rate_2", "slip_rate_3")

NUMBERED = re.compile(r"(\d+)\s*=\s*(\w+)")


def seas_names(lines):
    """Return the number of the line that names the columns, and the names, or None."""
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and words[0] == "t":
            return (number, words) if set(words) & set(SEAS_RATES) else None
        if words and is_number(words[0]):
            return None
    return None


def is_seas(lines):
    """Return whether lines are a time series of the exercise."""
    return seas_names(lines) is not None


def seas_cells(lines):
    """Return time (s) and slip rate (m/s)."""
    number, names = seas_names(lines)
    values, numbers = columns(lines, len(names), number)
    rates = [values[:, names.index(name)] for name in SEAS_RATES if name in names]
    slip_rate = np.sqrt(sum(10 ** (2 * rate) for rate in rates))
    return without_repeated(values[:, 0], slip_rate, numbers)


def qdyn_names(lines):
    """Return the columns that comments number, by name in lower case."""
    comments = [line for line in lines[:10] if line.lstrip().startswith("#")]
    found = NUMBERED.findall(" ".join(comments))
    return {name.lower(): int(number) - 1 for number, name in found}


def is_qdyn(lines):
    """Return whether lines are a time series of QDYN."""
    return {"t", "v", "theta"} <= set(qdyn_names(lines))


def qdyn_cells(lines):
    """Return time (s) and slip rate (m/s)."""
    names = qdyn_names(lines)
    values, numbers = columns(lines, max(names.values()) + 1, 0)
    return without_repeated(values[:, names["t"]], values[:, names["v"]], numbers)


def columns(lines, fewest, header):
    """Return numbers, (row, column), and the lines on which they stand.

    Raises
    ------
    LineError
        A line has fewer numbers, or other words.
    """
    rows, numbers = [], []
    for number, line in enumerate(lines[header:], header + 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < fewest:
            raise LineError(number, f"{len(words)} numbers where there should be {fewest}")
        try:
            rows.append([float(fortran(word)) for word in words[:fewest]])
        except ValueError:
            raise LineError(number, f"{line.strip()[:60]!r} is not a row of numbers") from None
        numbers.append(number)
    return np.array(rows).reshape(-1, fewest), numbers


def fortran(word):
    """Return a number with D for its exponent, or with none of three digits, as Python reads it."""
    return re.sub(r"(?<=\d)([+-]\d{3})$", r"E\1", word.upper().replace("D", "E"))


def is_number(word):
    """Return whether a word is a number."""
    try:
        float(fortran(word))
    except ValueError:
        return False
    return True


def without_repeated(time, slip_rate, numbers):
    """Return the cells of rows whose time is not that of the row before."""
    new = np.diff(time, prepend=np.nan) != 0
    cells = {"time": time[new], "slip_rate": slip_rate[new]}
    return pd.DataFrame(cells, index=np.array(numbers, int)[new])


FORMATS = (
    TextFormat("SEAS", is_seas, seas_cells),
    TextFormat("QDYN", is_qdyn, qdyn_cells),
)
