"""What the entries share: settings, catalogues and the fits that several of them use."""

import dataclasses
import functools
import tomllib
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from bayesquake.experiments.entries import accompanying_data, require_file
from bayesquake.inference.constrained import constrained
from bayesquake.inference.drivers import driver_named
from bayesquake.model.registry import load_model
from bayesquake.models.aftershock_rate.dataset import EARLIEST_DAYS
from bayesquake.models.aftershock_rate.forecast import log_expected_count
from bayesquake.models.aftershock_rate.grid import padded_length
from bayesquake.models.aftershock_rate.simulate import simulate
from bayesquake.results.provenance import provenance
from bayesquake.targets.target import target_of_arrays

__all__ = [
    "CONFIG",
    "Study",
    "catalogue_folder",
    "catalogue_path",
    "count_events",
    "curve_band",
    "curve_on_knots",
    "detection_curve",
    "fit_catalogue",
    "fit_simulated",
    "fit_window",
    "log_expected",
    "open_study",
    "read_config",
    "read_window",
    "simulated_catalogue",
    "stack",
    "true_values",
]

CONFIG = Path(__file__).with_name("config.toml")
CURVE_KNOTS = 385
"""Knots on which a true curve is drawn for simulation: its interpolant errs by < 1e-3 mag."""

SAVED = (
    "log_K",
    "p",
    "log_c",
    "beta",
    "b_value",
    "sigma",
    "log_sigma",
    "mu_1d",
    "mu_slope",
    "eta",
    "ell",
)
SIMULATED = ("log_K", "p", "log_c", "beta", "log_sigma")
FORECAST_PARAMETERS = ("log_K", "p", "log_c", "beta")
PER_FIT = (("events", "1"), ("M0", "mag"), ("T", "d"), ("run_seconds", "s"), ("divergences", "1"))


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """Settings of one run and the fits made so far.

    Attributes
    ----------
    config : dict
        All of ``config.toml``.
    mode : dict
        Its table ``full`` or ``quick``.
    quick : bool
    folder : path or None
        Where the catalogues are; None where they are absent.
    fits : dict
        Results by catalogue, filled in as they are needed.
    """

    config: dict
    mode: dict
    quick: bool
    folder: Path | None
    fits: dict = dataclasses.field(default_factory=dict)


def read_config():
    """Return the settings of ``config.toml``."""
    return tomllib.loads(CONFIG.read_text(encoding="utf-8"))


def catalogue_folder():
    """Return the folder of the catalogues that accompany the checkout, or None."""
    return accompanying_data("aftershock")


def open_study(*, quick=False):
    """Return a study with no fits yet."""
    config = read_config()
    mode = config["quick" if quick else "full"]
    return Study(config, mode, quick, catalogue_folder())


def catalogue_path(study, file):
    """Return the path of a catalogue.

    Raises
    ------
    DataAbsentError
        It is not there.
    """
    return require_file(study.folder, file, "aftershock")


def read_window(study, sequence, end_days, magnitude_rounding="auto"):
    """Return the first days of a sequence, as read by the model."""
    path = catalogue_path(study, study.config["sequences"][sequence]["file"])
    return _read(path, end_days, magnitude_rounding)


@functools.cache
def _read(path, end_days, magnitude_rounding):
    return load_model("aftershock_rate").read(
        path, end_days=end_days, magnitude_rounding=magnitude_rounding
    )


def count_events(study, sequence, start, end, magnitude_above):
    """Count the catalogued events above a magnitude in (start, end], days."""
    catalogue = read_window(study, sequence, end)
    later = catalogue["t"].to_numpy() > start
    return int((later & (catalogue["mag"].to_numpy() > magnitude_above)).sum())


def detection_curve(t, mu):
    """Return the true μ (mag) of a simulated catalogue at times t (day)."""
    x = np.log10(np.maximum(t, EARLIEST_DAYS))
    bump = np.exp(-0.5 * ((x - mu["x0"]) / mu["w"]) ** 2)
    return mu["a"] + mu["b"] * x + mu["B"] * bump


def curve_on_knots(settings, knots):
    """Return the times (day) and true μ (mag) at uniform knots in log time, each (knot,)."""
    x = np.linspace(np.log10(EARLIEST_DAYS), np.log10(settings["end_days"]), knots)
    return 10.0**x, detection_curve(10.0**x, settings["mu"])


def true_values(settings):
    """Return the true parameters of a simulated catalogue, under the model's names."""
    beta = settings["b_value"] * np.log(10)
    return {
        "log_K": np.log(settings["K"]),
        "p": settings["p"],
        "log_c": np.log(settings["c"]),
        "beta": beta,
        "b_value": settings["b_value"],
        "sigma": settings["sigma"],
        "log_sigma": np.log(settings["sigma"]),
    }


def simulated_catalogue(study, name):
    """Return a simulated catalogue: its file where there is one, else simulated anew."""
    settings = study.config["simulated"][name]
    if study.folder is not None and (study.folder / settings["file"]).is_file():
        return load_model("aftershock_rate").read(
            study.folder / settings["file"],
            main_shock_magnitude=settings["M0"],
            end_days=settings["end_days"],
        )
    return _simulate(settings)


