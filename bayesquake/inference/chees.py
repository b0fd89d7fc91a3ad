r"""Jittered Hamiltonian Monte Carlo whose trajectory length the chains learn together.

The length :math:`\tau` climbs the change in the estimator of the expected square,
:math:`\tfrac14 E (\|x' - E x\|^2 - \|x - E x\|^2)^2`, in coordinates scaled by the
metric; positions :math:`x` are proposed to move to :math:`x'`. The criterion speaks for the
bulk of the directions; the slowest sets a floor under the length, so that it turns too.
All chains take the same number of steps, so a block wastes nothing on waiting for the
longest trajectory: meant for 16 chains and more.

References
----------
Hoffman, Radul & Sountsov 2021, Proceedings of Machine Learning Research 130, 3907-3915
(the criterion); Sountsov & Hoffman 2021, doi:10.48550/arXiv.2110.11576 (the slowest direction).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from blackjax.mcmc import hmc
from blackjax.mcmc.dynamic_hmc import halton_sequence

from bayesquake.errors import DriverError
from bayesquake.inference.kernels.adaptation import DRAW, adaptation, warmup_stages
from bayesquake.inference.kernels.blocks import run_blocks
from bayesquake.inference.kernels.settings import CHAIN_RUN
from bayesquake.inference.kernels.slowest import (
    Slowest,
    start_slowest,
    toward_slowest,
    turning_length,
)
from bayesquake.model.options import count, share, takes
from bayesquake.results.posteriors import BlockProgram

__all__ = ["FEWEST_CHAINS", "chees", "chees_program", "require_chains"]

FEWEST_CHAINS = 8
"""Below this the criterion, an average over chains, is mostly noise."""

LEARNING_RATE = 0.05
FIRST_LENGTH = 1.0
"""In units of the metric's scales, where a standard normal has period 2π."""

LOG_LENGTHS = (-7.0, 7.0)
"""Range of the optimiser's log length, in which it stays while the floor decides."""

HALTON_BITS = 30


@takes(**CHAIN_RUN, target_accept=share(), max_steps=count(at_most=100_000))
def chees(
    target,
    *,
    chains=16,
    warmup=500,
    draws=500,
    seed=0,
    target_accept=0.651,
    max_steps=1000,
    initial="prior",
    progress=None,
    checkpoint=None,
):
    """Draw from a target with ChEES-HMC and a diagonal metric.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    chains, warmup, draws : int
        At least 8 chains.
    seed : int
        The same seed, versions and device give the same draws.
    target_accept : float
        Acceptance probability, its harmonic mean over chains, that the step size is
        adapted to.
    max_steps : int
        Leapfrog steps of a trajectory at most.
    initial : {"prior", "pathfinder"}
        Where chains start: at dispersed draws of the target, or of Pathfinder's paths.
    progress : callable, optional
        Called as ``progress(done, total, statistics)`` after every block.
    checkpoint : bayesquake.results.blocks.BlockFolder, optional
        Where blocks are kept as they are made.

    Returns
    -------
    Found

    Raises
    ------
    DriverError
        Fewer than 8 chains.
    """
    require_chains(chains)
    program = chees_program(target.log_density, target_accept, max_steps)
    return run_blocks(
        target,
        program,
        chains=chains,
        warmup=warmup,
        draws=draws,
        seed=seed,
        initial=initial,
        progress=progress,
        checkpoint=checkpoint,
    )


def require_chains(chains):
    """Raise `DriverError` if there are too few chains to learn from."""
    if chains < FEWEST_CHAINS:
        raise DriverError(
            f"chees learns from its chains together and needs at least {FEWEST_CHAINS}, "
            f"not {chains}; set chains to 16, or use driver nuts"
        )


class Length(NamedTuple):
    """What warm-up learns about the trajectory length.

    Attributes
    ----------
    log_length, average : ()
        The optimiser's log length and its running average.
    optimizer : optax state
    slowest : Slowest
    step : ()
        Steps so far, the index of the jitter.
    """

    log_length: Any
    average: Any
    optimizer: Any
    slowest: Slowest
    step: Any


class Chains(NamedTuple):
    """State of all chains of a posterior."""

    keys: Any
    states: Any
    adapted: Any
    length: Length


