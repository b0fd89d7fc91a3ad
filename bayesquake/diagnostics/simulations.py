"""Data sets simulated for calibration: from the prior, or from the posterior of real data.

Under the prior, parameters are drawn from it and data from them. Under a posterior, a
replicate is a posterior draw and data as they could have been at that draw: fitted
together with the real data, it should rank the draw uniformly.

References
----------
Talts et al. 2018, doi:10.48550/arXiv.1804.06788;
Säilynoja, Schmitt, Bürkner & Vehtari 2025, doi:10.48550/arXiv.2502.03279 (posterior SBC).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.errors import OptionError, SimulationError
from bayesquake.inference.kernels.compilation import mapped
from bayesquake.model.coordinates import arrays_of
from bayesquake.model.priors import resolve_priors
from bayesquake.model.simulation import ATTEMPTS, calibrated_by, simulate_accepted
from bayesquake.results.configuration import configuration_of
from bayesquake.targets.target import target_of_arrays

__all__ = ["Simulations", "from_posterior", "from_prior"]


@dataclasses.dataclass(frozen=True, eq=False)
class Simulations:
    """Simulated data sets and what made them.

    Attributes
    ----------
    truth : dict of (replicate,)
        The calibrated quantities at the true parameters.
    size, refused : (replicate,) of int
        Length of the data set's first dimension; simulations refused before it.
    shapes : list of hashable
        Padded shapes of each replicate; equal ones share a program.
    take : callable
        ``indices -> pytree of arrays (index, ...)``.
    target : callable
        ``arrays of one replicate -> Target`` that fits it.
    design : callable
        ``data -> arrays`` on whose design the quantities are taken.
    start : callable or None
        ``(indices, chains) -> (index, chain, dim)`` starting points.
    """

    truth: dict[str, Any]
    size: Any
    refused: Any
    shapes: list
    take: Callable
    target: Callable
    design: Callable
    start: Callable | None = None


def from_prior(model, keys, *, design=None, priors=None, **options):
    """Simulate data sets with parameters from the prior.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    keys : (replicate,) of keys
    design, priors : optional
        As for ``model.simulate``.
    **options
        Of ``model.prepare``.

    Returns
    -------
    Simulations
    """

    def target(arrays):
        return target_of_arrays(model, arrays, priors)

    if model.simulate_arrays is not None:
        _, dataset, _ = simulate_accepted(model, keys[0], design, priors=priors)
        template = model.prepare(dataset, **options)
        resolved = tuple(sorted(resolve_priors(model, priors).items()))
        truth, stacked = _traced(model, resolved)(keys, jax.tree.map(jnp.asarray, template))
        count = len(keys)
        return Simulations(
            truth={name: np.asarray(values) for name, values in truth.items()},
            size=np.full(count, _size(dataset)),
            refused=np.zeros(count, int),
            shapes=[()] * count,
            take=lambda indices: jax.tree.map(lambda leaf: leaf[np.asarray(indices)], stacked),
            target=target,
            design=arrays_of,
        )
    simulated = [simulate_accepted(model, key, design, priors=priors) for key in keys]
    prepared = [model.prepare(dataset, **options) for _, dataset, _ in simulated]
    calibrated = calibrated_by(model)
    truths = [calibrated(simulated[i][0], prepared[i]) for i in range(len(keys))]
    return Simulations(
        truth=_by_name(truths),
        size=np.array([_size(dataset) for _, dataset, _ in simulated]),
        refused=np.array([refused for *_, refused in simulated]),
        shapes=[_shapes(arrays) for arrays in prepared],
        take=lambda indices: _stack([prepared[i] for i in indices]),
        target=target,
        design=arrays_of,
    )


def from_posterior(model, result, keys):
    """Simulate data sets at draws of the posterior of a real one.

    The replicate is fitted together with the real data in the model's plain coordinates;
    its chains start at other draws of that posterior. A replicate that is refused, by the
    simulator or because it exceeds the padding, is drawn anew with its parameters.

    Parameters
    ----------
    model : bayesquake.model.model.Model
        With ``replicate``.
    result : xarray.DataTree
        From `bayesquake.fit`.
    keys : (replicate,) of keys

    Returns
    -------
    Simulations

    Raises
    ------
    DriverError
        The model cannot replicate data of a given design.
    SimulationError
        Every replicate of a draw was refused.
    """
    configuration = configuration_of(result, model)
    dataset, options = configuration.dataset, configuration.prepare_options
    observed = model.prepare(dataset, **options)
    base = target_of_arrays(_unwhitened(model), observed, configuration.priors)
    posterior = result["posterior"].to_dataset().stack(sample=("chain", "draw"))
    values = {name: posterior[name].transpose("sample", ...).to_numpy() for name in posterior}
    count = posterior.sizes["sample"]
    replicated = [_replicate_accepted(model, key, values, dataset, options) for key in keys]
    drawn = np.array([i for i, *_ in replicated])
    prepared = [arrays for _, arrays, *_ in replicated]
    calibrated = calibrated_by(model)
    truths = [
        calibrated({name: jnp.asarray(v[i]) for name, v in values.items()}, observed) for i in drawn
    ]
    sites = base.unravel(jnp.zeros(base.dim))
    stored = {name: jnp.asarray(values[name]) for name in sites}
    positions = np.asarray(mapped(base.unconstrain)(stored, base.data))

    def start(indices, chains):
        return np.stack([start_of(i, chains) for i in indices])

    def start_of(i, chains):
        """Return draws of the posterior other than the replicate's own."""
        rng = np.random.default_rng(np.asarray(jax.random.key_data(keys[i])).ravel())
        shift = rng.integers(1, count, size=chains)
        return positions[(drawn[i] + shift) % count]

    return Simulations(
        truth=_by_name(truths),
        size=np.array([size for *_, size, _ in replicated]),
        refused=np.array([refused for *_, refused in replicated]),
        shapes=[_shapes(arrays) for arrays in prepared],
        take=lambda indices: _stack([(observed, prepared[i]) for i in indices]),
        target=lambda arrays: _augmented(base),
        design=_first,
        start=start,
    )


