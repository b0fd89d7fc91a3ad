"""Maximum likelihood, likelihood-ratio tests and the bootstrap, each one compiled program."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2

from bayesquake.inference.kernels.newton import newton_mode

from ..model import log_kernel, slopes
from ..physics.sinkhorn import require_converged

__all__ = ["Maximum", "bootstrap", "independence_tests", "maximum_likelihood", "permuted_ratios"]

TOLERANCE = 1e-6
"""Distance to the maximum, in standard errors, from which the last Newton step is made."""


class Maximum(NamedTuple):
    """A maximum of l: θ (stat,), the inverse of the negative Hessian (stat, stat), and l there."""

    theta: Any
    covariance: Any
    log_likelihood: Any


def maximum(data, kept):
    """Maximise l over the components of θ that are kept, the others being 0."""

    def restricted(theta):
        value, gradient, precision = slopes(theta * kept, data)
        return value, gradient * kept, precision * jnp.outer(kept, kept) + jnp.diag(1 - kept)

    start = jnp.zeros(data.s.shape[-1])
    mode, _, precision = newton_mode(restricted, start, tolerance=TOLERANCE)
    return Maximum(mode.position, jnp.linalg.inv(precision), mode.log_density)


_maxima = jax.jit(jax.vmap(maximum, (None, 0)))


def maximum_likelihood(data):
    """Return the `Maximum` of l over all of θ.

    Raises
    ------
    SinkhornError
        The adjusting functions do not converge there, so that there is no maximum.
    """
    kept = np.ones((1, data.s.shape[-1]))
    found = jax.tree.map(lambda leaf: np.asarray(leaf[0]), _maxima(data, kept))
    require_converged(log_kernel(found.theta, data), jnp.asarray(data.weights))
    return found


def independence_tests(data, parts):
    """Test independence, and the absence of every part of θ.

    Parameters
    ----------
    data : data.mechanisms.MechanismArrays
    parts : sequence of (str, tuple of int)
        Names and components.

    Returns
    -------
    names : list of str
        "all", then the parts.
    statistic, df, p_value : (test,)
        Twice the loss of l, the number of components dropped, and the tail of chi-square.
    """
    stats = data.s.shape[-1]
    kept = np.ones((len(parts) + 1, stats))
    for row, (_, components) in enumerate(parts, start=1):
        kept[row, list(components)] = 0.0
    found = np.asarray(_maxima(data, kept).log_likelihood)
    reduced = np.append(0.0, np.where(kept[1:].any(axis=1), found[1:], 0.0))
    statistic = 2 * (found[0] - reduced)
    df = np.append(stats, (stats - kept[1:].sum(axis=1)).astype(int))
    return ["all", *(name for name, _ in parts)], statistic, df, chi2.sf(statistic, df)


def bootstrap(key, data, replicates):
    """Return maxima of l of mechanisms drawn with replacement, (replicate, stat).

    Depths keep their standardisation. A resampled set without a maximum gives NaN.
    """
    n = int(np.count_nonzero(data.weights))
    chosen = np.asarray(jax.random.randint(key, (replicates, n), 0, n))
    rows = np.pad(chosen, ((0, 0), (0, len(data.z) - n)))
    return np.asarray(_rearranged(data, rows, rows).theta)


def permuted_ratios(seed, data, permutations):
    """Return likelihood ratios of all of θ with depths permuted over mechanisms, (permutation,).

    Against them the observed ratio has an exact p-value. That of chi-square is too small where
    the statistics are skewed.
    """
    n = int(np.count_nonzero(data.weights))
    rows = np.tile(np.arange(len(data.z)), (permutations, 1))
    orders = np.random.default_rng(seed).permuted(rows[:, :n], axis=1)
    depths = np.hstack([orders, rows[:, n:]])
    return 2 * np.asarray(_rearranged(data, rows, depths).log_likelihood)


@jax.jit
def _rearranged(data, frames, depths):
    """Return the maxima of l with frames and depths in other orders, (set, event) of places."""

    def one(places):
        frame, depth = places
        return maximum(data._replace(s=data.s[frame], z=data.z[depth]), jnp.ones(data.s.shape[-1]))

    # One after the other: batched factorisations are ten times slower on a processor.
    return jax.lax.map(one, (frames, depths))
