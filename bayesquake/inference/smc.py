r"""Sequential Monte Carlo: particles carried from the prior to the posterior, with the evidence.

The likelihood enters share by share. Tempering raises it to a power that grows from 0 to 1;
data annealing lets in the folds of the data one after another, several at a time where they
say little, one in parts where it says much. Every increment is as large as the effective
sample size of the particles allows; they are then resampled and moved by Hamiltonian Monte
Carlo in coordinates whitened by their covariance. The mean weights multiply to the evidence.
Each chain is a run of its own, so that runs can be compared.

References
----------
Del Moral, Doucet & Jasra 2006, doi:10.1111/j.1467-9868.2006.00553.x; Chopin 2002,
doi:10.1093/biomet/89.3.539 (data annealing); Buchholz, Chopin & Jacob 2021,
doi:10.48550/arXiv.1808.07730 (Hamiltonian moves tuned by the particles).
"""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.mcmc import hmc
from blackjax.smc.ess import log_ess
from blackjax.smc.resampling import systematic
from blackjax.smc.solver import dichotomy
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp

from bayesquake.errors import DriverError
from bayesquake.inference.kernels.compilation import compiled, mapped, recorded_compilations
from bayesquake.inference.kernels.settings import ONE_PIECE
from bayesquake.model.options import count, one_of, share, takes
from bayesquake.results.checks import Check
from bayesquake.results.evidence import chain_checks
from bayesquake.results.posteriors import Found

__all__ = [
    "ANNEALS",
    "MOVES",
    "TARGET_ESS",
    "drift_of",
    "evidence_checks",
    "evidence_spread",
    "smc",
    "smc_program",
    "whole_likelihood",
]

ANNEALS = {
    "tempered": "the whole likelihood to a power that grows from 0 to 1",
    "data": "the folds of the data one after another",
}

IMPOSSIBLE, POSSIBLE = -1e100, -1e50
"""Log likelihood in place of -inf, whose power 0 is not a number, and the lowest believed."""

TARGET_ESS = 0.8
MOVES = 2
LARGEST_INCREMENTS = 1000
"""Increments after which a run that does not arrive is given up."""

SMALLEST_SHARE = 0.1
"""Share of particles that must count after an increment; fewer and the cloud is that of a few."""

MOVES_AT_REST = 8
LARGEST_DRIFT = 5.0
"""Standard errors by which a moment of particles may change in `MOVES_AT_REST` trajectories at the
posterior: a cloud that has missed a part of it that moves can reach drifts towards it."""

LARGEST_SPREAD = 1.0
"""Standard deviation of the log evidence beyond which runs have not seen the same posterior."""

TARGET_ACCEPT = 0.8
ADAPTATION_RATE = 1.0
"""Change of the log step size per unit of acceptance away from its target."""

FIRST_STEP_SIZE = 0.5
TRAJECTORY = (0.25 * np.pi, 0.75 * np.pi)
"""Range of trajectory lengths, in whitened coordinates, where pi / 2 is a quarter period."""

MOST_STEPS = 64
SMALLEST_VARIANCE = 1e-12
BATCH = 25
"""Particles moved at once; bounds the memory."""


class Runs(NamedTuple):
    """State of the runs, the leading axis of every array.

    Attributes
    ----------
    key : (run,)
    particles : (run, particle, dim)
    terms : (run, particle, fold)
        Log likelihood terms of the particles.
    progress : (run,)
        Folds let in, the last perhaps in part; equals their number at the posterior.
    log_evidence : (run,)
    step_size : (run,)
    log_density, acceptance : (run, particle)
    steps : (run,)
        Gradients per particle of the last increment.
    smallest_ess : (run,)
        Smallest effective sample size that an increment left, as a share of the particles.
    """

    key: Any
    particles: Any
    terms: Any
    progress: Any
    log_evidence: Any
    step_size: Any
    log_density: Any
    acceptance: Any
    steps: Any
    smallest_ess: Any


