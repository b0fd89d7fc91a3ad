"""Thousands of small posteriors: the cheap method for most, the costly one for the rest.

Every problem of a chunk goes through tiers until its chains agree:

1. searches for the mode from dispersed starts; Hamiltonian Monte Carlo in lockstep, whitened
   by the Hessian for a pilot run and by the pilot's covariance for the draws;
2. the same, whitened by the covariance of the draws of tier 1, and several times longer;
3. the adaptive no-U-turn sampler in the whitened coordinates.

Where a model can draw exactly from one of its posteriors, at a price, that takes the place of
tiers 2 and 3; so does sequential Monte Carlo, where asked for or where exact draws fail. Problems
with a second mode that matters go there at once, for chains agree on the share of a mode only
after many crossings, and so do those whose pilot chains lie far apart.

A tier runs a few problems at a time, those of similar cost together, and hands on the ones
whose R-hat or effective sample size misses the limits. What no tier certifies is named.
A problem's draws depend on the seed and its own index, not on the others; only rounding,
which differs with the width of the program, can make them differ.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesquake.batch.convergence import Convergence, convergence
from bayesquake.batch.lockstep import lockstep_program
from bayesquake.batch.modes import modes_program
from bayesquake.batch.sequential import sequential_draws
from bayesquake.batch.shard import batched, width_of
from bayesquake.batch.whitening import Whitened, rewhitened, unwhitened, whitened_density
from bayesquake.errors import OptionError
from bayesquake.inference.kernels.blocks import positive_integer
from bayesquake.inference.nuts import nuts_program

__all__ = ["STATISTICS", "TIERS", "Triaged", "TriageSettings", "in_lanes", "triage"]

TIERS = (
    "none",
    "whitened Hamiltonian Monte Carlo",
    "whitened Hamiltonian Monte Carlo, longer",
    "no-U-turn sampler",
    "exact draws",
    "sequential Monte Carlo",
)
"""What certified a problem, by number."""

STATISTICS = {
    "lp": float,
    "acceptance_rate": float,
    "diverging": bool,
    "energy": float,
    "n_steps": int,
    "step_size": float,
}
"""Sample statistics that every tier's sampler has."""

BLOCK_LENGTH = 50
"""Steps per compiled call."""

EXACT, SEQUENTIAL = 4, 5
"""Numbers of the tiers of exact draws and of sequential Monte Carlo."""

HOPELESS = 1.15
"""R-hat of a pilot run above which the draws would hardly agree; exact ones are made at once."""

FEWEST_DRAWS = 8

NARROWING = 4
"""Tier 3, in which problems wait for each other, and tier 4, in which one problem is a batch of
nodes by itself, are narrower by this factor."""


@dataclasses.dataclass(frozen=True)
class TriageSettings:
    """Settings of a triage.

    Attributes
    ----------
    chains, draws : int
        Number of chains and of kept draws in each.
    rhat_limit : float
        A problem is certified when the R-hat of every quantity is below,
    ess_limit : float, optional
        and the bulk and tail effective sample sizes are not below; 100 per chain by default.
    searches, iterations : int
        Starting points of the search for modes, and its most Newton steps.
    importance_draws : int
        Draws from the Gaussian at the mode for the Pareto k-hat.
    pilot : int
        Draws per chain of the pilot run.
    adaptation : int
        Steps in which a step size is adapted.
    longer : int
        Steps per kept draw in tiers 2 and 3.
    target_accept, trajectory_length, longest
        See `lockstep_program`.
    common_leapfrogs : (int, int), optional
        Fewest and most leapfrog steps of every trajectory of tiers 1 and 2, the same for all
        problems; by default as many as a problem's step size asks for.
    sequential : bool
        Whether sequential Monte Carlo takes the place of tiers 2 and 3.
    nuts_warmup, nuts_accept, nuts_depth
        Warm-up steps, target acceptance and largest tree depth of tier 3.
    width : int, optional
        Problems per compiled call and device; by default what suits the device.
    """

    chains: int = 4
    draws: int = 500
    rhat_limit: float = 1.01
    ess_limit: float | None = None
    searches: int = 8
    iterations: int = 100
    importance_draws: int = 200
    pilot: int = 100
    adaptation: int = 50
    longer: int = 4
    target_accept: float = 0.9
    trajectory_length: float = 2.5
    longest: int = 64
    common_leapfrogs: tuple[int, int] | None = None
    sequential: bool = False
    nuts_warmup: int = 400
    nuts_accept: float = 0.9
    nuts_depth: int = 8
    width: int | None = None

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if field.type is int:
                positive_integer(field.name, getattr(self, field.name))
        if self.width is not None:
            positive_integer("width", self.width)
        if self.draws < FEWEST_DRAWS:
            raise OptionError(
                f"draws = {self.draws} must be at least {FEWEST_DRAWS}, or no R-hat can be formed"
            )


