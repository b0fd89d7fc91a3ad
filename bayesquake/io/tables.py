"""Tables of text or numbers, whose every complaint names the file and the row."""

import dataclasses
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "MISSING",
    "LineError",
    "Table",
    "TextFormat",
    "csv_cells",
    "csv_header",
    "numbers_of",
    "table_of_lines",
    "text_lines",
    "words_of",
]

MISSING = {"", "nan", "na", "n/a", "none", "null", "nat", "<na>"}


@dataclasses.dataclass(frozen=True)
class TextFormat:
    """A format of text files other than CSV, as a program writes it.

    Attributes
    ----------
    name : str
        By which users name it, in capitals.
    begins : callable
        ``lines -> bool``: whether a file with these lines is of the format.
    cells : callable
        ``lines -> pandas.DataFrame`` with names of columns in lower case, indexed by the lines'
        numbers, which count from one. A line that does not fit raises `LineError`.
    """

    name: str
    begins: Callable
    cells: Callable


class LineError(ValueError):
    """A line of a text file does not fit its format.

    Parameters
    ----------
    number : int
        Counts from one.
    message : str
        What is wrong and what to do.
    """

    def __init__(self, number, message):
        super().__init__(message)
        self.number = number


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Columns of cells.

    Attributes
    ----------
    cells : pandas.DataFrame
        Text or numbers; names of columns in lower case.
    where : callable
        ``position -> str``, what to call a row in messages.
    name : str
        What to call the whole.
    schema : bayesquake.io.datasets.Schema
        Whose variables have units, ranges and other names, and whose error unreadable cells raise.
    """

    cells: pd.DataFrame
    where: Callable
    name: str
    schema: Any

    def numbers(self, column, unit="1", *, low=-np.inf, high=np.inf, also=(), missing=False):
        """Return a column as finite numbers.

        Parameters
        ----------
        column : str
            A declared variable, or another name, for which the rest says what it is.
        unit : str
            A cell may end in it, as in ``12 km``.
        low, high : float
            Smallest and largest number that makes sense.
        also : tuple of str
            Other names under which the column is known.
        missing : bool
            Whether a cell may be empty, for which NaN is returned.

        Returns
        -------
        (row,) array

        Raises
        ------
        Exception
            Of the table's kind, if the column or a number is missing, unreadable or out of range.
        """
        if column in self.schema.variables:
            declared = self.schema.variables[column]
            unit, low, high = declared.unit, declared.low, declared.high
            also = (*declared.also, *also)
        cells = self._column(column, also)
        text = cells.map(str).str.strip()
        suffix = rf"\s*{re.escape(unit)}$"
        bare = text.str.replace(suffix, "", case=False, regex=True) if unit != "1" else text
        values = pd.to_numeric(bare, errors="coerce").to_numpy(float)
        bad = ~((values >= low) & (values <= high) & np.isfinite(values))
        if missing:
            bad &= ~text.str.lower().isin(MISSING).to_numpy()
        if bad.any():
            row = int(np.argmax(bad))
            empty = text.iloc[row].lower() in MISSING
            found = "is missing" if empty else f"= {text.iloc[row]!r} is no {kind(unit, low, high)}"
            raise self.schema.error(
                f"{self.where(row)}: {column} {found} ({np.count_nonzero(bad)} such rows); correct "
                "it or remove the row"
            )
        return values

    def texts(self, column, *, also=()):
        """Return a column as stripped text.

        Parameters
        ----------
        column : str
        also : tuple of str
            Other names under which the column is known.

        Returns
        -------
        (row,) array of str

        Raises
        ------
        Exception
            Of the table's kind, if the column or a cell is missing.
        """
        text = self._column(column, also).map(str).str.strip()
        missing = text.str.lower().isin(MISSING).to_numpy()
        if missing.any():
            row = int(np.argmax(missing))
            raise self.schema.error(
                f"{self.where(row)}: {column} is missing ({np.count_nonzero(missing)} such rows); "
                "give it or remove the row"
            )
        return text.to_numpy(object)

    def _column(self, column, also):
        names = [name for name in (column, *also) if name in self.cells]
        if not names:
            others = f" (or {', '.join(also)})" if also else ""
            raise self.schema.error(
                f"{self.name} has no column {column}{others}, only "
                f"{', '.join(map(str, self.cells)) or 'no columns at all'}; add it"
            )
        found = self.cells[names[0]]
        if len(names) > 1 or isinstance(found, pd.DataFrame):
            raise self.schema.error(
                f"{self.name}: more than one column gives the {column}; keep one"
            )
        return found


def table_of_lines(schema, cells, path):
    """Return cells that are indexed by the lines of a file as a table."""
    return Table(cells, lambda row: f"{path}, line {cells.index[row]}", str(path), schema)


def kind(unit, low, high):
    """Say what a number must be."""
    of = "number" if unit == "1" else f"number of {unit}"
    if np.isfinite(low) and np.isfinite(high):
        return f"{of} from {low:g} to {high:g}"
    if np.isfinite(low):
        return f"{of} of at least {low:g}"
    return f"{of} of at most {high:g}" if np.isfinite(high) else of


def text_lines(path, error):
    """Return the lines of a text file.

    Raises
    ------
    Exception
        Of the given type: the file is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as problem:
        raise error(f"{path} is not UTF-8 text ({problem}); save it as UTF-8") from problem


