"""Reference posteriors of the models, made, certified and compared with every driver.

`reproduce` makes the files that are stored as ``reference.nc`` in the models' folders and
the table of how far each driver is from them.
"""

import tomllib
from importlib import resources

import jax

from bayesquake.diagnostics.reference import make_reference, open_reference
from bayesquake.experiments.entries import chosen_entries
from bayesquake.model.registry import load_model
from bayesquake.results.netcdf import write_netcdf

from .drivers import driver_table

__all__ = ["reproduce"]


def reproduce(folder, *, quick=False, progress=None, entries=None):
    """Make every reference and measure every driver against it.

    Parameters
    ----------
    folder : pathlib.Path
        Where ``MODEL.nc`` and ``MODEL_drivers.csv`` are written.
    quick : bool
        Only measure the drivers, against the stored references.
    progress : callable, optional
        Called as ``progress(done, total, statistics)``.
    entries : sequence of str, optional
        Names of the models; all by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = (resources.files(__package__) / "config.toml").read_text(encoding="utf-8")
    for name, settings in chosen_entries(tomllib.loads(text), entries).items():
        model = load_model(name)
        if quick:
            reference = open_reference(model)
        else:
            key = jax.random.key(settings["data_seed"])
            _, dataset = model.simulate(key, settings["design"], settings["parameters"])
            reference = make_reference(
                model,
                dataset,
                seed=settings["seed"],
                thinning=settings["thinning"],
                progress=progress,
                **settings.get("options", {}),
            )
            write_netcdf(reference, folder / f"{name}.nc")
        driver_table(model, reference).to_csv(folder / f"{name}_drivers.csv", float_format="%.4g")
