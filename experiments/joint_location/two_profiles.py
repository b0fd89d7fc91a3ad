"""Two velocity profiles on the sides of a line, fitted as such and as one."""

import numpy as np
import pandas as pd

from bayesquake.diagnostics.predictive import leave_one_out
from bayesquake.inference.fit import fit
from bayesquake.model.registry import load_model
from bayesquake.results.netcdf import write_netcdf

from . import figures
from .straight_rays import VELOCITY, arrivals_read, straight_rays
from .study import MODEL_NAME

__all__ = ["two_profiles"]


def two_profiles(study, folder):
    """Fit arrivals of straight rays, faster toward the east, with two profiles and with one.

    Returns
    -------
    str
        Stations on their side of the line, and what one profile costs.
    """
    settings, seed = study.config["profiles"], study.config["seed"]
    source, station, arrivals = straight_rays(
        seed,
        study.mode["profile_events"],
        settings["stations"],
        faster_in_the_east=settings["ratio"],
    )
    model = load_model(MODEL_NAME)
    dataset = arrivals_read(model, folder, station, arrivals, source)
    lengths = {name: study.mode[f"few_{name}"] for name in ("warmup", "draws")}
    rows, scores = {}, {}
    for profiles in (1, 2):
        result = fit(model, dataset, seed=seed, profiles=profiles, **lengths)
        write_netcdf(result, folder / f"profiles_{profiles}.nc")
        scores[profiles] = leave_one_out(result)["elpd"].to_numpy()
        rows[profiles] = summary(result, source)
    table = pd.DataFrame(rows).T.rename_axis("profiles")
    table["elpd"] = {profiles: score.sum() for profiles, score in scores.items()}
    difference = scores[2] - scores[1]
    error = difference.std() * np.sqrt(len(difference))
    table.to_csv(folder / "profiles.csv", float_format="%.4g")
    posterior = result["posterior"]
    number = posterior["station"].to_numpy().astype(str)
    east = np.array([station[int(name[1:]), 0] for name in number]) > station[:, 0].mean()
    probability = posterior["station_profile"].mean(("chain", "draw")).to_numpy()
    right = np.where(east, probability, 1 - probability)
    stations = pd.DataFrame({"station": number, "east": east, "probability": probability})
    stations.to_csv(folder / "stations.csv", index=False, float_format="%.4f")
    true = VELOCITY["P"] * np.array([1.0, settings["ratio"]])
    figures.two_velocities(posterior["profile_vp"].to_numpy()[..., 0], true).savefig(
        folder / "velocities.png", dpi=150
    )
    return (
        f"{(right > 0.5).sum()} of {len(right)} stations on their side; one profile loses "
        f"{difference.sum():.0f} ({error:.0f}) of elpd"
    )


def summary(result, source):
    """Return errors of places (km), shares of them in 90 % intervals, and spreads (s)."""
    posterior = result["posterior"].to_dataset()
    true = source[posterior["event"].to_numpy().astype(int)]
    row = {}
    for axis, name in enumerate(("x", "y", "depth")):
        low, high = posterior[name].quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
        error = posterior[name].mean(("chain", "draw")).to_numpy() - true[:, axis]
        row[f"{name}_bias_km"] = error.mean()
        row[f"{name}_rms_km"] = np.sqrt((error**2).mean())
        row[f"{name}_in_90"] = ((low < true[:, axis]) & (true[:, axis] < high)).mean()
    row["tau_s"] = float(posterior["tau"].mean())
    row["sigma_p_s"] = float(posterior["sigma"].sel(phase="P").mean())
    return row
