"""What the entries share: settings, catalogues and the fits that several of them use."""

import dataclasses
import tomllib
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from bayesquake.errors import BayesquakeError
from bayesquake.inference.fit import fit
from bayesquake.models.aftershock_rate.grid import EARLIEST_DAYS
from bayesquake.models.aftershock_rate.simulate import simulate
from bayesquake.zoo import load_model

__all__ = [
    "CONFIG",
    "DataAbsentError",
    "Study",
    "catalogue_folder",
    "count_events",
    "curve_on_knots",
    "detection_curve",
    "fit_simulated",
    "fit_window",
    "main_shock_magnitude",
    "open_study",
    "read_config",
    "read_window",
    "simulated_catalogue",
    "true_values",
]

CONFIG = Path(__file__).with_name("config.toml")
CURVE_KNOTS = 385
"""Knots on which a true curve is drawn for simulation: its interpolant errs by < 1e-3 mag."""


class DataAbsentError(BayesquakeError):
    """A catalogue that an entry needs is not installed."""


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
    checkout = Path(__file__).parents[2]
    for root in (checkout.parent, checkout):
        if (root / "shared" / "data" / "aftershock").is_dir():
            return root / "shared" / "data" / "aftershock"
    return None


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
    if study.folder is None or not (study.folder / file).is_file():
        raise DataAbsentError(
            f"the catalogue {file} is absent: it belongs in ../shared/data/aftershock beside "
            "the checkout"
        )
    return study.folder / file


def read_window(study, sequence, end_days):
    """Return the first days of a sequence, as read by the model."""
    path = catalogue_path(study, study.config["sequences"][sequence]["file"])
    return load_model("aftershock_rate").read(path, end_days=end_days)


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
    parameters = true_values(settings) | {"mu": mu}
    return simulate(jax.random.key(settings["seed"]), design, parameters)[1]


def main_shock_magnitude(result):
    """Return M0 of a result."""
    return float(result["constant_data"]["M0"])


def fit_simulated(study, name):
    """Return the fit of a simulated catalogue."""
    if name not in study.fits:
        length = study.mode["simulated_length"] or None
        study.fits[name] = _fit(study, name, simulated_catalogue(study, name), length)
    return study.fits[name]


def fit_window(study, sequence, end_days):
    """Return the fit of the first days of a sequence."""
    key = (sequence, end_days)
    if key not in study.fits:
        dataset = read_window(study, sequence, end_days)
        study.fits[key] = _fit(study, key, dataset, study.mode["window_length"])
    return study.fits[key]


def _fit(study, key, dataset, length) -> xr.DataTree:
    options: dict[str, Any] = {
        name: study.mode[name] for name in ("chains", "draws", "basis_size", "knots", "likelihood")
    }
    if study.mode["driver"] == "nuts":
        options["warmup"] = study.mode["warmup"]
    return fit(
        load_model("aftershock_rate"),
        dataset,
        driver=study.mode["driver"],
        seed=study.config["seed"] + zlib.crc32(str(key).encode()) % 10_000,
        length=length,
        **options,
    )
