"""The Laplace approximation: a Gaussian at the mode, in unconstrained coordinates.

Approximate by nature: the result says so, and carries the Pareto k-hat of the
importance weights of its draws, which exceeds 0.7 where the approximation is poor.
"""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

from bayesquake.errors import DriverError
from bayesquake.inference.kernels import held_steps
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.lowrank import Dense, LowRank, climb, dense, low_rank
from bayesquake.inference.kernels.mode import best_mode
from bayesquake.inference.kernels.settings import ONE_PIECE
from bayesquake.inference.kernels.skewness import mean_shift, shift_of_quantities
from bayesquake.inference.kernels.starts import initial_positions
from bayesquake.model.options import count, one_of, takes
from bayesquake.results.checks import Check
from bayesquake.results.evidence import pareto_k, weight_check, weighted_change_check
from bayesquake.results.posteriors import Found

__all__ = ["laplace", "laplace_program"]

GRADIENT_TOLERANCE = 1e-2
"""Largest gradient norm accepted at a mode, in posterior standard deviations."""

RIVAL_HEIGHT = 0.05
"""Largest density at another mode, relative to the best and times its squared distance in standard
deviations, that a single Gaussian may leave out: about what it adds to the variance."""

LARGEST_WHOLE = 250
"""Unknowns above which the mode is sought from the host, and the Hessian made row by row."""

LARGEST_DENSE = 2000
"""Unknowns above which the Hessian is not formed unless asked for."""

ROWS_AT_ONCE = 64
"""Rows of H that are computed side by side."""

SMALLEST_EIGENVALUE = 0.01
"""Of the likelihood's curvature, against the prior's 1: below it a direction is the prior's."""

LARGEST_LEFT_OUT = 0.1
"""Eigenvalue whose neglect changes a standard deviation by five percent."""

LARGEST_SHIFT, LARGEST_SHIFT_TAKEN = 0.5, 1.0
"""Of a mean from the mode, in standard deviations. Where a shift of 0.5 is left out, 90 % intervals
hold 86 %; of one that is taken into account, half may be wrong."""

SAME = 0.5
"""Ends of searches that are closer than this, in posterior standard deviations, are one mode."""


@takes(
    **ONE_PIECE,
    starts=count(at_most=10_000),
    hessian=one_of("auto", "dense", "low_rank"),
    centre=one_of("mode", "mean"),
)
def laplace(
    target,
    *,
    chains=4,
    draws=1000,
    starts=4,
    hessian="auto",
    centre="mode",
    seed=0,
    progress=None,
):
    """Draw from the Gaussian approximation at the best of several modes.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    chains, draws : int
        Independent draws, arranged as chains.
    starts : int
        Dispersed starting points of the mode search.
    hessian : {"auto", "dense", "low_rank"}
        The whole matrix; or its products with vectors alone, for targets whose prior is standard
        normal in their coordinates, such as fields of white latents. By default products above
        2,000 unknowns.
    centre : {"mode", "mean"}
        Where the Gaussian stands: at the mode, or at the mean by third derivatives there, as long
        as it lies within one standard deviation. It takes two gradients for every unknown.
    seed : int
    progress : callable, optional
        Called once, when done.

    Returns
    -------
    Found
        With statistics ``log_weight``, the log importance weight of every draw. The notes hold
        ``log_evidence``, the log of their mean, and its standard error ``log_evidence_sd``; both
        are as good as the weights, see the Pareto k-hat.

    Raises
    ------
    DriverError
        The search found no mode, the curvature there is not positive, or the low rank is not low.
    """
    key_start, key_draw = jax.random.split(jax.random.key(seed))
    few = hessian == "low_rank" or (hessian == "auto" and target.dim > LARGEST_DENSE)
    from_host = few or centre == "mean" or target.dim > LARGEST_WHOLE
    approximate = by_whole_program
    if from_host:
        curvature_of = few_pairs if few else all_rows
        approximate = functools.partial(by_products, curvature_of=curvature_of, centre=centre)
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        start = initial_positions(target, key_start, starts)
        found = approximate(target, key_draw, start, chains * draws)
    _require_mode(found, starts)
    if progress is not None:
        progress(draws, draws, {})
    shape = (chains, draws)
    weight = (found.log_density - found.log_proposal).reshape(shape)
    positions = found.positions.reshape(*shape, -1)
    checks = (
        *mode_checks(found.gradient_norm, found.lowest, found.rival),
        *found.checks,
        *weight_checks(positions, weight, from_host),
    )
    return Found(
        positions=positions,
        statistics={"lp": found.log_density.reshape(shape), "log_weight": weight},
        checks=lambda posterior: checks,
        gradients=found.gradients,
        compile_seconds=compiled.seconds,
        run_seconds=time.perf_counter() - began - compiled.seconds,
        notes={"approximate": 1, "warmup": 0, "interrupted": 0, **evidence(weight)},
    )