def _simulate(settings):
    design = {"M0": settings["M0"], "T": settings["end_days"], "knots": CURVE_KNOTS}
    _, mu = curve_on_knots(settings, CURVE_KNOTS)
    truth = true_values(settings)
    parameters = {name: truth[name] for name in SIMULATED} | {"mu": mu}
    return simulate(jax.random.key(settings["seed"]), design, parameters)[1]


def fit_simulated(study, name):
    """Return the fit of a simulated catalogue."""
    return _fit(study, name, simulated_catalogue(study, name))


def fit_window(study, sequence, end_days, magnitude_rounding=None):
    """Return the fit of the first days of a sequence.

    Parameters
    ----------
    study : Study
    sequence : str
    end_days : float
        End of the window (day).
    magnitude_rounding : "auto" or float, optional
        Rounding step of the magnitudes (mag), 0 to take them as continuous; that of the
        settings by default.
    """
    if magnitude_rounding is None:
        magnitude_rounding = study.mode["magnitude_rounding"]
    dataset = read_window(study, sequence, end_days, magnitude_rounding)
    return _fit(study, f"{sequence} {end_days:g} d", dataset)


def _fit(study, name, dataset):
    key = (name, dataset.attrs["delta_m"])
    if key not in study.fits:
        seed = study.config["seed"] + zlib.crc32(name.encode()) % 10_000
        study.fits[key] = fit_catalogue(dataset, study.mode, seed=seed)
    return study.fits[key]


def fit_catalogue(dataset, mode, *, seed):
    """Fit one catalogue.

    Parameters
    ----------
    dataset : xarray.Dataset
        From the model's reader or simulator.
    mode : dict
        Table ``full`` or ``quick`` of the settings.
    seed : int

    Returns
    -------
    xarray.Dataset
        Posterior draws (chain, draw) of `SAVED`, and ``mu`` (chain, draw, time_grid), with
        the provenance in the attributes.
    """
    model = load_model("aftershock_rate")
    options = {
        "length": max(mode["shortest_length"], padded_length(dataset.sizes["event"])),
        "basis_size": mode["basis_size"],
        "knots": mode["knots"],
    }
    settings = {"chains": mode["chains"], "draws": mode["draws"]}
    if mode["driver"] == "nuts":
        settings |= {"warmup": mode["warmup"], "metric": "diagonal"}
    arrays = model.prepare(dataset, **options)
    target = target_of_arrays(model, arrays)
    driver: Any = driver_named(mode["driver"])
    made = driver(target, seed=seed, **settings)
    values = constrained(target, made.positions)
    posterior = xr.Dataset(
        {name: (("chain", "draw"), values[name], _attributes(model, name)) for name in SAVED},
        coords={"time_grid": ("time_grid", 10.0**arrays.knots, {"units": "d"})},
    ).assign(mu=(("chain", "draw", "time_grid"), values["mu"], _attributes(model, "mu")))
    configuration = {"driver": mode["driver"], "settings": settings, "options": options}
    posterior.attrs = provenance(model, dataset, configuration, seed) | {
        "events": dataset.sizes["event"],
        "M0": float(dataset.attrs["M0"]),
        "T": float(dataset.attrs["T"]),
        "run_seconds": made.run_seconds,
        "compile_seconds": made.compile_seconds,
        "gradient_count": made.gradients,
        "divergences": int(made.statistics.get("diverging", np.zeros(1)).sum()),
    }
    return posterior


def _attributes(model, name):
    quantity = model.quantities[name]
    return {"units": quantity.unit, "long_name": quantity.meaning}


def stack(posteriors, dim, labels):
    """Return the posteriors of several catalogues along a new dimension, for one file.

    The time grids, which differ, become the variable ``days`` (d).
    """
    parts = [
        posterior.assign(days=("time_grid", posterior["time_grid"].data, {"units": "d"}))
        .drop_vars("time_grid")
        .assign({name: ((), posterior.attrs[name], {"units": unit}) for name, unit in PER_FIT})
        for posterior in posteriors
    ]
    stacked = xr.concat(parts, dim, combine_attrs="drop_conflicts")
    return stacked.assign_coords({dim: (dim, list(labels))})


def log_expected(posterior, start, end, magnitude_above):
    """Return the log expected true count in [start, end] days of every draw, (draw,)."""
    values = {name: posterior[name].to_numpy().ravel() for name in FORECAST_PARAMETERS}
    return np.asarray(
        log_expected_count(values, posterior.attrs["M0"], start, end, magnitude_above)
    )


def curve_band(posterior, level):
    """Return lower limit, median and upper limit of μ at every knot (mag), (3, knot)."""
    tail = 0.5 * (1 - level)
    return np.quantile(posterior["mu"], [tail, 0.5, 1 - tail], axis=(0, 1))
