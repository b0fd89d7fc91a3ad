"""Focal mechanisms with depths: the reader, and the arrays of the model.

Convention: depths are in km, positive downward; frames are (north, east, down).
"""

import warnings
from typing import Any, NamedTuple

import numpy as np

from bayesquake.batch.pad import padded
from bayesquake.io.datasets import Schema, Variable, labelled, prepared, reader
from bayesquake.model.options import count, one_of, takes

from ..errors import DegenerateMarginalError, InconsistentPlanesError, MechanismFormatError
from ..physics.frames import AXES, frames_of_planes
from ..physics.statistics import STATISTICS

__all__ = ["DATA", "ExchangedAxesWarning", "MechanismArrays", "prepare", "read", "standardised"]

ANGLES = {"strike": (-360.0, 360.0), "dip": (0.0, 90.0), "rake": (-360.0, 360.0)}
"""Degrees."""

ORTHONORMAL = 1e-4
"""Largest deviation of a given frame from an orthonormal one."""

SMALLEST_SPREAD = 1e-9
"""Standard deviation, relative to the size of the numbers, below which they are constant."""


class ExchangedAxesWarning(UserWarning):
    """Some events' axes named P by the convention are their T axes by the moment tensor."""


def standardised(depth_km):
    """Return (depth - mean) / sd, with n - 1 in the sd, of depths that are not all equal."""
    spread = np.std(depth_km, ddof=1)
    if not spread > SMALLEST_SPREAD * max(1.0, np.abs(depth_km).max()):
        raise DegenerateMarginalError(
            f"all {len(depth_km)} depths are {depth_km[0]:g} km: with a constant depth nothing "
            "depends on it; give mechanisms of different depths"
        )
    return (depth_km - np.mean(depth_km)) / spread


def require_frames(dataset, name):
    """Require orthonormal axes, and depths that differ."""
    frame = dataset["frame"].transpose("event", "axis", "xyz").to_numpy()
    deviation = np.abs(frame @ frame.swapaxes(1, 2) - np.eye(2)).max(axis=(1, 2))
    if (deviation > ORTHONORMAL).any():
        raise InconsistentPlanesError(
            f"{name}, event {int(np.argmax(deviation))}: its axes are not orthonormal; compute "
            "them again"
        )
    standardised(dataset["depth"].to_numpy())


DATA = Schema(
    {
        "frame": Variable("1", "principal axes of the mechanism", ("event", "axis", "xyz")),
        "depth": Variable("km", "depth", low=-10.0, high=800.0),
    },
    attributes={"axes": one_of(*AXES, "given"), "exchanged": count(at_least=0)},
    defaults={"axes": "given", "exchanged": 0},
    coordinates={"axis": ("P", "T"), "xyz": ("north", "east", "down")},
    fewest={"event": 3},
    require=require_frames,
    error=MechanismFormatError,
)


def cells_of_event(event):
    """Return planes (degrees) and depth (km) of an ObsPy event."""
    mechanism = event.preferred_focal_mechanism() or next(iter(event.focal_mechanisms), None)
    planes = getattr(mechanism, "nodal_planes", None)
    origin = event.preferred_origin() or next(iter(event.origins), None)
    metres = getattr(origin, "depth", None)
    return {"depth": None if metres is None else metres / 1000} | {
        f"{angle}{i}": getattr(getattr(planes, f"nodal_plane_{i}", None), angle, None)
        for i in (1, 2)
        for angle in ANGLES
    }


@reader(DATA, event=cells_of_event)
@takes(axes=one_of(*AXES))
def read(table, *, axes="slip_vectors"):
    """Read focal mechanisms and depths.

    Parameters
    ----------
    source : path, obspy.Catalog or xarray.Dataset
        A CSV table in the form of the Japan Meteorological Agency with the columns ``depth``
        (such as ``12km`` or 12.0), ``strike1``, ``dip1``, ``slip1`` (or ``rake1``) and the same of
        plane 2, in degrees; a NetCDF file or a data set with these variables or returned here;
        an event file that ObsPy reads, whose focal mechanisms have both nodal planes.
    axes : str
        ``"slip_vectors"``: P = (v1 - v2)/√2 and T = (v1 + v2)/√2 of the slip vectors of the planes,
        for every event, as in the study that proposed the model; ``"moment_tensor"``: the
        pressure and tension axes of the moment tensor, which for normal faults are exchanged.

    Returns
    -------
    xarray.Dataset
        Of `DATA`; ``exchanged`` counts the events in which the two ways to tell P from T differ,
        of which an `ExchangedAxesWarning` tells.
    """
    depth = table.numbers("depth")
    planes = plane_of(table, 1), plane_of(table, 2)
    frame, exchanged = frames_of_planes(*planes, axes, table.where)
    many = int(exchanged.sum())
    if many and axes == "slip_vectors":
        warnings.warn(
            f"{table.name}: in {many} of {len(depth)} events slip is normal, and "
            "P = (v1 - v2)/√2 is the tension axis of the moment tensor; pass "
            "axes='moment_tensor' for pressure and tension axes",
            ExchangedAxesWarning,
            stacklevel=4,
        )
    return labelled(DATA, {"frame": frame, "depth": depth}, axes=axes, exchanged=many)


def plane_of(table, place):
    """Return strike, dip and rake (degrees) of the first or second planes, (event, 3)."""
    slip = {"rake": (f"slip{place}",)}
    columns = [
        table.numbers(f"{name}{place}", "degrees", low=low, high=high, also=slip.get(name, ()))
        for name, (low, high) in ANGLES.items()
    ]
    return np.stack(columns, axis=1)


class MechanismArrays(NamedTuple):
    """Mechanisms and depths, padded; the padding has weight 0.

    Attributes
    ----------
    s : (event, stat)
        Statistics of the frames.
    z : (event,)
        Standardised depth.
    weights : (event,)
        1/n for the n events.
    forms : (block, xyz, xyz, stat)
        Map from θ to the quadratic forms A.
    """

    s: Any
    z: Any
    weights: Any
    forms: Any


@prepared(DATA)
@takes(statistic=one_of(*STATISTICS))
def prepare(dataset, *, statistic="frame_bingham"):
    """Return the `MechanismArrays` of a data set, with one of `physics.statistics.STATISTICS`."""
    chosen = STATISTICS[statistic]
    z = standardised(dataset["depth"].to_numpy().astype(float))
    s = chosen.of_frames(dataset["frame"].to_numpy().astype(float))
    if np.all(s.std(axis=0) < SMALLEST_SPREAD):
        raise DegenerateMarginalError(
            f"all {len(s)} mechanisms have one orientation: nothing can be seen to depend on "
            "depth; give different mechanisms"
        )
    arrays = padded(s=s, z=z, weights=np.full(len(z), 1 / len(z)))
    return MechanismArrays(arrays["s"], arrays["z"], arrays["weights"], chosen.forms)
