r"""Variational inference: a guide fitted to the target by stochastic gradients of the ELBO.

NumPyro's automatic guides on a model whose only site is the flat position. Adam climbs
the evidence lower bound, an average over a few draws of the guide; where the bound, averaged
over a block of steps, no longer improves, the learning rate is halved, and the fit has
converged once it is a small part of what it was. Approximate by nature: the result says so,
and carries the Pareto k-hat of the importance weights of its draws, which exceeds 0.7
where the guide is poor.

References
----------
Kucukelbir et al. 2017, Journal of Machine Learning Research 18(14), 1-45; Yao, Vehtari, Simpson
& Gelman 2018, doi:10.48550/arXiv.1802.02538 (the k-hat of a guide); De Cao, Titov & Aziz 2019,
doi:10.48550/arXiv.1904.04676 (block neural autoregressive flow).
"""

import functools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import optax.contrib
import optax.tree
from numpyro.handlers import block as block_sites
from numpyro.infer import SVI, Trace_ELBO, autoguide, init_to_value

from bayesquake.errors import DriverError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.settings import ONE_PIECE
from bayesquake.inference.kernels.starts import initial_positions
from bayesquake.model.options import count, number, one_of, takes
from bayesquake.results.evidence import (
    missing_check,
    pareto_k,
    weight_check,
    weighted_change_check,
)
from bayesquake.results.posteriors import Found

__all__ = ["GUIDES", "svi", "svi_program"]

GUIDES = {
    "normal": autoguide.AutoDiagonalNormal,
    "multivariate_normal": autoguide.AutoMultivariateNormal,
    "low_rank_multivariate_normal": autoguide.AutoLowRankMultivariateNormal,
    "bnaf": autoguide.AutoBNAFNormal,
}
"""Independent normals, one normal, one of few correlated directions, and a flow."""

BLOCK_LENGTH = 100
BOUND_DRAWS = 16
"""Draws of the guide by which a step estimates the bound and its gradient."""

PATIENCE = 3
"""Blocks without improvement after which the learning rate is halved."""

IMPROVEMENT = 1e-2
"""Smallest improvement of the bound that counts."""

SPARE = 0.01
"""Share of draws of the guide that may fall where the log density is not finite."""

SMALLEST_RATE = 2.0**-8
"""Share of the learning rate at which the fit has converged."""


@takes(
    **ONE_PIECE,
    guide=one_of(*GUIDES),
    steps=count(at_most=100_000_000),
    learning_rate=number(above=0, at_most=1),
)
def svi(
    target,
    *,
    chains=4,
    draws=1000,
    guide="multivariate_normal",
    steps=20_000,
    learning_rate=0.02,
    seed=0,
    progress=None,
):
    """Draw from a guide fitted to a target.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
    chains, draws : int
        Independent draws of the guide, arranged as chains.
    guide : {"normal", "multivariate_normal", "low_rank_multivariate_normal", "bnaf"}
        Independent normals; a normal with all correlations, or with those along the root of
        dim directions; a block neural autoregressive flow.
    steps : int
        Steps at most, in whole blocks of 100; Ctrl-C between blocks ends the fit there.
    learning_rate : float
        Of Adam, at first.
    seed : int
    progress : callable, optional
        Called as ``progress(done, total, statistics)`` after every block.

    Returns
    -------
    Found
        With statistics ``log_weight``, the log importance weight of every draw. The notes
        hold ``elbo``, that of these draws, ``steps`` and ``converged``.

    Raises
    ------
    DriverError
        The bound is not finite, too many draws have no finite log density, or the target
        has too few coordinates for the guide.
    OptionError
    """
    if guide == "bnaf" and target.dim == 1:
        raise DriverError("guide = 'bnaf' needs at least two coordinates; use guide = 'normal'")
    key_start, key_fit, key_draw = jax.random.split(jax.random.key(seed), 3)
    began = time.perf_counter()
    with recorded_compilations() as compilations:
        count = chains * draws
        program = svi_program(
            target.log_density,
            target.dim,
            guide,
            learning_rate,
            count + math.ceil(SPARE * count),
        )
        origin = initial_positions(target, key_start, 1)[0]
        fit = _climb(program, key_fit, origin, target.data, steps, progress)
        positions, log_density, log_proposal = jax.tree.map(
            np.asarray, program.sample(key_draw, fit.state, origin, target.data)
        )
    usable = np.flatnonzero(np.isfinite(log_density))[:count]
    if usable.size < count:
        raise DriverError(
            f"the log density is not finite at {1 - usable.size / log_density.size:.0%} of the "
            f"draws of guide {guide!r} after {fit.steps} steps; use another guide, or driver nuts"
        )
    positions, log_density = positions[usable], log_density[usable]
    log_weight = (log_density - log_proposal[usable]).reshape(chains, draws)
    lp = log_density.reshape(chains, draws)
    positions = positions.reshape(chains, draws, -1)
    checks = (
        weight_check(pareto_k(log_weight)),
        weighted_change_check(positions, log_weight),
        missing_check(steps - fit.steps if fit.interrupted else 0, "steps"),
    )
    return Found(
        positions=positions,
        statistics={"lp": lp, "log_weight": log_weight},
        checks=lambda posterior: checks,
        gradients=fit.steps * BOUND_DRAWS,
        compile_seconds=compilations.seconds,
        run_seconds=time.perf_counter() - began - compilations.seconds,
        notes={
            "approximate": 1,
            "elbo": float(log_weight.mean()),
            "converged": int(fit.converged),
            "steps": fit.steps,
            "warmup": 0,
            "interrupted": int(fit.interrupted),
        },
    )


