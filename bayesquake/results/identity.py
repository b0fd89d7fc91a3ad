"""What a run was asked to do and where it runs: what must be equal for equal draws."""

import hashlib
import json
import os
from importlib import resources
from pathlib import Path

import jax
import numpy as np

from bayesquake.io.processor import available_cores, processor

__all__ = ["arrays_hash", "difference", "request", "run_identity"]

REQUEST = ("model", "seed", "configuration", "model_hash", "data_hash", "arrays_hash")
"""Root attributes of a result that say what was asked."""

VERSIONS = ("bayesquake_version", "package_versions", "key_implementation", "device", "x64")
SOURCES = ("inference", "model", "physics", "targets")
"""Parts of the library that decide on the draws, beside the model."""


def request(attributes):
    """Return what was asked, as a dict, from the root attributes of a result."""
    return {name: _parsed(attributes.get(name)) for name in REQUEST}


def run_identity(attributes):
    """Return all that must be equal for a run to be continued bit by bit.

    On a CPU this includes the kind of processor and the number of cores, for sums over
    several cores round differently.

    Parameters
    ----------
    attributes : mapping
        The root attributes that the result will have.
    """
    identity = request(attributes)
    identity |= {name: _parsed(attributes[name]) for name in VERSIONS}
    identity |= {"library_hash": _library_hash(), "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}
    if jax.default_backend() == "cpu":
        identity |= {"processor": processor(), "available_cores": available_cores()}
    return identity


def arrays_hash(arrays):
    """Return the SHA-256 of prepared arrays, their structure, types and shapes."""
    leaves, structure = jax.tree.flatten(arrays)
    digest = hashlib.sha256(str(structure).encode())
    for leaf in leaves:
        values = np.asarray(leaf)
        digest.update(f"{values.dtype}{values.shape}".encode() + values.tobytes())
    return digest.hexdigest()


def difference(stored, asked):
    """Return a clause that names the first item that differs, or None.

    Parameters
    ----------
    stored, asked : dict
        May hold dicts. An item that only one of them has differs.
    """
    for name in dict.fromkeys((*stored, *asked)):
        old, new = stored.get(name), asked.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = difference(old, new)
            if inner:
                return f"{name}: {inner}"
        elif old != new:
            return f"{name} was {old!r} and is now {new!r}"
    return None


def _parsed(value):
    """Return an attribute with its JSON read, so that a difference names the item inside."""
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def _library_hash():
    digest = hashlib.sha256()
    library = Path(str(resources.files("bayesquake")))
    for room in SOURCES:
        for file in sorted((library / room).rglob("*.py")):
            digest.update(str(file.relative_to(library)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
