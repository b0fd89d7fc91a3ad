"""Simulation-based calibration, which asks whether posteriors of simulated data hold the truth.

Parameters are drawn from the prior, data from the parameters, and each data set is
fitted; the rank of the true value among the draws is uniform if everything is right
(Talts et al. 2018, doi:10.48550/arXiv.1804.06788). Replicates run chunk by chunk in one
compiled program per padded length, sorted by size, one chain each. A data set that the
model's own simulator refuses is counted and replaced.
"""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from scipy.stats import binom, chisquare

from bayesquake.errors import OptionError
from bayesquake.inference.nuts import nuts_program
from bayesquake.inference.run import positive_integer
from bayesquake.io.provenance import model_hash
from bayesquake.io.results import write_netcdf
from bayesquake.priors import resolve_priors
from bayesquake.target import target_of_arrays
from bayesquake.zoo import simulate_accepted

__all__ = ["calibrate", "calibration_table"]

RANK_DRAWS = 99
"""Draws kept for ranks, so that a rank has 100 possible values."""

INTERVAL = 0.9
START_STREAM, RUN_STREAM = 1000, 1001
"""Indices of random streams, beyond those of the simulation attempts."""


def calibrate(
    model,
    replicates=200,
    *,
    seed=0,
    priors=None,
    design=None,
    warmup=200,
    draws=300,
    chunk=8,
    target_accept=0.85,
    directory=None,
    progress=None,
    **options,
):
    """Run simulation-based calibration with the no-U-turn sampler.

    Parameters
    ----------
    model : bayesquake.zoo.Model
    replicates : int
    seed : int
        Replicate i depends on the seed and i alone.
    priors, design, **options
        Priors of simulation and fit, simulation design, options of ``model.prepare``.
    warmup, draws : int
        Of the one chain per replicate.
    chunk : int
        Replicates per compiled call.
    directory : path, optional
        Where finished chunks are kept; a repeated call with the same arguments resumes.
    progress : callable, optional
        Called as ``progress(done, replicates)``.

    Returns
    -------
    xarray.Dataset
        ``rank``, ``truth``, ``mean``, ``sd`` (replicate, quantity) and, per
        replicate, ``events``, ``divergences``, ``minimum_ess``, ``refused``.
    """
    replicates = positive_integer("replicates", replicates)
    chunk = positive_integer("chunk", chunk)
    warmup = positive_integer("warmup", warmup)
    if positive_integer("draws", draws) < RANK_DRAWS:
        raise OptionError(f"draws = {draws} must be at least {RANK_DRAWS}, the draws of a rank")
    keys = jax.random.split(jax.random.key(seed), replicates)
    simulated = [simulate_accepted(model, key, design, priors=priors) for key in keys]
    prepared = [model.prepare(dataset, **options) for _, dataset, _ in simulated]
    order = sorted(range(replicates), key=lambda i: (_shape_of(prepared[i]), _size(simulated[i])))
    settings = {
        "model": model.name,
        "model_hash": model_hash(model.name),
        "replicates": replicates,
        "seed": seed,
        "warmup": warmup,
        "draws": draws,
        "chunk": chunk,
        "target_accept": target_accept,
        "priors": {name: str(prior) for name, prior in resolve_priors(model, priors).items()},
        "design": {name: repr(value) for name, value in (design or {}).items()},
        "options": options,
    }
    json.dumps(settings)
    model.calibrated(simulated[0][0], prepared[0])
    done = []
    for indices in _chunks(order, prepared, chunk):
        path = None if directory is None else Path(directory) / f"chunk_{indices[0]:05d}.nc"
        if path is not None and path.exists() and _same(path, settings):
            part = xr.load_dataset(path)
        else:
            part = _fit_chunk(model, indices, simulated, prepared, priors, settings)
            if path is not None:
                write_netcdf(part, path)
        done.append(part)
        if progress is not None:
            progress(sum(part.sizes["replicate"] for part in done), replicates)
    return xr.concat(done, "replicate", combine_attrs="drop_conflicts").sortby("replicate")


def _size(simulation):
    return simulation[1].sizes[next(iter(simulation[1].sizes))]


def _shape_of(arrays):
    return tuple(np.shape(leaf) for leaf in jax.tree.leaves(arrays))


def _chunks(order, prepared, chunk):
    """Split replicates into chunks of equal padded shape."""
    groups: dict[tuple, list[int]] = {}
    for i in order:
        groups.setdefault(_shape_of(prepared[i]), []).append(i)
    return [
        group[first : first + chunk]
        for group in groups.values()
        for first in range(0, len(group), chunk)
    ]


def _same(path, settings):
    with xr.open_dataset(path) as stored:
        return stored.attrs.get("settings") == json.dumps(settings)


