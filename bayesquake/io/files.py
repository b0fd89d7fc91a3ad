"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path

from bayesquake.errors import ResultError

__all__ = ["replace_when_complete", "require_writable"]


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