def words_of(lines):
    """Return number and words of the lines that are neither empty nor comments after #."""
    split = ((i, line.split("#")[0].split()) for i, line in enumerate(lines, start=1))
    return [(i, words) for i, words in split if words]


def numbers_of(words, line):
    """Return the words of a line as finite numbers.

    Raises
    ------
    LineError
        One is no number.
    """
    try:
        numbers = [float(word) for word in words]
    except ValueError as problem:
        raise LineError(line, f"{problem}; give numbers") from None
    if not np.isfinite(numbers).all():
        raise LineError(line, f"{' '.join(words)}: not all of these are finite; give numbers")
    return numbers


def csv_header(path):
    """Return the column names, in lower case, and the line number of the header.

    It is the first line that is no comment.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = ((number, line) for number, line in enumerate(file, start=1))
        number, line = next(
            ((n, line) for n, line in lines if line.strip() and not line.startswith("#")), (1, "")
        )
    return [name.strip(' \t\r\n"').lower() for name in line.split(",")], number


def csv_cells(path, error):
    """Return the cells of a CSV file as stripped text, indexed by their lines.

    Parameters
    ----------
    path : Path
    error : type
        Exception to raise.

    Returns
    -------
    pandas.DataFrame
        Without rows that are empty throughout.

    Raises
    ------
    Exception
        Of that type: the file is no UTF-8 text, a row has more cells than the header, or there is
        no row.
    """
    header, header_line = csv_header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                header=None,
                names=range(len(header)),
                index_col=False,
                skiprows=header_line,
                dtype=str,
                na_filter=False,
                skip_blank_lines=False,
                encoding="utf-8",
            )
    except UnicodeDecodeError as problem:
        raise error(f"{path} is not UTF-8 text ({problem}); save it as UTF-8 CSV") from problem
    except pd.errors.ParserWarning as problem:
        raise error(
            f"{path}, line {header_line + 1}: the row has more cells than the header has columns; "
            "quote cells that contain commas"
        ) from problem
    except pd.errors.ParserError as problem:
        raise error(f"{path}: {problem}; give every row the header's columns") from problem
    table.index = table.index + header_line + 1
    table = table.fillna("").apply(lambda column: column.str.strip())
    table = table[(table != "").any(axis=1)]
    if table.empty:
        raise error(f"{path} has a header but no rows; add one for each")
    table.columns = header
    return table