class Triaged(NamedTuple):
    """Draws of every problem and the evidence for them.

    Attributes
    ----------
    positions : (problem, chain, draw, dim)
        Unconstrained; NaN where no starting point has a finite log density.
    statistics : dict of (problem, chain, draw)
        Sample statistics under ArviZ's names.
    tier : (problem,) int
        Index into `TIERS`.
    r_hat, ess_bulk, ess_tail : (problem,)
        Worst over the quantities.
    pareto_k : (problem,)
        Of importance weights of the Gaussian at the mode.
    modes : (problem,) int
        Distinct modes found whose log density is within 10 of the best.
    curvature : (problem,)
        Smallest eigenvalue of the negative Hessian at the mode.
    centre, root : (problem, dim), (problem, dim, dim)
        The best mode and a root of the covariance of its Gaussian.
    divergences, gradients : (problem,) int
        Divergent trajectories among the draws; gradient evaluations of all tiers.
    """

    positions: Any
    statistics: Any
    tier: Any
    r_hat: Any
    ess_bulk: Any
    ess_tail: Any
    pareto_k: Any
    modes: Any
    curvature: Any
    centre: Any
    root: Any
    divergences: Any
    gradients: Any


class Sampler(NamedTuple):
    """A block program at work.

    Attributes
    ----------
    program : BlockProgram
    width : int
        Problems per compiled call.
    warmup, draws : int
        Steps of warm-up; kept draws.
    thinning : int
        Steps per kept draw.
    """

    program: Any
    width: int
    warmup: int
    draws: int
    thinning: int = 1


class Cohort(NamedTuple):
    """The problems that enter a tier, those of similar cost together.

    Attributes
    ----------
    place, number : (problem,) int
        Place in the chunk; number that makes the random stream.
    whitened : Whitened
    positions : (problem, chain, dim)
        Where the chains are, in whitened coordinates.
    """

    place: Any
    number: Any
    whitened: Whitened
    positions: Any


class Made(NamedTuple):
    """What a tier made of a cohort: whitened draws and statistics, problem axis first."""

    draws: Any
    statistics: Any
    divergences: Any
    gradients: Any
    step_size: Any


def triage(target, data, *, seed=0, numbers=None, quantities=None, settings=None, exact=()):
    """Draw from the posteriors of many problems and certify each.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
        Its own ``data`` are not used.
    data : pytree of (problem, ...) arrays
        As `Target.log_density` takes them.
    seed : int
    numbers : (problem,) int array, optional
        The number that, with the seed, makes a problem's random stream; its place by default.
    quantities : callable, optional
        ``(position, data) -> (quantity,)``, what must converge; the coordinates by default.
    settings : TriageSettings, optional
    exact : sequence of callable
        ``(key, data, count) -> (count, dim)`` independent draws of one problem, NaN where the
        next one must be tried.

    Returns
    -------
    Triaged
    """
    settings = TriageSettings() if settings is None else settings
    data = jax.tree.map(np.asarray, data)
    problems = len(jax.tree.leaves(data)[0])
    numbers = np.arange(problems) if numbers is None else np.asarray(numbers)
    width = width_of(settings.width)

    search = modes_program(
        target.log_density,
        target.initial,
        target.dim,
        settings.chains,
        settings.searches,
        settings.importance_draws,
        target.slopes,
        settings.iterations,
    )
    found = in_lanes(
        lambda lane: batched(search, (0, 0))(_keys(seed, lane[0], 0), lane[1]),
        (numbers, data),
        width,
    )
    triaged = _nothing_yet(found, settings, target.dim)
    alive = np.flatnonzero(found.finite)
    settled = bool(exact) or settings.sequential
    chosen = alive[found.rivals[alive] <= 1] if settled else alive
    if chosen.size:
        pilot, *tiers = _samplers(target.log_density, settings)
        cohort = _cohort(found, chosen, numbers, data)
        made = _sample(pilot, cohort, seed, 1)
        triaged.gradients[cohort.place] += made.gradients
        promising = np.arange(chosen.size)
        if settled:
            tiers = tiers[:1]
            pilot_r_hat = _judged(made.draws, cohort.whitened.data, None, width).r_hat
            promising = np.flatnonzero(pilot_r_hat < HOPELESS)
        cohort = _onward(cohort, made, promising)
        for tier, sampler in enumerate(tiers, 1):
            if not cohort.place.size:
                break
            made = _sample(sampler, cohort, seed, 1 + tier)
            positions = unwhitened(cohort.whitened, made.draws)
            judged = _judged(positions, cohort.whitened.data, quantities, width)
            certified = _certified(judged, settings)
            _record(triaged, cohort.place, positions, made, judged, np.where(certified, tier, 0))
            cohort = _onward(cohort, made, np.flatnonzero(~certified))
    for draw in (*exact, None) if settled else ():
        left = alive[triaged.tier[alive] == 0]
        if left.size:
            lanes = _taken((numbers, data), left)
            _settle(triaged, left, lanes, target, draw, seed, quantities, settings)
    return triaged


