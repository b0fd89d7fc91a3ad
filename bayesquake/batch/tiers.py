"""Thousands of small posteriors: the cheap method for most, the costly one for the rest.

Every problem of a chunk goes through tiers until the evidence for its draws keeps all limits, those
of `bayesquake.check`:

1. searches for the mode from dispersed starts; Hamiltonian Monte Carlo in lockstep, whitened
   by the Hessian for a pilot run and by the pilot's covariance for the draws;
2. the same with smaller steps, whitened by the covariance of the draws of tier 1, and several
   times longer;
3. the adaptive no-U-turn sampler in the whitened coordinates, with small steps.

Where a model can draw exactly from one of its posteriors, at a price, that takes the place of
tiers 2 and 3; so does sequential Monte Carlo where asked for. Problems with a second mode that
matters then go there at once, for chains agree on the share of a mode only after many crossings,
and so do those whose pilot chains lie far apart. Unasked, sequential Monte Carlo takes the place of
tier 3 for problems of several modes. Other problems that chains cannot settle are not given to it:
in a funnel its runs agree with each other and not with the posterior.

A tier runs a few problems at a time, those of similar cost together, and hands on the ones that
miss a limit. What no tier certifies is named.
A problem's draws depend on the seed and its own index, not on the others; only rounding,
which differs with the width of the program, can make them differ.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesquake.batch.evidence import evidence_of_draws, no_evidence
from bayesquake.batch.lanes import chain_keys, in_lanes, problem_keys, taken
from bayesquake.batch.lockstep import lockstep_program
from bayesquake.batch.modes import modes_program
from bayesquake.batch.sequential import sequential_draws
from bayesquake.batch.shard import batched, width_of
from bayesquake.batch.triaged import STATISTICS, TriageSettings, nothing_yet, record
from bayesquake.batch.whitening import Whitened, rewhitened, unwhitened, whitened_density
from bayesquake.inference.nuts import nuts_program
from bayesquake.results.evidence import energy_fraction

__all__ = ["EXACT", "SEQUENTIAL", "triage"]

BLOCK_LENGTH = 50
"""Steps per compiled call."""

LOCKSTEP_TIERS = 2
EXACT, SEQUENTIAL = 4, 5
"""Numbers of the tiers of exact draws and of sequential Monte Carlo."""

HOPELESS = 1.15
"""R-hat of a pilot run above which the draws would hardly agree; exact ones are made at once."""

NARROWING = 4
"""Tier 3, in which problems wait for each other, and tier 4, in which one problem is a batch of
nodes by itself, are narrower by this factor."""

FEW = 16
"""Sequential Monte Carlo that is not asked for is of few problems, and a lane is filled up with
copies: it is narrower by this factor."""


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
    """What a tier made of a cohort, problem axis first.

    Attributes
    ----------
    draws, statistics
        Whitened draws and the statistics of those that are kept.
    divergences, e_bfmi : (problem,)
        Share of divergent trajectories and energy fraction, of all steps after warm-up.
    gradients : (problem,) int
    step_size : (problem,)
    """

    draws: Any
    statistics: Any
    divergences: Any
    e_bfmi: Any
    gradients: Any
    step_size: Any


def triage(target, data, *, seed=0, numbers=None, settings=None, exact=()):
    """Draw from the posteriors of many problems and certify each.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
        Its own ``data`` are not used. What must converge are its ``judged`` quantities, the
        coordinates if it has none.
    data : pytree of (problem, ...) arrays
        As `Target.log_density` takes them.
    seed : int
    numbers : (problem,) int array, optional
        The number that, with the seed, makes a problem's random stream; its place by default.
    settings : TriageSettings, optional
    exact : sequence of callable
        ``(key, data, count) -> ((count, dim), change)`` independent draws of one problem, and how
        far their moments move when the nodes of their rule are halved; where that is too far the
        next one is tried.

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
        lambda lane: batched(search, (0, 0))(problem_keys(seed, lane[0], 0), lane[1]),
        (numbers, data),
        width,
    )
    triaged = nothing_yet(found, settings, target.dim)
    alive = np.flatnonzero(found.finite)
    has_prior = None not in (target.log_prior, target.log_likelihood, target.prior_position)
    quick = bool(exact) or (settings.sequential and has_prior)
    settling = (*exact, *(None,) * has_prior)
    several = bool(settling) & ((found.rivals if quick else found.rival_modes) > 1)
    chosen = alive[~several[alive]] if quick else alive
    if chosen.size:
        pilot, *tiers = _samplers(target.log_density, settings)
        cohort = _cohort(found, chosen, numbers, data)
        made = _sample(pilot, cohort, seed, 1)
        triaged.gradients[cohort.place] += made.gradients
        promising = np.arange(chosen.size)
        if quick:
            tiers = tiers[:1]
            r_hat = evidence_of_draws(made.draws, cohort.whitened.data, None, (), width).r_hat
            promising = np.flatnonzero(r_hat < HOPELESS)
        cohort = _onward(cohort, made, promising)
        for tier, sampler in enumerate(tiers, 1):
            if not cohort.place.size:
                break
            made = _sample(sampler, cohort, seed, 1 + tier)
            triaged.gradients[cohort.place] += made.gradients
            positions = unwhitened(cohort.whitened, made.draws)
            evidence = evidence_of_draws(
                positions, cohort.whitened.data, target.judged, target.fixed, width
            )._replace(divergences=made.divergences, e_bfmi=made.e_bfmi)
            visited = found.rival_modes[cohort.place] <= settings.chains
            certified = settings.certify(evidence) & visited
            tier_of = np.where(certified, tier, 0)
            record(triaged, cohort.place, positions, made.statistics, evidence, tier_of)
            settled_later = several[cohort.place] & (tier == LOCKSTEP_TIERS)
            cohort = _onward(cohort, made, np.flatnonzero(~certified & ~settled_later))
    for draw in settling:
        left = alive[(triaged.tier[alive] == 0) & (quick | several[alive])]
        if left.size:
            chosen, their_data = taken((numbers, data), left)
            _settle(triaged, left, chosen, their_data, target, draw, seed, settings)
    return triaged