def _replicate_accepted(model, key, values, dataset, options):
    """Return a posterior draw's index, its prepared replicate, that one's size and refusals.

    A refusal draws the parameters anew, for the rule must see the data alone.
    """
    count = len(next(iter(values.values())))
    for refused, attempt in enumerate(jax.random.split(key, ATTEMPTS)):
        key_draw, key_data = jax.random.split(attempt)
        i = int(jax.random.randint(key_draw, (), 0, count))
        try:
            drawn = {name: v[i] for name, v in values.items()}
            replica = model.replicate(key_data, drawn, dataset, **options)
            return i, model.prepare(replica, **options), _size(replica), refused
        except (SimulationError, OptionError) as problem:
            reason = problem
    raise SimulationError(f"{ATTEMPTS} replicates in a row were refused; the last: {reason}")


@functools.cache
def _unwhitened(model):
    return dataclasses.replace(model, coordinates=None)


@functools.cache
def _traced(model, priors):
    """Return a compiled ``(keys, template) -> (truth, arrays)`` of many simulations."""
    distributions = {site: prior.distribution() for site, prior in priors}

    def simulate(key, template):
        values, arrays = model.simulate_arrays(key, template, distributions)
        return calibrated_by(model)(values, arrays), arrays

    return jax.jit(jax.vmap(simulate, (0, None)))


def _augmented(base):
    """Return the target of real and replicated data together, data = (real, replicated)."""
    log_density, constrain = _augmented_functions(
        base.log_density, base.log_likelihood, base.constrain
    )
    # A move of the model's own leaves the posterior of the real data invariant, not of both.
    return dataclasses.replace(
        base,
        log_density=log_density,
        gradient=jax.grad(log_density),
        constrain=constrain,
        move=None,
    )


@functools.cache
def _augmented_functions(log_density, log_likelihood, constrain):
    def both(position, data):
        real, replicated = data
        return log_density(position, real) + log_likelihood(position, replicated)

    return both, lambda position, data: constrain(position, data[0])


def _first(data):
    return arrays_of(data[0])


def _size(dataset):
    return dataset.sizes[next(iter(dataset.sizes))]


def _shapes(arrays):
    return tuple(np.shape(leaf) for leaf in jax.tree.leaves(arrays))


def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _by_name(truths):
    return {name: np.array([float(truth[name]) for truth in truths]) for name in truths[0]}
