r"""Sites chosen one after another, each for what it adds to those before it.

Around one point a site i sees :math:`y_i = J_i z + \epsilon_i` of unknowns z that are standard
normal before. What it tells of them beyond the sites S already there is, in nats,

.. math:: g(i \mid S) = \frac{1}{2} \log\det\left(I + F_i \Sigma_S F_i^T\right), \qquad
          F_i = \frac{J_i}{\sigma_i},

with the covariance :math:`\Sigma_S` of the unknowns once S has been seen. The gains of a choice add
up to the information of all its sites together, and with independent errors the greedy choice of p
sites has at least 1 - 1/e of the most that p sites can tell.

References
----------
Nemhauser, Wolsey & Fisher 1978, doi:10.1007/BF01588971 (greedy choice of submodular gains)
Krause, Singh & Guestrin 2008, J. Mach. Learn. Res. 9, 235 (sensors by information)
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.errors import OptionError

__all__ = ["Choice", "greedy", "information"]


class Choice(NamedTuple):
    """Sites in the order in which they were chosen.

    Attributes
    ----------
    site : (count,) array of int
    gain : (count,) array
        What each adds to those before it, nats.
    alone : (site,) array
        What each site tells by itself, nats.
    covariance : (unknown, unknown) array
        Of the unknowns once all chosen sites have been seen.
    """

    site: Any
    gain: Any
    alone: Any
    covariance: Any


def greedy(factors, count):
    """Choose sites.

    Parameters
    ----------
    factors : (site, row, unknown) array
        F: derivatives of what each site sees by standard normal unknowns, over its errors.
    count : int
        How many sites to take.

    Returns
    -------
    Choice
        Ties go to the lowest index.

    Raises
    ------
    OptionError
        There are fewer sites, or a factor is not a finite number.
    """
    sites = len(factors)
    if not 1 <= count <= sites:
        raise OptionError(f"{count} of {sites} sites cannot be chosen; ask for 1 to {sites}")
    bad = ~np.isfinite(factors).all(axis=(1, 2))
    if bad.any():
        raise OptionError(f"site {int(np.argmax(bad))}: a factor is no finite number; leave it out")
    return Choice(*jax.device_get(_chosen(jnp.asarray(factors), count=count)))


@functools.partial(jax.jit, static_argnames="count")
def _chosen(factors, *, count):
    rows = jnp.eye(factors.shape[1])

    def variance(factor, covariance):
        return rows + factor @ covariance @ factor.T

    def gain(factor, covariance):
        root = jnp.linalg.cholesky(variance(factor, covariance))
        return jnp.log(jnp.diagonal(root)).sum()

    def gains_of(covariance):
        return jax.lax.map(lambda factor: gain(factor, covariance), factors)

    def add(carry, _):
        covariance, taken = carry
        gains = jnp.where(taken, -jnp.inf, gains_of(covariance))
        best = jnp.argmax(gains)
        seen = covariance @ factors[best].T
        root = jnp.linalg.cholesky(variance(factors[best], covariance))
        reduced = jax.scipy.linalg.solve_triangular(root, seen.T, lower=True)
        after = covariance - reduced.T @ reduced
        return ((after + after.T) / 2, taken.at[best].set(True)), (best, gains[best])

    before = jnp.eye(factors.shape[2])
    start = (before, jnp.zeros(len(factors), bool))
    (covariance, _), (site, gain_of_site) = jax.lax.scan(add, start, length=count)
    return site, gain_of_site, gains_of(before), covariance


def information(factors):
    """Return what sites tell together, nats.

    Parameters
    ----------
    factors : (site, row, unknown) array
        See `greedy`.
    """
    rows = factors.reshape(-1, factors.shape[-1])
    fewer = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    return 0.5 * np.linalg.slogdet(np.eye(len(fewer)) + fewer)[1]
