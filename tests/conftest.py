"""Where the tests find data, and how their processes share two cores."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

# Set before JAX is loaded, and inherited by pytest's workers and by the commands they run.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
OWNS_CACHE = "JAX_COMPILATION_CACHE_DIR" not in os.environ
if OWNS_CACHE:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="bayesquake_tests_")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"


def pytest_unconfigure():
    """Remove the cache of compiled programs that this process made."""
    if OWNS_CACHE:
        shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def _programs_end_with_their_module():
    """Drop compiled programs: Linux allows a process 65,530 memory maps, and each takes several."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture(scope="session")
def shared_data():
    """The folder of data sets that lies beside the checkout, or inside it."""
    checkout = Path(__file__).parents[1]
    for folder in (checkout.parent / "shared" / "data", checkout / "shared" / "data"):
        if folder.is_dir():
            return folder
    pytest.skip("the data sets that accompany the checkout (shared/data) are absent")
