"""Blocks on disk come back bit by bit, and what is damaged or of another run is named."""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
import zarr

from bayesquake.errors import ResultError
from bayesquake.results.blocks import MANIFEST, BlockFolder, remove_blocks
from bayesquake.results.identity import arrays_hash, difference

IDENTITY = {"model": "gaussian", "seed": 3, "configuration": {"settings": {"draws": 200}}}
STATE = {
    "keys": jax.random.split(jax.random.key(1, impl="rbg"), 2),
    "position": jnp.array([[0.1, -0.0, jnp.nan], [jnp.inf, 5e-324, 1 / 3]]),
    "empty": jnp.zeros((0, 3)),
    "steps": jnp.int32(7),
    "found": jnp.array([True, False]),
}
STRUCTURE = jax.eval_shape(lambda: STATE)


def block(seed):
    rng = np.random.default_rng(seed)
    positions = rng.standard_normal((5, 2, 3))
    positions[0], positions[1, 0], positions[2, 1] = -0.0, np.nan, 5e-324
    return {
        "positions": positions,
        "lp": rng.standard_normal((5, 2)),
        "n_steps": rng.integers(0, 1000, (5, 2)),
        "diverging": rng.random((5, 2)) < 0.5,
    }


def made(folder, count=3, identity=IDENTITY):
    kept = BlockFolder(folder, identity)
    for seed in range(count):
        kept.append(block(seed), STATE)
    return [entry["file"] for entry in entries(folder)[1:]]


def entries(folder):
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


def same_bits(first, second):
    assert list(first) == list(second)
    for name in first:
        assert first[name].dtype == second[name].dtype
        assert first[name].shape == second[name].shape
        assert first[name].tobytes() == second[name].tobytes()


def test_blocks_and_state_come_back_bit_by_bit(tmp_path):
    made(tmp_path / "run")
    kept = BlockFolder(tmp_path / "run", IDENTITY, resume=True)
    blocks = kept.blocks()
    assert len(blocks) == 3
    for seed, restored in enumerate(blocks):
        same_bits(block(seed), {name: restored[name] for name in block(seed)})
    state = kept.state(STRUCTURE)
    assert jax.random.key_impl(state["keys"]) == jax.random.key_impl(STATE["keys"])
    plain = {name: np.asarray(values) for name, values in STATE.items() if name != "keys"}
    same_bits(plain, {name: np.asarray(state[name]) for name in plain})
    assert jnp.array_equal(
        jax.random.normal(state["keys"][1], (4,)), jax.random.normal(STATE["keys"][1], (4,))
    )


def test_the_same_block_is_the_same_file(tmp_path):
    made(tmp_path / "first")
    made(tmp_path / "second")
    assert entries(tmp_path / "first") == entries(tmp_path / "second")


def test_a_block_opens_with_xarray_and_no_warning(tmp_path):
    name = made(tmp_path / "run")[1]
    with (
        warnings.catch_warnings(action="error"),
        zarr.storage.ZipStore(tmp_path / "run" / name, mode="r") as store,
    ):
        opened = xr.open_zarr(store, consolidated=False)
        assert opened["positions"].dims[:2] == opened["lp"].dims == ("step", "chain")
        assert np.array_equal(opened["lp"], block(1)["lp"])


def test_nothing_is_written_before_the_first_block(tmp_path):
    kept = BlockFolder(tmp_path / "run", IDENTITY, resume=True)
    assert kept.blocks() == []
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_run_is_not_overwritten(tmp_path):
    made(tmp_path / "run")
    with pytest.raises(ResultError, match=r"unfinished run .3.;.*--resume.* delete"):
        BlockFolder(tmp_path / "run", IDENTITY)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 4}, "seed was 3 and is now 4"),
        (
            {"configuration": {"settings": {"draws": 300}}},
            "configuration: settings: draws was 200 and is now 300",
        ),
        ({"device": "cuda"}, "device was None and is now 'cuda'"),
    ],
)
def test_what_differs_from_the_run_is_named_with_both_values(change, words, tmp_path):
    made(tmp_path / "run")
    with pytest.raises(ResultError, match=words):
        BlockFolder(tmp_path / "run", IDENTITY | change, resume=True)


