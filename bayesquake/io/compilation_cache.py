"""Compiled programs on disk, so that a command compiles a program only once.

JAX keeps them if told where, and takes its settings from the environment, which worker
processes inherit; hence this must run before JAX is loaded. A program is machine code:
on another processor it may crash, so that each kind of processor has its own folder.
"""

import importlib.metadata
import os
import re
from pathlib import Path

from bayesquake.io.processor import processor

__all__ = ["cache_folder", "keep_compilations"]

FIRST_GOOD_JAXLIB = (0, 11)
"""Earlier ones print two false alarms for each program that they fetch on many processors."""


def keep_compilations():
    """Let JAX keep compiled programs, in ``JAX_COMPILATION_CACHE_DIR`` if that is set.

    A folder that cannot be written, or an old jaxlib, leaves things as they are.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        version = importlib.metadata.version("jaxlib").split(".")[:2]
        if tuple(map(int, version)) < FIRST_GOOD_JAXLIB:
            return
        try:
            folder = cache_folder()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            return
        if not os.access(folder, os.W_OK | os.X_OK):
            return
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def cache_folder():
    """Return the folder of this user and kind of processor.

    Raises
    ------
    RuntimeError
        The user has no home.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "bayesquake" / "compilations" / re.sub(r"\W+", "_", processor())