def evidence(log_weight):
    """Return the notes of the evidence: the log of the mean weight, and its standard error."""
    log_mean = logsumexp(log_weight) - np.log(log_weight.size)
    with np.errstate(invalid="ignore"):
        spread = np.exp(log_weight - log_mean).std()
    return {
        "log_evidence": float(log_mean),
        "log_evidence_sd": float(spread / np.sqrt(log_weight.size)),
    }


class Approximation(NamedTuple):
    """A Gaussian at a mode: draws with both log densities, and what tells of the mode."""

    positions: Any
    log_density: Any
    log_proposal: Any
    gradient_norm: Any
    gradients: int
    lowest: Any
    rival: Any
    checks: tuple = ()


def by_whole_program(target, key, start, count):
    """Return the approximation by one program that finds modes, Hessian and draws."""
    run = laplace_program(target.log_density, count)
    found = jax.tree.map(np.asarray, run(key, start, target.data))
    positions, log_density, log_proposal, norm, iterations, lowest, away, heights, mode = found
    return Approximation(
        positions,
        log_density,
        log_proposal,
        norm,
        int(iterations) + 2 * target.dim,
        lowest,
        weight_of_rival(away, heights),
        held_steps.at(target, mode),
    )


def by_products(target, key, start, count, *, curvature_of, centre):
    """Return the approximation by products of the Hessian with vectors."""
    value_and_gradient, product, density, gradients, _ = products_of(target.log_density)

    def slopes(position):
        return value_and_gradient(position, target.data)

    ends = [climb(slopes, lambda x, v: product(x, v, target.data), x) for x in np.asarray(start)]
    mode, *_ = max(ends, key=lambda end: end[1] if np.isfinite(end[1]) else -np.inf)
    curvature = curvature_of(target, mode, key)
    gradient = np.asarray(slopes(mode)[1])
    noise = np.asarray(jax.random.normal(key, (count, target.dim)))
    shift, of_shift = np.zeros(target.dim), ()
    if centre == "mean" or isinstance(curvature, Dense):
        found = mean_shift(lambda x: gradients(x, target.data), mode, curvature)
        shift, of_shift = shift_taken(target, mode, found, curvature, noise, centre)
    positions = mode + shift + curvature.inverse_root(noise)
    log_density = np.asarray(density(positions, target.data))
    log_proposal = 0.5 * (
        curvature.log_determinant - (noise**2).sum(axis=1) - target.dim * np.log(2 * np.pi)
    )
    others = np.array([end[0] for end in ends]) - mode
    away = np.linalg.norm(curvature.root(others), axis=1)
    return Approximation(
        positions,
        log_density,
        log_proposal,
        np.linalg.norm(curvature.whitened(gradient[None])),
        sum(end[2] for end in ends) + 2 * curvature.products + 2 * target.dim * bool(of_shift),
        curvature.lowest,
        weight_of_rival(away, np.array([end[1] for end in ends])),
        (*curvature_checks(curvature), *of_shift, *held_steps.at(target, mode)),
    )


def few_pairs(target, mode, key):
    """Return the largest eigenpairs of H - I at a mode."""
    product = products_of(target.log_density).product
    seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
    return low_rank(lambda v: product(mode, v, target.data), target.dim, SMALLEST_EIGENVALUE, seed)


def all_rows(target, mode, key):
    """Return H at a mode, made row by row."""
    return dense(np.asarray(products_of(target.log_density).hessian(mode, target.data)))


class Products(NamedTuple):
    """Compiled slopes, products Hv, densities and gradients of rows, and H.

    All take the data as last argument.
    """

    value_and_gradient: Any
    product: Any
    density: Any
    gradients: Any
    hessian: Any


@functools.cache
def products_of(log_density):
    """Return the `Products` of a log density."""

    @jax.jit
    def product(position, vector, data):
        slope = jax.grad(log_density)
        return -jax.jvp(lambda x: slope(x, data), (position,), (vector,))[1]

    @jax.jit
    def density(positions, data):
        return jax.lax.map(lambda x: log_density(x, data), positions, batch_size=100)

    @jax.jit
    def gradients(positions, data):
        slope = jax.grad(log_density)
        return jax.lax.map(lambda x: slope(x, data), positions, batch_size=ROWS_AT_ONCE)

    @jax.jit
    def hessian(position, data):
        rows = jnp.eye(position.size)
        return jax.lax.map(lambda v: product(position, v, data), rows, batch_size=ROWS_AT_ONCE)

    slopes = jax.jit(jax.value_and_grad(log_density))
    return Products(slopes, product, density, gradients, hessian)