@takes(
    **ONE_PIECE,
    anneal=one_of(*ANNEALS),
    target_ess=share(),
    mcmc_steps=count(at_most=10_000),
)
def smc(
    target,
    *,
    chains=4,
    draws=1000,
    anneal="tempered",
    target_ess=TARGET_ESS,
    mcmc_steps=MOVES,
    seed=0,
    progress=None,
):
    """Draw from a target by sequential Monte Carlo.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    chains, draws : int
        Independent runs, and particles of each.
    anneal : {"tempered", "data"}
        How the likelihood enters; ``"data"`` needs a model with folds.
    target_ess : float
        Effective sample size that the weights of an increment leave, as a share of the
        particles, in (0, 1).
    mcmc_steps : int
        Trajectories by which every particle is moved after an increment.
    seed : int
    progress : callable, optional
        Called as ``progress(done, total, statistics)`` after every increment.

    Returns
    -------
    Found
        Of equal weight; Ctrl-C leaves nothing, as particles short of the posterior are no
        draws from it. The notes hold ``log_evidence``, the log of the mean evidence of the
        runs, ``log_evidence_sd``, the standard deviation over runs of the log evidence of one,
        and ``increments``.

    Raises
    ------
    DriverError
        The model has no likelihood, no prior to draw from or no folds; no draw from the
        prior has a finite likelihood; or the likelihood does not enter in 1000 increments.
    OptionError
    """
    terms = _terms(target, anneal)
    key_prior, key_run = jax.random.split(jax.random.key(seed))
    began = time.perf_counter()
    with recorded_compilations() as compilations:
        start, increment, settle = smc_program(
            target.log_prior, terms, mcmc_steps, float(target_ess)
        )
        particles = mapped(target.prior_position)(
            jax.random.split(key_prior, chains * draws), target.data
        ).reshape(chains, draws, -1)
        state = start(jax.random.split(key_run, chains), particles, target.data)
        _require_likelihood(state)
        if anneal == "data":
            _require_whole(target, state)
        folds = state.terms.shape[-1]
        gradients, shares = 0, [0.0]
        while shares[-1] < 1:
            if len(shares) > LARGEST_INCREMENTS:
                raise DriverError(
                    f"after {LARGEST_INCREMENTS} increments the share of the likelihood is "
                    f"{shares[-1]:.3g}: its values differ too much between particles; use "
                    "tighter priors, a smaller target_ess, or driver nuts"
                )
            state = increment(state, target.data)
            shares.append(np.asarray(state.progress).min() / folds)
            gradients += draws * int(state.steps.sum())
            if progress is not None:
                progress(_draws_done(shares, draws), draws, {"acceptance_rate": state.acceptance})
        state, changes = settle(state, target.data)
        gradients += draws * int(state.steps.sum())
        state = jax.tree.map(np.asarray, state._replace(key=None))
    shape = (chains, draws)
    statistics = {
        "lp": state.log_density,
        "acceptance_rate": state.acceptance,
        "step_size": np.broadcast_to(state.step_size[:, None], shape),
        "log_evidence": np.broadcast_to(state.log_evidence[:, None], shape),
    }
    spread = float(evidence_spread(state.log_evidence))
    evidence = evidence_checks(float(state.smallest_ess.min()), float(drift_of(changes)), spread)
    return Found(
        positions=state.particles,
        statistics=statistics,
        checks=lambda posterior: (*chain_checks(posterior, statistics), *evidence),
        gradients=gradients,
        compile_seconds=compilations.seconds,
        run_seconds=time.perf_counter() - began - compilations.seconds,
        notes={
            "log_evidence": float(np.logaddexp.reduce(state.log_evidence) - np.log(chains)),
            "log_evidence_sd": spread if chains > 1 else np.nan,
            "increments": len(shares) - 1,
            "warmup": 0,
            "interrupted": 0,
        },
    )


def evidence_spread(log_evidence):
    """Return the standard deviation over runs, the last axis; a single one tells nothing: inf."""
    runs = log_evidence.shape[-1]
    return (
        log_evidence.std(axis=-1, ddof=1) if runs > 1 else np.full(log_evidence.shape[:-1], np.inf)
    )


def drift_of(changes):
    """Return the largest change of a moment by the moves of particles at rest.

    Particles from the posterior stay so when they are moved: their mean position and square change
    by chance alone.

    Parameters
    ----------
    changes : pair of (..., run, moment)
        Mean changes of the whitened particles and of their squares, and the variances of these.

    Returns
    -------
    (...) array
        In standard errors.
    """
    mean, variance = (np.asarray(part) for part in changes)
    runs = mean.shape[-2]
    error = np.sqrt(variance.sum(axis=-2)) / runs
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.abs(mean.mean(axis=-2)) / error, nan=np.inf).max(axis=-1)


def evidence_checks(smallest_ess, drift, spread, over=""):
    """Return the rows of runs of sequential Monte Carlo.

    Parameters
    ----------
    smallest_ess : float or (problem,)
        Smallest effective sample size that an increment left, as a share of the particles.
    drift : float or (problem,)
        From `drift_of`.
    spread : float or (problem,)
        From `evidence_spread`.
    over : str
        Name of the problem axis, if there is one.
    """
    return (
        Check(
            "smallest ESS of an increment",
            smallest_ess,
            SMALLEST_SHARE,
            "above",
            "adequacy",
            over,
            "share of the particles that still counted when more of the likelihood came in",
        ),
        Check(
            "drift at rest",
            drift,
            LARGEST_DRIFT,
            "below",
            "adequacy",
            over,
            "change of a moment of the particles by more moves, in standard errors",
        ),
        Check(
            "spread of log evidence",
            spread,
            LARGEST_SPREAD,
            "below",
            "adequacy",
            over,
            "standard deviation of the log evidence over independent runs",
        ),
    )


