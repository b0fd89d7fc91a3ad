"""What the entries share: settings, and the catalogues that accompany the checkout."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from bayesquake.experiments import entries
from bayesquake.model.registry import load_model

__all__ = ["CONFIG", "model", "open_study", "simulated_catalogue"]

CONFIG = Path(__file__).with_name("config.toml")
MODEL_NAME = "event_classification"
TRUE_PARAMETERS = ("mu", "k", "alpha", "c", "p", "d", "gamma", "q", "beta")


def open_study(*, quick=False):
    """Return the settings and the folder of the data."""
    return entries.open_study(CONFIG, "pointprocess", quick=quick)


def model():
    """Return the model of the experiment."""
    return load_model(MODEL_NAME)


def simulated_catalogue(study, name):
    """Return a simulated catalogue of the data, with true parents, and its true parameters.

    Parameters
    ----------
    study : bayesquake.experiments.entries.Study
    name : {"sim_small", "sim_medium", "sim_large"}

    Returns
    -------
    dataset : xarray.Dataset
        As the model reads it, with ``parent`` (position; -1 background, -2 not kept) and
        ``root`` (label of the cluster).
    truth : dict
        Natural parameters.
    """
    design = json.loads(study.path(f"{name}.json").read_text(encoding="utf-8"))
    side = design["L_km"]
    dataset = model().read(
        study.path(f"{name}.csv"),
        polygon=[(0.0, 0.0), (side, 0.0), (side, side), (0.0, side)],
        start=0.0,
        end=design["T_days"],
        completeness_magnitude=design["m0"],
        magnitude_rounding=0.0,
    )
    table = pd.read_csv(study.path(f"{name}.csv"))
    place = pd.Series(np.arange(len(table)), index=table["event_id"])
    parent = table["parent_id"].where(table["parent_id"] < 0, table["parent_id"].map(place))
    dataset = dataset.assign(
        parent=("event", parent.to_numpy(int)), root=("event", table["root_id"].to_numpy())
    )
    return dataset, {name: design[name] for name in TRUE_PARAMETERS}
