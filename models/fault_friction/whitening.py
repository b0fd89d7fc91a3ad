r"""Coordinates of a fault of cells: whitened by the precision, whatever the factor of the errors.

At the mode :math:`\bar z` of all unknowns but the factor c of the errors of displacements, let P be
the precision of the prior and of what does not hang on c, and M what displacements add at c = 1, of
Gauss and Newton. With :math:`W^T P W = I` and :math:`W^T M W = \Lambda`, chains hold c and u in

.. math:: z = \bar z + W (I + \Lambda / c^2)^{-1/2} u.

Given c, u is nearly standard normal for any c. The mode of (u, c) is therefore that of c with z
integrated out; the joint mode of (z, c) takes the residuals of the best fit for errors, and has c
too small by :math:`\sqrt{1 - p / n}`, n displacements and p numbers that they determine.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.linalg import eigh

from bayesquake.model.coordinates import Around

__all__ = ["Whitening", "around_fields", "draws", "forward", "initial", "inverse"]

FACTOR = "displacement_error_scale"
"""The site of c."""

START_SPREAD = 0.5
"""Of the starting points, in standard deviations; steps that are held do not serve far out."""


class Whitening(NamedTuple):
    """What turns u into z.

    Attributes
    ----------
    root : (unknown, unknown)
        W.
    inverse_root : (unknown, unknown)
    curvature : (unknown,)
        The diagonal of Λ.
    log_determinant : scalar
        Logarithm of the determinant of W.
    """

    root: Any
    inverse_root: Any
    curvature: Any
    log_determinant: Any


def around_fields(base, search, data, end):
    """Return the data with the whitening at a mode.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
    search : search.Search
    data : data.arrays.FaultArrays
    end : search.Climb
        At the mode of all unknowns together.

    Returns
    -------
    bayesquake.model.coordinates.Around
    """
    mode = jnp.asarray(end.position)
    sites = base.unravel(mode)
    white = {name: jnp.full(jnp.shape(x), name != FACTOR) for name, x in sites.items()}
    places = np.flatnonzero(base.ravel(white))
    whole = apart = end.precision[np.ix_(places, places)]
    if "displacement" in data.observed:
        _, _, without = search.slopes(mode, without_displacements(data))
        apart = np.asarray(without)[np.ix_(places, places)]
    added = (whole - apart) * float(factor_of(base.constrain(mode, data))) ** 2
    curvature, root = eigh(added, apart)
    found = Whitening(root, root.T @ apart, np.maximum(curvature, 0), np.linalg.slogdet(root)[1])
    return Around(data, sites, jax.tree.map(jnp.asarray, found))


def without_displacements(data):
    """Return the data as if no displacement had been seen."""
    observed = {
        name: series._replace(seen=series.seen & (name != "displacement"))
        for name, series in data.observed.items()
    }
    return data._replace(observed=observed)


def forward(sites, values, data):
    """Return the white latents in place of u, and the log determinant."""
    mode, u, rebuilt = parted(data.mode, sites)
    shrinking = shrinking_of(values, data)
    moved = rebuilt(mode + data.root.root @ (shrinking * u))
    return moved, data.root.log_determinant + jnp.log(shrinking).sum()


def inverse(sites, values, data):
    """Return u in place of the white latents."""
    mode, white, rebuilt = parted(data.mode, sites)
    return rebuilt(data.root.inverse_root @ (white - mode) / shrinking_of(values, data))


def initial(key, data):
    """Return dispersed starting points."""
    _, u, rebuilt = parted(data.mode, data.mode)
    return rebuilt(START_SPREAD * jax.random.normal(key, u.shape))


def draws(key, count, base, found):
    """Return draws of the white latents from the Gaussian at the mode, (draw, dim), c being held.

    Parameters
    ----------
    key : jax.random.key
    count : int
    base : bayesquake.targets.target.Target
    found : bayesquake.model.coordinates.Around
        Of `around_fields`.
    """
    values = base.constrain(base.ravel(found.mode), found.arrays)
    _, u, rebuilt = parted(found.mode, found.mode)
    noise = jax.random.normal(key, (count, u.size))
    return jax.vmap(lambda u: base.ravel(forward(rebuilt(u), values, found)[0]))(noise)


def parted(mode, sites):
    """Return the mode, and a position, of all but c as vectors, and what makes it sites again."""
    white = {name: x for name, x in sites.items() if name != FACTOR}
    vector, unravel = ravel_pytree(white)
    mode = ravel_pytree({name: mode[name] for name in white})[0]
    return mode, vector, lambda moved: {**sites, **unravel(moved)}


def shrinking_of(values, data):
    """Return the standard deviations of W^-1 (z - mode)."""
    return (1 + data.root.curvature / factor_of(values) ** 2) ** -0.5


def factor_of(values):
    """Return c, which is one where no displacement is seen."""
    return values.get(FACTOR, 1.0)
