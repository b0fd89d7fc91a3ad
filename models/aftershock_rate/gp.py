r"""The Gaussian process of the detection curve on the knots, in two backends.

Both write the process as :math:`g = E\,S(\eta, \ell)\,z` with white
:math:`z \sim N(0, I)`, a fixed matrix E and a square root S of the prior
covariance of its coefficients:

* `HilbertProcess`: E holds Laplacian eigenfunctions on a domain wider than the grid,
  S is diagonal (Solin & Särkkä 2020, doi:10.1007/s11222-019-09886-w);
* `QuasisepProcess`: E is the identity and S the Cholesky factor of the exact
  Matérn-3/2 covariance at the knots, never formed to draw g (tinygp).

The covariance is :math:`\eta^2 (1 + \sqrt{3} d / \ell) e^{-\sqrt{3} d / \ell}`.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpyro.contrib.hsgp.laplacian import eigenfunctions, sqrt_eigenvalues
from numpyro.contrib.hsgp.spectral_densities import spectral_density_matern
from tinygp import kernels, noise
from tinygp.solvers import QuasisepSolver

__all__ = ["HilbertProcess", "QuasisepProcess", "knot_values", "make_process", "matern32"]

JITTER = 1e-10
"""Variance added to the exact process, in units of η²: far below any magnitude error."""


class HilbertProcess(NamedTuple):
    """Basis at the knots: functions (knot, basis) and frequencies (basis,) in 1/decade."""

    functions: Any
    frequencies: Any


class QuasisepProcess(NamedTuple):
    """The exact process: knots (knot,) in decades."""

    knots: Any


def make_process(backend, knots, *, basis_size, basis_factor):
    """Return the backend's process on the knots, see the options of `grid.prepare`."""
    if backend == "quasisep":
        return QuasisepProcess(knots)
    centre, half_width = 0.5 * (knots[0] + knots[-1]), 0.5 * (knots[-1] - knots[0])
    domain = float(basis_factor * half_width)
    return HilbertProcess(
        functions=np.asarray(eigenfunctions(knots - centre, domain, basis_size)),
        frequencies=np.asarray(sqrt_eigenvalues(domain, basis_size, 1))[0],
    )


def matern32(x1, x2, eta, ell):
    """Return the Matérn-3/2 covariance between two sets of points, (len(x1), len(x2))."""
    scaled = np.sqrt(3) * jnp.abs(x1[:, None] - x2[None, :]) / ell
    return eta**2 * (1 + scaled) * jnp.exp(-scaled)


def size(process):
    """Return the number of white latents z."""
    match process:
        case HilbertProcess():
            return process.functions.shape[1]
        case QuasisepProcess():
            return process.knots.shape[0]


def coefficient_root(process, eta, ell):
    """Return S: its diagonal (basis,), or the lower factor (knot, knot)."""
    match process:
        case HilbertProcess():
            density = spectral_density_matern(
                dim=1, nu=1.5, w=process.frequencies[None, :, None], alpha=eta**2, length=ell
            )
            return jnp.sqrt(density.reshape(-1))
        case QuasisepProcess():
            return _solver(process, eta, ell).dot_triangular(jnp.eye(process.knots.shape[0]))


def knot_values(process, eta, ell, z):
    """Return the process at the knots, g = E S z, shape (knot,)."""
    match process:
        case HilbertProcess():
            return process.functions @ (coefficient_root(process, eta, ell) * z)
        case QuasisepProcess():
            return _solver(process, eta, ell).dot_triangular(z)


def _solver(process, eta, ell):
    kernel = eta**2 * kernels.quasisep.Matern32(scale=ell)
    diagonal = jnp.full(process.knots.shape, JITTER * eta**2)
    return QuasisepSolver(kernel, process.knots, noise.Diagonal(diagonal), assume_sorted=True)