def _require_mode(found, starts):
    """Raise unless the search ended where a Gaussian fits."""
    if not found.lowest > 0:
        raise DriverError(
            f"the curvature where the search from {starts} starting points ended has an eigenvalue "
            f"of {found.lowest:.3g}, so no Gaussian fits there; use more starts, or driver nuts"
        )
    if not found.gradient_norm < GRADIENT_TOLERANCE:
        raise DriverError(
            f"the search from {starts} starting points ended at a gradient norm of "
            f"{found.gradient_norm:.3g} in posterior sd, above {GRADIENT_TOLERANCE:g}: no mode was "
            "reached; use more starts, or driver nuts"
        )


def weight_checks(positions, weight, shown):
    """Return the rows of the importance weights.

    In hundreds of dimensions the joint weights tell nothing of single answers, and are only shown.
    """
    rows = (weight_check(pareto_k(weight)), weighted_change_check(positions, weight))
    if not shown:
        return rows
    return tuple(row._replace(kind="information", limit=np.nan) for row in rows)


def shift_taken(target, mode, shift, curvature, noise, centre):
    """Return the shift of the mean that is taken into account, and its row.

    One that is no longer small is left out, and the row fails.
    """

    def quantities(position):
        return target.judged(position, target.data)

    shifts = shift_of_quantities(quantities, mode, shift, curvature, noise)
    largest = float(np.nan_to_num(np.abs(shifts), nan=np.inf).max(initial=0.0))
    limit = LARGEST_SHIFT_TAKEN if centre == "mean" else LARGEST_SHIFT
    taken = centre == "mean" and largest < limit
    meaning = "largest from the mode, of all quantities, by third derivatives, in their sd; " + (
        "taken into account" if taken else "left out"
    )
    row = Check("shift of a mean", largest, limit, kind="adequacy", meaning=meaning)
    return shift if taken else np.zeros_like(shift), (row,)


def curvature_checks(curvature):
    """Return the rows of what eigenpairs leave out, against the prior's curvature of 1."""
    if not isinstance(curvature, LowRank):
        return ()
    reach = abs(curvature.residual) + 2 * curvature.residual_error
    rank = curvature.values.size
    return (
        Check(
            "largest eigenvalue left out",
            curvature.neglected,
            LARGEST_LEFT_OUT,
            kind="adequacy",
            meaning=f"of the likelihood's curvature, beyond the {rank} kept; the prior's is 1",
        ),
        Check(
            "curvature left out",
            reach,
            LARGEST_LEFT_OUT,
            kind="adequacy",
            meaning="mean eigenvalue of all that is left out, from random probes, with two errors",
        ),
    )


def weight_of_rival(away, heights):
    """Return the largest density of another mode relative to the best, times squared distance.

    Parameters
    ----------
    away : (end,) array
        Distances of the ends of searches from the best, in posterior standard deviations.
    heights : (end,) array
        Log densities there.
    """
    finite = np.isfinite(heights)
    weight = heights - heights.max(initial=-np.inf, where=finite) + 2 * np.log(np.maximum(away, 1))
    return float(np.exp(weight[finite & (away > SAME)]).max(initial=0.0))


def mode_checks(gradient_norm, smallest_eigenvalue, rival):
    """Return the rows of a mode at which a Gaussian stands."""
    return (
        Check(
            "gradient at the mode",
            float(gradient_norm),
            GRADIENT_TOLERANCE,
            kind="adequacy",
            meaning="norm of the gradient of the log density, in posterior sd",
        ),
        Check(
            "smallest eigenvalue at the mode",
            float(smallest_eigenvalue),
            0.0,
            "above",
            "adequacy",
            meaning="of the negative Hessian, in unconstrained coordinates",
        ),
        Check(
            "weight of another mode",
            float(rival),
            RIVAL_HEIGHT,
            kind="adequacy",
            meaning="density relative to the mode's times squared distance in sd, of another end",
        ),
    )


@functools.cache
def laplace_program(log_density, count):
    """Return a compiled ``(key, starts, data)`` that finds the mode and draws around it."""

    def run(key, starts, data):
        def at(position):
            return log_density(position, data)

        mode, modes = best_mode(at, starts)
        precision = -jax.hessian(at)(mode)
        lowest = jnp.linalg.eigvalsh(precision)[0]
        root = jnp.linalg.cholesky(precision)
        slope = jax.scipy.linalg.solve_triangular(root, jax.grad(at)(mode), lower=True)
        away = jnp.linalg.norm((modes.position - mode) @ root, axis=1)
        noise = jax.random.normal(key, (count, mode.size))
        offsets = jax.scipy.linalg.solve_triangular(root, noise.T, lower=True, trans="T").T
        positions = mode + offsets
        log_proposal = (
            -0.5 * (noise**2).sum(axis=1)
            + jnp.log(jnp.diagonal(root)).sum()
            - 0.5 * mode.size * jnp.log(2 * jnp.pi)
        )
        return (
            positions,
            jax.lax.map(at, positions, batch_size=100),
            log_proposal,
            jnp.linalg.norm(slope),
            modes.iterations.sum(),
            lowest,
            away,
            modes.log_density,
            mode,
        )

    return jax.jit(run)