def _cohort(found, chosen, numbers, data):
    """Return chosen problems at the starting points of their chains."""
    centre, root = found.centre[chosen], found.root[chosen]
    away = (found.start[chosen] - centre[:, None]).swapaxes(1, 2)
    start = np.linalg.solve(root, away).swapaxes(1, 2)
    return Cohort(chosen, numbers[chosen], Whitened(taken(data, chosen), centre, root), start)


def _samplers(log_density, settings):
    density = whitened_density(log_density)
    lockstep, careful = (
        lockstep_program(
            density,
            accept,
            settings.trajectory_length,
            settings.longest,
            settings.common_leapfrogs,
        )
        for accept in (settings.target_accept, settings.careful_accept)
    )
    turning = nuts_program(density, "diagonal", settings.nuts_accept, settings.nuts_depth)
    width, narrow = width_of(settings.width), width_of(settings.width, NARROWING)
    return (
        Sampler(lockstep, width, settings.adaptation, settings.pilot),
        Sampler(lockstep, width, settings.adaptation, settings.draws),
        Sampler(careful, width, settings.adaptation, settings.draws, settings.longer),
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
        keys = chain_keys(problem_keys(seed, cohort.number, stream), cohort.positions.shape[1])
        state = batched(program.start, (0, 0, 0))(keys, cohort.positions, cohort.whitened)
        parts, diverging, energies, gradients = [], [], [], 0
        for first in range(0, len(stages), BLOCK_LENGTH):
            stage = stages[first : first + BLOCK_LENGTH]
            state, positions, statistics = batched(program.block, (0, 0, None))(
                state, cohort.whitened, stage
            )
            statistics = {name: np.asarray(statistics[name]) for name in STATISTICS}
            drawn = np.arange(first, first + BLOCK_LENGTH)
            counted = (drawn >= warmup) & (drawn < steps)
            diverging.append(statistics["diverging"][:, counted])
            energies.append(statistics["energy"][:, counted])
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
            positions,
            statistics,
            np.concatenate(diverging, axis=1).mean(axis=(1, 2)),
            energy_fraction(np.concatenate(energies, axis=1).swapaxes(1, 2)),
            gradients,
            statistics["step_size"][:, 0, -1],
        )

    return in_lanes(lane, cohort, width)


def _settle(triaged, place, numbers, data, target, exact, seed, settings):
    """Draw some problems exactly or, without a way to do so, by sequential Monte Carlo."""
    chains, draws = settings.chains, settings.draws
    tier = SEQUENTIAL if exact is None else EXACT
    for_few = FEW if not settings.sequential else 1
    width = width_of(settings.width, for_few if exact is None else NARROWING)

    def lane(lane):
        keys = problem_keys(seed, lane[0], 1 + tier)
        if exact is None:
            return sequential_draws(target, keys, lane[1], chains, draws)
        flat, lp, change = _exact_program(exact, target.log_density, chains * draws)(keys, lane[1])
        shape = (len(lp), chains, draws)
        independent = no_evidence(len(lp))._replace(change=change)
        gradients = np.zeros(len(lp), int)
        return flat.reshape(*shape, -1), lp.reshape(shape), np.ones(shape), gradients, independent

    positions, lp, acceptance, gradients, evidence = in_lanes(lane, (numbers, data), width)
    triaged.gradients[place] += gradients
    if exact is None:
        seen = evidence_of_draws(positions, data, target.judged, target.fixed, width)
        of_runs = {name: getattr(evidence, name) for name in ("smallest_ess", "drift", "spread")}
        evidence = seen._replace(**of_runs)
    statistics = {
        name: np.full(lp.shape, False if kind is bool else 0 if kind is int else np.nan)
        for name, kind in STATISTICS.items()
    }
    statistics |= {"lp": lp, "acceptance_rate": acceptance}
    whole = np.isfinite(positions).all(axis=(1, 2, 3))
    certified = whole & settings.certify(evidence)
    # Runs that disagree less than the chains before them are the better draws all the same.
    better = whole & ~(evidence.r_hat >= triaged.evidence.r_hat[place]) & (exact is None)
    chosen = np.flatnonzero(certified | better)
    tier_of = np.where(certified, tier, 0)
    record(triaged, place[chosen], *taken((positions, statistics, evidence, tier_of), chosen))


@functools.cache
def _exact_program(exact, log_density, count):
    def draw(key, data):
        positions, change = exact(key, data, count)
        return positions, jax.vmap(log_density, (0, None))(positions, data), change

    return batched(draw, (0, 0))


def _onward(cohort, made, chosen):
    """Return the chosen problems in better coordinates, sorted by step size."""
    chosen = chosen[np.argsort(made.step_size[chosen], kind="stable")]
    whitened, positions = rewhitened(taken(cohort.whitened, chosen), made.draws[chosen])
    return Cohort(cohort.place[chosen], cohort.number[chosen], whitened, positions)
