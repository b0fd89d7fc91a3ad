"""Simulation-based calibration, which asks whether posteriors of simulated data hold the truth.

Data sets are simulated and each is fitted; the rank of the true value among the draws is
uniform if everything is right. Replicates run chunk by chunk in one compiled program per
padded length, sorted by size. A data set that the model's own simulator refuses is
counted and replaced.
"""

import functools
import json
from pathlib import Path

import jax
import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from bayesquake.diagnostics.ranks import INTERVAL, RANK_DRAWS, calibration_checks, ranks_of
from bayesquake.diagnostics.replicates import fit_replicates
from bayesquake.diagnostics.simulations import from_posterior, from_prior
from bayesquake.errors import OptionError
from bayesquake.inference.chees import FEWEST_CHAINS
from bayesquake.inference.drivers import driver_named
from bayesquake.inference.kernels.settings import CHAINS, DRAWS, SEED, WARMUP
from bayesquake.inference.plan import split_options
from bayesquake.model.options import count
from bayesquake.model.priors import resolve_priors
from bayesquake.model.registry import folder_of
from bayesquake.model.simulation import calibrated_by
from bayesquake.results.configuration import described_priors
from bayesquake.results.netcdf import open_result, write_netcdf
from bayesquake.results.provenance import dataset_hash, model_hash, provenance
from bayesquake.results.schema import assemble

__all__ = ["calibrate", "condensed", "open_calibration"]

REPLICATED = ("posterior", "observed_data", "constant_data")
"""Groups of a fit of real data from which its data sets are replicated."""

RANK_NOTE = {"units": "see the model's quantities"}


def calibrate(
    model,
    replicates=200,
    *,
    driver="nuts",
    posterior=None,
    seed=0,
    priors=None,
    design=None,
    chains=None,
    warmup=200,
    draws=300,
    chunk=20,
    directory=None,
    progress=None,
    **options,
):
    """Run simulation-based calibration.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    replicates : int
    driver : str
        Any of `bayesquake.inference.fit.DRIVERS`; at a posterior, one that runs Markov chains.
    posterior : xarray.DataTree, optional
        A fit of real data: parameters are drawn from its posterior instead of the prior,
        and each replicate is fitted together with those data, with the priors and the
        options of that fit.
    seed : int
        Replicate i depends on the seed and i alone.
    priors, design : optional
        Priors of simulation and fit; simulation design.
    chains : int, optional
        Per replicate; 1, or as few as the driver can do with.
    warmup, draws : int
        Of each chain.
    chunk : int
        Replicates per compiled call.
    directory : path, optional
        Where finished chunks are kept, made if absent; a repeated call with the same arguments
        resumes.
    progress : callable, optional
        Called as ``progress(done, replicates)``.
    **options
        Options of the driver and of ``model.prepare``.

    Returns
    -------
    xarray.DataTree
        With the group ``ranks``: ``rank``, ``truth``, ``mean``, ``sd`` (replicate, quantity) and,
        per replicate, ``size``, ``divergences``, ``mean_steps``, ``minimum_ess``, ``refused``.
        At a posterior its draws and data are groups too.

    Raises
    ------
    DriverError, OptionError, PriorError, SimulationError
    """
    replicates = count().checked("replicates", replicates)
    chunk = count().checked("chunk", chunk)
    warmup = WARMUP.checked("warmup", warmup)
    seed = SEED.checked("seed", seed)
    if chains is None:
        chains = FEWEST_CHAINS if driver == "chees" else 1
    chains, draws = CHAINS.checked("chains", chains), DRAWS.checked("draws", draws)
    if draws * chains < RANK_DRAWS:
        raise OptionError(
            f"draws = {draws} in {chains} chains are fewer than the {RANK_DRAWS} of a rank"
        )
    resolved = resolve_priors(model, priors)
    settings = {
        "model": model.name,
        "model_hash": model_hash(model),
        "posterior": None if posterior is None else _draws_hash(posterior),
        "driver": driver,
        "replicates": replicates,
        "seed": seed,
        "chains": chains,
        "warmup": warmup,
        "draws": draws,
        "chunk": chunk,
        "priors": {name: str(prior) for name, prior in resolved.items()},
        "design": {name: repr(value) for name, value in (design or {}).items()},
        "options": options,
    }
    _require_plain(settings)
    run = driver_named(driver, model)
    split = split_options(model, run, options)
    if posterior is not None and (priors or design or split["prepare"]):
        raise OptionError(
            "calibration at a posterior takes priors, design and options from that fit; leave out "
            + ", ".join(["priors"] * bool(priors) + ["design"] * bool(design) + [*split["prepare"]])
        )
    keys = jax.random.split(jax.random.key(seed), replicates)
    if posterior is None:
        simulations = from_prior(model, keys, design=design, priors=priors, **split["prepare"])
    else:
        simulations = from_posterior(model, posterior, keys)
    if directory is not None:
        Path(directory).mkdir(parents=True, exist_ok=True)
    done = []
    for indices in _chunks(simulations, chunk):
        path = None if directory is None else Path(directory) / f"chunk_{indices[0]:05d}.nc"
        if path is not None and path.exists() and _same(path, settings):
            part = xr.load_dataset(path)
        else:
            part = _fit_chunk(model, run, indices, simulations, keys, split["driver"], settings)
            if path is not None:
                write_netcdf(part, path)
        done.append(part)
        if progress is not None:
            progress(sum(part.sizes["replicate"] for part in done), replicates)
    ranks = xr.concat(done, "replicate", combine_attrs="drop_conflicts").sortby("replicate")
    configuration = {
        "writer": "calibrate",
        "model": model.name,
        "driver": driver,
        "settings": {
            "replicates": replicates,
            "chains": chains,
            "warmup": warmup,
            "draws": draws,
            "chunk": chunk,
            **split["driver"],
        },
        "options": split["prepare"],
        "design": design or {},
        "priors": described_priors(resolved) if posterior is None else _priors_of(posterior),
    }
    source = "simulated from the prior" if posterior is None else "simulated from a posterior"
    attributes = provenance(model, xr.Dataset(attrs={"source": source}), configuration, seed)
    groups = {"ranks": ranks}
    if posterior is not None:
        kept = [name for name in REPLICATED if name in posterior.children]
        groups |= {name: posterior[name].to_dataset() for name in kept}
        attributes |= {
            "posterior_configuration": posterior.attrs["configuration"],
            "data_variables": posterior.attrs["data_variables"],
        }
    return assemble(groups, calibration_checks(ranks), attributes)


