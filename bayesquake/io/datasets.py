"""Data sets of a model: one declaration of their variables, by which they are read and checked.

A model says what its data are and how a table becomes them::

    DATA = Schema({"magnitude": Variable("mag", "magnitude", low=-5, high=10, also=("mag",))})

    @reader(DATA, event=lambda event: {"magnitude": event.preferred_magnitude().mag})
    def read(table):
        return labelled(DATA, {"magnitude": table.numbers("magnitude")})

    @prepared(DATA)
    def prepare(dataset): ...

`reader` opens files and objects, `prepared` checks what comes from Python by the same rules.
"""

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.errors import BayesquakeError, DatasetError, OptionError
from bayesquake.io.catalog import content_hash, source_of
from bayesquake.io.tables import LineError, Table, csv_cells, kind, table_of_lines, text_lines
from bayesquake.io.units import is_unit
from bayesquake.model.options import Option, any_of, checked_options, takes, text

__all__ = [
    "Schema",
    "Variable",
    "checked",
    "labelled",
    "load_netcdf",
    "nearest_schema",
    "opened_netcdf",
    "own_dataset",
    "prepared",
    "reader",
    "require_attributes",
    "require_variable",
    "table_reader",
]


@dataclasses.dataclass(frozen=True)
class Variable:
    """A variable of a data set.

    Attributes
    ----------
    unit : str
        "1" if dimensionless.
    meaning : str
    dims : tuple of str
    low, high : float
        Smallest and largest number that makes sense.
    missing : bool
        Whether NaN may stand for a number that is not known.
    optional : bool
        Whether a data set may lack the whole variable.
    also : tuple of str
        Other names, in lower case, that the columns of a table bear.
    """

    unit: str
    meaning: str
    dims: tuple[str, ...] = ("event",)
    low: float = -np.inf
    high: float = np.inf
    missing: bool = False
    optional: bool = False
    also: tuple[str, ...] = ()


def nothing_further(dataset, name):
    """Ask nothing beyond the declaration."""


@dataclasses.dataclass(frozen=True, eq=False)
class Schema:
    """What a model's data sets are.

    Attributes
    ----------
    variables : mapping of str to Variable
    attributes : mapping of str to Option
        Numbers and words that belong to the data, such as a magnitude of completeness.
    defaults : mapping of str
        Values of those attributes that a data set may lack.
    coordinates : mapping of str to sequence
        Labels of dimensions whose places have names.
    fewest : mapping of str to int
        Smallest lengths of dimensions; 1 by default.
    require : callable
        ``(dataset, name)``: what else must hold, told by raising `ValueError` or an error of the
        model's own.
    error : type
        Exception that data raise, of `bayesquake.errors.BayesquakeError`.
    """

    variables: Mapping[str, Variable]
    attributes: Mapping[str, Option] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    coordinates: Mapping[str, Sequence] = dataclasses.field(default_factory=dict)
    fewest: Mapping[str, int] = dataclasses.field(default_factory=dict)
    require: Callable = nothing_further
    error: type[Exception] = DatasetError


def labelled(schema, values, **attributes):
    """Return arrays as a data set of a model.

    Parameters
    ----------
    schema : Schema
    values : mapping of str to array
        One for every variable of the schema that is not optional.
    **attributes
        Those of the schema, ``source`` and others.

    Returns
    -------
    xarray.Dataset
        With units, meanings and the attribute ``content_hash``.
    """
    held = _held(schema, values)
    arrays = {name: np.asarray(values[name]) for name in held}
    lengths = {
        dim: length
        for name, array in arrays.items()
        for dim, length in zip(schema.variables[name].dims, array.shape, strict=True)
    }
    dataset = xr.Dataset(
        {
            name: (variable.dims, arrays[name], _described(variable))
            for name, variable in held.items()
        },
        coords={
            dim: list(schema.coordinates.get(dim, range(size))) for dim, size in lengths.items()
        },
        attrs={**schema.defaults, **attributes},
    )
    return _hashed(schema, dataset)


