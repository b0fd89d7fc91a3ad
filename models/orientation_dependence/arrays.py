"""The arrays of the model: statistics of the frames, standardised depths, and their weights."""

from typing import Any, NamedTuple

import numpy as np

from bayesquake.errors import DegenerateMarginalError

from .statistics import statistic_named

__all__ = ["MechanismArrays", "prepare", "standardised"]

BUCKET = 16
"""Events are padded to a multiple of this."""

SMALLEST_SPREAD = 1e-9
"""Standard deviation, relative to the size of the numbers, below which they are constant."""


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
    whitening : whitening.Whitened or None
    """

    s: Any
    z: Any
    weights: Any
    forms: Any
    whitening: Any = None


def standardised(depth_km):
    """Return (depth - mean) / sd, with n - 1 in the sd.

    Raises
    ------
    DegenerateMarginalError
        All depths are equal.
    """
    spread = np.std(depth_km, ddof=1)
    if not spread > SMALLEST_SPREAD * max(1.0, np.abs(depth_km).max()):
        raise DegenerateMarginalError(
            f"all {len(depth_km)} depths are {depth_km[0]:g} km: with a constant depth nothing "
            "depends on it; give mechanisms of different depths"
        )
    return (depth_km - np.mean(depth_km)) / spread


def prepare(dataset, *, statistic="frame_bingham"):
    """Return the padded arrays of a data set.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `data.read` or the simulator.
    statistic : str
        One of `statistics.STATISTICS`.

    Raises
    ------
    DegenerateMarginalError
        Depths, or the statistics of all orientations, are equal.
    OptionError
        The statistic is unknown.
    """
    chosen = statistic_named(statistic)
    z = standardised(dataset["depth"].to_numpy().astype(float))
    s = chosen.of_frames(dataset["frame"].to_numpy().astype(float))
    if np.all(s.std(axis=0) < SMALLEST_SPREAD):
        raise DegenerateMarginalError(
            f"all {len(s)} mechanisms have one orientation: nothing can be seen to depend on "
            "depth; give different mechanisms"
        )
    n = len(z)
    padding = -n % BUCKET
    return MechanismArrays(
        s=np.pad(s, ((0, padding), (0, 0))),
        z=np.pad(z, (0, padding)),
        weights=np.pad(np.full(n, 1 / n), (0, padding)),
        forms=chosen.forms,
    )
