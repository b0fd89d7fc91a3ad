"""Fit a model to a data set: target, driver, constrained draws, result."""

import inspect
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.errors import DriverError, OptionError
from bayesquake.inference.compilation import recorded_compilations
from bayesquake.inference.draws import Draws
from bayesquake.inference.laplace import laplace
from bayesquake.inference.nuts import nuts
from bayesquake.inference.run import mapped
from bayesquake.io.provenance import provenance
from bayesquake.priors import resolve_priors
from bayesquake.target import target_of_arrays

__all__ = ["DRIVERS", "constrained", "fit", "options_of"]

DRIVERS: dict[str, Callable[..., Draws]] = {"nuts": nuts, "laplace": laplace}
PRIOR_DRAWS = 1000
OUTPUT_STREAM = 1000
"""Index of the random stream of forecasts and prior draws, apart from the drivers'."""

CHUNK = 500
"""Draws constrained at once; bounds the memory and fixes the compiled shape."""

STATISTIC_MEANINGS = {
    "lp": "log density in the sampler's coordinates",
    "acceptance_rate": "mean acceptance probability of the trajectory",
    "diverging": "whether the trajectory diverged",
    "energy": "Hamiltonian energy",
    "n_steps": "leapfrog steps of the trajectory",
    "tree_depth": "depth of the trajectory's tree",
    "step_size": "step size",
    "log_weight": "log importance weight of the draw",
}


def fit(
    model,
    dataset,
    *,
    driver=None,
    chains=4,
    warmup=None,
    draws=1000,
    seed=0,
    priors=None,
    progress=None,
    **options,
):
    """Draw from the posterior of a model.

    Parameters
    ----------
    model : bayesquake.zoo.Model
    dataset : xarray.Dataset
        From ``model.read`` or ``model.simulate``.
    driver : {"nuts", "laplace"}, optional
        The model's recommendation by default.
    chains, warmup, draws : int
        Number of chains; of warm-up steps (the model's recommendation by default) and of
        kept draws in each.
    seed : int
        The same seed, versions and device give the same draws.
    priors : mapping or path, optional
        Priors in place of the defaults, by name: `Prior`, NumPyro distribution, TOML file.
    progress : callable, optional
        Called as ``progress(done, total, statistics)`` between compiled blocks.
    **options
        Options of the driver, of ``model.prepare`` and of ``model.complete``.

    Returns
    -------
    xarray.DataTree
        ArviZ groups and the model's own; root attributes hold the provenance.

    Raises
    ------
    DriverError, OptionError, PriorError, InitialPointError
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(f"seed = {seed!r} must be an integer of at least 0")
    recommended = dict(model.recommended(dataset))
    driver_name = recommended.pop("driver") if driver is None else driver
    if driver_name not in DRIVERS:
        raise DriverError(f"driver {driver_name!r} is unknown; choose from {', '.join(DRIVERS)}")
    run = DRIVERS[driver_name]
    split = split_options(model, run, options)
    settings = {"chains": chains, "draws": draws} | _accepted(run, recommended) | split["driver"]
    if warmup is not None:
        settings |= _accepted(run, {"warmup": warmup})

    completion = model.complete(dataset, **split["complete"])
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        arrays = model.prepare(dataset, **split["prepare"])
        target = target_of_arrays(model, arrays, priors)
        made = run(target, seed=seed, progress=progress, **settings)
        key_complete, key_prior = jax.random.split(
            jax.random.fold_in(jax.random.key(seed), OUTPUT_STREAM)
        )
        posterior = constrained(target, made.positions)
        groups = completion(posterior, jax.tree.map(jnp.asarray, arrays), key_complete)
        groups["posterior"] = _as_dataset(model, posterior).merge(groups["posterior"])
        groups["prior"] = _as_dataset(model, _prior_draws(target, key_prior))
        groups["sample_stats"] = _statistics(made.statistics)
    configuration = {
        "model": model.name,
        "driver": driver_name,
        "settings": settings,
        "options": {**split["prepare"], **split["complete"]},
        "priors": {
            site: {"distribution": prior.family, **dict(prior.parameters)}
            for site, prior in resolve_priors(model, priors).items()
        },
    }
    observed = groups["observed_data"]
    observed.attrs.update(dataset.attrs)
    result = xr.DataTree.from_dict({name: groups[name] for name in sorted(groups)})
    result.attrs = provenance(model, dataset, configuration, seed) | {
        "gradient_count": made.gradients,
        "compile_seconds": compiled.seconds,
        "run_seconds": time.perf_counter() - began - compiled.seconds,
        "sampling_seconds": made.run_seconds,
        **made.notes,
    }
    return result


def options_of(function):
    """Return the names of a function's keyword-only options."""
    return {
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def split_options(model, driver, options):
    """Assign options to the driver, ``model.prepare`` and ``model.complete``.

    Raises
    ------
    OptionError
        An option belongs to none of them.
    """
    homes = {
        "driver": options_of(driver) - {"progress", "seed"},
        "prepare": options_of(model.prepare),
        "complete": options_of(model.complete),
    }
    known = set().union(*homes.values())
    unknown = sorted(set(options) - known)
    if unknown:
        raise OptionError(
            f"unknown option {', '.join(unknown)}; the reader of {model.name} takes "
            f"{', '.join(sorted(options_of(model.read)))}, its fit {', '.join(sorted(known))}"
        )
    return {
        home: {name: value for name, value in options.items() if name in names}
        for home, names in homes.items()
    }


def constrained(target, positions):
    """Return constrained draws of all sites, dict of (chain, draw, ...), chunk by chunk."""
    lead = positions.shape[:2]
    flat = positions.reshape(-1, target.dim)
    constrain = mapped(target.constrain)
    parts = []
    for first in range(0, len(flat), CHUNK):
        index = np.arange(first, first + CHUNK) % len(flat)
        part = constrain(flat[index], target.data)
        kept = min(CHUNK, len(flat) - first)
        parts.append({name: np.asarray(values)[:kept] for name, values in part.items()})
    return {
        name: np.concatenate([part[name] for part in parts]).reshape(
            *lead, *parts[0][name].shape[1:]
        )
        for name in parts[0]
    }


def _prior_draws(target, key):
    values = mapped(target.prior_draw)(jax.random.split(key, PRIOR_DRAWS), target.data)
    return {name: np.asarray(draws)[None] for name, draws in values.items()}


def _as_dataset(model, values):
    """Label constrained draws with dimensions, units and meanings."""
    variables = {}
    for name, draws in values.items():
        quantity = model.quantities[name]
        attributes = {
            "units": quantity.unit,
            "long_name": quantity.meaning,
            "auxiliary": int(quantity.auxiliary),
        }
        variables[name] = (("chain", "draw", *quantity.dims), draws, attributes)
    chains, draws = next(iter(values.values())).shape[:2]
    coordinates = {"chain": np.arange(chains), "draw": np.arange(draws)}
    return xr.Dataset(variables, coords=coordinates)


def _statistics(statistics):
    return xr.Dataset(
        {
            name: (
                ("chain", "draw"),
                values,
                {"units": "1", "long_name": STATISTIC_MEANINGS[name]},
            )
            for name, values in statistics.items()
        },
        coords={
            "chain": np.arange(statistics["lp"].shape[0]),
            "draw": np.arange(statistics["lp"].shape[1]),
        },
    )


def _accepted(function, settings):
    return {name: value for name, value in settings.items() if name in options_of(function)}
