"""The entries of the experiment, in order."""

import dataclasses

from bayesquake.diagnostics.calibration import calibrate
from bayesquake.diagnostics.ranks import calibration_table
from bayesquake.model.registry import load_model
from bayesquake.reporting.calibration import rank_figure
from bayesquake.results.netcdf import write_netcdf

from . import (
    calibration,
    early_windows,
    forecasts,
    no_detection,
    numerical_test,
    two_stage,
)

__all__ = ["ENTRIES"]


def run_calibration(study, folder):
    """Calibrate every backend of the settings.

    Returns
    -------
    str
        Mean coverage and smallest p-value of uniform ranks by backend, in one line.
    """
    lines = []
    for backend in study.mode["calibration"]["backends"]:
        result = (
            _short_calibration(study) if study.quick else _full_calibration(study, backend, folder)
        )
        write_netcdf(result, folder / f"calibration_{backend}.nc")
        ranks = result["ranks"].to_dataset()
        table = calibration_table(ranks)
        table.to_csv(folder / f"calibration_{backend}.csv")
        rank_figure(ranks).savefig(folder / f"ranks_{backend}.png", dpi=150)
        lines.append(
            f"{backend}, {ranks.sizes['replicate']} replicates: mean coverage "
            f"{table['coverage'].mean():.3f}, smallest p of uniform ranks "
            f"{table['chi2_p'].min():.2g}"
        )
    return "; ".join(lines)


def _full_calibration(study, backend, folder):
    return calibration.run(
        backend,
        folder,
        replicates=study.mode["calibration"]["replicates"],
        seed=study.config["seed"],
    )


def _short_calibration(study):
    """Calibrate on few small catalogues, without whitening: slower steps, far less to compile."""
    settings = study.mode["calibration"]
    return calibrate(
        dataclasses.replace(load_model("aftershock_rate"), coordinates=None),
        settings["replicates"],
        seed=study.config["seed"],
        priors=calibration.PRIORS,
        design=calibration.DESIGN
        | {"knots": settings["knots"], "maximum_events": settings["maximum_events"]},
        warmup=settings["warmup"],
        draws=settings["draws"],
        chunk=settings["replicates"],
        length=settings["length"],
        basis_size=settings["basis_size"],
        knots=settings["knots"],
    )


ENTRIES = {
    "numerical_test": numerical_test.run,
    "early_windows": early_windows.run,
    "two_stage": two_stage.run,
    "no_detection": no_detection.run,
    "forecasts": forecasts.run,
    "calibration": run_calibration,
}
"""Every entry takes the study and its own folder, and returns its result in one line."""
