"""Fit a model to a data set: target, driver, constrained draws, result."""

import dataclasses
import json
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.errors import DriverError, OptionError
from bayesquake.inference.constrained import constrained, prior_draws
from bayesquake.inference.kernels import held_steps
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.plan import planned
from bayesquake.model.options import options_of
from bayesquake.model.priors import log_priors, resolve_priors
from bayesquake.results.blocks import BlockFolder
from bayesquake.results.checks import Check
from bayesquake.results.evidence import LARGEST_CHECKED
from bayesquake.results.identity import run_identity
from bayesquake.results.moments import MOMENTS, moments_of
from bayesquake.results.schema import assemble, labelled, labelled_statistics, with_labels_of
from bayesquake.targets.target import target_of_arrays

__all__ = ["DerivedOutputsWarning", "fit"]

OUTPUT_STREAM = 1000
"""Index of the random stream of forecasts and prior draws, apart from the drivers'."""


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
    fields="moments",
    **options,
):
    """Draw from the posterior of a model.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    dataset : xarray.Dataset
        From ``model.read`` or ``model.simulate``.
    driver : str, optional
        A name in `bayesquake.inference.drivers.DRIVERS`, or of the model's own; the model's
        recommendation by default.
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
    fields : {"moments", "draws"}
        What is kept of fields, and of more than 1,000 latents: mean, sd and their errors in the
        group ``moments``, or all draws.
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
            fields=fields,
            **options,
        )
        kept_blocks = _kept_blocks(plan, checkpoint, resume)
        target = target_of_arrays(model, plan.arrays, priors)
        found = plan.run(target, seed=seed, progress=progress, **plan.settings, **kept_blocks)
        key_complete, key_prior = jax.random.split(
            jax.random.fold_in(jax.random.key(seed), OUTPUT_STREAM)
        )
        posterior = constrained(target, found.positions)
        groups, failure = _derived(plan, posterior, key_complete)
        quantities = _quantities(model, target)
        derived = groups.get("posterior", xr.Dataset())
        groups["posterior"] = _by_draw(quantities, posterior).merge(derived)
        prior = _by_draw(quantities, prior_draws(target, key_prior))
        groups["prior"] = with_labels_of(groups["posterior"], prior)
        groups["log_prior"] = _log_priors(resolve_priors(model, priors), posterior)
        groups["sample_stats"] = labelled_statistics(found.statistics, found.problem_dim)
        groups |= {
            name: with_labels_of(groups["posterior"], group) for name, group in found.groups.items()
        }
        # An approximation may go where the posterior does not: its driver judges steps at the mode.
        of_steps = (
            () if found.notes.get("approximate") else held_steps.among(target, found.positions)
        )
        checks = (
            *_evidence(found, groups["posterior"]),
            *of_steps,
            *quality_checks(groups.get("quality", {})),
            *failure,
        )
    if fields == "moments":
        groups |= _moments_in_place_of_fields(groups["posterior"], groups["prior"], quantities)
    groups["observed_data"] = _whole_data(dataset, groups)
    return assemble(
        groups,
        checks,
        plan.attributes
        | {
            "data_variables": json.dumps([str(name) for name in dataset.variables]),
            "gradient_count": found.gradients,
            "compile_seconds": compiled.seconds,
            "run_seconds": time.perf_counter() - began - compiled.seconds,
            "sampling_seconds": found.run_seconds,
            **found.notes,
        },
    )


def _whole_data(dataset, groups):
    """Return the observed data with what the model's groups left out, so that all is kept."""
    observed = groups.get("observed_data", dataset.copy())
    kept = {*observed.variables, *groups.get("constant_data", xr.Dataset()).variables}
    left_out = [name for name in dataset.variables if name not in kept]
    return observed.assign({name: dataset[name] for name in left_out}).assign_attrs(dataset.attrs)


class DerivedOutputsWarning(UserWarning):
    """What a model derives from its draws failed; the draws are kept."""


def _derived(plan, posterior, key):
    """Return the model's own groups and, if they fail, the data alone with a row that says why.

    Draws may have cost hours: no error after them may lose them.
    """
    try:
        return plan.completion(posterior, jax.tree.map(jnp.asarray, plan.arrays), key), ()
    except Exception as problem:
        reason = f"{type(problem).__name__}: {problem}"
        warnings.warn(
            f"the draws are kept, but what the model derives from them failed ({reason})",
            DerivedOutputsWarning,
            stacklevel=3,
        )
        failure = Check("failed derived outputs", 1.0, 1.0, kind="data", meaning=reason)
        return {}, (failure,)


def _evidence(found, posterior):
    """Return the driver's rows, or one that fails in their place: no error may lose the draws."""
    try:
        return found.checks(posterior)
    except Exception as problem:
        reason = f"{type(problem).__name__}: {problem}"
        return (Check("failed evidence", 1.0, 1.0, kind="adequacy", meaning=reason),)


def quality_checks(quality):
    """Return the rows of a model's own criteria: the share of the data that each objects to.

    Parameters
    ----------
    quality : xarray.Dataset
        Flags, with the attribute ``largest_share`` where a larger share fails the result.
    """
    return tuple(
        Check(
            str(name).replace("_", " "),
            float(flag.mean()),
            flag.attrs.get("largest_share", np.nan),
            kind="data" if "largest_share" in flag.attrs else "information",
            meaning=flag.attrs["long_name"],
        )
        for name, flag in quality.items()
        if flag.dtype.kind in "bi"
    )


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


def _moments_in_place_of_fields(posterior, prior, quantities):
    """Return the groups without draws of fields, and with their moments, {} without fields."""
    names = [
        name
        for name in posterior
        if name in quantities and _is_large(quantities[name], posterior[name])
    ]
    if not names:
        return {}
    draws = {name: posterior[name].to_numpy() for name in names}
    moments = labelled(
        {name: moments_of(values) for name, values in draws.items()},
        quantities,
        {"moment": list(MOMENTS)},
    )
    return {
        "posterior": posterior.drop_vars(names),
        "prior": prior.drop_vars(names, errors="ignore"),
        "moments": with_labels_of(posterior, moments),
    }


def _is_large(quantity, draws):
    """Return whether a quantity is a field, or latents as many as a field's."""
    latent = quantity.role == "latent" and draws[0, 0].size > LARGEST_CHECKED
    return latent or quantity.role == "field"


def _quantities(model, target):
    """Return the quantities, those marked that this posterior leaves the same in every draw."""
    return {
        name: dataclasses.replace(quantity, fixed=name in target.fixed)
        for name, quantity in model.quantities.items()
    }


def _by_draw(quantities, values):
    """Label constrained draws with dimensions, units and meanings."""
    chains, draws = next(iter(values.values())).shape[:2]
    leading = {"chain": np.arange(chains), "draw": np.arange(draws)}
    return labelled(values, quantities, leading)
