r"""Statistics s(x) of a mechanism, of which h(x, y) = s(x) z(y) is the canonical statistic.

Each does not depend on the signs of the axes. The Bingham statistics of an axis are its products
xx, xy, xz, yy, yz; zz follows from the unit length. The quadratic form of a block of five
coefficients is the symmetric matrix A with :math:`\theta^T s(x) = x^T A x`, known up to a
multiple of the identity.

References
----------
Arnold & Jupp 2013, Biometrika 100, 571-586 (statistics of orthogonal axial frames)
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

__all__ = ["STATISTICS", "Statistic", "bingham", "bingham_form", "eigen_axes", "eigenvalues"]

PRODUCTS = ("xx", "xy", "xz", "yy", "yz")


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A statistic of frames.

    Attributes
    ----------
    of_frames : callable
        ``(event, axis, xyz) -> (event, stat)``.
    terms : tuple of str
        Name of every component.
    blocks : tuple of str
        Axes whose five Bingham coefficients follow each other in the statistic.
    parts : tuple of (str, tuple of int)
        Named groups of components, each tested against its absence.
    """

    of_frames: Callable
    terms: tuple[str, ...]
    blocks: tuple[str, ...]
    parts: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def forms(self):
        """The linear map from θ to the quadratic forms, (block, xyz, xyz, stat)."""
        blocks = len(self.blocks)
        forms = np.kron(np.eye(blocks), bingham_form().reshape(9, 5))
        return forms.reshape(blocks, 3, 3, 5 * blocks if blocks else len(self.terms))


def bingham(axis):
    """Return the products xx, xy, xz, yy, yz of axes, (event, 5)."""
    x, y, z = np.asarray(axis, float).T
    return np.stack([x * x, x * y, x * z, y * y, y * z], axis=1)


def bingham_form():
    """Return the map from five coefficients to the symmetric matrix A, (xyz, xyz, 5)."""
    form = np.zeros((3, 3, 5))
    form[0, 0, 0] = form[1, 1, 3] = 1.0
    for term, (i, j) in {1: (0, 1), 2: (0, 2), 4: (1, 2)}.items():
        form[i, j, term] = form[j, i, term] = 0.5
    return form


def axial_azimuth(axis):
    """Return cosine and sine of twice the azimuth of axes, (event, 2)."""
    double = 2 * np.arctan2(axis[:, 1], axis[:, 0])
    return np.stack([np.cos(double), np.sin(double)], axis=1)


def plunge(axis):
    """Return the plunge of axes (rad), (event, 1)."""
    return np.arcsin(np.clip(np.abs(axis[:, 2:]), 0.0, 1.0))


def _statistic(of_axis, names, axes, blocks):
    """Return a statistic of one axis taken of P, of T, or of one after the other."""
    width, places = len(names), ["PT".index(axis) for axis in axes]
    return Statistic(
        of_frames=lambda frame: np.hstack([of_axis(frame[:, place]) for place in places]),
        terms=tuple(f"{axis}_{name}" for axis in axes for name in names),
        blocks=axes if blocks else (),
        parts=tuple((x, tuple(range(width * i, width * (i + 1)))) for i, x in enumerate(axes)),
    )


STATISTICS = {
    "frame_bingham": _statistic(bingham, PRODUCTS, ("P", "T"), True),
    "bingham_p": _statistic(bingham, PRODUCTS, ("P",), True),
    "bingham_t": _statistic(bingham, PRODUCTS, ("T",), True),
    "von_mises": _statistic(axial_azimuth, ("cos2a", "sin2a"), ("P", "T"), False),
    "linear": _statistic(plunge, ("plunge",), ("P", "T"), False),
}
"""By name: both axes; one axis; azimuths as axial angles; plunges."""


def eigenvalues(theta, forms):
    """Return the largest and smallest eigenvalue of A less the middle one, (block, rank)."""
    values = jnp.linalg.eigvalsh(forms @ theta)
    return values[:, jnp.array([2, 0])] - values[:, 1:2]


def eigen_axes(theta, forms):
    """Return the axes of the largest and smallest eigenvalue, (block, rank, xyz), downward."""
    _, vectors = jnp.linalg.eigh(forms @ theta)
    axes = jnp.moveaxis(vectors[..., jnp.array([2, 0])], -1, -2)
    return jnp.where(axes[..., 2:] < 0, -axes, axes)
