"""What a twin of slow slip tells of the fields of its friction, and where to look for it."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse.linalg import LinearOperator, cg

import bayesquake as bq
from bayesquake.inference.laplace import laplace, products_of
from bayesquake.model.coordinates import arrays_of
from bayesquake.models.fault_friction.friction import coloured

from .twin import COARSE, MODEL

__all__ = [
    "by_ring",
    "conjugate_gradients",
    "factors_of_stations",
    "held_by_intervals",
]

NAMES = ("a_field", "b_minus_a_field", "characteristic_slip_field")


def conjugate_gradients(point, places):
    """Return some variances by products of the Hessian with vectors alone.

    Parameters
    ----------
    point : twin.Point
    places : (unknown,) array of int

    Returns
    -------
    variances : (unknown,) array
    products : int
    """
    product = products_of(point.target.log_density).product
    taken = []

    def times(vector):
        taken.append(1)
        return np.asarray(product(point.position, vector, point.target.data))

    dim = point.position.size
    operator = LinearOperator((dim, dim), matvec=times, dtype=float)
    found = [cg(operator, np.eye(dim)[k], rtol=1e-9, maxiter=20 * dim)[0][k] for k in places]
    return np.array(found), len(taken)


def held_by_intervals(truth, dataset):
    """Return the shares of cells whose true field lies in the 90 % interval of the posterior.

    Parameters
    ----------
    truth : (3, cell) array
        White latents.
    dataset : xarray.Dataset

    Returns
    -------
    (3,) array

    Raises
    ------
    DriverError
        There is no mode.
    """
    target = bq.target(MODEL, dataset, **COARSE)
    fields = np.stack(coloured(truth, arrays_of(target.data).fields))
    found = laplace(target, starts=1, centre="mean", draws=500)
    drawn = jax.lax.map(
        lambda x: jnp.stack([target.constrain(x, target.data)[name] for name in NAMES]),
        found.positions.reshape(-1, target.dim),
    )
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    return ((low < fields) & (fields < high)).mean(axis=1)


def by_ring(values, radius, rings):
    """Return means over the cells of rings.

    Parameters
    ----------
    values : (..., cell) array
    radius : (cell,) array
    rings : sequence of (float, float)
        Smallest and largest radius, in the unit of the radii.

    Returns
    -------
    (..., ring) array
    """
    inside = np.array([(low <= radius) & (radius < high) for low, high in rings], float)
    return values @ (inside / inside.sum(axis=1, keepdims=True)).T


def factors_of_stations(slopes, point):
    r"""Return what every station sees by the latents of the fields, over all else that it sees.

    Offsets that are not known add to the errors: with their derivatives B the rows of a station
    have the covariance :math:`I + B B^T`, by whose root derivatives are divided.

    Parameters
    ----------
    slopes : (epoch, station, component, dim) array
        Of displacements over their errors.
    point : twin.Point

    Returns
    -------
    (station, row, unknown) array
    """
    by_station = np.moveaxis(slopes, 1, 0)
    by_station = by_station.reshape(len(by_station), -1, slopes.shape[-1])
    friction = point.friction.ravel()
    others = np.setdiff1d(np.arange(slopes.shape[-1]), friction)

    def whitened(rows):
        nuisance = rows[:, others]
        root = cholesky(np.eye(len(rows)) + nuisance @ nuisance.T, lower=True)
        return solve_triangular(root, rows[:, friction], lower=True)

    return np.stack([whitened(rows) for rows in by_station])
