"""Sixteen events of the Hayward fault: what so few say of velocities."""

import numpy as np
import pandas as pd

from bayesquake.inference.fit import fit
from bayesquake.io.stations import read_stations
from bayesquake.model.registry import load_model
from bayesquake.results.netcdf import write_netcdf

from .study import MODEL_NAME

__all__ = ["hayward", "of_stations"]

PICKS, STATIONS = "hayward16/El16.pha", "parkfield3d/ncsn.sta"


def hayward(study, folder):
    """Draw from the joint posterior of few events, and compare velocities with their prior.

    Returns
    -------
    str
        Posterior over prior standard deviations of ln v, and the spread of depths.
    """
    settings = study.config["hayward"]
    layers = pd.DataFrame({name: settings[name] for name in ("top_km", "vp_km_s")})
    layers.to_csv(folder / "layers.csv", index=False)
    names = set(read_stations(study.path(STATIONS))["station"].to_numpy())
    of_stations(study.path(PICKS), names, folder / "picks.pha")
    model = load_model(MODEL_NAME)
    dataset = model.read(
        folder / "picks.pha", stations=study.path(STATIONS), layers=folder / "layers.csv"
    )
    lengths = {name: study.mode[f"few_{name}"] for name in ("warmup", "draws")}
    result = fit(model, dataset, seed=study.config["seed"], **lengths)
    write_netcdf(result, folder / "joint.nc")
    posterior = result["posterior"].to_dataset()
    prior_sd = dict(model.priors["log_vp_change"].parameters)["scale"]
    log_vp = np.log(posterior["vp"])
    ratio = log_vp.std(("chain", "draw")).to_numpy() / prior_sd
    table = pd.DataFrame(
        {
            "top_km": settings["top_km"],
            "vp": np.exp(log_vp.mean(("chain", "draw"))),
            "sd_over_prior": ratio,
        }
    )
    table.to_csv(folder / "velocities.csv", index=False, float_format="%.3f")
    depth = posterior["depth"]
    return (
        f"sd of ln v over that of its prior {ratio.min():.2f} to {ratio.max():.2f}; depths "
        f"{float(depth.mean()):.1f} km, sd {float(depth.std(('chain', 'draw')).median()):.1f} km"
    )


def of_stations(picks, names, target):
    """Write the picks of some stations, events with their own lines."""
    lines = picks.read_text().splitlines(keepends=True)
    target.write_text(
        "".join(line for line in lines if line.startswith("#") or line.split()[0] in names)
    )
