"""Searches for the mode of the fields from draws of the prior."""

import time

import numpy as np

from bayesquake.inference.kernels.lowrank import climb
from bayesquake.inference.laplace import products_of
from bayesquake.model.coordinates import root_of
from bayesquake.model.priors import resolve_priors
from bayesquake.models.fault_friction.search import climbed, search_of

from .twin import MODEL, free_target, held_at

__all__ = ["ENDS", "search_from_prior"]

ENDS = ["log_density", "distance", "jacobians", "seconds", "misfit", "gradient_cut"]
"""Of a search: where it ended, the distance that its next step would go (sd), what it took, the
mean square of residuals over errors; and the norm of the gradient at its start over that at the
mode, to which Newton steps lead once the steps of the motion are held."""


def search_from_prior(dataset):
    """Return a function of a seed that seeks the mode from a draw of the prior.

    Parameters
    ----------
    dataset : xarray.Dataset

    Returns
    -------
    callable
        ``seed -> `` a number for each of `ENDS`.
    """
    free = free_target(dataset)
    priors = {name: prior.distribution() for name, prior in resolve_priors(MODEL).items()}
    search = search_of(free, tuple(priors.items()))

    def from_prior(seed):
        start = np.random.default_rng(seed).normal(size=free.dim)
        began = time.perf_counter()
        end = climbed(
            lambda x: free.log_density(x, free.data), lambda x: search.slopes(x, free.data), start
        )
        taken = time.perf_counter() - began
        misfit = float(search.misfit(end.position, free.data))
        before = np.linalg.norm(search.slopes(start, free.data)[1])
        root = np.asarray(root_of(end.precision))
        after = gradient_at_mode(held_at(free, end.position), root)
        cut = float(before / np.linalg.norm(after))
        return end.value, end.distance, end.jacobians, taken, misfit, cut

    return from_prior


def gradient_at_mode(point, root):
    """Return the gradient where Newton steps from a point end, in coordinates of a root."""
    value_and_gradient, product, *_ = products_of(point.target.log_density)
    data = point.target.data

    def position(u):
        return point.position + root @ u

    def slopes(u):
        value, gradient = value_and_gradient(position(u), data)
        return value, gradient @ root

    def times(u, v):
        return product(position(u), root @ v, data) @ root

    mode, *_ = climb(slopes, times, np.zeros(len(root)))
    return value_and_gradient(position(mode), data)[1]
