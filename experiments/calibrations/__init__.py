"""Calibration of the models by simulation, as it is stored beside them.

`reproduce` makes the files that are stored as ``calibration.nc`` in the models' folders.

References
----------
Talts et al. 2018, doi:10.48550/arXiv.1804.06788
"""

import tomllib
from importlib import resources

from bayesquake.diagnostics.calibration import calibrate, condensed
from bayesquake.diagnostics.ranks import calibration_table
from bayesquake.experiments.entries import chosen_entries
from bayesquake.model.registry import load_model
from bayesquake.results.netcdf import write_netcdf

__all__ = ["reproduce"]

QUICK = 10
"""Replicates of a quick run."""


def reproduce(folder, *, quick=False, progress=None, entries=None):
    """Calibrate every model and write its ranks.

    Parameters
    ----------
    folder : pathlib.Path
        Where ``MODEL.nc`` and ``MODEL.csv`` are written. Chunks of replicates are kept in
        ``MODEL_chunks``; a run that was ended goes on after them.
    quick : bool
        Few replicates, to see that everything works.
    progress : callable, optional
        Called as ``progress(done, replicates)`` after every chunk.
    entries : sequence of str, optional
        Names of the models; all by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = (resources.files(__package__) / "config.toml").read_text(encoding="utf-8")
    for name, settings in chosen_entries(tomllib.loads(text), entries).items():
        calibration = calibrate(
            load_model(name),
            QUICK if quick else settings["replicates"],
            design=settings["design"],
            directory=folder / f"{name}_chunks",
            progress=progress,
            **settings["run"],
            **settings.get("options", {}),
        )
        write_netcdf(condensed(calibration), folder / f"{name}.nc")
        table = calibration_table(calibration["ranks"].to_dataset())
        table.to_csv(folder / f"{name}.csv", float_format="%.4g")
