"""Fit a model to a data set: target, driver, constrained draws, result."""

import importlib
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.errors import DriverError, OptionError, with_nearest
from bayesquake.inference.chees import chees
from bayesquake.inference.kernels.blocks import mapped
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.laplace import laplace
from bayesquake.inference.mclmc import mclmc
from bayesquake.inference.nuts import nuts
from bayesquake.inference.pathfinder import pathfinder
from bayesquake.inference.smc import smc
from bayesquake.inference.svi import svi
from bayesquake.model.options import options_of
from bayesquake.model.priors import log_priors, resolve_priors
from bayesquake.results.blocks import BlockFolder
from bayesquake.results.configuration import described_priors
from bayesquake.results.identity import arrays_hash, run_identity
from bayesquake.results.posteriors import STATISTIC_MEANINGS, Draws
from bayesquake.results.provenance import provenance
from bayesquake.targets.target import target_of_arrays

__all__ = [
    "DRIVERS",
    "DerivedOutputsWarning",
    "Plan",
    "constrained",
    "fit",
    "options_of",
    "planned",
]

DRIVERS: dict[str, Callable[..., Draws]] = {
    "nuts": nuts,
    "chees": chees,
    "mclmc": mclmc,
    "smc": smc,
    "pathfinder": pathfinder,
    "svi": svi,
    "laplace": laplace,
}
TRIAGE = "bayesquake.inference.triage"
"""Loaded by name when asked for: batches are built upon the other drivers."""

PRIOR_DRAWS = 1000
OUTPUT_STREAM = 1000
"""Index of the random stream of forecasts and prior draws, apart from the drivers'."""

CHUNK = 500
"""Draws constrained at once; bounds the memory and fixes the compiled shape."""


def fit(
    model,
    dataset,
    *,
    driver=None,
    chains=None,
    warmup=None,
    draws=None,
    seed=0,
    priors=None,
    progress=None,
    checkpoint=None,
    resume=False,
    **options,
):
    """Draw from the posterior of a model.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    dataset : xarray.Dataset
        From ``model.read`` or ``model.simulate``.
    driver : str, optional
        One of `DRIVERS`; the model's recommendation by default.
    chains, warmup, draws : int, optional
        Number of chains, of warm-up steps and of kept draws in each; by default the model's
        recommendation for its own driver, else the driver's.
    seed : int
        The same seed, versions and device give the same draws.
    priors : mapping or path, optional
        Priors in place of the defaults, by name: `Prior`, NumPyro distribution, TOML file.
    progress : callable, optional
        Called as ``progress(done, total, statistics)`` between compiled blocks.
    checkpoint : path, optional
        Folder where blocks of draws are kept as they are made, for you to delete once the
        result is saved. Drivers that run in one piece keep none.
    resume : bool
        Go on with the blocks in ``checkpoint``, if there are any; the draws are those of a
        run that was never stopped.
    **options
        Options of the driver, of ``model.prepare`` and of ``model.complete``.

    Returns
    -------
    xarray.DataTree
        ArviZ groups and the model's own; root attributes hold the provenance.

    Raises
    ------
    DriverError, OptionError, PriorError, InitialPointError
    ResultError
        The blocks are those of a run that was asked something else, or are damaged.

    Warns
    -----
    DerivedOutputsWarning
        What the model derives from its draws failed; the result holds the draws.
    """
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        plan = planned(
            model,
            dataset,
            driver=driver,
            chains=chains,
            warmup=warmup,
            draws=draws,
            seed=seed,
            priors=priors,
            **options,
        )
        kept_blocks = _kept_blocks(plan, checkpoint, resume)
        target = target_of_arrays(model, plan.arrays, priors)
        made = plan.run(target, seed=seed, progress=progress, **plan.settings, **kept_blocks)
        key_complete, key_prior = jax.random.split(
            jax.random.fold_in(jax.random.key(seed), OUTPUT_STREAM)
        )
        posterior = constrained(target, made.positions)
        groups, failure = _derived(plan, dataset, posterior, key_complete)
        groups["posterior"] = _as_dataset(model, posterior).merge(groups["posterior"])
        prior = _as_dataset(model, _prior_draws(target, key_prior))
        groups["prior"] = _with_labels_of(groups["posterior"], prior)
        groups["log_prior"] = _log_priors(resolve_priors(model, priors), posterior)
        groups["sample_stats"] = _statistics(made)
        groups |= {
            name: _with_labels_of(groups["posterior"], group) for name, group in made.groups.items()
        }
    observed = groups["observed_data"]
    observed.attrs.update(dataset.attrs)
    result = xr.DataTree.from_dict({name: groups[name] for name in sorted(groups)})
    result.attrs = plan.attributes | {
        "gradient_count": made.gradients,
        "compile_seconds": compiled.seconds,
        "run_seconds": time.perf_counter() - began - compiled.seconds,
        "sampling_seconds": made.run_seconds,
        "derived_failure": failure,
        **made.notes,
    }
    return result


class DerivedOutputsWarning(UserWarning):
    """What a model derives from its draws failed; the draws are kept."""


