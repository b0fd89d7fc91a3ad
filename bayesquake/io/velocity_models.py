"""Velocity models of the crust: flat layers, and grids in three dimensions.

Convention: depths are in km, positive downward, and velocities in km/s. Files of layers are

- CSV with the columns ``top_km``, ``vp_km_s`` and, where S has velocities of its own, ``vs_km_s``;
- ``NONLINLOC``: the LAYER lines of a control file, with velocities and their gradients;
- ``NODES``: lines of depth, Vp and Vs with velocities linear in between; a depth given twice is
  a step.

Vs = 0 leaves S to the ratio Vp/Vs. Velocities that change within a layer are cut into layers of
constant velocity. Grids are those of SIMULPS, whose x points west before its axes are turned; a
data set has x to the east, and says how its axes are turned.

References
----------
Lomax et al. (2000), doi:10.1007/978-94-015-9536-0_5: NonLinLoc.
Trugman & Shearer (2017), doi:10.1785/0220160188: velocity nodes of GrowClust.
Thurber (1983), doi:10.1029/JB088iB10p08226: grids of SIMULPS.
"""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from bayesquake.errors import DatasetError
from bayesquake.io.datasets import Schema, Variable, checked, labelled, reader
from bayesquake.io.files import replace_when_complete
from bayesquake.io.tables import LineError, TextFormat, numbers_of, text_lines, words_of
from bayesquake.model.options import any_of, each, number, takes

__all__ = [
    "GRID",
    "LAYERS",
    "read_layers",
    "read_velocity_grid",
    "write_layers",
    "write_velocity_grid",
]

FASTEST = 15.0
"""Velocity (km/s) above which a number is given in other units."""

LAYER_WORDS = 6
"""LAYER, depth, Vp, its gradient, Vs, its gradient; densities may follow."""

PADDING = 2.5
"""Outermost planes of a SIMULPS grid further off than this times the widest spacing are padding."""

COLUMNS = ["top", "vp", "vp_gradient", "s_velocity", "vs_gradient"]


def require_increasing_tops(dataset, name):
    """Require that the tops increase and that P is faster than S."""
    top = dataset["top"].to_numpy()
    if (np.diff(top) <= 0).any():
        layer = int(np.argmax(np.diff(top) <= 0)) + 1
        raise DatasetError(
            f"{name}, layer {layer}: its top, {top[layer]:g} km, is not below that of the layer "
            f"above, {top[layer - 1]:g} km; order the layers by depth"
        )
    require_slower_s(dataset, name)


def require_slower_s(dataset, name):
    """Require that S is slower than P where it is known."""
    vp, vs = dataset["vp"].to_numpy(), dataset["vs"].to_numpy()
    wrong = np.isfinite(vs) & ~(vs < vp)
    if wrong.any():
        place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        where = ", ".join(f"{dim} {i}" for dim, i in zip(dataset["vp"].dims, place, strict=True))
        raise DatasetError(
            f"{name}, {where}: S ({vs[place]:g} km/s) is not slower than P ({vp[place]:g} km/s); "
            "exchange the columns or correct them"
        )


def require_increasing_nodes(dataset, name):
    """Require that the nodes of a grid increase along each axis, and that P is faster than S."""
    for axis in ("x", "y", "z"):
        if (np.diff(dataset[axis].to_numpy()) <= 0).any():
            raise DatasetError(f"{name}: the nodes along {axis} do not increase; sort them")
    require_slower_s(dataset, name)


def velocity(phase, dims, missing=False):
    """Return the declaration of a velocity."""
    return Variable("km/s", f"velocity of {phase}", dims, 0.05, FASTEST, missing)


LAYERS = Schema(
    {
        "top": Variable("km", "depth of the top of each layer", ("layer",), -10.0, 1000.0),
        "vp": velocity("P", ("layer",)),
        "vs": velocity("S, NaN where Vp/Vs gives it", ("layer",), missing=True),
    },
    require=require_increasing_tops,
)

LONGITUDE = number("degrees_east", at_least=-180, at_most=360, missing=True)
LATITUDE = number("degrees_north", at_least=-90, at_most=90, missing=True)
ROTATION = number("degrees counterclockwise", at_least=-360, at_most=360)

GRID = Schema(
    {
        "x": Variable("km", "distance along the first axis, east if not turned", ("node_x",)),
        "y": Variable("km", "distance along the second axis, north if not turned", ("node_y",)),
        "z": Variable("km", "depth", ("node_z",)),
        "vp": velocity("P", ("node_x", "node_y", "node_z")),
        "vs": velocity(
            "S, NaN where it is not known", ("node_x", "node_y", "node_z"), missing=True
        ),
    },
    attributes={
        "centre_longitude": LONGITUDE,
        "centre_latitude": LATITUDE,
        "rotation": ROTATION,
    },
    defaults={"centre_longitude": np.nan, "centre_latitude": np.nan, "rotation": 0.0},
    fewest={"node_x": 2, "node_y": 2, "node_z": 2},
    require=require_increasing_nodes,
)


def are_layers(lines):
    """Return whether lines hold LAYER statements."""
    return any(line.lstrip().startswith("LAYER") for line in lines)