class Fit(NamedTuple):
    """Where a fit ended, and why."""

    state: Any
    steps: int
    converged: bool
    interrupted: bool


def _climb(program, key, origin, data, steps, progress):
    """Return the fit after at most so many steps, in whole blocks."""
    state = program.start(key, origin, data)
    done, converged, interrupted = 0, False, False
    try:
        while done < steps and not converged:
            state, bound = program.block(state, origin, data)
            if not np.isfinite(bound):
                raise DriverError(
                    f"the evidence lower bound of the guide is {bound} after {done} steps; use a "
                    "smaller learning_rate, another guide, or driver nuts"
                )
            done += BLOCK_LENGTH
            converged = bool(optax.tree.get(state.optim_state, "scale") <= SMALLEST_RATE)
            if progress is not None:
                progress(min(done, steps), steps, {"elbo": float(bound)})
    except KeyboardInterrupt:
        if done == 0:
            raise
        interrupted = True
    return Fit(state, done, converged, interrupted)


class Program(NamedTuple):
    """The fit of a guide as compiled functions; ``origin`` (dim,) is where the guide starts.

    Attributes
    ----------
    start : callable
        ``(key, origin, data) -> state``.
    block : callable
        ``(state, origin, data) -> (state, bound)``, the bound a mean over the block; a step
        whose bound or gradient is not finite changes nothing.
    sample : callable
        ``(key, state, origin, data) -> (positions, log_density, log_proposal)`` of the draws.
    """

    start: Callable
    block: Callable
    sample: Callable


@functools.cache
def svi_program(log_density, dim, guide, learning_rate, draws):
    """Return the `Program` for a log density ``(position, data)``.

    The sites of the model behind the log density, if it is NumPyro's, are none of the guide's.
    A guide keeps what it learns about its model, tracers included, so every trace makes its own.
    """

    def model(origin, data):
        everywhere = dist.ImproperUniform(dist.constraints.real_vector, (), (dim,))
        offset = numpyro.sample("offset", everywhere)
        with block_sites():
            at_position = log_density(origin + offset, data)
        numpyro.factor("log_density", at_position)

    def fit(key, origin, data):
        chosen = GUIDES[guide](model, init_loc_fn=init_to_value(values={"offset": jnp.zeros(dim)}))
        optimizer = optax.chain(
            optax.adam(learning_rate),
            optax.contrib.reduce_on_plateau(
                factor=0.5,
                patience=PATIENCE,
                rtol=0.0,
                atol=IMPROVEMENT,
                accumulation_size=BLOCK_LENGTH,
            ),
        )
        fitted = SVI(model, chosen, optimizer, Trace_ELBO(num_particles=BOUND_DRAWS))
        return fitted, chosen, fitted.init(key, origin, data)

    def start(key, origin, data):
        return fit(key, origin, data)[-1]

    def block(state, origin, data):
        fitted, *_ = fit(state.rng_key, origin, data)

        def step(state, _):
            return fitted.stable_update(state, origin, data)

        state, losses = jax.lax.scan(step, state, length=BLOCK_LENGTH)
        return state, -jnp.nanmean(losses)

    def sample(key, state, origin, data):
        fitted, chosen, _ = fit(key, origin, data)
        transform = chosen.get_transform(fitted.get_params(state))
        posterior = dist.TransformedDistribution(chosen.get_base_dist(), transform)
        offsets, intermediates = posterior.sample_with_intermediates(key, (draws,))
        positions = origin + offsets
        log_densities = jax.lax.map(lambda one: log_density(one, data), positions, batch_size=100)
        return positions, log_densities, posterior.log_prob(offsets, intermediates)

    return Program(jax.jit(start), jax.jit(block), jax.jit(sample))
