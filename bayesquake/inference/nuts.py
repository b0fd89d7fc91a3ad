"""The no-U-turn sampler: BlackJAX's kernel, all chains in one compiled block.

References
----------
Hoffman & Gelman 2014, Journal of Machine Learning Research 15, 1593-1623;
Phan, Pradhan & Jankowiak 2019, doi:10.48550/arXiv.1912.11554 (the iterative form).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from blackjax.mcmc import nuts as kernels

from bayesquake.inference.kernels.adaptation import METRICS, adaptation, warmup_stages
from bayesquake.inference.kernels.blocks import run_blocks
from bayesquake.inference.kernels.settings import CHAIN_RUN
from bayesquake.model.options import count, one_of, share, takes
from bayesquake.results.posteriors import BlockProgram

__all__ = ["nuts", "nuts_program"]

MOVE_STREAM = 1
"""Index of the random stream of a model's own move, apart from the trajectory's."""


@takes(
    **CHAIN_RUN,
    metric=one_of(*METRICS),
    target_accept=share(),
    max_tree_depth=count(at_most=20),
)
def nuts(
    target,
    *,
    chains=4,
    warmup=1000,
    draws=1000,
    seed=0,
    metric="diagonal",
    target_accept=0.8,
    max_tree_depth=10,
    initial="prior",
    progress=None,
    checkpoint=None,
):
    """Draw from a target with the no-U-turn sampler.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    chains, warmup, draws : int
    seed : int
        The same seed, versions and device give the same draws.
    metric : {"diagonal", "dense", "low_rank", "identity"}
        What is adapted: scales, their correlations, a few directions of them, or nothing.
    target_accept : float
        Mean acceptance probability that the step size is adapted to.
    max_tree_depth : int
        A trajectory has at most 2**max_tree_depth leapfrog steps.
    initial : {"prior", "pathfinder"}
        Where chains start: at dispersed draws of the target, or of Pathfinder's paths.
    progress : callable, optional
        Called as ``progress(done, total, statistics)`` after every block.
    checkpoint : bayesquake.results.blocks.BlockFolder, optional
        Where blocks are kept as they are made.

    Returns
    -------
    Found
    """
    program = nuts_program(target.log_density, metric, target_accept, max_tree_depth, target.move)
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


class Chains(NamedTuple):
    """State of all chains of a posterior."""

    keys: Any
    states: Any
    adapted: Any


@functools.cache
def nuts_program(log_density, metric="diagonal", target_accept=0.8, max_tree_depth=10, move=None):
    """Return the block program of the sampler for a log density ``(position, data)``.

    A move ``(key, position, data) -> position`` that leaves it invariant follows every trajectory.
    """
    start_adaptation, update_adaptation = adaptation(metric, target_accept)
    kernel = kernels.build_kernel()

    def start(keys, positions, data):
        states = jax.vmap(lambda position: kernels.init(position, lambda x: log_density(x, data)))(
            positions
        )
        return Chains(keys, states, start_adaptation(states.logdensity_grad))

    def block(chains, data, stages):
        def at(position):
            return log_density(position, data)

        def elsewhere(key, position):
            return move(jax.random.fold_in(key, MOVE_STREAM), position, data)

        def step(chains, stage):
            keys, steps = jax.vmap(jax.random.split, out_axes=1)(chains.keys)
            adapted = chains.adapted

            def along(key, state):
                return kernel(
                    key, state, at, adapted.step_size, adapted.inverse_mass_matrix, max_tree_depth
                )

            states, info = jax.vmap(along)(steps, chains.states)
            if move is not None:
                moved = jax.vmap(elsewhere)(steps, states.position)
                states = jax.vmap(lambda position: kernels.init(position, at))(moved)
            statistics = {
                "lp": states.logdensity,
                "acceptance_rate": info.acceptance_rate,
                "diverging": info.is_divergent,
                "energy": info.energy,
                "n_steps": info.num_integration_steps + (move is not None),
                "tree_depth": info.num_trajectory_expansions,
                "step_size": jnp.broadcast_to(adapted.step_size, states.logdensity.shape),
            }
            adapted = update_adaptation(
                stage, adapted, states.position, states.logdensity_grad, info.acceptance_rate
            )
            return Chains(keys, states, adapted), (states.position, statistics)

        chains, (positions, statistics) = jax.lax.scan(step, chains, stages)
        return chains, positions, statistics

    return BlockProgram(start, block, functools.partial(warmup_stages, metric))