def checked(schema, dataset, name="data set"):
    """Return a data set of a model, once its variables and attributes are what they should be.

    Parameters
    ----------
    schema : Schema
    dataset : xarray.Dataset
    name : str
        What to call it in messages.

    Raises
    ------
    Exception
        Of the schema's kind: the message names the variable, the place and the remedy.
    """
    if not isinstance(dataset, xr.Dataset):
        raise schema.error(
            f"{type(dataset).__name__} is no xarray.Dataset; read the data with the model's reader"
        )
    for variable in _held(schema, dataset):
        require_variable(schema, dataset, variable, name)
    require_attributes(schema, dataset, name)
    for attribute, option in schema.attributes.items():
        if attribute not in {**dataset.attrs, **schema.defaults}:
            raise schema.error(
                f"{name} has no attribute {attribute}, {option.kind}; read its source again"
            )
    try:
        schema.require(dataset, name)
    except BayesquakeError:
        raise
    except ValueError as problem:
        raise schema.error(f"{name}: {problem}") from None
    held = _held(schema, dataset).items()
    if all(dataset.variables[variable].dims == declared.dims for variable, declared in held):
        return dataset
    return dataset.transpose(*_dims(schema), ...)


def require_variable(schema, dataset, name, source="data set"):
    """Require that a variable of a data set is what the schema says.

    Raises
    ------
    Exception
        Of the schema's kind.
    """
    variable = schema.variables[name]
    if name not in dataset:
        raise schema.error(
            f"{source} has no variable {name} ({variable.meaning}), a {_shape(variable)}; read its "
            "source again"
        )
    found = dataset.variables[name]
    if set(found.dims) != set(variable.dims) or found.dtype.kind not in "fiub":
        raise schema.error(
            f"{source}: {name} must be a {_shape(variable)}, not {found.dtype} by "
            f"{', '.join(map(str, found.dims)) or 'nothing'}; read its source again"
        )
    unit = found.attrs.get("units", variable.unit)
    if not is_unit(unit, variable.unit):
        raise schema.error(
            f"{source}: {name} is given in {unit!r}; convert it to {variable.unit!r}"
        )
    for dim in variable.dims:
        fewest = schema.fewest.get(dim, 1)
        if found.sizes[dim] < fewest:
            raise schema.error(
                f"{source} has {found.sizes[dim]} of dimension {dim}; give at least {fewest}"
            )
    in_order = found if found.dims == variable.dims else found.transpose(*variable.dims)
    values = in_order.to_numpy().astype(float)
    bad = ~((values >= variable.low) & (values <= variable.high) & np.isfinite(values))
    if variable.missing:
        bad &= ~np.isnan(values)
    if bad.any():
        place = np.unravel_index(int(np.argmax(bad)), bad.shape)
        where = "".join(
            f", {dim} {dataset[dim].to_numpy()[i] if dim in dataset.coords else i}"
            for dim, i in zip(variable.dims, place, strict=True)
        )
        raise schema.error(
            f"{source}{where}: {name} = {values[place]:g} is no finite "
            f"{kind(variable.unit, variable.low, variable.high)} ({np.count_nonzero(bad)} such); "
            "correct it or leave it out"
        )


def require_attributes(schema, dataset, name="data set"):
    """Require that those declared attributes that a data set has are what they should be.

    Raises
    ------
    Exception
        Of the schema's kind.
    """
    for attribute, option in schema.attributes.items():
        if attribute not in dataset.attrs:
            continue
        try:
            option.checked(f"attribute {attribute}", dataset.attrs[attribute])
        except OptionError as problem:
            raise schema.error(f"{name}: {problem}; correct it") from None


def prepared(*schemas):
    """Return a decorator for ``(dataset, **options) -> arrays`` that checks the data set first.

    Of several layouts the one is asked for of which a data set has the most. What the decorator
    makes has the attribute ``schemas``.
    """

    def decorate(function):
        @functools.wraps(function)
        def prepare(dataset, **options):
            schema = nearest_schema(schemas, dataset)
            return function(checked(schema, dataset, source_of(dataset)), **options)

        prepare.schemas = schemas  # type: ignore[attr-defined]
        return prepare

    return decorate


def nearest_schema(schemas, dataset):
    """Return the schema of which a data set has the most variables."""
    there = set(getattr(dataset, "variables", ()))
    return max(schemas, key=lambda schema: len(there & set(schema.variables)))