@functools.cache
def smc_program(log_prior, terms, mcmc_steps, target_ess):
    """Return the compiled start and increment of all runs.

    Parameters
    ----------
    log_prior : callable
        ``(position, data)``.
    terms : callable
        ``(position, data) -> (fold,)``, the terms of the log likelihood.
    mcmc_steps : int
    target_ess : float

    Returns
    -------
    start : callable
        ``(keys, particles, data) -> Runs``.
    increment : callable
        ``(Runs, data) -> Runs``; a run that has arrived stays as it is.
    settle : callable
        ``(Runs, data) -> (Runs, changes)``, some more moves at the posterior, and what they changed
        for `drift_of`.
    """
    kernel = hmc.build_kernel()

    def measure(position, data):
        return log_prior(position, data), _bounded(terms(position, data))

    def start(keys, particles, data):
        runs, count, _ = particles.shape
        log_priors, log_terms = jax.vmap(lambda run: _each(lambda one: measure(one, data), run))(
            particles
        )
        return Runs(
            key=keys,
            particles=particles,
            terms=log_terms,
            progress=jnp.zeros(runs),
            log_evidence=jnp.zeros(runs),
            step_size=jnp.full(runs, FIRST_STEP_SIZE, float),
            log_density=log_priors + log_terms.sum(axis=-1),
            acceptance=jnp.zeros((runs, count)),
            steps=jnp.zeros(runs, int),
            smallest_ess=jnp.ones(runs),
        )

    def increment(state, data):
        return jax.vmap(lambda run: advance(run, data))(state)

    def advance(run, data):
        key, key_resample, key_move = jax.random.split(run.key, 3)
        progress, log_weights = _next_share(run.terms, run.progress, target_ess)
        weights = jax.nn.softmax(log_weights)
        centre, root = _whitening(run.particles, weights)
        chosen = systematic(key_resample, weights, weights.size)
        shares = _shares(progress, run.terms.shape[-1])

        def tempered(white):
            position = centre + root @ white
            return log_prior(position, data) + shares @ terms(position, data)

        white = solve_triangular(root, (run.particles[chosen] - centre).T, lower=True).T
        keys = jax.random.split(key_move, mcmc_steps)
        white, step_size, acceptance, steps = trajectories(
            keys, white, tempered, run.step_size, ADAPTATION_RATE
        )
        particles = centre + white @ root.T
        log_priors, log_terms = _each(lambda one: measure(one, data), particles)
        moved = Runs(
            key=key,
            particles=particles,
            terms=log_terms,
            progress=progress,
            log_evidence=run.log_evidence + logsumexp(log_weights) - jnp.log(weights.size),
            step_size=step_size,
            log_density=log_priors + log_terms.sum(axis=-1),
            acceptance=acceptance,
            steps=1 + steps,
            smallest_ess=jnp.minimum(
                run.smallest_ess, jnp.exp(log_ess(log_weights)) / weights.size
            ),
        )
        arrived = run.progress == run.terms.shape[-1]
        stay = run._replace(steps=jnp.zeros_like(run.steps))
        return jax.tree.map(lambda new, old: jnp.where(arrived, old, new), moved, stay)

    def trajectories(keys, white, density, step_size, rate):
        """Move whitened particles by a trajectory for each key, the step size following."""

        def move(carry, key):
            states, step_size = carry
            key_length, key_moves = jax.random.split(key)
            shortest, longest = TRAJECTORY
            length = jax.random.uniform(key_length, minval=shortest, maxval=longest)
            steps = jnp.clip(jnp.ceil(length / step_size), 1, MOST_STEPS).astype(int)
            unit = jnp.ones(white.shape[1])

            def trajectory(one):
                return kernel(*one, density, step_size, unit, steps)

            states, info = _each(trajectory, (jax.random.split(key_moves, len(white)), states))
            excess = info.acceptance_rate.mean() - TARGET_ACCEPT
            return (states, step_size * jnp.exp(rate * excess)), (info.acceptance_rate, steps)

        states = _each(lambda one: hmc.init(one, density), white)
        (states, step_size), (acceptance, steps) = jax.lax.scan(move, (states, step_size), keys)
        return states.position, step_size, acceptance[-1], steps.sum()

    def settle(state, data):
        return jax.vmap(lambda run: rest(run, data))(state)

    def rest(run, data):
        key, key_move = jax.random.split(run.key)
        count = len(run.particles)
        centre, root = _whitening(run.particles, jnp.full(count, 1 / count))

        def posterior(white):
            position = centre + root @ white
            return log_prior(position, data) + terms(position, data).sum()

        before = solve_triangular(root, (run.particles - centre).T, lower=True).T
        keys = jax.random.split(key_move, MOVES_AT_REST)
        after, _, acceptance, steps = trajectories(keys, before, posterior, run.step_size, 0.0)
        particles = centre + after @ root.T
        log_priors, log_terms = _each(lambda one: measure(one, data), particles)
        changes = jnp.concatenate([after - before, after**2 - before**2], axis=1)
        settled = run._replace(
            key=key,
            particles=particles,
            terms=log_terms,
            log_density=log_priors + log_terms.sum(axis=-1),
            acceptance=acceptance,
            steps=1 + steps,
        )
        return settled, (changes.mean(axis=0), changes.var(axis=0) / count)

    return compiled(start), compiled(increment), compiled(settle)


