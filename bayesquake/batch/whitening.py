"""Linear coordinates in which a posterior is about standard normal.

The position x of a problem is written x = c + R z with a centre c and a root R of its
covariance. Both are data of the program, so that one compilation serves every problem.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from bayesquake.inference.kernels.compilation import compiled

__all__ = ["Whitened", "rewhitened", "unwhitened", "whitened_density"]


ROUNDING = 1e-14
"""Smallest eigenvalue of a covariance, relative to the largest, that rounding leaves its sign."""


class Whitened(NamedTuple):
    """Data of problems and their coordinates, with a leading problem axis on the host.

    Attributes
    ----------
    data : pytree
    centre : (..., dim)
    root : (..., dim, dim)
    """

    data: Any
    centre: Any
    root: Any


@functools.cache
def whitened_density(log_density):
    """Return the log density ``(z, Whitened)`` for a log density ``(position, data)``.

    The Jacobian is constant and left out. The log density is traced once for all programs.
    """

    def density(z, whitened):
        # A sum over products is fused with what follows; a small matrix product is not.
        position = whitened.centre + (whitened.root * z).sum(axis=-1)
        return compiled(log_density)(position, whitened.data)

    return density


def unwhitened(whitened, draws):
    """Return positions of whitened draws, (problem, chain, draw, dim)."""
    moved = np.einsum("pij,pcdj->pcdi", whitened.root, draws, optimize=True)
    return whitened.centre[:, None, None] + moved


def rewhitened(whitened, draws):
    """Return better coordinates, and the last draws in them.

    Parameters
    ----------
    whitened : Whitened
        The coordinates of the draws.
    draws : (problem, chain, draw, dim) array
        Their covariance, shrunk towards the identity by the weight of ``dim`` draws, is that
        of the new coordinates.

    Returns
    -------
    Whitened
    positions : (problem, chain, dim)
    """
    problems, chains, length, dim = draws.shape
    flat = draws.reshape(problems, chains * length, dim)
    mean = flat.mean(axis=1)
    deviation = flat - mean[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        scatter = np.einsum("pni,pnj->pij", deviation, deviation, optimize=True)
        covariance = (scatter + dim * np.eye(dim)) / (chains * length + dim)
    root, usable = _roots(covariance)
    mean = np.where(usable[:, None], mean, 0.0)
    centre = whitened.centre + np.einsum("pij,pj->pi", whitened.root, mean)
    last = draws[:, :, -1] - mean[:, None]
    positions = np.linalg.solve(root, last.swapaxes(1, 2)).swapaxes(1, 2)
    return Whitened(whitened.data, centre, whitened.root @ root), positions


def _roots(covariance):
    """Return Cholesky roots, the identity where there is none, and whether there is one.

    There is none of draws that ran away, which must not end the run of the other problems.
    """
    identity = np.broadcast_to(np.eye(covariance.shape[1]), covariance.shape)
    usable = np.isfinite(covariance).all(axis=(1, 2))
    eigenvalues = np.linalg.eigvalsh(np.where(usable[:, None, None], covariance, identity))
    usable &= eigenvalues[:, 0] > ROUNDING * eigenvalues[:, -1]
    return np.linalg.cholesky(np.where(usable[:, None, None], covariance, identity)), usable
