"""Where a result comes from: versions, commit, hashes, configuration, device."""

import ast
import dataclasses
import datetime
import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
import subprocess
from importlib import resources
from pathlib import Path

import jax
import numpy as np

from bayesquake.io.processor import available_cores, processor

__all__ = [
    "PACKAGES",
    "dataset_hash",
    "deciding_sources",
    "library_hash",
    "model_hash",
    "provenance",
]

PACKAGES = (
    "jax",
    "jaxlib",
    "numpyro",
    "blackjax",
    "arviz",
    "optax",
    "tinygp",
    "numpy",
    "xarray",
    "obspy",
)

SOURCES = ("batch", "inference", "model", "physics", "results", "targets")
"""Rooms of the library that decide the draws, and what certifies them, beside the model."""


def provenance(model, dataset, configuration, seed):
    """Return the root attributes of a result; every value is a string or a number.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    dataset : xarray.Dataset
    configuration : dict
        Everything needed to repeat the call, JSON-serialisable but for NumPy numbers.
    seed : int
    """
    commit, dirty = _git_state()
    device = jax.devices()[0]
    return {
        "bayesquake_version": importlib.metadata.version("bayesquake"),
        "model": model.name,
        "model_title": model.title,
        "model_hash": model_hash(model),
        "references": "; ".join(model.references),
        "git_commit": commit,
        "git_dirty": dirty,
        "data_hash": dataset.attrs.get("content_hash") or dataset_hash(dataset),
        "data_source": str(dataset.attrs.get("source", "")),
        "configuration": json.dumps(configuration, default=_plain),
        "seed": seed,
        "key_implementation": str(jax.random.key_impl(jax.random.key(0))),
        "package_versions": json.dumps(
            {name: importlib.metadata.version(name) for name in PACKAGES}
        ),
        "lock_hash": _lock_hash(),
        "python_version": platform.python_version(),
        "library_hash": library_hash(),
        "device": f"{device.platform}: {device.device_kind}",
        "processor": processor(),
        "available_cores": available_cores(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "x64": int(jax.config.read("jax_enable_x64")),
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


@functools.cache
def library_hash():
    """Return the SHA-256 of the sources of the library that decide the draws, beside the model."""
    digest = hashlib.sha256()
    library = Path(str(resources.files("bayesquake")))
    for room in SOURCES:
        for file in sorted((library / room).rglob("*.py")):
            digest.update(str(file.relative_to(library)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def model_hash(model):
    """Return the SHA-256 of the sources in a model's folder that decide its draws."""
    digest = hashlib.sha256()
    for file in deciding_sources(model):
        place = file.relative_to(_folder(model)).as_posix()
        digest.update(place.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _folder(model):
    return Path(inspect.getfile(inspect.unwrap(model.declare))).parent


def deciding_sources(model):
    """Return the files of density, preparation and coordinates and all they import, sorted.

    Figures, readers and derived outputs are not among them: after a change of those a run may
    be resumed.
    """
    deciding = [model.declare, model.prepare]
    for part in (model.coordinates, model.problems, model.moves):
        if part is not None:
            deciding += [getattr(part, field.name) for field in dataclasses.fields(part)]
    folder = _folder(model)
    waiting = {Path(inspect.getfile(inspect.unwrap(f))) for f in deciding if inspect.isroutine(f)}
    found: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file.is_relative_to(folder) and file not in found:
            found.add(file)
            waiting |= _imported_from(file)
    return sorted(found)


def _imported_from(file):
    """Return the modules that a source file imports relatively."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = file.parents[node.level - 1]
            module = base.joinpath(*(node.module or "").split("."))
            found.add(module.with_suffix(".py"))
            found |= {module / f"{alias.name}.py" for alias in node.names}
    return {path for path in found if path.is_file()}


def dataset_hash(dataset):
    """Return the SHA-256 of a data set's variables, names and numbers."""
    digest = hashlib.sha256()
    for name in sorted(dataset.data_vars):
        digest.update(str(name).encode() + np.ascontiguousarray(dataset[name]).tobytes())
    return digest.hexdigest()


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)


def _checkout():
    return Path(str(resources.files("bayesquake"))).parent


def _git_state():
    """Return the commit and whether the checkout is dirty, or ("", -1) outside one."""

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", str(_checkout()), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        if not (_checkout() / "pyproject.toml").is_file():
            return "", -1
        return git("rev-parse", "HEAD"), int(bool(git("status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return "", -1


def _lock_hash():
    lock = _checkout() / "pylock.toml"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else ""
