"""Results on disk: written whole or not at all."""

import os
import tempfile
from pathlib import Path

import xarray as xr

from bayesquake.errors import ResultError
from bayesquake.results.schema import SCHEMA

__all__ = ["open_result", "replace_when_complete", "require_writable", "write_netcdf"]


def replace_when_complete(path, write):
    """Let ``write(temporary_path)`` make a file, then rename it to its place.

    Raises
    ------
    ResultError
        The folder does not exist or cannot be written.
    """
    path = require_writable(path)
    try:
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part"
        )
    except OSError as problem:
        raise ResultError(f"{path}: cannot be written: {problem.strerror}") from problem
    os.close(handle)
    try:
        write(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def require_writable(path):
    """Return the path if a file can be put there.

    Raises
    ------
    ResultError
        The folder does not exist or cannot be written, or the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise ResultError(f"{path}: is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise ResultError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise ResultError(f"{path}: the folder {path.parent} cannot be written; choose another")
    return path


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
