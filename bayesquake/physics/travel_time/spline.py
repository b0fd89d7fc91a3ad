r"""Cubic splines through values on a regular grid, twice differentiable in the place.

Along each axis :math:`f(u) = \sum_i c_i B(u - i)` with the cubic B-spline :math:`B` and the place
:math:`u` counted in nodes from the first one. The coefficients, two more than nodes, are those
for which f passes through the values and has a continuous third derivative at the second and the
last but one node ("not a knot"), so that cubic polynomials are reproduced.

References
----------
de Boor (2001), *A Practical Guide to Splines*, chapter IV.
"""

import jax.numpy as jnp
import numpy as np

__all__ = ["spline_coefficients", "spline_value"]

FEWEST_NODES = 4
"""Nodes along an axis that determine a cubic polynomial."""


def spline_coefficients(values):
    """Return the coefficients of the spline through values on a grid.

    Parameters
    ----------
    values : array, shape (n1, ..., nd)
        At least four along every axis.

    Returns
    -------
    array, shape (n1 + 2, ..., nd + 2)
        Linear in the values.
    """
    for axis in range(values.ndim):
        solution = jnp.asarray(_solution(values.shape[axis]), values.dtype)
        values = jnp.moveaxis(jnp.tensordot(solution, values, (1, axis)), 0, axis)
    return values


def spline_value(coefficients, place):
    """Return the values of a spline.

    Parameters
    ----------
    coefficients : array, shape (n1 + 2, ..., nd + 2)
        From `spline_coefficients`.
    place : sequence of d arrays that broadcast against one another
        Places along each axis, counted in nodes from the first one. Beyond the grid the
        polynomials of its outermost cells go on.

    Returns
    -------
    array, shape of the places together
    """
    place = jnp.broadcast_arrays(*map(jnp.asarray, place))
    total = jnp.asarray(1.0, coefficients.dtype)
    indices = []
    for axis, u in enumerate(place):
        cell = jnp.clip(jnp.floor(u), 0, coefficients.shape[axis] - FEWEST_NODES)
        shape = [1] * len(place)
        shape[axis] = FEWEST_NODES
        cell_indices = cell.astype(int)[..., None] + jnp.arange(FEWEST_NODES)
        indices.append(cell_indices.reshape(*u.shape, *shape))
        total = total * _weights(u - cell).reshape(*u.shape, *shape)
    axes = tuple(range(-len(place), 0))
    return jnp.sum(total * coefficients[tuple(indices)], axis=axes)


def _weights(t):
    """Return B(t + 1), B(t), B(t - 1) and B(t - 2) for t from 0 to 1, shape (..., 4)."""
    s = 1 - t
    return (
        jnp.stack(
            [s**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * s**2 + 3 * s**3, t**3],
            axis=-1,
        )
        / 6
    )


def _solution(nodes):
    """Return the matrix from values to coefficients along one axis."""
    if nodes < FEWEST_NODES:
        raise ValueError(f"a cubic spline needs {FEWEST_NODES} nodes along each axis, not {nodes}")
    system = np.zeros((nodes + 2, nodes + 2))
    rows = np.arange(nodes)
    for step, weight in enumerate((1 / 6, 4 / 6, 1 / 6)):
        system[rows + 1, rows + step] = weight
    system[0, :5] = system[-1, -5:] = (1, -4, 6, -4, 1)
    return np.linalg.inv(system)[:, 1:-1]