@pytest.mark.parametrize("place", [0.01, 0.3, 0.6, 0.99])
def test_a_flipped_bit_is_detected_and_its_block_named(place, tmp_path):
    name = made(tmp_path / "run")[1]
    content = bytearray((tmp_path / "run" / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(ResultError, match=rf"{name}: is damaged.*delete this file"):
        BlockFolder(tmp_path / "run", IDENTITY, resume=True).blocks()


def test_blocks_after_a_deleted_one_are_made_again(tmp_path):
    names = made(tmp_path / "run")
    whole = entries(tmp_path / "run")
    (tmp_path / "run" / names[1]).unlink()
    kept = BlockFolder(tmp_path / "run", IDENTITY, resume=True)
    assert len(kept.blocks()) == 1
    kept.append(block(1), STATE)
    assert entries(tmp_path / "run") == whole[:3]
    kept.append(block(2), STATE)
    assert entries(tmp_path / "run") == whole
    assert len(BlockFolder(tmp_path / "run", IDENTITY, resume=True).blocks()) == 3


@pytest.mark.parametrize("cut", [1, 40, 100])
def test_a_manifest_line_that_was_cut_off_is_made_again(cut, tmp_path):
    made(tmp_path / "run")
    manifest = tmp_path / "run" / MANIFEST
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-cut])
    kept = BlockFolder(tmp_path / "run", IDENTITY, resume=True)
    assert len(kept.blocks()) == 2
    kept.append(block(2), STATE)
    assert manifest.read_bytes() == whole


def test_two_runs_cannot_write_to_one_folder(tmp_path):
    made(tmp_path / "run", count=1)
    first, second = (BlockFolder(tmp_path / "run", IDENTITY, resume=True) for _ in range(2))
    first.append(block(1), STATE)
    with pytest.raises(ResultError, match="another run writes"):
        second.append(block(1), STATE)


def test_a_state_of_another_structure_is_refused(tmp_path):
    made(tmp_path / "run")
    kept = BlockFolder(tmp_path / "run", IDENTITY, resume=True)
    kept.blocks()
    wider = STRUCTURE | {"position": jax.ShapeDtypeStruct((2, 4), float)}
    with pytest.raises(ResultError, match=r"position.*\(2, 3\).*\(2, 4\)"):
        kept.state(wider)
    with pytest.raises(ResultError, match="5 arrays and the sampler 1"):
        kept.state({"steps": STRUCTURE["steps"]})


def test_folders_of_other_things_are_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("words")
    with pytest.raises(ResultError, match="not empty"):
        BlockFolder(tmp_path / "thesis", IDENTITY)
    remove_blocks(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").exists()
    with pytest.raises(ResultError, match="does not exist"):
        BlockFolder(tmp_path / "no" / "run", IDENTITY)
    with pytest.raises(ResultError, match="is a file"):
        BlockFolder(tmp_path / "thesis" / "chapter.tex", IDENTITY)


def test_a_removed_run_can_be_made_again(tmp_path):
    made(tmp_path / "run")
    remove_blocks(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    made(tmp_path / "run", count=1)


def test_equal_requests_have_no_difference():
    assert difference(IDENTITY, json.loads(json.dumps(IDENTITY))) is None


def test_the_hash_of_arrays_sees_values_shapes_and_structure():
    arrays = {"t": np.arange(6.0), "cut": None}
    others = [
        {"t": np.arange(6.0).reshape(2, 3), "cut": None},
        {"t": np.nextafter(np.arange(6.0), 9), "cut": None},
        {"t": np.arange(6.0), "cut": np.array(3.0)},
        {"t": np.arange(6), "cut": None},
    ]
    assert arrays_hash(arrays) == arrays_hash({"t": np.arange(6.0), "cut": None})
    assert len({arrays_hash(arrays), *map(arrays_hash, others)}) == 5
