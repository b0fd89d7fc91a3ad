r"""P/T frames from the two nodal planes of a focal mechanism.

Convention: vectors are (north, east, down), angles are in degrees, strike clockwise from north,
dip down to the right of the strike, rake of the hanging wall (Aki & Richards). A frame holds two
orthonormal axes, each of arbitrary sign, shape (event, axis, xyz) with the axes P and T.

The slip vectors of the two planes are the sum and the difference of P and T. Which is which
depends on the sense of slip: with both slip vectors upward (thrusts) the difference is P, with
both downward (normal faults) it is T. `frames_of_planes` offers both readings.
"""

import numpy as np

from ..errors import InconsistentPlanesError

__all__ = ["AXES", "LARGEST_COSINE", "fault_normal", "frames_of_planes", "slip_vector"]

AXES = ("slip_vectors", "moment_tensor")
"""Ways to tell P from T: P = (v1 - v2)/√2 for every event, or by the sign of the moment."""

LARGEST_COSINE = 0.1
"""Largest abs cosine between the slip vectors of two planes; rounding to degrees makes 0.02."""

SMALLEST_ALONG_NORMAL = 0.9
"""Smallest abs cosine between the slip vector of plane 2 and the normal of plane 1, which are
parallel; the first check does not see a wrong rake of plane 2."""


def slip_vector(strike, dip, rake):
    """Return the unit slip vector of the hanging wall, (..., xyz), from angles in degrees."""
    f, e, lam = np.radians(strike), np.radians(dip), np.radians(rake)
    north = np.cos(lam) * np.cos(f) + np.sin(lam) * np.cos(e) * np.sin(f)
    east = np.cos(lam) * np.sin(f) - np.sin(lam) * np.cos(e) * np.cos(f)
    return np.stack([north, east, -np.sin(lam) * np.sin(e)], axis=-1)


def fault_normal(strike, dip):
    """Return the unit normal from the footwall into the hanging wall, (..., xyz)."""
    f, e = np.radians(strike), np.radians(dip)
    return np.stack([-np.sin(e) * np.sin(f), np.sin(e) * np.cos(f), -np.cos(e)], axis=-1)


def frames_of_planes(first, second, axes="slip_vectors", where="event {}".format):
    """Return the frames of focal mechanisms and which of them the convention exchanges.

    Parameters
    ----------
    first, second : (event, 3) arrays
        Strike, dip and rake (degrees) of the two nodal planes.
    axes : str
        One of `AXES`.
    where : callable
        ``position -> str``, what to call an event in messages.

    Returns
    -------
    frame : (event, axis, xyz)
    exchanged : (event,) of bool
        Where the difference of the slip vectors is the tension axis of the moment tensor.

    Raises
    ------
    InconsistentPlanesError
        The slip vectors of two planes are not at right angles, or that of plane 2 is not along
        the normal of plane 1.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    v1, v2 = slip_vector(*first.T), slip_vector(*second.T)
    cosine = (v1 * v2).sum(axis=-1)
    along_normal = (fault_normal(*first.T[:2]) * v2).sum(axis=-1)
    meet = "the slip vectors of its two nodal planes meet at {:.1f} degrees instead of 90"
    leave = (
        "the slip vector of its second nodal plane is {:.1f} degrees from the normal of the first"
    )
    require_none(np.abs(cosine) > LARGEST_COSINE, meet, cosine, where)
    require_none(np.abs(along_normal) < SMALLEST_ALONG_NORMAL, leave, along_normal, where)
    v2 = v2 - cosine[:, None] * v1
    v2 = v2 / np.linalg.norm(v2, axis=-1, keepdims=True)
    frame = np.stack([v1 - v2, v1 + v2], axis=1) / np.sqrt(2)
    exchanged = along_normal < 0
    if axes == "moment_tensor":
        frame[exchanged] = frame[exchanged, ::-1]
    return frame, exchanged


def require_none(wrong, fault, cosine, where):
    """Raise an error that names the first event whose planes are at fault, and their angle."""
    if wrong.any():
        i = int(np.argmax(wrong))
        raise InconsistentPlanesError(
            f"{where(i)}: {fault.format(np.degrees(np.arccos(np.abs(cosine[i]))))}; correct the "
            "strike, dip and rake of its planes or leave the event out"
        )
