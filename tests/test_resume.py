"""A run that was killed goes on where it stopped, and no bit of its draws is different."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray as xr

from bayesquake.cli import RESUME
from bayesquake.errors import DriverError, OptionError, ResultError
from bayesquake.inference.chees import chees
from bayesquake.inference.fit import fit
from bayesquake.inference.kernels.blocks import BLOCK_LENGTH
from bayesquake.inference.mclmc import mclmc
from bayesquake.inference.nuts import nuts
from bayesquake.inference.plan import planned
from bayesquake.model.registry import load_model
from bayesquake.model.simulation import simulate_accepted
from bayesquake.results.blocks import MANIFEST, BlockFolder
from bayesquake.results.identity import difference, request, run_identity
from bayesquake.targets.target import Target

SCALES = np.geomspace(0.1, 10.0, 5)
IDENTITY = {"seed": 1}
IN_WARMUP = {"warmup": 10 * BLOCK_LENGTH, "draws": 30}
IN_DRAWS = {"warmup": BLOCK_LENGTH // 2, "draws": 10 * BLOCK_LENGTH}
COMMAND_DRAWS = 13 * BLOCK_LENGTH
SLOW_DISK = """
import time
from bayesquake.io.compilation_cache import keep_compilations
keep_compilations()
from bayesquake.results.blocks import BlockFolder
append = BlockFolder.append
def append_slowly(self, *block):
    append(self, *block)
    time.sleep(0.5)