def condensed(calibration):
    """Return a calibration of a few kilobytes, with all that its table and its checks need.

    Parameters
    ----------
    calibration : xarray.DataTree
        From `calibrate`.
    """
    ranks = calibration["ranks"].to_dataset()
    kept = [name for name in ("minimum_ess", "divergences") if name in ranks]
    small = ranks[["rank", *kept]].astype({"rank": np.uint8} | dict.fromkeys(kept, np.float32))
    return assemble({"ranks": small}, calibration_checks(ranks), calibration.attrs)


def open_calibration(model):
    """Open the calibration that is stored with a model.

    Raises
    ------
    ResultError
        The model has none.
    """
    return open_result(folder_of(model.name) / "calibration.nc")


def _require_plain(settings):
    try:
        json.dumps(settings)
    except TypeError as problem:
        raise OptionError(
            f"the options must be numbers, text or lists of them: {problem}"
        ) from None


def _priors_of(result):
    return json.loads(result.attrs["configuration"])["priors"]


def _draws_hash(result):
    return dataset_hash(result["posterior"].to_dataset()) + result.attrs["configuration"]


def _chunks(simulations, chunk):
    """Split replicates, the small first, into chunks of equal padded shape."""
    shapes, sizes = simulations.shapes, simulations.size
    order = sorted(range(len(shapes)), key=lambda i: (shapes[i], sizes[i]))
    groups: dict[tuple, list[int]] = {}
    for i in order:
        groups.setdefault(shapes[i], []).append(i)
    return [
        group[first : first + chunk]
        for group in groups.values()
        for first in range(0, len(group), chunk)
    ]


def _same(path, settings):
    with xr.open_dataset(path) as stored:
        return stored.attrs.get("settings") == json.dumps(settings)


def _fit_chunk(model, run, indices, simulations, keys, driver_settings, settings):
    full = list(indices) + [indices[-1]] * (settings["chunk"] - len(indices))
    arrays = simulations.take(full)
    target = simulations.target(jax.tree.map(lambda leaf: leaf[0], arrays))
    chains = settings["chains"]
    positions, statistics, data = fit_replicates(
        settings["driver"],
        run,
        target,
        arrays,
        keys[np.array(full)],
        chains=chains,
        warmup=settings["warmup"],
        draws=settings["draws"],
        settings=driver_settings,
        starts=None if simulations.start is None else simulations.start(full, chains),
    )
    quantities = _quantities(calibrated_by(model), target.constrain, simulations.design)
    drawn = {
        name: np.asarray(values)[: len(indices)]
        for name, values in quantities(positions, data).items()
    }
    # A parameter that is fixed has one value in all replicates, and no ranks.
    several = len(simulations.size) > 1
    names = [name for name in drawn if np.ptp(simulations.truth[name]) > 0 or not several]
    values = np.stack([drawn[name] for name in names], axis=3)
    truth = np.stack([simulations.truth[name][indices] for name in names], axis=1)
    merged = values.reshape(len(indices), -1, len(names))
    ess = array_stats.ess(values, chain_axis=1, draw_axis=2)
    by_quantity = ("replicate", "quantity")
    return xr.Dataset(
        {
            "rank": (by_quantity, ranks_of(merged, truth), {"units": "1"}),
            "truth": (by_quantity, truth, RANK_NOTE),
            "mean": (by_quantity, merged.mean(axis=1), RANK_NOTE),
            "sd": (by_quantity, merged.std(axis=1), RANK_NOTE),
            "size": ("replicate", simulations.size[indices], {"units": "1"}),
            "refused": ("replicate", simulations.refused[indices], {"units": "1"}),
            "minimum_ess": ("replicate", np.min(ess, axis=-1), {"units": "1"}),
            **{
                name: ("replicate", count[: len(indices)], {"units": "1"})
                for name, count in _counts(statistics).items()
            },
        },
        coords={"replicate": list(indices), "quantity": names},
        attrs={"settings": json.dumps(settings), "interval": INTERVAL, "rank_draws": RANK_DRAWS},
    )


def _counts(statistics):
    """Return divergences and mean steps by replicate, for the drivers that have them."""
    counts = {}
    if "diverging" in statistics:
        counts["divergences"] = statistics["diverging"].sum(axis=(1, 2))
    if "n_steps" in statistics:
        counts["mean_steps"] = statistics["n_steps"].mean(axis=(1, 2))
    return counts


@functools.cache
def _quantities(calibrated, constrain, design):
    def quantities(position, data):
        return calibrated(constrain(position, data), design(data))

    return jax.jit(jax.vmap(jax.vmap(jax.vmap(quantities, (0, None)), (0, None))))
