"""Compiled programs are kept per processor, where the user says, and never at any price."""

import os
import subprocess
import sys

import pytest

from bayesquake.io.compilation_cache import cache_folder, keep_compilations
from bayesquake.io.processor import available_cores, processor

SETTINGS = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES",
)


@pytest.fixture
def unset(monkeypatch):
    """Forget JAX's settings of the cache, and put them back afterwards."""
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_programs_are_kept_in_the_users_cache_apart_for_each_processor(unset, tmp_path):
    unset.setenv("XDG_CACHE_HOME", str(tmp_path))
    keep_compilations()
    folder = cache_folder()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert folder.parent == tmp_path / "bayesquake" / "compilations"
    assert folder.name.endswith(processor().rpartition("#")[2])
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_users_own_folder_is_honoured(unset, tmp_path):
    unset.setenv("XDG_CACHE_HOME", str(tmp_path))
    unset.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere/else")
    keep_compilations()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/somewhere/else"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_changes_nothing(unset, tmp_path):
    (tmp_path / "file").write_text("")
    unset.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep_compilations()
    assert not any(name in os.environ for name in SETTINGS)


def test_a_new_process_fetches_what_another_compiled(unset, tmp_path):
    unset.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = (
        "from bayesquake.io.compilation_cache import keep_compilations; keep_compilations()\n"
        "import jax\n"
        "hits = []\n"
        "jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))\n"
        "value = jax.jit(lambda x: jax.numpy.linalg.cholesky(x @ x.T + 1))(jax.numpy.eye(3))\n"
        "print(value.sum().item().hex(), hits.count('/jax/compilation_cache/cache_hits'))"
    )

    def run():
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert made.stderr == b""
        value, hits = made.stdout.split()
        return value, int(hits)

    (first, misses), (second, hits) = run(), run()
    assert first == second
    assert misses == 0 < hits


def test_the_processor_and_its_cores_are_named():
    name, _, features = processor().rpartition(" #")
    assert name
    assert len(features) == 8
    assert 1 <= available_cores() <= os.cpu_count()
