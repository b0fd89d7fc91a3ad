"""What the entries share: settings and the arrivals of the Calaveras fault."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from bayesquake.experiments import entries
from bayesquake.model.registry import load_model

__all__ = [
    "CONFIG",
    "MODEL_NAME",
    "calaveras",
    "first_events",
    "flat_calaveras",
    "open_study",
    "simulated_arrivals",
]

CONFIG = Path(__file__).with_name("config.toml")
MODEL_NAME = "hypocenter_velocity"


def open_study(*, quick=False):
    """Return the settings and the folder of the data."""
    return entries.open_study(CONFIG, "tomography", quick=quick)


def calaveras(study, folder):
    """Return the arrivals with layers of the mean slowness of those given."""
    given = pd.read_csv(study.path("calaveras/velocity_layers.csv"))
    settings = study.config["joint"]
    edges = np.append(settings["tops"], settings["lowest"])
    below = np.append(given["top_km"][1:], settings["lowest"])
    top, bottom = edges[:-1, None], edges[1:, None]
    inside = np.clip(
        np.minimum(bottom, below) - np.maximum(top, given["top_km"].to_numpy()), 0, None
    )
    slowness = (inside / given["vp_km_s"].to_numpy()).sum(axis=1) / inside.sum(axis=1)
    layers = pd.DataFrame({"top_km": settings["tops"], "vp_km_s": 1 / slowness})
    layers.to_csv(folder / "layers.csv", index=False)
    dataset = load_model(MODEL_NAME).read(
        study.path("calaveras/picks.csv"),
        events=study.path("calaveras/events.csv"),
        stations=study.path("calaveras/stations.csv"),
        layers=folder / "layers.csv",
    )
    return first_events(dataset, study.mode["events"])


def flat_calaveras(study, folder):
    """Return the arrivals on the plane of the reference locations, with the layers as given."""
    plane = study.config["plane"]
    for name, depth in (("events", {}), ("stations", {"elevation_km": "z_km"})):
        table = pd.read_csv(study.path(f"calaveras/{name}.csv"))
        shrunk = plane["km_per_degree"] * np.cos(np.deg2rad(plane["latitude"]))
        table["x_km"] = (table.pop("lon") - plane["longitude"]) * shrunk
        table["y_km"] = (table.pop("lat") - plane["latitude"]) * plane["km_per_degree"]
        for elevation, z in depth.items():
            table[z] = -table.pop(elevation)
        table.to_csv(folder / f"{name}.csv", index=False)
    dataset = load_model(MODEL_NAME).read(
        study.path("calaveras/picks.csv"),
        events=folder / "events.csv",
        stations=folder / "stations.csv",
        layers=study.path("calaveras/velocity_layers.csv"),
    )
    return first_events(dataset, study.mode["events"])


def first_events(dataset, count):
    """Return the first events of a data set with their picks, all of them for a count of 0."""
    if not count:
        return dataset
    kept = np.flatnonzero(dataset["event_index"] < count)
    return dataset.isel(event=slice(count), pick=kept)


def simulated_arrivals(study, folder):
    """Return the arrivals that another program simulated, and what it took for them.

    Returns
    -------
    dataset : xarray.Dataset
    truth : dict of numpy.ndarray
        By quantity of the posterior; station terms less their mean of each phase.
    """
    files = {
        name: study.path(f"synthetic_joint1d_{name}")
        for name in ("picks.csv", "preliminary_events.csv", "stations.csv", "truth.json")
    }
    layers = pd.DataFrame(study.config["simulated_layers"])
    layers.to_csv(folder / "layers.csv", index=False)
    dataset = load_model(MODEL_NAME).read(
        files["picks.csv"],
        events=files["preliminary_events.csv"],
        stations=files["stations.csv"],
        layers=folder / "layers.csv",
    )
    known = json.loads(files["truth.json"].read_text())
    station = [int(name[1:]) for name in dataset["station"].to_numpy()]
    terms = np.array(known["station_terms_s"])[:, station]
    dataset = first_events(dataset, study.mode["events"])
    x, y, depth = np.array(known["events"])[: dataset.sizes["event"], :3].T
    return dataset, {
        "vp": np.array(known["vp_km_s"]),
        "vpvs": np.array(known["vpvs"]),
        "station_term": terms - terms.mean(axis=1, keepdims=True),
        "x": x,
        "y": y,
        "depth": depth,
    }