BlockFolder.append = append_slowly
"""
"""Code that leaves a signal the time to come before the run is over, on a fast machine too."""


def log_density(position, data):
    return -0.5 * (((position - data) / SCALES) ** 2).sum() - 0.01 * (position**4).sum()


TARGET = Target(
    dim=5,
    coordinates=tuple("abcde"),
    log_density=log_density,
    gradient=jax.grad(log_density),
    constrain=lambda position, data: {"x": position},
    unconstrain=lambda values, data: values["x"],
    ravel=lambda sites: sites["x"],
    unravel=lambda position: {"x": position},
    initial=lambda key, data: data + jax.random.normal(key, (5,)),
    condition=lambda data: data,
    prior_draw=lambda key, data: {"x": data},
    data=jnp.arange(5.0),
)


def run_slowly(folder, sizes):
    """Sample in a process of its own, with time to be killed between blocks."""
    nuts(
        TARGET,
        chains=2,
        seed=1,
        checkpoint=BlockFolder(folder, IDENTITY),
        progress=lambda *_: time.sleep(0.3),
        **sizes,
    )


def resume(folder, sizes, out):
    """Finish in a process of its own and save what was drawn."""
    made = nuts(
        TARGET, chains=2, seed=1, checkpoint=BlockFolder(folder, IDENTITY, resume=True), **sizes
    )
    np.savez(out, positions=made.positions, gradients=made.gradients, **made.statistics)


def in_a_process(function, *arguments):
    code = f"import runpy; runpy.run_path({__file__!r})[{function.__name__!r}](*{arguments!r})"
    return subprocess.Popen([sys.executable, "-c", code])


def blocks_in(folder):
    manifest = folder / MANIFEST
    return max(0, manifest.read_bytes().count(b"\n") - 1) if manifest.exists() else 0


def stop_after(count, process, folder, how):
    """Signal a process once it has made so many blocks; returns its exit status."""
    while blocks_in(folder) < count:
        assert process.poll() is None, f"ended with {process.returncode} before {count} blocks"
        time.sleep(0.01)
    process.send_signal(how)
    return process.wait(timeout=120)


def same_bits(first, second):
    assert set(first) == set(second)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("sizes", [IN_WARMUP, IN_DRAWS], ids=["in warm-up", "in the draws"])
def test_a_killed_run_goes_on_to_the_same_draws(sizes, tmp_path):
    folder = tmp_path / "blocks"
    process = in_a_process(run_slowly, str(folder), sizes)
    assert stop_after(2, process, folder, signal.SIGKILL) == -signal.SIGKILL
    assert 2 <= blocks_in(folder) < 10

    assert in_a_process(resume, str(folder), sizes, str(tmp_path / "made.npz")).wait() == 0
    whole = nuts(TARGET, chains=2, seed=1, **sizes)
    expected = {
        "positions": whole.positions,
        "gradients": np.asarray(whole.gradients),
        **whole.statistics,
    }
    same_bits(dict(np.load(tmp_path / "made.npz")), expected)


class Stopped(Exception):
    """Stops a run between blocks."""


@pytest.mark.parametrize(
    ("driver", "settings"),
    [
        (nuts, {"metric": "low_rank", "chains": 2}),
        (chees, {"chains": 8}),
        (mclmc, {"chains": 2}),
    ],
)
@pytest.mark.parametrize("stop", [1, 4], ids=["in warm-up", "in the draws"])
def test_every_driver_goes_on_to_the_same_draws(driver, settings, stop, tmp_path):
    settings |= {"warmup": 2 * BLOCK_LENGTH + 20, "draws": 3 * BLOCK_LENGTH, "seed": 2}

    def stopping(done, total, statistics):
        if done == stop * BLOCK_LENGTH:
            raise Stopped

    kept = BlockFolder(tmp_path / "blocks", IDENTITY)
    with pytest.raises(Stopped):
        driver(TARGET, checkpoint=kept, progress=stopping, **settings)
    again = BlockFolder(tmp_path / "blocks", IDENTITY, resume=True)
    resumed = driver(TARGET, checkpoint=again, **settings)
    whole = driver(TARGET, **settings)
    assert resumed.positions.tobytes() == whole.positions.tobytes()
    same_bits(resumed.statistics, whole.statistics)


def test_a_damaged_block_is_named_and_made_again(tmp_path):
    folder = tmp_path / "blocks"
    settings = {"chains": 2, "seed": 3, "warmup": BLOCK_LENGTH, "draws": 3 * BLOCK_LENGTH}
    whole = nuts(TARGET, checkpoint=BlockFolder(folder, IDENTITY), **settings)
    manifest = (folder / MANIFEST).read_bytes()
    damaged = folder / "block_00002.zarr.zip"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(ResultError, match=r"block_00002\.zarr\.zip: is damaged"):
        nuts(TARGET, checkpoint=BlockFolder(folder, IDENTITY, resume=True), **settings)

    damaged.unlink()
    resumed = nuts(TARGET, checkpoint=BlockFolder(folder, IDENTITY, resume=True), **settings)
    assert resumed.positions.tobytes() == whole.positions.tobytes()
    assert (folder / MANIFEST).read_bytes() == manifest


def small_catalogue():
    design = {"maximum_events": 300}
    return simulate_accepted(load_model("aftershock_rate"), jax.random.key(4), design)[1]


SETTINGS = {"driver": "nuts", "chains": 2, "warmup": 50, "draws": 50, "priors": None, "seed": 1}
FIT = SETTINGS | {"basis_size": 12, "knots": 33}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 2}, "seed was 1 and is now 2"),
        ({"draws": 60}, "settings: draws was 50 and is now 60"),
        ({"warmup": 60}, "settings: warmup was 50 and is now 60"),
        ({"chains": 4}, "settings: chains was 2 and is now 4"),
        ({"knots": 65}, "options: knots was 33 and is now 65"),
        ({"driver": "mclmc"}, "driver was 'nuts' and is now 'mclmc'"),
        ({"priors": {"p": dist.Normal(1.0, 0.3)}}, "priors: p: .* was .* and is now"),
    ],
)
def test_a_fit_resumes_only_what_was_asked_before(change, words, tmp_path):
    model, data = load_model("aftershock_rate"), small_catalogue()
    identity = run_identity(planned(model, data, **FIT).attributes)
    BlockFolder(tmp_path / "run", identity).append({"lp": np.zeros((1, 2))}, {})
    with pytest.raises(ResultError, match=f"cannot be resumed.*{words}"):
        fit(model, data, **(FIT | change), checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(ResultError, match="blocks of an unfinished run"):
        fit(model, data, **FIT, checkpoint=tmp_path / "run")


def test_a_window_of_other_length_is_another_request():
    model, data = load_model("aftershock_rate"), small_catalogue()
    longer = data.assign_attrs(T=data.attrs["T"] * 1.01)
    first, second = (request(planned(model, each, **FIT).attributes) for each in (data, longer))
    assert "arrays_hash" in difference(first, second)


def test_a_driver_that_runs_in_one_piece_says_so(tmp_path):
    model, data = load_model("aftershock_rate"), small_catalogue()
    with pytest.raises(DriverError, match="'laplace' runs in one piece"):
        fit(model, data, driver="laplace", checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(OptionError, match="checkpoint"):
        fit(model, data, resume=True)


def command(folder, out, *further, before=""):
    arguments = ["bayesquake", "fit", "aftershock_rate", str(folder / "data.nc")]
    arguments += ["--out", str(folder / out), "--seed", "1", "--chains", "2"]
    arguments += ["--warmup", str(3 * BLOCK_LENGTH), "--draws", str(COMMAND_DRAWS)]
    arguments += ["--set", "basis_size=12", "--set", "knots=33", *further]
    call = (
        f"{before}\nimport sys; sys.argv = {arguments!r}; from bayesquake.cli import main; main()"
    )
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}
    others = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    return subprocess.Popen(
        [sys.executable, "-c", call], env=others | cache, stdout=subprocess.PIPE, text=True
    )


def programs_in(folder):
    return {path.name for path in (folder / "cache").rglob("*-cache")}


def test_the_command_line_survives_kill_and_interrupt_and_keeps_its_programs(tmp_path):
    small_catalogue().to_netcdf(tmp_path / "data.nc")
    out, blocks = tmp_path / "result.nc", tmp_path / "result.nc.blocks"

    killed = command(tmp_path, "result.nc", before=SLOW_DISK)
    assert stop_after(2, killed, blocks, signal.SIGKILL) == -signal.SIGKILL
    assert not out.exists()

    interrupted = command(tmp_path, "result.nc", "--resume", before=SLOW_DISK)
    assert stop_after(5, interrupted, blocks, signal.SIGINT) == 0
    partial = xr.open_datatree(out).load()
    assert partial.attrs["interrupted"] == 1
    assert RESUME in interrupted.stdout.read()
    assert blocks_in(blocks) >= 5

    finished = command(tmp_path, "result.nc", "--resume")
    assert finished.wait() == 0
    result = xr.open_datatree(out).load()
    assert result.attrs["interrupted"] == 0
    assert result["posterior"].sizes["draw"] == COMMAND_DRAWS
    assert not blocks.exists()

    compiled_before = programs_in(tmp_path)
    assert command(tmp_path, "whole.nc").wait() == 0
    assert programs_in(tmp_path) == compiled_before != set()
    whole = xr.open_datatree(tmp_path / "whole.nc").load()
    drawn = partial["posterior"].sizes["draw"]
    assert 0 < drawn < COMMAND_DRAWS
    for node in whole.subtree:
        for name in node.data_vars:
            bits = node[name].to_numpy().tobytes()
            assert result[node.path][name].to_numpy().tobytes() == bits, f"{node.path}/{name}"
    for name in ("p", "log_c"):
        assert np.array_equal(
            partial["posterior"][name], whole["posterior"][name].isel(draw=slice(drawn))
        )
    configuration = json.loads(whole.attrs["configuration"])
    assert configuration["settings"]["draws"] == COMMAND_DRAWS
