"""Blocks of draws on disk, so that a run that was killed goes on and changes nothing.

A folder belongs to one run. Each block of draws is a Zarr store in one zip file, which
also holds the sampler's state after the block, so that the two commit together. The file
is written under another name and renamed into place; then ``manifest.jsonl`` gains a line
with its SHA-256. The first line of the manifest is the identity of the run: all that must
be equal for a continuation to be the same bit by bit. A block opens with
``xarray.open_zarr(zarr.storage.ZipStore("block_00003.zarr.zip"), consolidated=False)``.
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
import zarr

from bayesquake.errors import ResultError
from bayesquake.io.files import replace_when_complete, require_writable
from bayesquake.results.identity import difference

__all__ = ["MANIFEST", "BlockFolder", "remove_blocks"]

MANIFEST = "manifest.jsonl"
STATE = "state"
"""Variable of a block that holds the state after it, as raw bytes."""


class BlockFolder:
    """The blocks of one run.

    Nothing is written before the first block.

    Parameters
    ----------
    path : path
        The folder, made if it does not exist; its parent must exist.
    identity : dict
        What must be equal to go on, JSON-serialisable.
    resume : bool
        Go on with the blocks that are there, if there are any.

    Raises
    ------
    ResultError
        The folder holds blocks and ``resume`` is false, or those of another run, whose
        difference is named; it holds something else; or it cannot be made.
    """

    def __init__(self, path, identity, resume=False):
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity))
        stored, self._entries = _read_manifest(self.path)
        self._manifest_size = _size(self.path / MANIFEST)
        self._state: tuple[bytes, list] = (b"", [])
        self._begun = False
        require_writable(self.path / MANIFEST if self.path.is_dir() else self.path)
        if self._entries and not resume:
            raise ResultError(
                f"{self.path}: holds blocks of an unfinished run ({len(self._entries)}); resume it "
                "(--resume on the command line, resume=True in Python) or delete the folder"
            )
        if self._entries and (changed := difference(stored, self.identity)):
            raise ResultError(
                f"{self.path}: cannot be resumed, for {changed}; put that back, or delete the "
                "folder to start again"
            )

    def blocks(self):
        """Return the blocks made so far, in order, as dicts of (step, chain, ...) arrays.

        They end before the first block whose file is missing, which is made again.

        Raises
        ------
        ResultError
            A file is not what was written; the message names it.
        """
        made = []
        for entry in list(self._entries):
            file = self.path / entry["file"]
            if not file.exists():
                break
            content = file.read_bytes()
            if _sha256(content) != entry["sha256"]:
                raise ResultError(
                    f"{file}: is damaged, its SHA-256 is not the one in {MANIFEST}; delete this "
                    "file and resume again: the run goes on from the block before it"
                )
            block, self._state = _unpacked(file)
            made.append(block)
        del self._entries[len(made) :]
        return made

    def state(self, structure):
        """Return the sampler's state after the last of `blocks`.

        Parameters
        ----------
        structure : pytree of jax.ShapeDtypeStruct
            As `jax.eval_shape` gives it.

        Raises
        ------
        ResultError
            The state that was kept has another structure.
        """
        leaves, tree = jax.tree_util.tree_flatten_with_path(structure)
        content, layout = self._state
        if len(leaves) != len(layout):
            raise ResultError(
                f"{self.path}: the state has {len(layout)} arrays and the sampler {len(leaves)}; "
                "another version wrote it: delete the folder to start again"
            )
        restored, offset = [], 0
        for (path, leaf), kept in zip(leaves, layout, strict=True):
            values: np.ndarray = np.ndarray(kept["shape"], kept["dtype"], content, offset)
            offset += values.nbytes
            array = jnp.array(values)
            if kept["key_implementation"]:
                array = jax.random.wrap_key_data(array, impl=kept["key_implementation"])
            if (array.shape, array.dtype) != (leaf.shape, leaf.dtype):
                raise ResultError(
                    f"{self.path}: {jax.tree_util.keystr(path)} of the state is {array.dtype} of "
                    f"shape {array.shape}, the sampler's {leaf.dtype} of shape {leaf.shape}; "
                    "another version wrote it: delete the folder to start again"
                )
            restored.append(array)
        return jax.tree.unflatten(tree, restored)

    def append(self, block, state):
        """Keep a block and the state after it.

        Parameters
        ----------
        block : dict of (step, chain, ...) array
        state : pytree of arrays

        Raises
        ------
        ResultError
            Another run writes to the folder, or it cannot be written.
        """
        manifest = self.path / MANIFEST
        if _size(manifest) != self._manifest_size:
            raise ResultError(
                f"{self.path}: another run writes to this folder; let it finish, or stop it and "
                "resume"
            )
        index = len(self._entries)
        content = _packed(block, state)
        entry = {
            "block": index,
            "file": f"block_{index:05d}.zarr.zip",
            "sha256": _sha256(content),
            "steps": len(next(iter(block.values()))),
        }
        if not self._begun:
            self.path.mkdir(exist_ok=True)
            _write_whole(manifest, _lines({"identity": self.identity}, *self._entries))
            self._begun = True
        _write_whole(self.path / entry["file"], content)
        with manifest.open("ab") as stream:
            _write_through(stream, _lines(entry))
        self._entries.append(entry)
        self._manifest_size = _size(manifest)


def remove_blocks(path):
    """Delete the folder of a run whose result is safely written, if there is one."""
    path = Path(path)
    if (path / MANIFEST).exists():
        shutil.rmtree(path)


def _read_manifest(folder):
    """Return the identity and the entries; a line that was cut off and what follows is void."""
    if not folder.exists():
        return {}, []
    if not folder.is_dir():
        raise ResultError(f"{folder}: is a file; give the name of a folder for the blocks")
    if not (folder / MANIFEST).exists():
        if any(file.suffix != ".part" for file in folder.iterdir()):
            raise ResultError(f"{folder}: is not empty and holds no {MANIFEST}; choose another")
        return {}, []
    entries = []
    for line in (folder / MANIFEST).read_bytes().split(b"\n")[:-1]:
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    if not entries or "identity" not in entries[0]:
        raise ResultError(
            f"{folder / MANIFEST}: is damaged in its first line; delete the folder to start again"
        )
    return entries[0]["identity"], entries[1:]


def _packed(block, state):
    """Return a block and a state as the bytes of a Zarr store in a zip file."""
    leaves = [_as_array(leaf) for leaf in jax.tree.leaves(state)]
    layout = [
        {"dtype": array.dtype.str, "shape": array.shape, "key_implementation": implementation}
        for array, implementation in leaves
    ]
    state_bytes = np.frombuffer(b"".join(array.tobytes() for array, _ in leaves), np.uint8)
    variables: dict[str, tuple] = {
        name: (_dims(name, values), values) for name, values in block.items()
    }
    variables[STATE] = ("byte", state_bytes, {"layout": json.dumps(layout)})
    store: dict = {}
    xr.Dataset(variables).to_zarr(
        zarr.storage.MemoryStore(store),
        zarr_format=3,
        consolidated=False,
        write_empty_chunks=True,
        encoding={name: {"compressors": None} for name in variables},
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(store):
            archive.writestr(zipfile.ZipInfo(name), store[name].to_bytes())
    return packed.getvalue()


def _unpacked(file):
    with (
        zarr.storage.ZipStore(file, mode="r") as store,
        xr.open_zarr(store, consolidated=False, decode_cf=False, chunks=None) as opened,
    ):
        block = {str(name): opened[name].to_numpy() for name in opened.data_vars}
        layout = json.loads(opened[STATE].attrs["layout"])
    return block, (block.pop(STATE).tobytes(), layout)


def _as_array(leaf):
    """Return a leaf of a state as an array, and the implementation if it holds random keys."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf)), str(jax.random.key_impl(leaf))
    return np.asarray(leaf), None


def _dims(name, values):
    further = tuple(f"{name}_dim_{i}" for i in range(values.ndim - 2))
    return ("step", "chain", *further)[: values.ndim]


def _lines(*entries):
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def _write_whole(path, content):
    def write(temporary):
        with open(temporary, "wb") as stream:
            _write_through(stream, content)

    replace_when_complete(path, write)


def _write_through(stream, content):
    stream.write(content)
    stream.flush()
    os.fsync(stream.fileno())


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _sha256(content):
    return hashlib.sha256(content).hexdigest()