class Plan(NamedTuple):
    """A fit, settled before any sampling.

    Attributes
    ----------
    run : callable
        The driver.
    settings : dict
        Its settings.
    arrays : pytree of arrays
        The prepared data.
    completion : callable
        From ``model.complete``.
    attributes : dict
        The provenance.
    """

    run: Callable[..., Draws]
    settings: dict[str, Any]
    arrays: Any
    completion: Callable
    attributes: dict[str, Any]


def planned(model, dataset, *, driver, chains, warmup, draws, seed, priors, **options):
    """Return the `Plan` of a fit with these arguments, which are those of `fit`."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(f"seed = {seed!r} must be an integer of at least 0")
    prepare_options = {
        name: value for name, value in options.items() if name in options_of(model.prepare)
    }
    arrays = model.prepare(dataset, **prepare_options)
    recommended = dict(model.recommended(arrays))
    recommended_driver = recommended.pop("driver")
    driver_name = recommended_driver if driver is None else driver
    if driver_name != recommended_driver:
        recommended = {}
    run = driver_named(driver_name)
    split = split_options(model, run, options)
    sizes = {"chains": chains, "warmup": warmup, "draws": draws}
    given = {name: size for name, size in sizes.items() if size is not None}
    settings = _accepted(run, recommended) | _accepted(run, given) | split["driver"]

    resolved = resolve_priors(model, priors)
    judged = {"priors": resolved} if "priors" in options_of(model.complete) else {}
    completion = model.complete(dataset, **split["complete"], **judged)
    configuration = {
        "model": model.name,
        "driver": driver_name,
        "settings": settings,
        "options": {**split["prepare"], **split["complete"]},
        "priors": described_priors(resolved),
    }
    attributes = provenance(model, dataset, configuration, seed)
    attributes["arrays_hash"] = arrays_hash(arrays)
    return Plan(run, settings, arrays, completion, attributes)


def _derived(plan, dataset, posterior, key):
    """Return the model's own groups, and why there are none but the data if they fail.

    Draws may have cost hours: no error after them may lose them.
    """
    try:
        return plan.completion(posterior, jax.tree.map(jnp.asarray, plan.arrays), key), ""
    except Exception as problem:
        reason = f"{type(problem).__name__}: {problem}"
        warnings.warn(
            f"the draws are kept, but what the model derives from them failed ({reason})",
            DerivedOutputsWarning,
            stacklevel=3,
        )
        return {"posterior": xr.Dataset(), "observed_data": dataset.copy()}, reason


def _kept_blocks(plan, checkpoint, resume):
    """Return the driver's keyword for the folder of blocks, {} if it keeps none."""
    if checkpoint is None:
        if resume:
            raise OptionError("resume = True needs the folder of the blocks: give checkpoint")
        return {}
    keeps_blocks = "checkpoint" in options_of(plan.run)
    if resume and not keeps_blocks:
        raise DriverError(
            f"driver {plan.run.__name__!r} runs in one piece and keeps no blocks to resume from; "
            "run it without resume"
        )
    folder = BlockFolder(checkpoint, run_identity(plan.attributes), resume)
    return {"checkpoint": folder} if keeps_blocks else {}


def driver_named(name):
    """Return the driver of that name.

    Raises
    ------
    DriverError
        There is none.
    """
    if name == "triage":
        return importlib.import_module(TRIAGE).triage_driver
    if name not in DRIVERS:
        known = ", ".join([*DRIVERS, "triage"])
        raise DriverError(f"driver {name!r} is unknown; choose from {known}")
    return DRIVERS[name]


def split_options(model, driver, options):
    """Assign options to the driver, ``model.prepare`` and ``model.complete``.

    Raises
    ------
    OptionError
        An option belongs to none of them.
    """
    homes = {
        "driver": options_of(driver) - {"progress", "seed", "checkpoint"},
        "prepare": options_of(model.prepare),
        "complete": options_of(model.complete) - {"priors"},
    }
    known = set().union(*homes.values())
    unknown = sorted(set(options) - known)
    if unknown:
        read = options_of(model.read)
        raise OptionError(
            f"unknown option {with_nearest(unknown, known | read)}; the reader of {model.name} "
            f"takes {', '.join(sorted(read))}, its fit {', '.join(sorted(known))}"
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


def _log_priors(priors, values):
    return xr.Dataset(
        {
            site: (
                ("chain", "draw"),
                np.asarray(log_density),
                {"units": "1", "long_name": f"log density of the prior of {site}"},
            )
            for site, log_density in log_priors(priors, values).items()
        }
    )


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


def _with_labels_of(labelled, draws):
    """Return draws with the coordinates that another data set gives to their dimensions."""
    own = {"chain", "draw"}
    return draws.assign_coords(
        {
            name: values
            for name, values in labelled.coords.items()
            if set(values.dims) <= set(draws.dims) - own
        }
    )


def _statistics(made):
    problem = (made.problem_dim,) if made.problem_dim else ()
    chains, draws = made.positions.shape[:2]
    return xr.Dataset(
        {
            name: (
                ("chain", "draw", *problem),
                values,
                {"units": "1", "long_name": STATISTIC_MEANINGS[name]},
            )
            for name, values in made.statistics.items()
        },
        coords={"chain": np.arange(chains), "draw": np.arange(draws)},
    )


def _accepted(function, settings):
    return {name: value for name, value in settings.items() if name in options_of(function)}