@functools.cache
def chees_program(log_density, target_accept=0.651, max_steps=1000):
    """Return the block program of the sampler for a log density ``(position, data)``."""
    start_adaptation, update_adaptation = adaptation("diagonal", target_accept)
    kernel = hmc.build_kernel()
    optimizer = optax.adam(LEARNING_RATE)

    def start(keys, positions, data):
        states = jax.vmap(lambda position: hmc.init(position, lambda x: log_density(x, data)))(
            positions
        )
        first = jnp.log(jnp.asarray(FIRST_LENGTH, float))
        length = Length(
            log_length=first,
            average=first,
            optimizer=optimizer.init(first),
            slowest=start_slowest(positions),
            step=jnp.asarray(0),
        )
        return Chains(keys, states, start_adaptation(states.logdensity_grad), length)

    def block(chains, data, stages):
        def at(position):
            return log_density(position, data)

        def step(chains, stage):
            keys, moves = jax.vmap(jax.random.split, out_axes=1)(chains.keys)
            adapted, length = chains.adapted, chains.length
            jitter = halton_sequence(length.step, HALTON_BITS)
            trajectory_length = jnp.maximum(jnp.exp(length.average), turning_length(length.slowest))
            steps = jnp.ceil(jitter * trajectory_length / adapted.step_size)
            steps = jnp.clip(jnp.nan_to_num(steps, nan=1.0), 1, max_steps).astype(int)

            def move(key, state):
                return kernel(key, state, at, adapted.step_size, adapted.inverse_mass_matrix, steps)

            states, info = jax.vmap(move)(moves, chains.states)
            everyone = states.logdensity.shape
            scales = jnp.sqrt(adapted.inverse_mass_matrix)
            kinetic = 0.5 * ((scales * info.momentum) ** 2).sum(axis=1)
            stayed = kinetic - chains.states.logdensity
            statistics = {
                "lp": states.logdensity,
                "acceptance_rate": info.acceptance_rate,
                "diverging": info.is_divergent,
                "energy": jnp.where(info.is_accepted, info.energy, stayed),
                "n_steps": jnp.broadcast_to(steps, everyone),
                "step_size": jnp.broadcast_to(adapted.step_size, everyone),
                "trajectory_length": jnp.broadcast_to(trajectory_length, everyone),
            }
            slope = jitter * criterion_slope(
                chains.states.position,
                info.proposal.position,
                -info.proposal.momentum,  # the kernel flips it, for reversibility
                jnp.where(info.is_divergent, 0.0, info.acceptance_rate),
                scales,
            )
            slowest = toward_slowest(length.slowest, length.step, states.position, scales)
            learned = _climb(length, slope)._replace(slowest=slowest)
            length = jax.tree.map(
                lambda new, old: jnp.where(stage == DRAW, old, new), learned, length
            )
            length = length._replace(step=length.step + 1)
            accepted = harmonic_mean(info.acceptance_rate)
            adapted = update_adaptation(
                stage, adapted, states.position, states.logdensity_grad, accepted
            )
            return Chains(keys, states, adapted, length), (states.position, statistics)

        chains, (positions, statistics) = jax.lax.scan(step, chains, stages)
        return chains, positions, statistics

    def _climb(length, slope):
        """Take one step of the optimiser up the slope."""
        gradient = jnp.where(jnp.isfinite(slope), -slope * jnp.exp(length.average), 0.0)
        updates, state = optimizer.update(gradient, length.optimizer)
        log_length = jnp.clip(length.log_length + updates, *LOG_LENGTHS)
        weight = (length.step + 1.0) ** -0.5
        average = (1 - weight) * length.average + weight * log_length
        return length._replace(log_length=log_length, average=average, optimizer=state)

    return BlockProgram(start, block, functools.partial(warmup_stages, "diagonal"))


def criterion_slope(positions, proposals, momenta, acceptance, scales):
    """Return the derivative of the criterion by the time travelled, (); arrays (chain, dim).

    Parameters
    ----------
    positions, proposals, momenta : (chain, dim)
        Where the trajectories began and ended, and the momenta at their ends.
    acceptance : (chain,)
        Acceptance probabilities, 0 for divergent trajectories.
    scales : (dim,)
        Square roots of the diagonal inverse mass matrix.
    """
    usable = jnp.where(jnp.isfinite(proposals).all(axis=1), acceptance, 0.0)
    proposals = jnp.where(usable[:, None] > 0, proposals, positions)
    momenta = jnp.where(usable[:, None] > 0, momenta, 0.0)
    weights = usable / (usable.sum() + jnp.finfo(usable.dtype).tiny)
    before = (positions - positions.mean(axis=0)) / scales
    after = (proposals - weights @ proposals) / scales
    change = (after**2).sum(axis=1) - (before**2).sum(axis=1)
    return weights @ (change * (after * scales * momenta).sum(axis=1))


def harmonic_mean(acceptance):
    """Return the harmonic mean over chains, 0 if any is 0."""
    return 1 / (1 / jnp.maximum(acceptance, 1e-10)).mean()
