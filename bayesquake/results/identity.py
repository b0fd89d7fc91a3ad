"""What a run was asked to do and where it runs: what must be equal for equal draws."""

import hashlib
import json

import jax
import numpy as np

__all__ = ["arrays_hash", "difference", "request", "run_identity"]

REQUEST = ("model", "seed", "configuration", "model_hash", "data_hash", "arrays_hash")
"""Root attributes of a result that say what was asked."""

VERSIONS = (
    "bayesquake_version",
    "package_versions",
    "key_implementation",
    "device",
    "x64",
    "library_hash",
    "XLA_FLAGS",
)
ON_CPU = ("processor", "available_cores")
"""Sums over several cores round differently, and so do kinds of processor."""


def request(attributes):
    """Return what was asked, as a dict, from the root attributes of a result."""
    return {name: _parsed(attributes.get(name)) for name in REQUEST}


def run_identity(attributes):
    """Return all that must be equal for a run to be continued bit by bit.

    On a CPU this includes the kind of processor and the number of cores.

    Parameters
    ----------
    attributes : mapping
        The root attributes that the result will have.
    """
    names = VERSIONS + (ON_CPU if jax.default_backend() == "cpu" else ())
    return request(attributes) | {name: _parsed(attributes[name]) for name in names}


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
