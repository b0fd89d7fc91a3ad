r"""A Gaussian at a mode whose precision is never formed: :math:`H \approx I + U \Lambda U^T`.

In coordinates in which the prior is standard normal, H - I is the curvature of the likelihood, of
rank no larger than the number of data that tell something. Its eigenpairs come from products Hv
alone, by the Lanczos method, until the last eigenvalue is small against the prior's 1. Then

.. math:: H^{-1/2} z = z + U \left[(I + \Lambda)^{-1/2} - I\right] U^T z.

References
----------
Bui-Thanh, Ghattas, Martin & Stadler 2013, doi:10.1137/12089586X (low-rank posterior covariance)
Hutchinson 1990, doi:10.1080/03610919008812866 (traces from random probes)
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky, eigh, eigh_tridiagonal, solve_triangular
from scipy.optimize import minimize

from bayesquake.errors import DriverError

__all__ = ["Dense", "LowRank", "climb", "dense", "low_rank"]

LARGEST_RANK = 1500
CHECK_EVERY = 20
EXHAUSTED = 1e-12
"""Norm of a new direction, relative to the curvature, at which there is none left."""

PROBES = 10
"""Random vectors by which what the eigenpairs leave out is measured."""


class LowRank(NamedTuple):
    """Eigenpairs of H - I.

    Attributes
    ----------
    values : (rank,)
    vectors : (dim, rank)
    neglected : float
        Largest absolute eigenvalue that was found and left out.
    residual : float
        Mean eigenvalue that they leave out, from probes, and
    residual_error : float
        its standard error.
    products : int
        How many products Hv were taken.
    """

    values: Any
    vectors: Any
    neglected: float
    residual: float
    residual_error: float
    products: int

    def inverse_root(self, noise):
        """Return :math:`H^{-1/2} z` of rows z, (draw, dim)."""
        return noise + (noise @ self.vectors) * ((1 + self.values) ** -0.5 - 1) @ self.vectors.T

    def whitened(self, gradients):
        """Return gradients, (row, dim), in coordinates in which H is the identity."""
        return self.inverse_root(gradients)

    def root(self, vectors):
        """Return :math:`H^{1/2} v` of rows v, (row, dim)."""
        return vectors + (vectors @ self.vectors) * ((1 + self.values) ** 0.5 - 1) @ self.vectors.T

    @property
    def log_determinant(self):
        """Of H."""
        return float(np.log1p(self.values).sum())

    @property
    def lowest(self):
        """Smallest eigenvalue of H."""
        return 1 + self.values.min(initial=0.0)


class Dense(NamedTuple):
    """H as a whole, in the terms of `LowRank`.

    Attributes
    ----------
    factor : (dim, dim)
        Its lower Cholesky factor.
    lowest : float
        Its smallest eigenvalue.
    products : int
    """

    factor: Any
    lowest: float
    products: int

    def inverse_root(self, noise):
        """Return :math:`H^{-1/2} z` of rows z, (draw, dim)."""
        return solve_triangular(self.factor, noise.T, lower=True, trans="T").T

    def whitened(self, gradients):
        """Return gradients, (row, dim), in coordinates in which H is the identity."""
        return solve_triangular(self.factor, gradients.T, lower=True).T

    def root(self, vectors):
        """Return :math:`H^{1/2} v` of rows v, (row, dim)."""
        return vectors @ self.factor

    @property
    def covariance(self):
        """The inverse of H, (dim, dim)."""
        return cho_solve((self.factor, True), np.eye(len(self.factor)))

    @property
    def log_determinant(self):
        """Of H."""
        return float(2 * np.log(np.diagonal(self.factor)).sum())


def dense(matrix):
    """Return a positive definite H.

    Raises
    ------
    DriverError
        It is not.
    """
    symmetric = (matrix + matrix.T) / 2
    lowest = eigh(symmetric, eigvals_only=True, subset_by_index=[0, 0])[0]
    if not lowest > 0:
        raise DriverError(
            f"the curvature where the search ended has an eigenvalue of {lowest:.3g}, so no "
            "Gaussian fits there; use more starts, or driver nuts"
        )
    return Dense(cholesky(symmetric, lower=True), float(lowest), len(matrix))


def climb(value_and_gradient, product, start, *, max_iterations=200):
    """Return the mode of a log density by truncated Newton steps, and the number of evaluations.

    Parameters
    ----------
    value_and_gradient : callable
        ``position -> (value, (dim,) gradient)``.
    product : callable
        ``(position, vector) -> Hv``, H the negative Hessian.
    start : (dim,) array
    max_iterations : int

    Returns
    -------
    position : (dim,) array
    value : float
    evaluations : int
        Of gradients and products.
    """

    def loss(position):
        value, gradient = value_and_gradient(position)
        return -float(value), -np.asarray(gradient)

    def along(position, vector):
        return np.asarray(product(position, vector))

    options = {"gtol": 1e-6, "maxiter": max_iterations}
    found = minimize(loss, start, jac=True, hessp=along, method="trust-ncg", options=options)
    return found.x, -float(found.fun), int(found.nfev + found.nhev)


def low_rank(product, dim, smallest, seed):
    """Return the eigenpairs of H - I above a smallest absolute eigenvalue.

    Parameters
    ----------
    product : callable
        ``vector -> Hv``.
    dim : int
    smallest : float
    seed : int

    Returns
    -------
    LowRank

    Raises
    ------
    DriverError
        There are more than `LARGEST_RANK`.
    """
    count = 0

    def beyond_prior(vector):
        nonlocal count
        count += 1
        return np.asarray(product(vector)) - vector

    rng = np.random.default_rng(seed)
    values, vectors = lanczos(beyond_prior, rng.normal(size=dim), smallest)
    kept = np.abs(values) >= smallest
    neglected = float(np.abs(values[~kept]).max(initial=0.0))
    values, vectors = values[kept], vectors[:, kept]
    probes = rng.choice([-1.0, 1.0], size=(PROBES, dim))
    left_out = np.array([v @ beyond_prior(v) - ((v @ vectors) ** 2 * values).sum() for v in probes])
    return LowRank(
        values,
        vectors,
        neglected,
        float(left_out.mean() / dim),
        float(left_out.std(ddof=1) / dim / np.sqrt(PROBES)),
        count,
    )


def lanczos(product, start, smallest):
    """Return eigenpairs of a symmetric matrix, those of large absolute value converged.

    Every vector is made orthogonal to all before it, twice. The iteration ends when some pair lies
    below the smallest eigenvalue, and the residuals of all others are below a hundredth of it.

    Parameters
    ----------
    product : callable
    start : (dim,) array
        Not orthogonal to any eigenvector, such as a random one.
    smallest : float

    Returns
    -------
    values : (step,)
    vectors : (dim, step)

    Raises
    ------
    DriverError
        `LARGEST_RANK` steps do not suffice.
    """
    dim = start.size
    basis = np.empty((min(dim, LARGEST_RANK), dim))
    diagonal, beside = [], []
    vector = start / np.linalg.norm(start)
    for step in range(len(basis)):
        basis[step] = vector
        image = product(vector)
        diagonal.append(vector @ image)
        for _ in range(2):
            image -= basis[: step + 1].T @ (basis[: step + 1] @ image)
        beside.append(np.linalg.norm(image))
        ended = beside[-1] < EXHAUSTED * max(1.0, abs(diagonal[0]))
        if ended or step % CHECK_EVERY == CHECK_EVERY - 1 or step == dim - 1:
            values, weights = eigh_tridiagonal(diagonal, beside[:-1])
            above = np.abs(values) >= smallest
            residual = beside[-1] * np.abs(weights[-1])
            converged = not above.all() and (residual[above] < smallest / 100).all()
            if ended or converged or step == dim - 1:
                return values, basis[: step + 1].T @ weights
        vector = image / beside[-1]
    raise DriverError(
        f"the curvature differs from that of a standard normal prior in more than {len(basis)} "
        "directions; declare the field by white latents, or use hessian='dense'"
    )
