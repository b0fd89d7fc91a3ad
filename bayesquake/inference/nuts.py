"""The no-U-turn sampler: NumPyro's kernel, all chains in one compiled block.

The kernel's state carries the adaptation, so one block program serves warm-up and
draws. The kernel keeps its schedule in closures that `init_kernel` fills in: it is
traced once when the program is made, before any block runs.

References
----------
Hoffman & Gelman 2014, Journal of Machine Learning Research 15, 1593-1623.
"""

import functools

import jax
import jax.numpy as jnp
from numpyro.infer.hmc import hmc

from bayesquake.errors import OptionError
from bayesquake.inference.draws import BlockProgram
from bayesquake.inference.run import run_blocks

__all__ = ["nuts", "nuts_program"]

BLOCK_LENGTH = 100


def nuts(
    target,
    *,
    chains=4,
    warmup=1000,
    draws=1000,
    seed=0,
    target_accept=0.85,
    dense_mass=True,
    max_tree_depth=10,
    progress=None,
):
    """Draw from a target with the no-U-turn sampler.

    Parameters
    ----------
    target : bayesquake.target.Target
    chains, warmup, draws : int
    seed : int
        The same seed, versions and device give the same draws.
    target_accept : float
        Mean acceptance probability that the step size is adapted to.
    dense_mass : bool
        Adapt a full mass matrix rather than its diagonal.
    max_tree_depth : int
        A trajectory has at most 2**max_tree_depth leapfrog steps.
    progress : callable, optional
        Called as ``progress(done, total, statistics)`` after every block.

    Returns
    -------
    Draws
    """
    if not isinstance(dense_mass, bool):
        raise OptionError(f"dense_mass = {dense_mass!r} must be True or False")
    program = nuts_program(
        target.log_density, warmup, dense_mass, float(target_accept), int(max_tree_depth)
    )
    return run_blocks(
        target, program, chains=chains, warmup=warmup, draws=draws, seed=seed, progress=progress
    )


@functools.cache
def nuts_program(
    log_density,
    warmup,
    dense_mass,
    target_accept,
    max_tree_depth,
    own_data=False,
    length=BLOCK_LENGTH,
):
    """Return the block program of the sampler for a log density ``(position, data)``.

    With ``own_data`` every chain has its own data, stacked along the first axis.
    """
    data_axis = 0 if own_data else None

    def potential_energy_of(data):
        return lambda z: -log_density(z["position"], data)

    init_kernel, sample_kernel = hmc(potential_fn_gen=potential_energy_of, algo="NUTS")

    def start_chain(key, position, data):
        return init_kernel(
            {"position": position},
            num_warmup=warmup,
            dense_mass=dense_mass,
            target_accept_prob=target_accept,
            max_tree_depth=max_tree_depth,
            model_args=(data,),
            rng_key=key,
        )

    def step_chain(state, data):
        return sample_kernel(state, (data,))

    def step_all(state, data):
        state = jax.vmap(step_chain, (0, data_axis))(state, data)
        statistics = {
            "lp": -state.potential_energy,
            "acceptance_rate": state.accept_prob,
            "diverging": state.diverging,
            "energy": state.energy,
            "n_steps": state.num_steps,
            "tree_depth": jnp.ceil(jnp.log2(state.num_steps + 1.0)).astype(int),
            "step_size": state.adapt_state.step_size,
        }
        return state, (state.z["position"], statistics)

    def block(state, data):
        state, (positions, statistics) = jax.lax.scan(
            lambda carry, _: step_all(carry, data), state, length=length
        )
        return state, positions, statistics

    start = jax.jit(jax.vmap(start_chain, (0, 0, data_axis)))
    return BlockProgram(start, jax.jit(block), length)
