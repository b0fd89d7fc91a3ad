"""A probabilistic-programming model zoo for earthquake science."""

import os
import sys

os.environ.setdefault("JAX_ENABLE_X64", "1")
if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_enable_x64", True)
