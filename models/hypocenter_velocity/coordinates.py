r"""Coordinates in which the joint posterior is nearly standard normal.

At the mode the precision H has the shape of an arrow: blocks :math:`H_{ii}` of single events,
which meet in the shared unknowns g alone. With Schur's complement S the chains move in u, where

.. math:: g = \hat g + S^{-T/2} u_g, \qquad
          e_i = \hat e_i - H_{ii}^{-1} H_{ig} (g - \hat g) + H_{ii}^{-T/2} u_i,

exact for any mode and H, for the map is linear; a poor mode costs speed alone. Work and memory grow
with the number of events.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.model.capabilities import Coordinates
from bayesquake.model.coordinates import Around

from .model import EVENT_SITES
from .physics.arrow import log_determinant, rooted, unwhitened, whitened
from .physics.precision import joint, split
from .relabelling import relabelled
from .search import searched
from .velocities import VELOCITY_SITES

__all__ = ["COORDINATES", "recommended"]

START_SPREAD = 1.5
"""Spread of the starting points in posterior standard deviations."""

PICKS_OF_A_ROUND_POSTERIOR = 1000
"""With fewer padded picks the posterior is curved and many times as long as H has it."""

MOST_UNKNOWNS_OF_LOW_RANK = 500
"""Of more unknowns the draws of a warm-up cannot tell the directions in which it is long."""


def condition(base, data, priors):
    """Return the data with the mode and the factors of the precision there.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
        The model in its own unconstrained coordinates.
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution

    Returns
    -------
    bayesquake.model.coordinates.Around
        Whose arrays hold the moves along depth and of the velocities.
    """
    position, arrow = searched(base, data, priors)
    if len(data.sign) > 1:
        position, arrow = relabelled(base, position, arrow, data, priors)
    root = rooted(arrow)
    mode = base.unravel(position)
    moves = {"depth_move": depth_moves(root), "velocity_move": velocity_moves(root, mode)}
    return Around(data._replace(**moves), mode, root)


def recommended(data):
    """Return the driver that suits the data, and its settings."""
    unknowns = 4 * data.centre.shape[-1] + 2 * len(data.station_x) + len(data.tops)
    metric = "low_rank" if unknowns <= MOST_UNKNOWNS_OF_LOW_RANK else "diagonal"
    few = data.picks < PICKS_OF_A_ROUND_POSTERIOR
    lengths = {"warmup": 1000, "max_tree_depth": 8} if few else {"warmup": 500, "max_tree_depth": 4}
    return {"driver": "nuts", "metric": metric, **lengths}


def depth_moves(root):
    """Return steps, (4, event), of one sd along depth and what trades off with it."""
    depth = jnp.eye(4)[:, EVENT_SITES.index("depth_offset")]
    column = jax.vmap(lambda own: jax.scipy.linalg.cho_solve((own, True), depth))(root.own)
    return (column / jnp.sqrt(column @ depth)[:, None]).T


def velocity_moves(root, mode):
    """Return steps of one sd in principal directions of the velocities, events following.

    Station terms, scales and the middle of the sources are held.

    Returns
    -------
    dict of (direction, ...)
        In unconstrained sites, empty where all velocities are fixed.
    """
    events, shared = split(mode)
    place = joint(events, jnp.arange(len(shared)), mode)
    names = [name for name in VELOCITY_SITES if name in place]
    if not names:
        return {}
    columns = jnp.concatenate([place[name].ravel() for name in names])
    complement = (root.shared @ root.shared.T)[columns[:, None], columns]
    variance, vectors = jnp.linalg.eigh(jnp.linalg.inv(complement))
    directions = jnp.sqrt(variance)[:, None] * vectors.T
    following = -jnp.einsum("iag,dg->dai", root.response[:, :, columns], directions)
    ends = np.cumsum([mode[name].size for name in names])[:-1]
    own = [
        part.reshape(-1, *mode[name].shape)
        for name, part in zip(names, jnp.split(directions, ends, axis=1), strict=True)
    ]
    moved = dict(zip(names, own, strict=True))
    return moved | {name: following[:, k] for k, name in enumerate(EVENT_SITES)}


def forward(sites, values, data):
    """Return the unconstrained sites in place of u, and the log determinant."""
    mode_events, mode_shared = split(data.mode)
    events, shared = unwhitened(data.root, *split(sites))
    return joint(mode_events + events, mode_shared + shared, sites), log_determinant(data.root)


def inverse(sites, values, data):
    """Return u in place of the unconstrained sites."""
    mode_events, mode_shared = split(data.mode)
    events, shared = split(sites)
    u_events, u_shared = whitened(data.root, events - mode_events, shared - mode_shared)
    return joint(u_events, u_shared, sites)


def initial(key, data):
    """Return dispersed starting points u."""
    keys = jax.random.split(key, len(data.mode))
    return {
        name: START_SPREAD * jax.random.normal(key_site, site.shape)
        for key_site, (name, site) in zip(keys, data.mode.items(), strict=True)
    }


COORDINATES = Coordinates(
    condition,
    forward,
    inverse,
    initial,
    needs=("x_shift", "y_shift", "depth_shift", "origin_time_shift"),
)