def layer_cells(lines):
    """Return tops, velocities and gradients of LAYER lines."""
    rows = {}
    for line, words in words_of(lines):
        if words[0] == "LAYER":
            if len(words) < LAYER_WORDS:
                raise LineError(line, "LAYER is depth, Vp, gradient, Vs, gradient; complete it")
            rows[line] = numbers_of(words[1:LAYER_WORDS], line)
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)


def are_nodes(lines):
    """Return whether all lines are two or three numbers."""
    try:
        counts = {len([float(word) for word in words]) for _, words in words_of(lines)}
    except ValueError:
        return False
    return bool(counts) and counts <= {2, 3}


def node_cells(lines):
    """Return tops, velocities and gradients between nodes of depth, Vp and Vs."""
    nodes = []
    for line, words in words_of(lines):
        if len(words) not in (2, 3):
            raise LineError(line, "a node is its depth, Vp and, if known, Vs; correct it")
        nodes.append((line, *numbers_of([*words, "0"][:3], line)))
    rows = {}
    for (line, depth, vp, vs), (line_below, below, vp_below, vs_below) in pairwise(nodes):
        if below < depth:
            raise LineError(line_below, "the node is not below the one before; sort the nodes")
        if below > depth and (vs > 0) != (vs_below > 0):
            raise LineError(line_below, "Vs is known at one of two nodes; give it at both or none")
        if below > depth:
            thickness = below - depth
            rows[line] = [depth, vp, (vp_below - vp) / thickness, vs, (vs_below - vs) / thickness]
    if nodes:
        line, depth, vp, vs = nodes[-1]
        rows[line] = [depth, vp, 0.0, vs, 0.0]
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)


FORMATS = (
    TextFormat("NONLINLOC", are_layers, layer_cells),
    TextFormat("NODES", are_nodes, node_cells),
)


@reader(LAYERS, formats=FORMATS)
@takes(thickest=number("km", above=0, at_most=1e3))
def read_layers(table, *, thickest=1.0):
    """Read a velocity model of flat layers.

    Parameters
    ----------
    source : path or xarray.Dataset
        A file of one of the formats of this module, or a data set of `LAYERS`.
    thickest : float
        Thickness (km) of the layers into which velocities that change with depth are cut.

    Returns
    -------
    xarray.Dataset
        Of `LAYERS`.

    Raises
    ------
    DatasetError
        The file cannot be read, a velocity is not positive, or tops do not increase.
    """
    top = table.numbers("top", also=("top_km", "depth_km", "depth"))
    vp = table.numbers("vp", also=("vp_km_s", "velocity"))
    vs, vp_gradient, vs_gradient = (
        table.numbers(names[0], unit, low=low, also=names[1:])
        if set(names) & set(table.cells)
        else np.zeros(len(vp))
        for names, unit, low in (
            (("s_velocity", "vs", "vs_km_s"), "km/s", 0.0),
            (("vp_gradient",), "1/s", -np.inf),
            (("vs_gradient",), "1/s", -np.inf),
        )
    )
    bottom = np.append(top[1:], top[-1])
    changes = (vp_gradient != 0) | (vs_gradient != 0)
    pieces = np.where(changes, np.ceil((bottom - top) / thickest), 1).clip(1).astype(int)
    layer = np.repeat(np.arange(len(top)), pieces)
    within = np.concatenate([np.arange(count) for count in pieces])
    thickness = ((bottom - top) / pieces)[layer]
    middle = (within + 0.5) * thickness
    known = np.where(vs > 0, vs, np.nan)
    return labelled(
        LAYERS,
        {
            "top": top[layer] + within * thickness,
            "vp": vp[layer] + vp_gradient[layer] * middle,
            "vs": known[layer] + vs_gradient[layer] * middle,
        },
    )


def write_layers(layers, path, format="CSV"):
    """Write flat layers, so that `read_layers` gives them back.

    Parameters
    ----------
    layers : xarray.Dataset
        Of `LAYERS`.
    path : path
    format : {"CSV", "NONLINLOC", "NODES"}

    Raises
    ------
    DatasetError
        The format is another one.
    ResultError
        The file cannot be written.
    """
    rows = np.stack([layers["top"], layers["vp"], layers["vs"].fillna(0.0)], axis=1).tolist()
    if format == "CSV":
        lines = ["top_km,vp_km_s,vs_km_s", *(f"{top!r},{vp!r},{vs!r}" for top, vp, vs in rows)]
    elif format == "NONLINLOC":
        lines = [f"LAYER {top!r} {vp!r} 0.0 {vs!r} 0.0 0.0 0.0" for top, vp, vs in rows]
    elif format == "NODES":
        bottoms = [top for top, _, _ in rows[1:]]
        lines = []
        for (top, vp, vs), bottom in zip(rows, [*bottoms, None], strict=True):
            lines.append(f"{top!r} {vp!r} {vs!r}")
            if bottom is not None:
                lines.append(f"{bottom!r} {vp!r} {vs!r}")
    else:
        raise DatasetError(f"{format!r} is no format of layers; give CSV, NONLINLOC or NODES")
    replace_when_complete(path, lambda part: Path(part).write_text("\n".join(lines) + "\n"))


