"""Results on disk."""

from pathlib import Path

import xarray as xr

from bayesquake.errors import ResultError
from bayesquake.io.files import replace_when_complete
from bayesquake.results.schema import SCHEMA

__all__ = ["open_result", "write_netcdf"]


def write_netcdf(result, path):
    """Write a Dataset or DataTree to NetCDF, compressed, through a temporary file.

    Raises
    ------
    ResultError
        The folder does not exist or cannot be written.
    """
    if isinstance(result, xr.DataTree):
        encoding = {
            node.path: _compression(node.data_vars) for node in result.subtree if node.data_vars
        }
    else:
        encoding = _compression(result.data_vars)
    replace_when_complete(
        path, lambda part: result.to_netcdf(part, engine="h5netcdf", encoding=encoding)
    )


def _compression(variables):
    return {
        name: {"zlib": True, "complevel": 4, "shuffle": True}
        for name, variable in variables.items()
        if variable.ndim > 0 and variable.dtype.kind in "fiub"
    }


def open_result(path):
    """Open a result file as a `DataTree`, loaded into memory.

    Raises
    ------
    ResultError
        The file is missing, damaged or not a result of bayesquake.
    """
    if not Path(path).is_file():
        raise ResultError(f"{path}: no such file")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            result = tree.load()
    except (OSError, ValueError, KeyError) as problem:
        raise ResultError(f"{path}: is not a readable NetCDF result: {problem}") from problem
    if "bayesquake_version" not in result.attrs:
        raise ResultError(f"{path}: was not written by bayesquake; make it with `bayesquake fit`")
    if result.attrs.get("schema") != SCHEMA:
        raise ResultError(
            f"{path}: has the form of results of bayesquake {result.attrs['bayesquake_version']}, "
            "which this version does not read; make it again"
        )
    return result
