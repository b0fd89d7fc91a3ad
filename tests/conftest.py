"""Where the tests find data, and how their processes share two cores."""

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from bayesquake.io.compilation_cache import cache_folder

# Set before JAX is loaded, and inherited by pytest's workers and by the commands they run.
# Threads of two processes that wait for each other's cores make LAPACK many times slower.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    version = importlib.metadata.version("jaxlib")
    kept = cache_folder().parents[1] / "tests" / f"{cache_folder().name}_jaxlib_{version}"
    kept.mkdir(parents=True, exist_ok=True)
    for older in set(kept.parent.glob(f"{cache_folder().name}_jaxlib_*")) - {kept}:
        shutil.rmtree(older, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(kept)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

# Small models of the tests' own, which every test of all models meets too.
os.environ["BAYESQUAKE_MODELS"] = str(Path(__file__).parent / "models")

# Shared cores make any deadline of an example a matter of luck.
settings.register_profile("shared cores", deadline=None)
settings.load_profile("shared cores")

MOST_MAPS = 10_000
"""Memory maps above which compiled programs, each of several maps, are dropped: Linux allows a
process 65,530."""


@pytest.fixture(autouse=True, scope="module")
def _programs_end_before_they_are_too_many():
    yield
    maps = Path("/proc/self/maps")
    if "jax" in sys.modules and maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        sys.modules["jax"].clear_caches()


@pytest.fixture(scope="session")
def shared_data():
    """The folder of data sets that lies beside the checkout, or inside it."""
    checkout = Path(__file__).parents[1]
    for folder in (checkout.parent / "shared" / "data", checkout / "shared" / "data"):
        if folder.is_dir():
            return folder
    pytest.skip("the data sets that accompany the checkout (shared/data) are absent")