@takes(centre=any_of(None, each(number("degrees"), length=2)), rotation=ROTATION)
def read_velocity_grid(path, *, centre=None, rotation=0.0):
    """Read a grid of velocities of SIMULPS.

    Planes far outside, by which the program pads its model, are left off. The program's x points
    west, that of the data set east, before the axes are turned. Where they begin and how they are
    turned is said in other files of the program.

    Parameters
    ----------
    path : path
        A header (``bld nx ny nz``), the nodes along x, y and z, two lines of zeros, Vp in rows of
        nx, y running faster than z; then, perhaps, Vp/Vs in the same order.
    centre : (longitude, latitude), optional
        Where x = y = 0, in degrees; needed by whoever places sources and stations by degrees.
    rotation : float
        By which the axes are turned counterclockwise, degrees.

    Returns
    -------
    xarray.Dataset
        Of `GRID`.

    Raises
    ------
    DatasetError
        The file is missing, or its numbers are not as many as its header says.
    OptionError
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise DatasetError(f"{path} does not exist; give the path of a SIMULPS grid")
    lines = text_lines(path, DatasetError)
    try:
        scale, *counts = (float(word) for word in lines[0].split()[:4])
        nx, ny, nz = (int(count) for count in counts)
        numbers = np.array([float(word) for line in lines[1:] for word in line.split()])
    except (ValueError, IndexError) as problem:
        raise DatasetError(
            f"{path} is no SIMULPS grid ({problem}); it begins bld nx ny nz"
        ) from None
    nodes, size = nx + ny + nz, nx * ny * nz
    blocks = (len(numbers) - nodes - 6) / size if size > 0 else 0
    if blocks not in (1, 2):
        raise DatasetError(
            f"{path} has {len(numbers)} numbers after its header, not the {nodes} nodes, 6 zeros "
            f"and {size} (Vp) or {2 * size} (Vp and Vp/Vs) of {nx} by {ny} by {nz}; restore it"
        )
    axes = [axis * scale for axis in np.split(numbers[:nodes], [nx, nx + ny])]
    fields = numbers[nodes + 6 :].reshape(int(blocks), nz, ny, nx).transpose(0, 3, 2, 1)
    kept = [_inside(axis) for axis in axes]
    vp = fields[0][np.ix_(*kept)]
    vs = vp / fields[1][np.ix_(*kept)] if blocks == 2 else np.full_like(vp, np.nan)
    west, y, z = (axis[inside] for axis, inside in zip(axes, kept, strict=True))
    longitude, latitude = centre or (np.nan, np.nan)
    grid = labelled(
        GRID,
        {"x": -west[::-1], "y": y, "z": z, "vp": vp[::-1], "vs": vs[::-1]},
        centre_longitude=longitude,
        centre_latitude=latitude,
        rotation=rotation,
        source=str(path),
    )
    return checked(GRID, grid, str(path))


def write_velocity_grid(grid, path, comment="bayesquake"):
    """Write a grid of velocities for SIMULPS, so that `read_velocity_grid` gives it back.

    The file has no place for the centre and the rotation.

    Parameters
    ----------
    grid : xarray.Dataset
        Of `GRID`. Where S is unknown, Vp alone is written.
    path : path
    comment : str
        Rest of the header.

    Raises
    ------
    ResultError
        The file cannot be written.
    """
    grid = grid.isel(node_x=slice(None, None, -1))
    axes = [-grid["x"].to_numpy(), grid["y"].to_numpy(), grid["z"].to_numpy()]
    padded = [np.concatenate([_beyond(axis, 0), axis, _beyond(axis, -1)]) for axis in axes]
    vp, vs = (
        grid[name].transpose("node_z", "node_y", "node_x").to_numpy() for name in ("vp", "vs")
    )
    fields = [vp] if np.isnan(vs).any() else [vp, vp / vs]
    counts = " ".join(str(len(axis)) for axis in padded)
    lines = [f"1.0 {counts} {len(fields)} {comment}"]
    lines += [" ".join(map(repr, axis.tolist())) for axis in padded]
    lines += ["0 0 0", "0 0 0"]
    for field in fields:
        rows = np.pad(field, 1, mode="edge").reshape(-1, len(padded[0])).tolist()
        lines += [" ".join(map(repr, row)) for row in rows]
    replace_when_complete(path, lambda part: Path(part).write_text("\n".join(lines) + "\n"))


def _inside(axis):
    """Mark the nodes of an axis that are no padding."""
    inside = np.ones(len(axis), bool)
    widest = np.diff(axis)[1:-1].max(initial=0.0)
    if widest > 0:
        inside[0] = axis[1] - axis[0] <= PADDING * widest
        inside[-1] = axis[-1] - axis[-2] <= PADDING * widest
    return inside


def _beyond(axis, end):
    """Return a node of padding beyond one end of an axis."""
    width = 10 * PADDING * np.diff(axis).max()
    return [axis[end] + (width if end else -width)]