def reader(schema, *, event=None, formats=()):
    """Return a decorator that makes a reader of ``(table, **options) -> Dataset``.

    The reader takes a path or an object in place of the table: a CSV file; a NetCDF file; a text
    file of one of the ``formats``; an event file that ObsPy reads, or its catalogue, if ``event``
    is given; a data set of the model, which is checked and handed back, or one with the columns of
    a table. It takes the option ``format`` besides those of the function.

    Parameters
    ----------
    schema : Schema
    event : callable, optional
        ``obspy Event -> dict`` of cells, None for what the event lacks, or a list of such for as
        many rows.
    formats : sequence of bayesquake.io.tables.TextFormat
    """
    names = [text_format.name for text_format in formats]
    kinds = [*names, *(["an ObsPy event format"] if event or not names else [])]

    def decorate(function):
        declared = {
            **getattr(function, "options", {}),
            "format": any_of(None, text("CSV or the name of " + " or ".join(kinds))),
        }

        @functools.wraps(function)
        def read(source, *, format=None, **options):
            format = declared["format"].checked("format", format)
            options = checked_options(function, options)
            opened, name = _opened(schema, source, format, event, formats)
            if _is_own(schema, opened):
                return own_dataset(schema, opened, name, options)
            table = opened if isinstance(opened, Table) else _table_of(schema, opened, name)
            dataset = function(table, **options)
            dataset.attrs.setdefault("source", name)
            return checked(schema, dataset, name)

        signature = inspect.signature(function)
        added = inspect.Parameter("format", inspect.Parameter.KEYWORD_ONLY, default=None)
        first, *others = signature.parameters.values()
        read.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[first.replace(name="source"), *others, added]
        )
        read.options = declared  # type: ignore[attr-defined]
        return read

    return decorate


