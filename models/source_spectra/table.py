"""Power spectra of event pairs from a long CSV table.

Convention: one row per pair, trace and frequency. All pairs share the sorted union of the
frequencies; a pair or trace without a row at one of them is masked there.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .errors import SpectraError

__all__ = ["read_table"]

KEYS = ("pair", "trace", "freq_hz")
POWERS = ("power1", "power2", "nu1", "nu2")
NOISES = ("noise1", "noise2")
MOMENTS = ("moment1", "moment2")
DIMENSIONS = ("pair", "trace", "freq")


def read_table(path):
    """Read the power spectra of event pairs.

    Parameters
    ----------
    path : path
        UTF-8 CSV file with a header. Columns in any order: ``pair``, ``trace`` (names),
        ``freq_hz`` (Hz), ``power1``, ``power2`` (counts²/Hz; event 1 is the larger one),
        ``nu1``, ``nu2`` (degrees of freedom); optionally ``noise1``, ``noise2`` (counts²/Hz)
        and ``moment1``, ``moment2`` (N m, the same in all rows of a pair). Other columns
        are ignored.

    Returns
    -------
    xarray.Dataset
        Variables ``power1``, ``power2``, ``nu1``, ``nu2``, ``mask`` and, if given,
        ``noise1``, ``noise2`` (pair, trace, freq), ``moment1``, ``moment2`` (pair). Pairs and
        traces stand in the order of their first rows. The powers are not yet validated.

    Raises
    ------
    SpectraError
        The file is missing, empty or no such table; a column is missing; a cell is no
        number; a pair, trace and frequency is given twice.
    """
    path = Path(path)
    cells = read_cells(path)
    names = [*POWERS]
    for couple in (NOISES, MOMENTS):
        given = [name for name in couple if name in cells]
        if len(given) == 1:
            raise SpectraError(f"{path} has a column {given[0]} alone; give {' and '.join(couple)}")
        names += given
    numbers = {name: as_numbers(cells[name], path) for name in ("freq_hz", *names)}
    check_frequencies(numbers["freq_hz"], cells.index, path)

    pair, pairs = factorize(cells["pair"], path)
    trace, traces = factorize(cells["trace"], path)
    freqs, freq = np.unique(numbers["freq_hz"], return_inverse=True)
    check_unique(np.stack([pair, trace, freq], axis=1), cells, path)

    mask = np.zeros((len(pairs), len(traces), len(freqs)), np.int8)
    mask[pair, trace, freq] = 1
    variables: dict[str, Any] = {"mask": (DIMENSIONS, mask)}
    for name in names:
        if name in MOMENTS:
            variables[name] = ("pair", one_per_pair(name, numbers[name], pair, cells, path))
        else:
            grid = np.ones(mask.shape)
            grid[pair, trace, freq] = numbers[name]
            variables[name] = (DIMENSIONS, grid)
    coordinates = {"pair": pairs, "trace": traces, "freq": freqs}
    return xr.Dataset(variables, coordinates, {"source": str(path)})


def read_cells(path):
    """Return the table as stripped strings, indexed by line number."""
    if not os.path.isfile(path):
        raise SpectraError(f"{path} does not exist; give the path of a CSV table of spectra")
    try:
        cells = pd.read_csv(
            path, dtype=str, na_filter=False, skip_blank_lines=False, index_col=False
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SpectraError(f"{path} is no CSV table ({error}); write it again") from error
    cells.columns = cells.columns.str.strip()
    missing = [name for name in (*KEYS, *POWERS) if name not in cells]
    if missing:
        raise SpectraError(
            f"{path} has no column {', '.join(missing)}; a table of spectra has "
            f"{', '.join((*KEYS, *POWERS))}"
        )
    if cells.columns.duplicated().any():
        raise SpectraError(f"{path} has a column twice; give every column its own name")
    cells = cells.fillna("").apply(lambda column: column.str.strip())
    cells.index = cells.index + 2
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise SpectraError(f"{path} has a header but no rows; add one per pair, trace, frequency")
    return cells


def as_numbers(column, path):
    """Return a column of cells as numbers, an empty cell as NaN."""
    text = column.mask(column == "", "nan")
    try:
        return text.to_numpy(str).astype(np.float64)
    except ValueError:
        readable = pd.to_numeric(text, errors="coerce").notna() | (text.str.lower() == "nan")
        line = column.index[int(np.argmin(readable.to_numpy()))]
        raise SpectraError(
            f"{path}, line {line}, column {column.name}: {column[line]!r} is no number; "
            "correct the cell or remove the row"
        ) from None


def check_frequencies(freq_hz, lines, path):
    """Require finite positive frequencies."""
    bad = ~(np.isfinite(freq_hz) & (freq_hz > 0))
    if bad.any():
        first = int(np.argmax(bad))
        raise SpectraError(
            f"{path}, line {lines[first]}: freq_hz = {freq_hz[first]} ({np.count_nonzero(bad)} "
            "such rows); frequencies are positive, remove the row"
        )


def factorize(column, path):
    """Return the index of each row's name, and the names in the order they first occur."""
    if (column == "").any():
        raise SpectraError(
            f"{path}, line {column.index[int(np.argmax(column == ''))]}: the {column.name} has no "
            "name; fill in the cell"
        )
    codes, names = pd.factorize(column)
    return codes, np.asarray(names, str)


def check_unique(keys, cells, path):
    """Require one row for each pair, trace and frequency; ``keys`` (row, 3) number them."""
    first = np.unique(keys, axis=0, return_index=True)[1]
    if len(first) < len(keys):
        again = np.setdiff1d(np.arange(len(keys)), first)[0]
        pair, trace, freq_hz = cells[[*KEYS]].iloc[again]
        raise SpectraError(
            f"{path}, line {cells.index[again]}: pair {pair}, trace {trace}, {freq_hz} Hz stands "
            "in the table twice; keep one row"
        )


def one_per_pair(name, values, pair, cells, path):
    """Return the value of every pair, which all its rows must share."""
    first = np.unique(pair, return_index=True)[1]
    of_pair = values[first]
    differs = ~((values == of_pair[pair]) | (np.isnan(values) & np.isnan(of_pair[pair])))
    if differs.any():
        line = cells.index[int(np.argmax(differs))]
        raise SpectraError(
            f"{path}, line {line}: {name} differs from the first row of pair "
            f"{cells['pair'][line]}; give all rows of a pair the same moment"
        )
    return of_pair
