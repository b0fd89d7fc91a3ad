"""Hamiltonian Monte Carlo in lockstep: trajectories of one length for every problem.

Under a map over problems a loop runs until the slowest of them is done. The unequal trees
of the no-U-turn sampler make the others wait; here, in coordinates where the posterior is
about standard normal, one trajectory length suits all problems, and a quasi-random sequence
that is the same for all jitters it. Only the step size is a problem's own, adapted to the
acceptance of its chains together. A problem of small steps then keeps the others waiting;
where this costs more than its chains gain, the number of steps is common instead. A trajectory
needs the value of the density at its end alone, so between the ends only gradients are computed.

References
----------
Neal 2011, doi:10.48550/arXiv.1206.1901 (Hamiltonian Monte Carlo);
Hoffman, Radul & Sountsov 2021, PMLR 130, 3907-3915 (quasi-random trajectory lengths);
Nesterov 2009, doi:10.1007/s10107-007-0149-x (dual averaging).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.step_size import dual_averaging_adaptation
from blackjax.mcmc.dynamic_hmc import halton_sequence
from blackjax.mcmc.hmc import HMCState, init

from bayesquake.results.posteriors import BlockProgram

__all__ = ["lockstep_program"]

DRAW, ADAPT_STEP = 0, 1
"""Stages: nothing is adapted; the step size is."""

FIRST_STEP_SIZE = 0.5
"""In posterior standard deviations."""

DIVERGENCE = 1000.0
"""Energy error above which a trajectory counts as divergent."""


class Chains(NamedTuple):
    """State of all chains of a problem."""

    keys: Any
    states: Any
    averaging: Any
    step: Any


@functools.cache
def lockstep_program(log_density, target_accept, trajectory_length, longest, common=None):
    """Return the block program of the sampler for a log density ``(position, data)``.

    Parameters
    ----------
    log_density : callable
        In coordinates where the posterior is about standard normal.
    target_accept : float
        Mean acceptance probability that the step size is adapted to.
    trajectory_length : float
        Mean length of a trajectory, in posterior standard deviations.
    longest : int
        Largest number of leapfrog steps of a trajectory.
    common : (int, int), optional
        Fewest and most leapfrog steps, the same for all problems whatever their step sizes; the
        two lengths are then not used.
    """
    averaging_start, averaging_update, averaged = dual_averaging_adaptation(target_accept)

    def start(keys, positions, data):
        states = jax.vmap(lambda position: init(position, lambda x: log_density(x, data)))(
            positions
        )
        # Of definite type, as a block returns it: else the first block would compile apart.
        averaging = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), averaging_start(FIRST_STEP_SIZE)
        )
        return Chains(keys, states, averaging, jnp.asarray(0))

    def block(chains, data, stages):
        def at(position):
            return log_density(position, data)

        def step(chains, stage):
            stage, leapfrogs = stage
            keys, steps = jax.vmap(jax.random.split, out_axes=1)(chains.keys)
            adapting = stage == ADAPT_STEP
            step_size = jnp.where(
                adapting, jnp.exp(chains.averaging.log_step_size), averaged(chains.averaging)
            )
            if common is None:
                length = 2 * trajectory_length * halton_sequence(chains.step)
                leapfrogs = jnp.clip(jnp.ceil(length / step_size), 1, longest).astype(int)

            def move(key, state):
                return _move(key, state, at, step_size, leapfrogs)

            states, statistics = jax.vmap(move)(steps, chains.states)
            learned = averaging_update(chains.averaging, statistics["acceptance_rate"].mean())
            averaging = jax.tree.map(
                lambda new, old: jnp.where(adapting, new, old), learned, chains.averaging
            )
            shared = {"n_steps": leapfrogs, "step_size": step_size}
            for name, value in shared.items():
                statistics[name] = jnp.broadcast_to(value, states.logdensity.shape)
            chains = Chains(keys, states, averaging, chains.step + 1)
            return chains, (states.position, statistics)

        leapfrogs = None if common is None else _common_leapfrogs(common, len(stages))
        chains, (positions, statistics) = jax.lax.scan(step, chains, (stages, leapfrogs))
        return chains, positions, statistics

    return BlockProgram(start, block, lambda warmup: np.full(warmup, ADAPT_STEP))


def _common_leapfrogs(common, count):
    """Return a quasi-random number of leapfrog steps for each of so many trajectories."""
    fewest, most = common
    share = jax.vmap(halton_sequence)(jnp.arange(count))
    return fewest + jnp.floor((most - fewest + 1) * share).astype(int)


def _move(key, state, log_density, step_size, leapfrogs):
    """Return the next state of one chain, and the statistics of the trajectory."""
    key_momentum, key_accept = jax.random.split(key)
    gradient = jax.grad(log_density)

    def leap(_, carry):
        position, momentum = carry
        position = position + step_size * momentum
        return position, momentum + step_size * gradient(position)

    start_momentum = jax.random.normal(key_momentum, state.position.shape)
    halfway = start_momentum + 0.5 * step_size * state.logdensity_grad
    position, halfway = jax.lax.fori_loop(0, leapfrogs - 1, leap, (state.position, halfway))
    end = init(position + step_size * halfway, log_density)
    momentum = halfway + 0.5 * step_size * end.logdensity_grad

    energy = 0.5 * (start_momentum**2).sum() - state.logdensity
    error = 0.5 * (momentum**2).sum() - end.logdensity - energy
    error = jnp.where(jnp.isnan(error), jnp.inf, error)
    accepted = jnp.log(jax.random.uniform(key_accept)) < -error
    moved = HMCState(*(jnp.where(accepted, new, old) for new, old in zip(end, state, strict=True)))
    return moved, {
        "lp": moved.logdensity,
        "acceptance_rate": jnp.exp(-jnp.maximum(error, 0.0)),
        "diverging": error > DIVERGENCE,
        "energy": energy + jnp.where(accepted, error, 0.0),
    }
