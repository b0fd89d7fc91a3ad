r"""The log likelihood of the pairing of orientations and depths, given both marginals.

On the empirical marginals :math:`\pi_{ij} = e^{\theta^T h_{ij} + f_i + g_j} / n^2` has row and
column sums 1/n, and

.. math:: l(\theta) = \sum_i (\theta^T h_{ii} + f_i + g_i),

with :math:`h_{ij} = s_i z_j`. It is concave, zero at θ = 0, has the gradient
:math:`n (\bar h - \mathrm{E}_\pi h)`, and does not change with the order of the rows or when a
function of x or of y is added to θᵀh.

References
----------
Sei & Yano 2024, doi:10.3150/23-BEJ1687
"""

import jax.numpy as jnp

from .sinkhorn import TOLERANCE, log_dual, potential_slopes, potentials

__all__ = ["log_kernel", "log_likelihood", "slopes"]


def log_kernel(theta, data):
    """Return θᵀh of every orientation with every depth, (event, event)."""
    return jnp.outer(data.s @ theta, data.z)


def log_likelihood(theta, data):
    """Return l(θ).

    Parameters
    ----------
    theta : (stat,)
    data : arrays.MechanismArrays
    """
    return jnp.count_nonzero(data.weights) * log_dual(log_kernel(theta, data), data.weights)


def slopes(theta, data):
    r"""Return l, its gradient and its negative Hessian from one solution of the potentials.

    The negative Hessian is :math:`n \sum_{ij} \pi_{ij} h_{ij} (h_{ij} + \dot f_i + \dot g_j)^T`.

    Parameters
    ----------
    theta : (stat,)
    data : arrays.MechanismArrays

    Returns
    -------
    value : scalar
    gradient : (stat,)
    precision : (stat, stat)
    """
    s, z, w = data.s, data.z, data.weights
    n = jnp.count_nonzero(w)
    K = log_kernel(theta, data)
    f, g, error = potentials(K, w)
    density = jnp.exp(K + f[:, None] + g)
    mean_z, mean_s = density @ (w * z), density.T @ (w[:, None] * s)
    df, dg = potential_slopes(density, w, s * mean_z[:, None], mean_s * z[:, None])
    value = jnp.where(error <= TOLERANCE, w @ (jnp.diagonal(K) + f + g), -jnp.inf)
    gradient = (w * z) @ s - (w * mean_z) @ s
    mean_z2 = density @ (w * z**2)
    ws = w[:, None] * s
    precision = ws.T @ (s * mean_z2[:, None] + df * mean_z[:, None])
    precision += ws.T @ (density @ ((w * z)[:, None] * dg))
    return n * value, n * gradient, 0.5 * n * (precision + precision.T)
