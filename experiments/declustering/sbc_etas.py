"""Simulation-based calibration on catalogues that follow the likelihood to the letter."""

import dataclasses
import math

import numpyro.distributions as dist

from bayesquake.diagnostics.calibration import calibrate
from bayesquake.diagnostics.ranks import calibration_table
from bayesquake.models.event_classification.quantities import PRIORS as MODEL_PRIORS
from bayesquake.models.event_classification.quantities import SHORTEST_C
from bayesquake.reporting.calibration import rank_figure
from bayesquake.results.netcdf import write_netcdf

from .study import model

__all__ = ["DESIGN", "PRIORS", "run"]

PRIORS = {
    "log_mu": dist.Normal(-10.8, 0.3),
    "log_k": dist.Normal(-1.5, 0.3),
    "alpha": dist.Normal(1.2, 0.25),
    "log_c": dataclasses.replace(
        MODEL_PRIORS["log_c"],
        parameters=(("loc", -4.6), ("low", math.log(SHORTEST_C)), ("scale", 0.7)),
    ),
    "log_p_minus_1": dist.Normal(-1.5, 0.3),
    "log_d": dist.Normal(0.0, 0.5),
    "gamma": dist.Normal(1.0, 0.3),
    "log_q_minus_1": dist.Normal(-0.5, 0.3),
    "log_beta": dist.Normal(math.log(2.3), 0.1),
}
DESIGN = {"side_km": 100.0, "T": 1000.0, "minimum_events": 300, "maximum_events": 500}
"""Catalogues outside the numbers of events are refused, which leaves the ranks uniform."""


def run(study, folder):
    """Calibrate the parameters and the branching ratio; finished chunks are kept."""
    result = calibrate(
        model(),
        study.mode["sbc_etas"]["replicates"],
        seed=study.config["seed"],
        priors=PRIORS,
        design=DESIGN,
        chunk=study.mode["sbc_etas"]["chunk"],
        directory=folder / "chunks",
    )
    write_netcdf(result, folder / "calibration.nc")
    calibration = result["ranks"].to_dataset()
    rank_figure(calibration).savefig(folder / "ranks.png", dpi=150)
    table = calibration_table(calibration)
    table.round(4).to_csv(folder / "table.csv")
    return (
        f"{calibration.sizes['replicate']} catalogues: coverage of 90 % intervals "
        f"{table['coverage'].min():.3f} to {table['coverage'].max():.3f}, smallest p-value of the "
        f"ranks {table['chi2_p'].min():.2g}, {int(calibration['divergences'].sum())} divergences"
    )
