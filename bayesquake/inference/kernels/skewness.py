r"""Where the mean of a posterior lies beside its mode, by the third derivatives there.

With :math:`\theta = \hat\theta + H^{-1/2} u` and the third derivatives T of the log density in u,
the mean of u is, to first order in T,

.. math:: E[u_i] \approx \frac{1}{2} \sum_j T_{ijj},

and that of any smooth quantity follows along this shift. The sum is found by second differences of
the gradient along every axis of u. Unlike importance weights it looks at the neighbourhood of the
mode alone, and so serves in hundreds of dimensions, where weights hang on a few far draws.

References
----------
Tierney, Kass & Kadane 1989, doi:10.1080/01621459.1989.10478824
"""

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["mean_shift", "shift_of_quantities"]

REACH = 0.3
"""Of the differences, in standard deviations."""

DIRECTIONS = 400
"""Random ones by which standard deviations of quantities are found."""


def mean_shift(gradients, mode, curvature):
    """Return the mean less the mode, (dim,), NaN where the density ends within the reach.

    Parameters
    ----------
    gradients : callable
        ``(position, dim) -> (position, dim)``, of the log density.
    mode : (dim,) array
    curvature : bayesquake.inference.kernels.lowrank.Dense or LowRank
    """
    steps = curvature.inverse_root(REACH * np.eye(mode.size))
    ends = [np.asarray(gradients(mode + side)).sum(axis=0) for side in (steps, -steps)]
    middle = mode.size * np.asarray(gradients(mode[None]))[0]
    bend = (ends[0] + ends[1] - 2 * middle) / REACH**2
    if not np.isfinite(bend).all():
        return np.full(mode.size, np.nan)
    return curvature.inverse_root(curvature.whitened(bend[None]) / 2)[0]


def shift_of_quantities(quantities, mode, shift, curvature, noise):
    """Return the shifts of all quantities in their standard deviations, one array.

    Parameters
    ----------
    quantities : callable
        ``position -> dict of arrays``.
    mode, shift : (dim,) array
    curvature : bayesquake.inference.kernels.lowrank.Dense or LowRank
    noise : (draw, dim) array
        Standard normal.
    """

    @jax.jit
    def along(directions):
        def one(direction):
            return jax.jvp(quantities, (jnp.asarray(mode),), (direction,))[1]

        return jax.lax.map(one, directions)

    moved = along(shift[None])
    spread = along(curvature.inverse_root(noise[:DIRECTIONS]))
    return np.concatenate(
        [np.ravel(moved[name][0] / np.sqrt((spread[name] ** 2).mean(axis=0))) for name in moved]
    )