def _next_share(terms, progress, target_ess):
    """Return the progress that leaves the target effective sample size, and the log weights.

    The target is a share of the particles that the increment leaves possible at all.
    """
    folds = terms.shape[-1]

    def log_weights(increment):
        return terms @ (_shares(progress + increment, folds) - _shares(progress, folds))

    def surplus(increment):
        log_weight = log_weights(increment)
        possible = (log_weight > POSSIBLE).sum()
        return log_ess(log_weight) - jnp.log(target_ess * possible)

    left = folds - progress
    increment = dichotomy(surplus, 0.0, left)
    return jnp.where(increment < left, progress + increment, folds), log_weights(increment)


def _shares(progress, folds):
    """Return the share of every fold that has been let in, (fold,)."""
    return jnp.clip(progress - jnp.arange(folds), 0.0, 1.0)


def _whitening(particles, weights):
    """Return the mean and the Cholesky factor of a covariance shrunk to its diagonal."""
    count, dim = particles.shape
    centre = weights @ particles
    offsets = particles - centre
    covariance = (weights * offsets.T) @ offsets
    variance = jnp.maximum(jnp.diagonal(covariance), SMALLEST_VARIANCE)
    shrinkage = dim / (count + dim)
    shrunk = (1 - shrinkage) * covariance + shrinkage * jnp.diag(variance)
    return centre, jnp.linalg.cholesky(shrunk)


def _each(function, many):
    """Return the function of every element along the leading axis, some at once."""
    return jax.lax.map(function, many, batch_size=BATCH)


def _bounded(terms):
    return jnp.nan_to_num(terms, nan=IMPOSSIBLE, neginf=IMPOSSIBLE)


def _draws_done(shares, draws):
    """Return the draws to show as done; the shares grow about geometrically from the first."""
    if shares[-1] == 1:
        return draws
    return round(draws * (1 - np.log(shares[-1]) / np.log(shares[1])))


@functools.cache
def whole_likelihood(log_likelihood):
    """Return the likelihood as one fold."""
    return lambda position, data: log_likelihood(position, data)[None]


def _terms(target, anneal):
    if target.log_likelihood is None or target.prior_position is None:
        raise DriverError(
            "smc needs a likelihood apart from the prior and draws from the prior, which this "
            "target does not offer; use driver nuts"
        )
    if anneal == "tempered":
        return whole_likelihood(target.log_likelihood)
    if target.fold_terms is None:
        raise DriverError(
            "anneal = 'data' needs data in folds that are independent given the parameters, which "
            "this model does not define; use anneal = 'tempered'"
        )
    return target.fold_terms


def _require_likelihood(state):
    """Raise unless some particles of every run are possible."""
    possible = np.asarray(state.terms.sum(axis=-1)) > POSSIBLE
    if not possible.any(axis=1).all():
        raise DriverError(
            f"none of {possible.shape[1]} draws from the prior has a finite likelihood; check the "
            "priors and the data, or take more draws"
        )


def _require_whole(target, state):
    """Raise unless the folds of a possible particle add up to its likelihood."""
    sums = np.asarray(state.terms.sum(axis=-1))
    run, particle = np.argwhere(sums > POSSIBLE)[0]
    likelihood = compiled(target.log_likelihood)(state.particles[run, particle], target.data)
    if not np.isclose(sums[run, particle], likelihood, rtol=1e-6, atol=1e-6):
        raise DriverError(
            f"the folds of this model add up to a log likelihood of {sums[run, particle]:.6g}, "
            f"not {float(likelihood):.6g}; use anneal = 'tempered'"
        )
