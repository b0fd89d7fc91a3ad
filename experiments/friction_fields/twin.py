"""A plane with a patch of slow slip, what is seen of it, and the posterior around its friction.

The true fields of the twin are the expected ones, so that all white latents are zero.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import bayesquake as bq
from bayesquake.model.coordinates import arrays_of
from bayesquake.model.simulation import simulate_accepted
from bayesquake.models.fault_friction.coordinates import followed
from bayesquake.models.fault_friction.friction import FIELDS
from bayesquake.models.fault_friction.observation import errors_of, expected_observations
from bayesquake.models.fault_friction.physics.frozen import grid_of
from bayesquake.targets.target import target_of_arrays

__all__ = [
    "Point",
    "at_mode",
    "at_truth",
    "drawn",
    "free_target",
    "held_at",
    "jacobian",
    "radius",
    "sd_ratio",
    "simulated",
]

MODEL = bq.load_model("fault_friction")
FREE = dataclasses.replace(MODEL, coordinates=None)
COARSE = {"allow_unresolved": True}
AT_ONCE = 64
"""Derivatives along so many directions are taken side by side."""


class Point(NamedTuple):
    """The log posterior of a twin, and a point at which the steps of the motion are held.

    Attributes
    ----------
    target : bayesquake.targets.target.Target
        In white latents.
    position : (dim,) array
    friction : (3, cell) array of int
        Places of the latents of the fields in a position.
    """

    target: Any
    position: Any
    friction: Any


def simulated(settings, *, seed, slip_rates=True, stations=None):
    """Return a data set of the twin.

    Parameters
    ----------
    settings : mapping
        A table ``twin`` of ``config.toml``.
    seed : int
    slip_rates : bool
    stations : (int, int), optional
        As `fault_friction.simulation.draw` takes them.
    """
    design = {**settings, "slip_rates": slip_rates, "stations": stations, **COARSE}
    truth = dict.fromkeys(FIELDS, 0.0)
    if stations is not None:
        truth |= {"displacement_offset_white": 0.0, "displacement_error_scale": 1.0}
    return MODEL.simulate(jax.random.key(seed), design, truth)[1]


def drawn(settings, *, seed):
    """Return the white latents of a twin drawn from the prior, (3, cell), and its data set."""
    key, design = jax.random.key(seed), {**settings, **COARSE}
    truth, dataset, _ = simulate_accepted(MODEL, key, design)
    return np.stack([truth[name] for name in FIELDS]), dataset


def at_mode(dataset):
    """Return the `Point` of the mode."""
    found = bq.target(MODEL, dataset, **COARSE).data
    free = target_of_arrays(FREE, found.arrays)
    return point(free, free.ravel(found.mode))


def at_truth(dataset):
    """Return the `Point` of the truth."""
    free = free_target(dataset)
    return held_at(free, jnp.zeros(free.dim))


def held_at(free, position):
    """Return the `Point` at a position of `free_target`."""
    grid = grid_of(followed(free, position, free.data), free.data.times)
    held = free.data._replace(grid=jax.tree.map(jnp.asarray, grid))
    return point(target_of_arrays(FREE, held), position)


def free_target(dataset):
    """Return the target of white latents, the steps of whose motion are chosen anew."""
    return target_of_arrays(FREE, MODEL.prepare(dataset, **COARSE))


def point(target, position):
    """Return the `Point` at a position."""
    names = np.array([name.split("[")[0] for name in target.coordinates])
    return Point(target, position, np.stack([np.flatnonzero(names == field) for field in FIELDS]))


def jacobian(point):
    """Return derivatives of what is expected over its errors, by name: (epoch, ..., dim)."""
    target, position, _ = point

    def scaled(position, data):
        values, arrays = target.constrain(position, data), arrays_of(data)
        errors, expected = errors_of(values, arrays), expected_observations(values, arrays)
        return {name: expected[name] / errors[name] for name in expected}

    @jax.jit
    def along_all(position, data):
        def along(direction):
            return jax.jvp(lambda x: scaled(x, data), (position,), (direction,))[1]

        return jax.lax.map(along, jnp.eye(position.size), batch_size=AT_ONCE)

    found = jax.device_get(along_all(position, target.data))
    return {name: np.moveaxis(slopes, 0, -1) for name, slopes in found.items()}


def sd_ratio(covariance, point):
    """Return standard deviations of the fields over those of the prior, (3, cell).

    Parameters
    ----------
    covariance : (dim, dim) array
        Of the white latents.
    point : Point
    """
    root = np.asarray(arrays_of(point.target.data).fields.root)
    blocks = (covariance[np.ix_(places, places)] for places in point.friction)
    return np.sqrt([np.einsum("ij,jk,ik->i", root, block, root) for block in blocks])


def radius(dataset):
    """Return the distances of cells from the middle of the patch, m."""
    return np.hypot(dataset["x"].to_numpy(), dataset["y"].to_numpy())
