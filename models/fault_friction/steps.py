"""Steps that are held, as fine as any motion near the mode needs them.

Friction that is only a little different makes slip fast somewhat earlier or later, where the most
probable motion takes long steps. Held are therefore the steps that the mode and some draws of the
Gaussian there take, at every time the shortest. Draws that the data exclude do not count, such as
those with earthquakes where there were none.
"""

import jax
import jax.numpy as jnp
import numpy as np

from . import whitening
from .errors import TrajectoryError
from .friction import unknowns_of
from .motion import path_of
from .physics.trajectory import YEAR

__all__ = ["followed", "shortest", "steps_around"]

DRAWS = 32


def steps_around(base, found):
    """Return the ends of steps, (step,), that serve the motions around a mode.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
    found : bayesquake.model.coordinates.Around
        Of `whitening.around_fields`.

    Raises
    ------
    TrajectoryError
        That of the mode cannot be followed to the last of the observed times.
    """
    data, mode = found.arrays, base.ravel(found.mode)
    drawn = whitening.draws(jax.random.key(0), DRAWS, base, found)
    density = jnp.stack([base.log_density(position, data) for position in drawn])
    likely = np.asarray(base.log_density(mode, data) - density < base.dim)
    taken = [followed(base, position, data) for position in (mode, *drawn[likely])]
    return shortest(taken, np.asarray(data.times))


def followed(base, position, data):
    """Return the ends of the steps, (step,), that the motion takes at a position.

    Raises
    ------
    TrajectoryError
        It cannot be followed to the last of the observed times.
    """
    unknowns = unknowns_of(base.constrain(position, data), data)
    path = jax.tree.map(np.asarray, path_of(unknowns, data))
    finite = np.isfinite(path.motion.log_slip_rate)
    ends = path.step_ends[: int(path.steps)]
    if not finite.all():
        epoch, cell = np.unravel_index(int(np.argmin(finite)), finite.shape)
        raise TrajectoryError(
            f"the fault cannot be followed to epoch {epoch}, cell {cell}: steps end at "
            f"{ends.max(initial=0.0) / YEAR:.4g} yr of {data.times[epoch] / YEAR:.4g} yr; give "
            "expected fields of slower slip, a shorter series, or a larger tolerance"
        )
    return ends


def shortest(taken, times):
    """Return the ends of steps no longer than any of several lists has at the same time.

    Parameters
    ----------
    taken : list of (step,) array
        Ends of steps, increasing, from time zero to the last of the times.
    times : (time,) array
        At which a step has to end.

    Returns
    -------
    (step,) array
    """
    begins = np.unique(np.concatenate([[0.0], *taken]))[:-1]
    length = np.min(
        [wanted(ends, times)[np.searchsorted(ends, begins, "right")] for ends in taken], axis=0
    )
    now, ends = 0.0, []
    for stop in times:
        while now < stop:
            here = np.searchsorted(begins, now, "right") - 1
            beyond = np.searchsorted(begins, now + length[here])
            now = min(max(now + length[here:beyond].min(), np.nextafter(now, stop)), stop)
            ends.append(now)
    return np.array(ends)


def wanted(ends, times):
    """Return the lengths of steps, where a time cuts one short that of the step before."""
    lengths = np.diff(ends, prepend=0.0)
    before = np.concatenate([lengths[:1], lengths[:-1]])
    return np.where(np.isin(ends, times), np.maximum(lengths, before), lengths)
