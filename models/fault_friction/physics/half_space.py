r"""A plane fault of rectangles in a half-space: its stiffness, and displacements of the ground.

Rectangles are made of triangular dislocations, whose stress and displacement cutde computes. Three
triangles make one, so that no edge of them passes through its middle, where stress is wanted.

East, north and up are the axes, in m.

References
----------
Nikkhoo & Walter 2015, doi:10.1093/gji/ggv035 (triangular dislocations without artefacts)
"""

import numpy as np
from cutde import geometry, halfspace

from ..errors import GeometryError, KernelError

__all__ = ["displacement_of_slip", "half_space", "rectangles", "slip_direction"]

POINTS_AT_ONCE = 128
"""Points whose stress is computed side by side."""

LARGEST_ASYMMETRY = 0.1
"""Of the stiffness, relative to its largest element."""

ABOVE_SURFACE = 1e-6
"""Height of a corner that rounding explains, m."""


def rectangles(shape, cell_size, *, strike, dip, top_depth, centre=(0.0, 0.0)):
    """Return the corners of equal rectangles of a plane.

    Parameters
    ----------
    shape : (int, int)
        Cells along strike and down dip; their order is that of ``ravel`` of [along, down].
    cell_size : (float, float)
        Their length and width (m).
    strike, dip : float
        Degrees; the plane dips to the right of the strike.
    top_depth : float
        Of the upper edge of the plane (m).
    centre : (float, float)
        East and north of the middle of that edge (m).

    Returns
    -------
    (cell, 4, 3) array
        Upper corners along strike, then lower ones backwards.
    """
    along, down = axes_of(strike, dip)
    length, width = cell_size
    s = length * (np.arange(shape[0] + 1) - shape[0] / 2)
    w = width * np.arange(shape[1] + 1)
    upper = np.append(centre, -top_depth)
    node = upper + s[:, None, None] * along + w[:, None] * down
    corners = (node[:-1, :-1], node[1:, :-1], node[1:, 1:], node[:-1, 1:])
    return np.stack(corners, axis=2).reshape(-1, 4, 3)


def axes_of(strike, dip):
    """Return the unit vectors along strike and down dip."""
    strike, dip = np.radians([strike, dip])
    along = np.array([np.sin(strike), np.cos(strike), 0.0])
    right = np.array([np.cos(strike), -np.sin(strike), 0.0])
    return along, np.cos(dip) * right - np.array([0, 0, np.sin(dip)])


def slip_direction(strike, dip, rake):
    """Return the unit vector along which the hanging wall moves.

    Parameters
    ----------
    strike, dip, rake : float
        Degrees; the rake is 0 of left-lateral and 90 of reverse slip.
    """
    along, down = axes_of(strike, dip)
    rake = np.radians(rake)
    return np.cos(rake) * along - np.sin(rake) * down


def half_space(corners, direction, rigidity, poisson_ratio):
    r"""Return the stiffness of rectangles that slip along one direction.

    Stress is that at their middles, so that the images of cells at different depths are unlike by
    about a percent; half of the sum with the transpose is returned.

    Parameters
    ----------
    corners : (cell, 4, 3) array
        See `rectangles`.
    direction : (3,) array
        See `slip_direction`.
    rigidity : float
        G (Pa).
    poisson_ratio : float

    Returns
    -------
    (cell, cell) array
        Pa/m.

    Raises
    ------
    GeometryError
        A cell reaches above the surface.
    KernelError
        Cells are so unlike in size that stress at their middles makes no symmetric stiffness.
    """
    triangles, slip = dislocations(corners, direction)
    middle = corners.mean(axis=1)
    normal = np.cross(corners[:, 3] - corners[:, 0], corners[:, 1] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    rows = []
    for first in range(0, len(middle), POINTS_AT_ONCE):
        at = slice(first, first + POINTS_AT_ONCE)
        strain = halfspace.strain_matrix(middle[at], triangles, poisson_ratio)
        strain = of_cells(np.einsum("pitk,tk->pit", strain, slip))
        rows.append(-2 * rigidity * sheared(strain, normal[at], direction))
    stiffness = np.concatenate(rows)
    apart = np.abs(stiffness - stiffness.T).max() / np.abs(stiffness).max()
    if not apart < LARGEST_ASYMMETRY:
        raise KernelError(
            f"the stiffness of these cells differs from its transpose by {apart:.2g} of the "
            "largest element; give cells of one size"
        )
    return (stiffness + stiffness.T) / 2


def displacement_of_slip(stations, corners, direction, poisson_ratio):
    """Return the displacements of the ground by unit slip of every rectangle.

    Parameters
    ----------
    stations : (station, 2) array
        East and north (m), on the surface.
    corners, direction, poisson_ratio
        As for `half_space`.

    Returns
    -------
    (station, 3, cell) array
        East, north and up, m per m.

    Raises
    ------
    GeometryError
        A cell reaches above the surface.
    """
    triangles, slip = dislocations(corners, direction)
    on_surface = np.column_stack([np.asarray(stations, float), np.zeros(len(stations))])
    moved = halfspace.disp_matrix(on_surface, triangles, poisson_ratio)
    return of_cells(np.einsum("sitk,tk->sit", moved, slip))


def dislocations(corners, direction):
    """Return triangles, (3 cells, 3, 3), and unit slip in the axes of each, (3 cells, 3)."""
    height = corners[..., 2]
    if (height > ABOVE_SURFACE).any():
        cell = int(np.argmax((height > ABOVE_SURFACE).any(axis=1)))
        raise GeometryError(
            f"cell {cell} reaches {height[cell].max():g} m above the surface; give a deeper top"
        )
    start, end, below_end, below_start = np.moveaxis(np.minimum(corners, [np.inf, np.inf, 0]), 1, 0)
    middle = (start + end) / 2
    triangles = np.stack(
        [
            np.stack([below_start, below_end, middle], axis=1),
            np.stack([start, below_start, middle], axis=1),
            np.stack([middle, below_end, end], axis=1),
        ],
        axis=1,
    ).reshape(-1, 3, 3)
    rotation = geometry.compute_efcs_to_tdcs_rotations(triangles)
    return triangles, rotation @ direction


def of_cells(by_triangle):
    """Return what the three triangles of every cell make together, (..., cell)."""
    return by_triangle.reshape(*by_triangle.shape[:-1], -1, 3).sum(axis=-1)


def sheared(strain, normal, direction):
    """Return the shear strain on planes, along a direction within them.

    Parameters
    ----------
    strain : (point, 6, source) array
        xx, yy, zz, xy, xz, yz.
    normal : (point, 3) array
    direction : (3,) array

    Returns
    -------
    (point, source) array
    """
    n, d = normal, direction
    weights = [n[:, i] * d[i] for i in range(3)]
    weights += [n[:, i] * d[j] + n[:, j] * d[i] for i, j in ((0, 1), (0, 2), (1, 2))]
    return np.einsum("ip,pis->ps", np.stack(weights), strain)
