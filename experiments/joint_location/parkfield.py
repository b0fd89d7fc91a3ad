"""Events of the San Andreas fault at Parkfield, located in three dimensions and in flat layers."""

import numpy as np
import pandas as pd

from bayesquake.io.arrivals.relocations import read_relocations
from bayesquake.io.stations import read_stations
from bayesquake.io.velocity_models import read_velocity_grid
from bayesquake.model.registry import load_model
from bayesquake.models.hypocenter_velocity import locate
from bayesquake.physics.projection import to_plane, turned

from . import figures
from .few_events import of_stations
from .study import MODEL_NAME, first_events

__all__ = ["parkfield"]

FOLDER = "parkfield3d"
SHIFTS = [f"{kind}_{axis}" for kind in ("shift", "sd") for axis in ("across", "along", "depth")]


def parkfield(study, folder):
    """Locate events beside a fault that parts fast from slow rock, and compare with relocations.

    Returns
    -------
    str
        Mean shift of places across the fault from the relocations, in both kinds of velocities.
    """
    settings = study.config["parkfield"]
    grid = read_velocity_grid(
        study.path(f"{FOLDER}/pkf3D_PS.vel"),
        centre=settings["centre"],
        rotation=settings["rotation"],
    )
    dataset = first_events(of_grid(study, grid, folder), study.mode["events"])
    common = {name: settings[name] for name in ("bounds", "deepest")}
    common["seed"] = study.config["seed"]
    spacing = study.mode["grid_spacing"]
    found = {
        "grid": locate(dataset, grid=grid, spacing=spacing, **common),
        "layers": locate(dataset, **common),
    }
    relocated = read_relocations(study.path(f"{FOLDER}/hypoDD.reloc"))
    relocated = relocated.sel(event=dataset["event"].to_numpy())
    x, y = to_plane(relocated["longitude"], relocated["latitude"], settings["centre"])
    theirs = across_the_fault(np.stack([x, y, relocated["depth"]], axis=-1), grid)
    rows, places = {}, {"hypoDD": theirs}
    for name, result in found.items():
        ours = across_the_fault(result["locations"]["mean"].to_numpy(), grid)
        places[name] = ours
        shift = ours - theirs
        variance = np.diagonal(result["locations"]["covariance"].to_numpy(), axis1=1, axis2=2)
        rows[name] = {
            **dict(zip(SHIFTS, [*shift.mean(axis=0), *shift.std(axis=0)], strict=True)),
            "median_posterior_sd": np.sqrt(np.median(variance)),
            "good_k_hat": float((result["locations"]["pareto_k"] < 0.7).mean()),
        }
    table = pd.DataFrame(rows).T.rename_axis("velocities")
    table.to_csv(folder / "beside_relocations.csv", float_format="%.3f")
    figures.sections(places).savefig(folder / "sections.png", dpi=150)
    return "shift across the fault " + ", ".join(
        f"{row['shift_across']:+.2f} km ({name})" for name, row in rows.items()
    )


def across_the_fault(place, grid):
    """Return places (event, 3) across and along the fault, which y of the grid follows, km."""
    x, y, depth = place.T
    return np.stack([*turned(x, y, grid.attrs["rotation"]), depth], axis=-1)


def of_grid(study, grid, folder):
    """Return the arrivals at stations within the grid, with layers of its mean slowness."""
    settings = study.config["parkfield"]
    path = study.path(f"{FOLDER}/ncsn.sta")
    stations = read_stations(path)
    x, y = to_plane(stations["longitude"], stations["latitude"], settings["centre"])
    inside = np.ones(len(x), bool)
    for axis, place in zip(("x", "y"), turned(x, y, grid.attrs["rotation"]), strict=True):
        first, last = grid[axis].to_numpy()[[0, -1]]
        inside &= (place > first) & (place < last)
    names = set(stations["station"].to_numpy()[inside])
    of_stations(study.path(f"{FOLDER}/pkf05.pha.84_05.3D"), names, folder / "picks.pha")
    mean_nodes(grid, settings["near"], settings["top"], folder / "nodes.txt")
    return load_model(MODEL_NAME).read(
        folder / "picks.pha",
        stations=path,
        layers=folder / "nodes.txt",
        centre=settings["centre"],
        duplicates="best",
    )


def mean_nodes(grid, near, top, path):
    """Write mean slownesses of P and S at the depths of a grid, of nodes near its centre."""
    middle = grid.isel(node_x=np.abs(grid["x"]) <= near, node_y=np.abs(grid["y"]) <= near)
    columns = [1 / (1 / middle[name]).mean(("node_x", "node_y")) for name in ("vp", "vs")]
    depth = middle["z"].to_numpy().copy()
    depth[0] = top
    np.savetxt(path, np.stack([depth, *columns], axis=-1), fmt="%.4f")