def _fit_chunk(model, indices, simulated, prepared, priors, settings):
    target = target_of_arrays(model, prepared[indices[0]], priors)
    full = list(indices) + [indices[-1]] * (settings["chunk"] - len(indices))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(prepared[i] for i in full))
    seed_key = jax.random.key(settings["seed"])
    replicate = [jax.random.fold_in(seed_key, i) for i in full]
    keys = jnp.stack([jax.random.fold_in(key, RUN_STREAM) for key in replicate])
    start_keys = jnp.stack([jax.random.fold_in(key, START_STREAM) for key in replicate])
    data, start = _conditioned(target.condition, target.initial)(stacked, start_keys)
    program = nuts_program(
        target.log_density,
        settings["warmup"],
        False,
        settings["target_accept"],
        10,
        own_data=True,
    )
    state = program.start(keys, start, data)
    blocks, statistics = [], []
    for _ in range(0, settings["warmup"] + settings["draws"], program.length):
        state, block, block_statistics = program.block(state, data)
        blocks.append(np.asarray(block))
        statistics.append(jax.tree.map(np.asarray, block_statistics))
    kept = slice(settings["warmup"], settings["warmup"] + settings["draws"])
    positions = np.concatenate(blocks)[kept].swapaxes(0, 1)
    diverging = np.concatenate([block["diverging"] for block in statistics])[kept]
    steps = np.concatenate([block["n_steps"] for block in statistics])[kept]
    quantities = _quantities(model.calibrated, target.constrain)(positions, data)
    return _ranks(
        indices,
        simulated,
        {name: np.asarray(values)[: len(indices)] for name, values in quantities.items()},
        [model.calibrated(simulated[i][0], prepared[i]) for i in indices],
        {"divergences": diverging.sum(0), "mean_steps": steps.mean(0)},
        settings,
    )


@functools.cache
def _conditioned(condition, initial):
    def run(arrays, keys):
        data = jax.vmap(condition)(arrays)
        return data, jax.vmap(initial)(keys, data)

    return jax.jit(run)


@functools.cache
def _quantities(calibrated, constrain):
    def quantities(position, data):
        return calibrated(constrain(position, data), data)

    return jax.jit(jax.vmap(jax.vmap(quantities, (0, None))))


def _ranks(indices, simulated, draws, truths, counts, settings):
    names = list(draws)
    values = np.stack([draws[name] for name in names], axis=2)
    truth = np.array([[float(truth[name]) for name in names] for truth in truths])
    spacing = values.shape[1] // RANK_DRAWS
    thinned = values[:, spacing - 1 :: spacing][:, :RANK_DRAWS]
    by_chain = values[None]
    ess = np.asarray(array_stats.ess(by_chain, chain_axis=0, draw_axis=2)).min(axis=-1)
    by_quantity = ("replicate", "quantity")
    return xr.Dataset(
        {
            "rank": (by_quantity, (thinned < truth[:, None]).sum(axis=1), {"units": "1"}),
            "truth": (by_quantity, truth, {"units": "see the model's quantities"}),
            "mean": (by_quantity, values.mean(axis=1), {"units": "see the model's quantities"}),
            "sd": (by_quantity, values.std(axis=1), {"units": "see the model's quantities"}),
            "events": ("replicate", [_size(simulated[i]) for i in indices], {"units": "1"}),
            "refused": ("replicate", [simulated[i][2] for i in indices], {"units": "1"}),
            "minimum_ess": ("replicate", ess, {"units": "1"}),
            **{
                name: ("replicate", count[: len(indices)], {"units": "1"})
                for name, count in counts.items()
            },
        },
        coords={"replicate": list(indices), "quantity": names},
        attrs={"settings": json.dumps(settings), "interval": INTERVAL, "rank_draws": RANK_DRAWS},
    )


def calibration_table(calibration, bins=10):
    """Summarise ranks and coverage per quantity.

    Parameters
    ----------
    calibration : xarray.Dataset
        From `calibrate`.
    bins : int
        Bins of the χ² test of uniform ranks.

    Returns
    -------
    pandas.DataFrame
        ``mean_rank`` (0 to 1), ``chi2_p``, ``coverage`` of the central 90 % interval, counted
        by ranks and so free of the error of sample quantiles, its Monte-Carlo
        ``standard_error`` and ``binomial_p``, by quantity.
    """
    import pandas as pd

    n = calibration.sizes["replicate"]
    ranks = calibration["rank"].to_numpy()
    values = calibration.attrs["rank_draws"] + 1
    level = calibration.attrs["interval"]
    tail = round(0.5 * (1 - level) * values)
    inside = (ranks >= tail) & (ranks < values - tail)
    rows = []
    for j, name in enumerate(calibration["quantity"].to_numpy()):
        counts = np.histogram(ranks[:, j], bins=bins, range=(-0.5, values - 0.5))[0]
        covered = int(inside[:, j].sum())
        rows.append(
            {
                "quantity": str(name),
                "mean_rank": (ranks[:, j].mean() + 0.5) / values,
                "chi2_p": chisquare(counts).pvalue,
                "coverage": covered / n,
                "standard_error": np.sqrt(level * (1 - level) / n),
                "binomial_p": min(
                    1.0, 2 * min(binom.cdf(covered, n, level), binom.sf(covered - 1, n, level))
                ),
            }
        )
    return pd.DataFrame(rows).set_index("quantity")
