r"""The posterior by evidence on a grid, for few unknowns.

The grid stands around the mode in the coordinates :math:`\theta = \hat\theta + L u` with
:math:`L L^T` the inverse of the negative Hessian there, so that its axes are those of the posterior
and its steps are in standard deviations. Every node has the mass of its cell; their sum is the
evidence. Draws are nodes by their masses, moved within their cells.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from scipy.special import logsumexp

from bayesquake.errors import DriverError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.mode import best_mode
from bayesquake.inference.kernels.settings import ONE_PIECE
from bayesquake.inference.kernels.starts import initial_positions
from bayesquake.model.options import any_of, count, number, takes
from bayesquake.results.checks import Check
from bayesquake.results.evidence import LARGEST_CHANGE
from bayesquake.results.posteriors import Found

__all__ = ["grid"]

NODES = {1: 201, 2: 61, 3: 31, 4: 19}
"""Nodes along each axis, by the number of unknowns."""

LARGEST_EDGE = 1e-3
"""Mass on the outermost nodes beyond which the grid does not hold the posterior."""

AT_ONCE = 200


@takes(
    **ONE_PIECE,
    nodes=any_of(None, count(at_least=5, at_most=2001)),
    reach=number("sd", at_least=2, at_most=20),
    starts=count(at_most=10_000),
)
def grid(target, *, chains=4, draws=1000, nodes=None, reach=6.0, starts=8, seed=0, progress=None):
    """Draw from the masses of a target on a grid.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
        Of at most four coordinates.
    chains, draws : int
        Independent draws, arranged as chains.
    nodes : int, optional
        Along each axis, made odd; 201, 61, 31 or 19 for one to four unknowns by default.
    reach : float
        Half the width of the grid, in standard deviations at the mode.
    starts : int
        Dispersed starting points of the mode search.
    seed : int
    progress : callable, optional
        Called once, when done.

    Returns
    -------
    Found
        With the log density of each draw's node. The notes hold ``log_evidence``, of the density
        as the target has it.

    Raises
    ------
    DriverError
        There are too many unknowns, or no mode was found.
    """
    if target.dim not in NODES:
        raise DriverError(
            f"a grid serves at most {max(NODES)} unknowns, and this target has {target.dim}; use "
            "driver nuts"
        )
    nodes = NODES[target.dim] if nodes is None else nodes
    nodes += 1 - nodes % 2
    key_start, key_draw, key_shift = jax.random.split(jax.random.key(seed), 3)
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        start = initial_positions(target, key_start, starts)
        run = grid_program(target.log_density, target.dim, nodes)
        mode, root, iterations, axis, log_density = jax.tree.map(
            np.asarray, run(start, target.data, reach)
        )
        if not np.isfinite(root).all():
            raise DriverError(
                f"the search from {starts} starting points found no mode with a positive "
                "curvature; use more starts, or driver nuts"
            )
        chosen, log_mass = _drawn(key_draw, log_density, chains * draws)
        step = axis[1] - axis[0]
        shift = np.asarray(jax.random.uniform(key_shift, chosen.shape, minval=-0.5, maxval=0.5))
        offsets = axis[chosen] + step * shift
    positions = (mode + offsets @ root.T).reshape(chains, draws, -1)
    density = log_density[tuple(chosen.T)].reshape(chains, draws)
    if progress is not None:
        progress(draws, draws, {})
    checks = grid_checks(log_mass, axis)
    cell = target.dim * np.log(step) + np.log(np.abs(np.diagonal(root))).sum()
    return Found(
        positions=positions,
        statistics={"lp": density},
        checks=lambda posterior: checks,
        gradients=int(iterations),
        compile_seconds=compiled.seconds,
        run_seconds=time.perf_counter() - began - compiled.seconds,
        notes={
            "warmup": 0,
            "interrupted": 0,
            "log_evidence": float(logsumexp(log_density) + cell),
            "nodes": int(log_density.size),
        },
    )


@functools.cache
def grid_program(log_density, dim, nodes):
    """Return a compiled ``(starts, data, reach)`` that finds the mode and evaluates the grid."""

    def run(starts, data, reach):
        def at(position):
            return log_density(position, data)

        mode, modes = best_mode(at, starts)
        precision = jnp.linalg.cholesky(-jax.hessian(at)(mode))
        root = solve_triangular(precision, jnp.eye(dim), lower=True, trans="T")
        axis = jnp.linspace(-reach, reach, nodes)
        offsets = jnp.stack(jnp.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
        found = jax.lax.map(at, mode + offsets @ root.T, batch_size=AT_ONCE)
        found = jnp.where(jnp.isfinite(found), found, -jnp.inf)
        return mode, root, modes.iterations.sum(), axis, found.reshape((nodes,) * dim)

    return jax.jit(run)


def _drawn(key, log_density, total):
    """Return the places of nodes drawn by their masses, (draw, axis), and the log masses."""
    log_mass = log_density - logsumexp(log_density)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    flat = rng.choice(log_mass.size, total, p=np.exp(log_mass).ravel())
    return np.stack(np.unravel_index(flat, log_mass.shape), axis=1), log_mass


def grid_checks(log_mass, axis):
    """Return the rows of a grid: its change when every second node is left out, and its edge."""
    mass = np.exp(log_mass)
    inner = mass[(slice(1, -1),) * mass.ndim].sum()
    coarse = mass[(slice(None, None, 2),) * mass.ndim]
    change = 0.0
    for place in range(mass.ndim):
        mean, sd = _moments_along(mass, axis, place)
        coarse_mean, coarse_sd = _moments_along(coarse / coarse.sum(), axis[::2], place)
        change = max(change, abs(coarse_mean - mean) / sd, abs(coarse_sd / sd - 1))
    return (
        Check(
            "change on half the nodes",
            float(change),
            LARGEST_CHANGE,
            kind="adequacy",
            meaning="of a mean or sd along an axis, in sd, when every second node is left out",
        ),
        Check(
            "mass at the edge",
            float(1 - inner),
            LARGEST_EDGE,
            kind="adequacy",
            meaning="share of the posterior on the outermost nodes of the grid",
        ),
    )


def _moments_along(mass, axis, place):
    marginal = mass.sum(axis=tuple(i for i in range(mass.ndim) if i != place))
    mean = marginal @ axis
    return mean, np.sqrt(marginal @ (axis - mean) ** 2)
