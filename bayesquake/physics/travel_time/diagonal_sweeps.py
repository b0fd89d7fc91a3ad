"""Sweeps over a grid in which all nodes of a diagonal plane are taken at once.

A sweep runs from one corner of the grid to the opposite one, over the planes of nodes
``(i, j, k)`` with ``i + j + k`` equal to the level, counted along the sweep. Neighbours
one and two steps upwind lie on the two levels before a node's own, so that a level is one
array operation. A plane is an array of shape ``(ny, nz)``: its node ``[j, k]`` has
``i = level - j - k``, which may lie outside the grid.

Neighbours are named by the steps upwind along each axis, such as ``(1, 0, 0)``; together
these are one or two.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "ASIDE",
    "DOUBLE",
    "OCTANTS",
    "SINGLE",
    "Nodes",
    "in_slabs",
    "octant_of",
    "sweep_backward",
    "sweep_forward",
    "upwind",
]

OCTANTS = np.array(
    [
        [False, False, False],
        [True, True, True],
        [False, True, True],
        [True, False, False],
        [True, False, True],
        [False, True, False],
        [True, True, False],
        [False, False, True],
    ]
)
"""Axes along which each sweep of a cycle runs backwards; each is followed by its opposite."""

SINGLE = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
DOUBLE = ((2, 0, 0), (0, 2, 0), (0, 0, 2))
ASIDE = {
    (0, 1): (-1, 2, 0),
    (0, 2): (-1, 0, 2),
    (1, 0): (2, -1, 0),
    (1, 2): (0, -1, 2),
    (2, 0): (2, 0, -1),
    (2, 1): (0, 2, -1),
}
"""Of two axes: one step downwind along the first from two steps upwind along the second."""


SLAB, HALO = 8, 2
"""Planes of nodes taken at once where no order is to be kept, and planes of neighbours beside."""


class Nodes(NamedTuple):
    """The nodes of one level.

    Attributes
    ----------
    flat : array, shape (ny, nz)
        Position in the flattened grid.
    inside : array, shape (ny, nz)
        Whether the node lies in the grid.
    indices : tuple of three arrays
        Indices in the grid, each of a shape that broadcasts to (ny, nz).
    """

    flat: jax.Array
    inside: jax.Array
    indices: tuple[jax.Array, ...]

    def of(self, values):
        """Return the values at these nodes of an array on the grid."""
        return values.ravel()[self.flat]

    def put(self, flat_values, plane):
        """Return the values of a flattened grid with those of a plane at these nodes."""
        place = jnp.where(self.inside, self.flat, flat_values.size)
        return flat_values.at[place].set(plane, mode="drop")


def octant_of(sweep):
    """Return the axes along which a sweep of this number runs backwards, shape (..., 3)."""
    return jnp.asarray(OCTANTS)[sweep % len(OCTANTS)]


def sweep_forward(update, values, octant):
    """Return the values after one sweep.

    Parameters
    ----------
    update : callable
        ``update(nodes, old, at)`` returns the new values of a plane from the old ones and
        from those of neighbours, ``at(steps)``, which are infinite outside the grid.
    values : array, shape (nx, ny, nz)
        Values before the sweep.
    octant : array of bool, shape (3,)
        Axes along which the sweep runs backwards.
    """
    shape = values.shape
    outside = jnp.full(shape[1:], jnp.inf, values.dtype)

    def step(carried, level):
        planes, values = carried
        nodes = _nodes(level, octant, shape)

        def at(steps):
            return _shifted(planes[sum(steps) - 1], (steps[1], steps[2]), jnp.inf)

        new = jnp.where(nodes.inside, update(nodes, nodes.of(values), at), jnp.inf)
        return ((new, planes[0]), nodes.put(values, new)), None

    first = (outside, outside), values.ravel()
    (_, values), _ = jax.lax.scan(step, first, jnp.arange(sum(shape) - 2))
    return values.reshape(shape)


def sweep_backward(shares, values, octant):
    """Return what every node holds once all that come after it in a sweep have shared theirs.

    Parameters
    ----------
    shares : callable
        ``shares(nodes, held)`` returns what a plane of nodes hands to its neighbours, a
        mapping from steps to planes.
    values : array, shape (nx, ny, nz)
        What the nodes hold at first.
    octant : array of bool, shape (3,)
        Axes along which the forward sweep runs backwards.
    """
    shape = values.shape
    nothing = jnp.zeros(shape[1:], values.dtype)

    def step(carried, level):
        received, values = carried
        nodes = _nodes(level, octant, shape)
        held = jnp.where(nodes.inside, nodes.of(values) + received[0], 0.0)
        handed = [received[1], nothing]
        for steps, share in shares(nodes, held).items():
            handed[sum(steps) - 1] += _shifted(share, (-steps[1], -steps[2]), 0.0)
        return (tuple(handed), nodes.put(values, held)), None

    levels = jnp.arange(sum(shape) - 2)
    (_, values), _ = jax.lax.scan(step, ((nothing, nothing), values.ravel()), levels, reverse=True)
    return values.reshape(shape)


def upwind(values, backwards, steps, fill):
    """Return every node's neighbour some steps upwind.

    Parameters
    ----------
    values : array, shape (nx, ny, nz)
    backwards : tuple of three arrays of bool
        Whether the upwind side is that of larger indices, per axis.
    steps : tuple of three int
    fill : float
        Value where there is no node.
    """
    axes = [axis for axis in range(3) if steps[axis] != 0]
    result = jnp.full_like(values, fill)
    for signs in itertools.product((1, -1), repeat=len(axes)):
        neighbour, chosen = values, jnp.asarray(True)
        for axis, sign in zip(axes, signs, strict=True):
            neighbour = _moved(neighbour, axis, sign * steps[axis], fill)
            chosen = chosen & (backwards[axis] == (sign < 0))
        result = jnp.where(chosen, neighbour, result)
    return result


def in_slabs(function, *fields):
    """Apply a function of nodes and their neighbours to slabs of a grid, one after another.

    What the function needs on the way is then never there for the whole grid.

    Parameters
    ----------
    function : callable
        ``function(first, *slabs)`` of the index of the slabs' first node along the first axis,
        which may lie outside the grid, returns arrays of the slabs' shape.
    *fields : pairs of an array, shape (nx, ny, nz), and the number that stands outside the grid
    """
    length = fields[0][0].shape[0]
    size = min(SLAB, length)

    def of_slab(start):
        rows = start - HALO + jnp.arange(size + 2 * HALO)
        there = ((rows >= 0) & (rows < length))[:, None, None]
        slabs = [
            jnp.where(there, field.at[rows].get(mode="clip"), jnp.asarray(fill, field.dtype))
            for field, fill in fields
        ]
        return jax.tree.map(lambda result: result[HALO:-HALO], function(start - HALO, *slabs))

    def put(number, results):
        start = jnp.minimum(number * size, length - size)
        return jax.tree.map(
            lambda result, slab: jax.lax.dynamic_update_slice_in_dim(result, slab, start, 0),
            results,
            of_slab(start),
        )

    # Arrays of zeros would be there long before they are needed; these are overwritten as well.
    overwritten = jax.tree.map(
        lambda slab: fields[0][0][:, : slab.shape[1], : slab.shape[2]].astype(slab.dtype),
        jax.eval_shape(of_slab, 0),
    )
    return jax.lax.fori_loop(0, -(-length // size), put, overwritten)


def _nodes(level, octant, shape):
    along = jnp.arange(shape[1])[:, None], jnp.arange(shape[2])[None, :]
    first = level - along[0] - along[1]
    indices = tuple(
        jnp.where(octant[axis], shape[axis] - 1 - index, index)
        for axis, index in enumerate((first, *along))
    )
    inside = (first >= 0) & (first < shape[0])
    row = jnp.clip(indices[0], 0, shape[0] - 1)
    return Nodes((row * shape[1] + indices[1]) * shape[2] + indices[2], inside, indices)


def _shifted(plane, steps, fill):
    for axis, count in enumerate(steps):
        plane = _moved(plane, axis, count, fill)
    return plane


def _moved(values, axis, count, fill):
    """Return ``values`` moved by ``count`` towards larger indices, filled where nothing comes."""
    size = values.shape[axis]
    if count == 0:
        return values
    if abs(count) >= size:
        return jnp.full_like(values, fill)
    kept = jax.lax.slice_in_dim(values, max(-count, 0), size - max(count, 0), axis=axis)
    widths = [(0, 0)] * values.ndim
    widths[axis] = (max(count, 0), max(-count, 0))
    return jnp.pad(kept, widths, constant_values=fill)
