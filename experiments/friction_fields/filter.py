r"""An ensemble Kalman filter of friction fields, one observation time after another.

Each of m members holds the motion and the white latents of the fields, x. Between two times it
follows its own fault; at a time the slip rates y = q + ε, with errors ε of covariance
:math:`\sigma^2 I`, move it by the gain of the ensemble's covariances,

.. math:: x \leftarrow x + C_{xq} (C_{qq} + \sigma^2 I)^{-1} (y + \epsilon - q),

with errors drawn anew for each member. Covariances are neither inflated nor cut off with distance.

References
----------
Evensen 2003, doi:10.1007/s10236-003-0036-9 (the filter)
Hirahara & Nishikiori 2019, doi:10.1093/gji/ggz415 (frictional parameters of slow slip by it)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesquake.models.fault_friction.friction import fault_of
from bayesquake.models.fault_friction.physics.laws import Motion
from bayesquake.models.fault_friction.physics.trajectory import trajectory

__all__ = ["Ensemble", "filtered"]


class Ensemble(NamedTuple):
    """What the members hold, each of all epochs.

    Attributes
    ----------
    white : (epoch, member, 3, cell) array
        Latents of the fields, once the epoch has been seen.
    lost : (epoch,) array
        Members whose motion could not be followed to it; they are put where others are.
    """

    white: Any
    lost: Any


def filtered(key, data, members):
    """Filter the slip rates of a fault.

    Parameters
    ----------
    key : jax.random.key
    data : fault_friction.data.arrays.FaultArrays
        With slip rates seen in all cells at all times.
    members : int

    Returns
    -------
    Ensemble
    """
    return jax.device_get(_filtered(key, data, members=members))


def _run(key, data, *, members):
    cells = len(data.start_log_state)
    key_start, key_noise = jax.random.split(key)
    white = jax.random.normal(key_start, (members, 3, cells))
    still = jnp.zeros((members, cells))
    seen = data.observed["log_slip_rate"]

    def follow(white, q, s, seconds):
        path = trajectory(
            fault_of(white, data),
            Motion(q, s, jnp.zeros(cells)),
            seconds[None],
            law=data.integration.law,
            tolerance=data.integration.tolerance,
        )
        return path.motion.log_slip_rate[0], path.motion.log_state[0]

    def epoch(carry, observed):
        white, q, s = carry
        seconds, y, error, key = observed
        q, s = jax.vmap(follow, (0, 0, 0, None))(white, q, s, seconds)
        lost = ~(jnp.isfinite(q).all(axis=1) & jnp.isfinite(s).all(axis=1))
        white, q, s = in_place_of(lost, (white, q, s))
        state = jnp.concatenate([white.reshape(members, -1), q, s], axis=1)
        noise = error * jax.random.normal(key, q.shape)
        state = state + updates(state, q, y + noise, error)
        white, q, s = jnp.split(state, (3 * cells, 4 * cells), axis=1)
        white = white.reshape(members, 3, cells)
        return (white, q, s), (white, lost.sum())

    steps = jnp.diff(data.times, prepend=0.0)
    keys = jax.random.split(key_noise, len(steps))
    start = (white, still + data.start_log_slip_rate, still + data.start_log_state)
    _, (whites, lost) = jax.lax.scan(epoch, start, (steps, seen.value, seen.error, keys))
    return Ensemble(whites, lost)


_filtered = jax.jit(_run, static_argnames="members")


def in_place_of(lost, members):
    """Return members, the k-th lost one being replaced by the k-th of those that are not."""
    order = jnp.argsort(lost)
    rank = jnp.cumsum(lost) - 1
    source = jnp.where(lost, order[rank % jnp.maximum((~lost).sum(), 1)], jnp.arange(len(lost)))
    return jax.tree.map(lambda values: values[source], members)


def updates(state, q, y, error):
    """Return the updates of all members, (member, dim)."""
    x, z = state - state.mean(axis=0), q - q.mean(axis=0)
    scale = len(q) - 1
    variance = z.T @ z / scale + jnp.diag(error**2)
    root = jax.scipy.linalg.cho_factor(variance)
    return jax.scipy.linalg.cho_solve(root, (y - q).T).T @ (z.T @ x / scale)
