"""Microcanonical Langevin Monte Carlo with a Metropolis test: momenta of unit length.

The speed is the same in every direction and place, so trajectories neither stall nor
race; the test keeps the posterior exact. All chains take the same jittered number of
steps, two gradients each, long enough to turn in the slowest direction. In d dimensions
a unit of time is worth the square root of d of Hamiltonian time.

References
----------
Robnik, De Luca, Silverstein & Seljak 2023, Journal of Machine Learning Research 24(311);
Robnik, Cohn-Gordon & Seljak 2025, doi:10.48550/arXiv.2503.01707 (the adjusted sampler).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from blackjax.mcmc import hmc
from blackjax.mcmc.adjusted_mclmc import adjusted_mclmc_proposal
from blackjax.mcmc.dynamic_hmc import halton_sequence
from blackjax.mcmc.integrators import IntegratorState, isokinetic_mclachlan
from blackjax.util import generate_unit_vector

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

__all__ = ["mclmc", "mclmc_program", "require_dimensions"]

GRADIENTS_PER_STEP = 2
"""Of the integrator of McLachlan."""

HALTON_BITS = 30


@takes(**CHAIN_RUN, target_accept=share(), max_steps=count(at_most=100_000))
def mclmc(
    target,
    *,
    chains=8,
    warmup=500,
    draws=1000,
    seed=0,
    target_accept=0.9,
    max_steps=1000,
    initial="prior",
    progress=None,
    checkpoint=None,
):
    """Draw from a target with adjusted microcanonical Langevin Monte Carlo.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
        Of at least two dimensions: on a line a unit momentum has nothing to turn.
    chains, warmup, draws : int
    seed : int
        The same seed, versions and device give the same draws.
    target_accept : float
        Acceptance probability that the step size is adapted to.
    max_steps : int
        Steps of a trajectory at most.
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
        The target has one dimension.
    """
    require_dimensions(target)
    program = mclmc_program(target.log_density, target_accept, max_steps)
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


def require_dimensions(target):
    """Raise `DriverError` if the target has one dimension."""
    if target.dim < 2:
        raise DriverError(
            "mclmc moves with momenta of unit length, which in one dimension cannot turn; "
            "use driver nuts"
        )


class Chains(NamedTuple):
    """State of all chains of a posterior."""

    keys: Any
    states: Any
    adapted: Any
    slowest: Slowest
    step: Any


@functools.cache
def mclmc_program(log_density, target_accept=0.9, max_steps=1000):
    """Return the block program of the sampler for a log density ``(position, data)``."""
    start_adaptation, update_adaptation = adaptation("diagonal", target_accept)

    def start(keys, positions, data):
        states = jax.vmap(lambda position: hmc.init(position, lambda x: log_density(x, data)))(
            positions
        )
        adapted = start_adaptation(states.logdensity_grad)
        return Chains(keys, states, adapted, start_slowest(positions), jnp.asarray(0))

    def block(chains, data, stages):
        def at(position):
            return log_density(position, data)

        def step(chains, stage):
            keys, moves = jax.vmap(jax.random.split, out_axes=1)(chains.keys)
            adapted = chains.adapted
            scales = jnp.sqrt(adapted.inverse_mass_matrix)
            length = turning_length(chains.slowest)
            steps = jnp.ceil(halton_sequence(chains.step, HALTON_BITS) * length / adapted.step_size)
            steps = jnp.clip(jnp.nan_to_num(steps, nan=1.0), 1, max_steps).astype(int)
            integrate = isokinetic_mclachlan(at, adapted.inverse_mass_matrix)
            propose = adjusted_mclmc_proposal(
                lambda state, step_size, *_: integrate(state, step_size),
                adapted.step_size * jnp.sqrt(scales.size),
                jnp.inf,
                steps,
            )

            def move(key, state):
                key_momentum, key_accept = jax.random.split(key)
                momentum = generate_unit_vector(key_momentum, state.position)
                begin = IntegratorState(
                    state.position, momentum, state.logdensity, state.logdensity_grad
                )
                end, info, _ = propose(key_accept, begin)
                return hmc.HMCState(end.position, end.logdensity, end.logdensity_grad), info

            states, info = jax.vmap(move)(moves, chains.states)
            everyone = states.logdensity.shape
            statistics = {
                "lp": states.logdensity,
                "acceptance_rate": info.acceptance_rate,
                "diverging": info.is_divergent,
                "n_steps": jnp.broadcast_to(GRADIENTS_PER_STEP * steps, everyone),
                "step_size": jnp.broadcast_to(adapted.step_size, everyone),
                "trajectory_length": jnp.broadcast_to(length, everyone),
            }
            learned = toward_slowest(chains.slowest, chains.step, states.position, scales)
            slowest = jax.tree.map(
                lambda new, old: jnp.where(stage == DRAW, old, new), learned, chains.slowest
            )
            adapted = update_adaptation(
                stage, adapted, states.position, states.logdensity_grad, info.acceptance_rate
            )
            moved = Chains(keys, states, adapted, slowest, chains.step + 1)
            return moved, (states.position, statistics)

        chains, (positions, statistics) = jax.lax.scan(step, chains, stages)
        return chains, positions, statistics

    return BlockProgram(start, block, functools.partial(warmup_stages, "diagonal"))