def in_lanes(function, arrays, width):
    """Apply a function of many problems to ``width`` of them at a time.

    Parameters
    ----------
    function : callable
        ``pytree of (width, ...) -> pytree of (width, ...)``.
    arrays : pytree of (problem, ...)
    width : int
        The last lane is filled up with copies of its last problem.

    Returns
    -------
    pytree of (problem, ...) NumPy arrays
    """
    problems = len(jax.tree.leaves(arrays)[0])
    parts = []
    for first in range(0, problems, width):
        kept = min(width, problems - first)
        index = first + np.minimum(np.arange(width), kept - 1)
        part = function(_taken(arrays, index))
        parts.append(jax.tree.map(lambda values, kept=kept: np.asarray(values)[:kept], part))
    return jax.tree.map(lambda *values: np.concatenate(values), *parts)


def _cohort(found, chosen, numbers, data):
    """Return chosen problems at the starting points of their chains."""
    centre, root = found.centre[chosen], found.root[chosen]
    away = (found.start[chosen] - centre[:, None]).swapaxes(1, 2)
    start = np.linalg.solve(root, away).swapaxes(1, 2)
    return Cohort(chosen, numbers[chosen], Whitened(_taken(data, chosen), centre, root), start)


def _samplers(log_density, settings):
    density = whitened_density(log_density)
    lockstep = lockstep_program(
        density,
        settings.target_accept,
        settings.trajectory_length,
        settings.longest,
        settings.common_leapfrogs,
    )
    turning = nuts_program(density, "diagonal", settings.nuts_accept, settings.nuts_depth)
    width, narrow = width_of(settings.width), width_of(settings.width, NARROWING)
    return (
        Sampler(lockstep, width, settings.adaptation, settings.pilot),
        Sampler(lockstep, width, settings.adaptation, settings.draws),
        Sampler(lockstep, width, settings.adaptation, settings.draws, settings.longer),
        Sampler(turning, narrow, settings.nuts_warmup, settings.draws, settings.longer),
    )


