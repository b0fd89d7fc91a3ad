r"""The minimum-information model of orientation and depth.

:math:`p(x, y) = e^{\theta^T h(x, y) - a(x) - b(y) - \psi} r(x) s(y)`: of all densities with the
marginals r and s that have a given mean of h it is the nearest to independence. The marginals
stay free; their empirical ones enter the likelihood of θ. On these
:math:`\pi_{ij} = e^{\theta^T h_{ij} + f_i + g_j} / n^2` has row and column sums 1/n, and

.. math:: l(\theta) = \sum_i (\theta^T h_{ii} + f_i + g_i),

with :math:`h_{ij} = s_i z_j`. It is concave, zero at θ = 0, has the gradient
:math:`n (\bar h - \mathrm{E}_\pi h)`, and does not change with the order of the rows or when a
function of x or of y is added to θᵀh.

References
----------
Sei & Yano 2024, doi:10.3150/23-BEJ1687
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import xarray as xr

from bayesquake.errors import SimulationError
from bayesquake.io.datasets import labelled
from bayesquake.model.model import Quantity
from bayesquake.model.options import any_of, count, instance, number, one_of, takes

from .data.mechanisms import DATA, standardised
from .physics.pairing import random_frames, swap
from .physics.sinkhorn import TOLERANCE, log_dual, potential_slopes, potentials
from .physics.statistics import STATISTICS, eigenvalues

__all__ = ["QUANTITIES", "declare", "design_of", "draw", "log_kernel", "log_likelihood", "slopes"]

QUANTITIES = {
    "theta": Quantity("1", "coefficients of the statistic times standardised depth", ("stat",)),
    "eigenvalue": Quantity(
        "1", "largest and smallest eigenvalue of A less the middle one", ("block", "rank")
    ),
    "axis": Quantity(
        "1", "eigenvector of A, (north, east, down)", ("block", "rank", "xyz"), role="latent"
    ),
}


def declare(data, priors):
    """Declare the model on one set of mechanisms.

    Parameters
    ----------
    data : data.mechanisms.MechanismArrays
    priors : dict of numpyro.distributions.Distribution
        Prior of every component of ``theta``.
    """
    theta = numpyro.sample("theta", priors["theta"].expand([data.s.shape[-1]]).to_event(1))
    if data.forms.shape[-4]:
        numpyro.deterministic("eigenvalue", eigenvalues(theta, data.forms))
    numpyro.factor("log_likelihood", log_likelihood(theta, data))


def log_kernel(theta, data):
    """Return θᵀh of every orientation with every depth, (event, event)."""
    return jnp.outer(data.s @ theta, data.z)


def log_likelihood(theta, data):
    """Return l(θ), of theta (stat,) on `data.mechanisms.MechanismArrays`."""
    return jnp.count_nonzero(data.weights) * log_dual(log_kernel(theta, data), data.weights)


def slopes(theta, data):
    r"""Return l, its gradient and its negative Hessian from one solution of the potentials.

    The negative Hessian is :math:`n \sum_{ij} \pi_{ij} h_{ij} (h_{ij} + \dot f_i + \dot g_j)^T`.

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


@takes(
    events=count(at_least=3, at_most=10_000),
    statistic=one_of(*STATISTICS),
    median_depth_km=number("km", above=0, at_most=300),
    log_depth_spread=number(above=0, at_most=1),
    sweeps=count(at_most=1_000_000),
    observed=any_of(None, instance(xr.Dataset, what="a data set")),
)
def draw(
    key,
    values,
    *,
    events=158,
    statistic="frame_bingham",
    median_depth_km=30.0,
    log_depth_spread=0.7,
    sweeps=1000,
    observed=None,
):
    """Pair mechanisms and depths at a given θ, those of a data set or random ones.

    Random frames are uniform over all rotations, random depths log-normal (median in km, sd of
    the natural log). Sweeps of swaps make the pairing.

    Raises
    ------
    SimulationError
        A random depth lies below the deepest earthquakes.
    """
    key_frames, key_depths, key_swaps = jax.random.split(key, 3)
    if observed is None:
        frame = np.asarray(random_frames(key_frames, events))
        normal = np.asarray(jax.random.normal(key_depths, (events,)))
        depth = median_depth_km * np.exp(log_depth_spread * normal)
        if depth.max() > DATA.variables["depth"].high:
            raise SimulationError(f"a depth of {depth.max():.0f} km was drawn; draw again")
    else:
        frame, depth = observed["frame"].to_numpy(), observed["depth"].to_numpy()
    u = STATISTICS[statistic].of_frames(frame) @ values["theta"]
    place = np.asarray(swap(key_swaps, u, standardised(depth), sweeps))
    return labelled(DATA, {"frame": frame, "depth": depth[place]}, source="simulated")


def design_of(dataset, *, statistic="frame_bingham"):
    """Return the design of a data set: its own mechanisms and depths."""
    return {"observed": dataset, "statistic": statistic}
