"""Simulation-based calibration of `aftershock_rate`, by Gaussian-process backend.

Run as ``python -m bayesquake.experiments.morikawa2021.calibration BACKEND OUT``; a run
that was stopped resumes.
"""

import math
import sys
from pathlib import Path
from typing import Any

import numpyro.distributions as dist

from bayesquake.diagnostics.calibration import calibrate
from bayesquake.diagnostics.ranks import calibration_table
from bayesquake.model.registry import load_model
from bayesquake.results.netcdf import write_netcdf

__all__ = ["BACKENDS", "DESIGN", "PRIORS", "run"]

PRIORS = {
    "p": dist.Normal(1.05, 0.13),
    "log_c": dist.Normal(-4.02, 1.0),
    "beta": dist.Normal(1.96, 0.2),
    "log_sigma": dist.Normal(math.log(0.25), 0.3),
    "log_K": dist.Normal(-4.0, 0.5),
    "mu_1d": dist.Normal(2.0, 0.3),
    "mu_slope": dist.Normal(-0.7, 0.15),
    "eta": dist.HalfNormal(0.3),
    "ell": dist.LogNormal(math.log(0.7), 0.4),
}
DESIGN: dict[str, Any] = {"M0": 7.0, "T": 1.0, "minimum_events": 20, "maximum_events": 800}
BACKENDS: dict[str, dict[str, Any]] = {
    "hsgp": {"backend": "hsgp"},
    "hsgp_narrow": {"backend": "hsgp", "basis_size": 24, "basis_factor": 1.4},
    "quasisep": {"backend": "quasisep", "knots": 49},
}


def run(backend, out, *, replicates=200, seed=2021, progress=None):
    """Calibrate one backend; chunks are kept in ``out/BACKEND`` and the whole in ``out``."""
    directory = Path(out) / backend
    directory.mkdir(parents=True, exist_ok=True)
    calibration = calibrate(
        load_model("aftershock_rate"),
        replicates,
        seed=seed,
        priors=PRIORS,
        design=DESIGN | {"knots": BACKENDS[backend].get("knots", 97)},
        directory=directory,
        progress=progress,
        **BACKENDS[backend],
    )
    write_netcdf(calibration, Path(out) / f"calibration_{backend}.nc")
    return calibration


if __name__ == "__main__":
    calibration = run(
        sys.argv[1], sys.argv[2], progress=lambda done, total: print(f"{done}/{total}", flush=True)
    )
    print(calibration_table(calibration["ranks"].to_dataset()).round(3).to_string())