def table_reader(schema, *, event=None):
    """Return a reader that takes every variable from the column of its name.

    Its options are the attributes of the schema, of which those without a default must be given.

    Parameters
    ----------
    schema : Schema
    event : callable, optional
        As for `reader`.
    """

    def read(table, **attributes):
        """Read a table with a column for every variable.

        Parameters
        ----------
        source : path, xarray.Dataset or obspy.Catalog
        """
        columns = set(table.cells)
        known = [n for n, variable in schema.variables.items() if columns & {n, *variable.also}]
        values = {name: table.numbers(name) for name in _held(schema, known)}
        return labelled(schema, values, **attributes)

    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=schema.defaults.get(name, inspect.Parameter.empty),
        )
        for name in schema.attributes
    ]
    table = inspect.Parameter("table", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    read.__signature__ = inspect.Signature([table, *options])  # type: ignore[attr-defined]
    return reader(schema, event=event)(takes(**schema.attributes)(read))


def _held(schema, holder):
    """Return the variables that must be there, and those optional ones that are."""
    return {
        name: variable
        for name, variable in schema.variables.items()
        if not variable.optional or name in holder
    }


def _described(variable):
    return {"units": variable.unit, "long_name": variable.meaning}


def _hashed(schema, dataset):
    """Set the hash of the variables and of the numbers among the declared attributes."""
    numbers = [
        dataset.attrs[name]
        for name in schema.attributes
        if isinstance(dataset.attrs.get(name), int | float | np.number)
    ]
    arrays = [dataset[name].to_numpy() for name in _held(schema, dataset)]
    dataset.attrs["content_hash"] = content_hash(*arrays, *([numbers] if numbers else []))
    return dataset


def _shape(variable):
    by = f" by {', '.join(variable.dims)}" if variable.dims else ""
    return f"{kind(variable.unit, variable.low, variable.high)}{by}"


def _opened(schema, source, format, event, formats=()):
    """Return a table or a data set, and what to call it."""
    if isinstance(source, xr.Dataset):
        return source, source_of(source)
    if not isinstance(source, str | os.PathLike):
        name = type(source).__name__
        return _table_of_events(schema, source, name, event), name
    path = Path(source)
    if not os.path.isfile(path):
        reason = "is a folder" if os.path.isdir(path) else "does not exist"
        raise schema.error(f"{path} {reason}; give the path of a file")
    if format is None and path.suffix.lower() == ".nc":
        return load_netcdf(path, schema.error), str(path)
    if path.suffix.lower() == ".csv" if format is None else format.upper() == "CSV":
        return table_of_lines(schema, csv_cells(path, schema.error), path), str(path)
    candidates = [one for one in formats if format in (None, one.name)]
    lines = text_lines(path, schema.error) if candidates else []
    for text_format in candidates:
        if format is not None or text_format.begins(lines):
            return _table_of_text(schema, text_format, lines, path), str(path)
    if event is None and formats:
        known = ", ".join(text_format.name for text_format in formats)
        raise schema.error(
            f"{path} is neither a .csv nor a .nc file nor of a known format ({known}); name the "
            "one it is of by format="
        )
    from obspy import read_events

    try:
        events = read_events(str(path), format=format)
    except Exception as problem:  # ObsPy raises whatever its format readers raise.
        raise schema.error(
            f"{path}: neither a .csv nor a .nc file nor one of ObsPy's event formats ({problem})"
        ) from problem
    return _table_of_events(schema, events, str(path), event), str(path)


def _table_of_text(schema, text_format, lines, path):
    """Return the cells of a text file of some format."""
    try:
        cells = text_format.cells(lines)
    except LineError as problem:
        raise schema.error(f"{path}, line {problem.number}: {problem}") from None
    if cells.empty:
        raise schema.error(f"{path} holds nothing in the format {text_format.name}")
    return table_of_lines(schema, cells, path)


def _table_of_events(schema, events, name, event):
    """Return the cells of every event of an ObsPy catalogue."""
    try:
        listed = list(events)
        identifiers = [str(one.resource_id) for one in listed]
    except (TypeError, AttributeError):
        listed, identifiers = [], []
    if event is None or not listed:
        takes = "a CSV or NetCDF file or an xarray.Dataset"
        raise schema.error(
            f"nothing can be read from {name}; give {takes}"
            + ("" if event is None else " or an ObsPy catalogue that holds events")
        )
    made = [event(one) for one in listed]
    rows = [cells if isinstance(cells, list) else [cells] for cells in made]
    of_row = [i for i, cells in enumerate(rows) for _ in cells]
    cells = pd.DataFrame([row for cells in rows for row in cells])
    if cells.empty:
        raise schema.error(f"{name}: nothing in its events can be used")
    return Table(
        cells, lambda row: f"{name}, event {of_row[row]} ({identifiers[of_row[row]]})", name, schema
    )


def _table_of(schema, dataset, name):
    """Return the one-dimensional variables of a data set as a table."""
    columns = {str(k).lower(): v.to_numpy() for k, v in dataset.data_vars.items() if v.ndim == 1}
    if len({len(column) for column in columns.values()}) > 1:
        raise schema.error(f"{name}: its variables have different lengths; give one dimension")
    return Table(pd.DataFrame(columns), lambda i: f"{name}, event {i}", name, schema)


def _is_own(schema, opened):
    """Return whether a data set is one of the model, or was meant to be."""
    if not isinstance(opened, xr.Dataset):
        return False
    there = [name for name in schema.variables if name in opened]
    needed = set(schema.attributes) - set(schema.defaults)
    whole = len(there) == len(_held(schema, opened)) and needed <= set(opened.attrs)
    return whole or any(opened[name].ndim > 1 for name in there)


def own_dataset(schema, dataset, name, options):
    """Return a data set of the model, checked, unless it is asked to be another one.

    Parameters
    ----------
    schema : Schema
    dataset : xarray.Dataset
    name : str
        What to call it in messages.
    options : mapping
        Of the reader; only attributes that the data set has already can be asked for.

    Raises
    ------
    OptionError
        Something else is asked for.
    Exception
        Of the schema's kind, see `checked`.
    """
    for option, value in options.items():
        if option not in schema.attributes or not np.array_equal(dataset.attrs.get(option), value):
            raise OptionError(
                f"{name} has been read already, so that {option} = {value!r} cannot be applied; "
                "read its source again, or leave the option out"
            )
    held = _held(schema, dataset)
    found = checked(schema, dataset, name)
    found = found.drop_vars([variable for variable in found.data_vars if variable not in held])
    found.attrs = schema.defaults | dataset.attrs
    for variable, declared in held.items():
        found[variable].attrs = _described(declared) | found[variable].attrs
    found.attrs.setdefault("source", name)
    return _hashed(schema, found)


def load_netcdf(path, error):
    """Return the data set in a NetCDF file.

    Raises
    ------
    Exception
        Of the given type: xarray cannot read the file.
    """
    try:
        return xr.load_dataset(path)
    except (OSError, ValueError) as problem:
        raise error(
            f"{path} is no NetCDF file that xarray reads ({problem}); write it again"
        ) from problem


def opened_netcdf(source, format, error):
    """Return the data set in a NetCDF file, and any other source as it is.

    Parameters
    ----------
    source : object
    format : str or None
        Of an event file; a path with one is left as it is.
    error : type
        Exception to raise.

    Raises
    ------
    Exception
        Of that type: there is no such file, or xarray cannot read it.
    """
    is_path = isinstance(source, str | os.PathLike)
    if not is_path or format is not None or Path(source).suffix.lower() != ".nc":
        return source
    if not os.path.isfile(source):
        raise error(f"{source} does not exist; give the path of a file")
    return load_netcdf(source, error)


def _dims(schema):
    return list(dict.fromkeys(dim for v in schema.variables.values() for dim in v.dims))