def _sample(sampler, cohort, seed, stream):
    """Run a sampler on a cohort.

    Returns
    -------
    Made
    """
    program, width, warmup, draws, thinning = sampler
    steps = warmup + draws * thinning
    stages = np.zeros(-(-steps // BLOCK_LENGTH) * BLOCK_LENGTH, int)
    stages[:warmup] = program.stages(warmup)
    kept = np.arange(warmup + thinning - 1, steps, thinning)

    def lane(cohort):
        keys = _chain_keys(_keys(seed, cohort.number, stream), cohort.positions.shape[1])
        state = batched(program.start, (0, 0, 0))(keys, cohort.positions, cohort.whitened)
        parts, divergences, gradients = [], 0, 0
        for first in range(0, len(stages), BLOCK_LENGTH):
            stage = stages[first : first + BLOCK_LENGTH]
            state, positions, statistics = batched(program.block, (0, 0, None))(
                state, cohort.whitened, stage
            )
            statistics = {name: np.asarray(statistics[name]) for name in STATISTICS}
            drawn = np.arange(first, first + BLOCK_LENGTH)
            counted = (drawn >= warmup) & (drawn < steps)
            divergences += statistics["diverging"][:, counted].sum(axis=(1, 2))
            gradients += statistics["n_steps"].sum(axis=(1, 2))
            here = kept[(kept >= first) & (kept < first + BLOCK_LENGTH)] - first
            parts.append(
                jax.tree.map(
                    lambda values, here=here: np.asarray(values)[:, here].swapaxes(1, 2),
                    (positions, statistics),
                )
            )
        positions, statistics = jax.tree.map(lambda *x: np.concatenate(x, axis=2), *parts)
        return Made(
            positions, statistics, divergences, gradients, statistics["step_size"][:, 0, -1]
        )

    return in_lanes(lane, cohort, width)


def _settle(triaged, place, lanes, target, exact, seed, quantities, settings):
    """Draw some problems exactly or, without a way to do so, by sequential Monte Carlo."""
    chains, draws = settings.chains, settings.draws
    tier, narrowing = (SEQUENTIAL, 1) if exact is None else (EXACT, NARROWING)
    width = width_of(settings.width, narrowing)

    def lane(lane):
        keys = _keys(seed, lane[0], 1 + tier)
        if exact is None:
            return sequential_draws(target, keys, lane[1], chains, draws)
        flat, lp = _exact_program(exact, target.log_density, chains * draws)(keys, lane[1])
        shape = (len(lp), chains, draws)
        return flat.reshape(*shape, -1), lp.reshape(shape), np.ones(shape), np.zeros(len(lp), int)

    positions, lp, acceptance, gradients = in_lanes(lane, lanes, width)
    judged = _judged(positions, lanes[1], quantities, width)
    statistics = {
        name: np.full(lp.shape, False if kind is bool else 0 if kind is int else np.nan)
        for name, kind in STATISTICS.items()
    }
    statistics |= {"lp": lp, "acceptance_rate": acceptance}
    made_some = np.isfinite(positions).all(axis=(1, 2, 3))
    certified = made_some & ((exact is not None) | (judged.r_hat < settings.rhat_limit))
    found = (positions, statistics, gradients, judged, np.where(certified, tier, 0))
    positions, statistics, gradients, judged, tiers = _taken(found, made_some)
    made = Made(None, statistics, np.zeros(len(gradients), int), gradients, None)
    _record(triaged, place[made_some], positions, made, judged, tiers)


@functools.cache
def _exact_program(exact, log_density, count):
    def draw(key, data):
        positions = exact(key, data, count)
        return positions, jax.vmap(log_density, (0, None))(positions, data)

    return batched(draw, (0, 0))


def _onward(cohort, made, chosen):
    """Return the chosen problems in better coordinates, sorted by step size."""
    chosen = chosen[np.argsort(made.step_size[chosen], kind="stable")]
    whitened, positions = rewhitened(_taken(cohort.whitened, chosen), made.draws[chosen])
    return Cohort(cohort.place[chosen], cohort.number[chosen], whitened, positions)


def _judged(positions, data, quantities, width):
    """Return the worst R-hat and effective sample sizes of every problem."""

    def lane(lane):
        positions, data = lane
        values = positions if quantities is None else _values(quantities)(positions, data)
        by_quantity = np.moveaxis(np.asarray(values), -1, 1)
        problems, count = by_quantity.shape[:2]
        found = convergence(by_quantity.reshape(problems * count, *by_quantity.shape[2:]))
        found = Convergence(*(statistic.reshape(problems, count) for statistic in found))
        constant = np.ptp(by_quantity, axis=(2, 3)) == 0
        moved = ~constant.all(axis=1)
        r_hat = np.where(constant, 1.0, np.nan_to_num(found.r_hat, nan=np.inf)).max(axis=1)
        bulk, tail = (
            np.where(constant, np.inf, np.nan_to_num(ess, nan=0.0)).min(axis=1) for ess in found[1:]
        )
        return Convergence(
            np.where(moved, r_hat, np.inf), np.where(moved, bulk, 0.0), np.where(moved, tail, 0.0)
        )

    return in_lanes(lane, (positions, data), width)


@functools.cache
def _values(quantities):
    over_chains = jax.vmap(jax.vmap(quantities, (0, None)), (0, None))
    return batched(over_chains, (0, 0))


def _certified(judged, settings):
    limit = 100 * settings.chains if settings.ess_limit is None else settings.ess_limit
    ess = np.minimum(judged.ess_bulk, judged.ess_tail)
    return (judged.r_hat < settings.rhat_limit) & (ess >= limit)


def _nothing_yet(found, settings, dim):
    problems = len(found.count)
    shape = (problems, settings.chains, settings.draws)
    return Triaged(
        positions=np.full((*shape, dim), np.nan),
        statistics={
            name: np.full(shape, False if kind is bool else -1 if kind is int else np.nan, kind)
            for name, kind in STATISTICS.items()
        },
        tier=np.zeros(problems, int),
        r_hat=np.full(problems, np.nan),
        ess_bulk=np.full(problems, np.nan),
        ess_tail=np.full(problems, np.nan),
        pareto_k=found.pareto_k,
        modes=found.count,
        curvature=found.curvature,
        centre=found.centre,
        root=found.root,
        divergences=np.zeros(problems, int),
        gradients=found.gradients.copy(),
    )


def _record(triaged, place, positions, made, judged, tier):
    triaged.positions[place] = positions
    for name, values in made.statistics.items():
        triaged.statistics[name][place] = values
    triaged.tier[place] = tier
    for name, values in judged._asdict().items():
        getattr(triaged, name)[place] = values
    triaged.divergences[place] = made.divergences
    triaged.gradients[place] += made.gradients


def _taken(arrays, index):
    return jax.tree.map(lambda values: values[index], arrays)


@jax.jit
def _keys(seed, numbers, stream):
    """Return the key of every problem for one purpose."""
    key = jax.random.fold_in(jax.random.key(seed), stream)
    return jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)


@functools.partial(jax.jit, static_argnums=1)
def _chain_keys(keys, chains):
    return jax.vmap(lambda key: jax.random.split(key, chains))(keys)
