"""Fit a model to many data sets: chunks, triage, one result with a problem dimension."""

import dataclasses
import functools
import hashlib
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from bayesquake.batch.evidence import Evidence, checks_of, failures_of, warn_of_failures
from bayesquake.batch.fleet import importable_name, imported, on_workers
from bayesquake.batch.lanes import in_lanes
from bayesquake.batch.pad import buckets, joined, stacked
from bayesquake.batch.shard import batched, width_of
from bayesquake.batch.tiers import triage
from bayesquake.batch.triaged import TriageSettings, table_of
from bayesquake.errors import BayesquakeError, OptionError, ResultError, with_nearest
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.settings import SEED
from bayesquake.model.options import accepted_by, checked_options, count, options_of
from bayesquake.model.priors import resolve_priors
from bayesquake.results.configuration import described_priors
from bayesquake.results.evidence import missing_check
from bayesquake.results.gather import gathered
from bayesquake.results.identity import arrays_hash, difference
from bayesquake.results.netcdf import open_result, write_netcdf
from bayesquake.results.provenance import dataset_hash, library_hash, model_hash, provenance
from bayesquake.results.schema import SCHEMA, assemble, labelled, labelled_statistics
from bayesquake.targets.target import target_of_arrays

__all__ = ["fit_many"]

SETTINGS = {field.name for field in dataclasses.fields(TriageSettings)}
INTERRUPTED = "the run was interrupted before this problem; the same call with directory goes on"


class Task(NamedTuple):
    """A chunk of problems, as plain data.

    Attributes
    ----------
    model : str
        Where to import it from, empty if it is at hand.
    priors : dict of Prior
    arrays : pytree of (problem, ...)
        Prepared data sets of equal shapes.
    numbers : (problem,) int
        Their places among all data sets.
    seed : int
    settings : TriageSettings
    """

    model: str
    priors: dict
    arrays: Any
    numbers: Any
    seed: int
    settings: TriageSettings


def fit_many(
    model,
    datasets,
    *,
    names=None,
    chains=None,
    draws=None,
    seed=0,
    priors=None,
    chunk=256,
    client=None,
    progress=None,
    directory=None,
    **options,
):
    """Draw from the posterior of each of many data sets, and certify each.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    datasets : sequence of xarray.Dataset
        From ``model.read`` or ``model.simulate``.
    names : sequence of str, optional
        A name for each; its place by default.
    chains, draws : int, optional
        Number of chains and of kept draws in each, for every problem; by default what the model
        recommends for a triage, else 4 and 500.
    seed : int
        A problem's draws depend on it and on the problem's place.
    priors : mapping or path, optional
        Priors in place of the defaults, as in `bayesquake.fit`.
    chunk : int
        Problems worked on together; bounds the memory, and is what a worker is given.
    client : distributed.Client, optional
        A Dask cluster, of workers of one thread each, to share the chunks.
    progress : callable, optional
        Called as ``progress(done, problems)`` after every chunk. Ctrl-C between chunks keeps what
        is done.
    directory : path, optional
        Folder where finished chunks are kept, made if need be; the same call with the same
        folder goes on after them.
    **options
        Options of ``model.prepare`` and fields of `bayesquake.batch.triaged.TriageSettings`, by
        default those that the model recommends for a triage.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` and ``sample_stats`` with dimensions chain, draw and problem,
        ``checks`` with the evidence for each problem, ``triage`` with how it was certified, and
        ``observed_data``, from which
        `bayesquake.results.gather.dataset_of` takes one out. Data sets of different shapes are
        padded with NaN to the largest. The root attribute ``failures`` holds, as JSON, the
        names of the problems that are not certified, and why.

    Raises
    ------
    OptionError, PriorError
    DriverError
        A chunk ended too many workers.
    ResultError
        The chunks in the folder are those of a call that asked something else.

    Warns
    -----
    UncertifiedWarning
        Problems remain whose chains do not agree.
    """
    names = _names(names, datasets)
    chunk = count().checked("chunk", chunk)
    seed = SEED.checked("seed", seed)
    given, prepare_options = _split(model, options, {"chains": chains, "draws": draws})
    resolved = resolve_priors(model, priors)

    began = time.perf_counter()
    with recorded_compilations() as compiled:
        prepared = [
            _prepared(model, dataset, name, prepare_options)
            for dataset, name in zip(datasets, names, strict=True)
        ]
        settings = TriageSettings(**_recommended(model, prepared[0]) | given)
        reference = importable_name(model) if client is not None else ""
        tasks = [
            Task(
                reference,
                resolved,
                stacked([prepared[place] for place in bucket[first : first + chunk]]),
                np.array(bucket[first : first + chunk]),
                seed,
                settings,
            )
            for bucket in buckets(prepared)
            for first in range(0, len(bucket), chunk)
        ]
        parts = _fitted(model, tasks, client, progress, directory)
    made = np.concatenate([tasks[place].numbers for place in parts])
    missing = len(datasets) - made.size
    groups = {
        name: _in_order([part[name] for part in parts.values()], made, names)
        for name in next(iter(parts.values()))
    }
    hashes = [dataset.attrs.get("content_hash") or dataset_hash(dataset) for dataset in datasets]
    attributes = {"units": "1", "long_name": "SHA-256 of the data set"}
    groups["triage"]["data_hash"] = ("problem", hashes, attributes)

    groups["observed_data"] = gathered(datasets, names)
    evidence = groups.pop("evidence")
    found = Evidence(*(evidence[name].to_numpy() for name in Evidence._fields))
    checks = (*checks_of(found, settings), missing_check(missing, "problems"))
    configuration = {
        "writer": "fit_many",
        "model": model.name,
        "driver": "triage",
        "settings": dataclasses.asdict(settings) | {"chunk": chunk},
        "options": prepare_options,
        "priors": described_priors(resolved),
    }
    everything = xr.Dataset(
        attrs={
            "content_hash": hashlib.sha256("".join(hashes).encode()).hexdigest(),
            "source": f"{len(datasets)} data sets",
        }
    )
    failures = failures_of(checks, groups["triage"]["tier"], names)
    failures |= {names[i]: INTERRUPTED for i in np.setdiff1d(np.arange(len(names)), made)}
    warn_of_failures(failures, len(datasets))
    attributes = provenance(model, everything, configuration, seed) | {
        "gradient_count": int(groups["triage"]["gradients"].sum()),
        "compile_seconds": compiled.seconds,
        "run_seconds": time.perf_counter() - began - compiled.seconds,
        "failures": json.dumps(failures, ensure_ascii=False),
        "interrupted": int(missing > 0),
    }
    return assemble(groups, checks, attributes)


def fit_chunk(model, task):
    """Fit the problems of a task.

    Returns
    -------
    dict of xarray.Dataset
        Groups ``posterior``, ``sample_stats``, ``triage`` and ``evidence``.
    """
    problems = [jax.tree.map(lambda a, i=i: a[i], task.arrays) for i in range(len(task.numbers))]
    target = target_of_arrays(model, problems[0], task.priors)
    data = jax.tree.map(np.asarray, stacked([target.condition(arrays) for arrays in problems]))
    exact = ()
    if target.split is not None and len(jax.tree.leaves(problems[0])[0]) == 1:
        split = target.split()
        target, exact = split.target, split.exact
    triaged = triage(
        target,
        data,
        seed=task.seed,
        numbers=task.numbers,
        settings=task.settings,
        exact=exact,
    )
    constrain = _over_draws(target.constrain)
    values = in_lanes(
        lambda lane: constrain(*lane), (triaged.positions, data), width_of(task.settings.width)
    )
    return {
        "posterior": labelled(
            {name: np.moveaxis(draws, 0, 2) for name, draws in values.items()},
            model.quantities,
            {
                "chain": np.arange(task.settings.chains),
                "draw": np.arange(task.settings.draws),
                "problem": None,
            },
        ),
        "sample_stats": labelled_statistics(
            {name: np.moveaxis(values, 0, 2) for name, values in triaged.statistics.items()},
            "problem",
        ),
        "triage": table_of(triaged),
        "evidence": xr.Dataset(
            {name: ("problem", values) for name, values in triaged.evidence._asdict().items()}
        ),
    }


def fit_task(task):
    """Fit a task whose model is imported, on a worker."""
    return fit_chunk(imported(task.model), task)


def _fitted(model, tasks, client, progress, directory):
    """Return the groups of every task by its place, read from the folder where they are there.

    Ctrl-C between tasks leaves out those that are not yet done.
    """
    total = sum(len(task.numbers) for task in tasks)
    folder = None if directory is None else ChunkFolder(directory, model)
    stored = {} if folder is None else {i: folder.read(task) for i, task in enumerate(tasks)}
    parts = {place: part for place, part in stored.items() if part is not None}
    missing = [place for place in range(len(tasks)) if place not in parts]
    if client is None:
        made = ((i, fit_chunk(model, tasks[place])) for i, place in enumerate(missing))
    else:
        made = on_workers(client, fit_task, [tasks[place] for place in missing])
    done = total - sum(len(tasks[place].numbers) for place in missing)
    try:
        for i, part in made:
            place = missing[i]
            if folder is not None:
                folder.write(tasks[place], part)
            parts[place] = part
            done += len(tasks[place].numbers)
            if progress is not None:
                progress(done, total)
    except KeyboardInterrupt:
        if not parts:
            raise
    return parts


def _in_order(parts, numbers, names):
    """Return parts as one data set of all problems, with nothing in the place of missing ones."""
    together = joined(parts, "problem").assign_coords(problem=numbers)
    nothing = {"b": False, "i": 0}
    fill = {name: nothing.get(x.dtype.kind, np.nan) for name, x in together.data_vars.items()}
    whole = together.reindex(problem=np.arange(len(names)), fill_value=fill)
    return whole.assign_coords(problem=names)


class ChunkFolder:
    """Finished chunks on disk, one NetCDF file each, with what they were asked."""

    def __init__(self, path, model):
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.model_hash = model_hash(model)
        self.library_hash = library_hash()

    def read(self, task):
        """Return the groups of a task, None if they are not there.

        Raises
        ------
        ResultError
            The file belongs to another task.
        """
        path = self._path(task)
        if not path.exists():
            return None
        tree = open_result(path)
        if changed := difference(json.loads(tree.attrs["identity"]), self._identity(task)):
            raise ResultError(
                f"{path}: cannot be used, for {changed}; put that back, or give another folder"
            )
        return {name: group.to_dataset() for name, group in tree.children.items()}

    def write(self, task, groups):
        """Write the groups of a task."""
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = {
            "schema": SCHEMA,
            "bayesquake_version": version("bayesquake"),
            "identity": json.dumps(self._identity(task)),
        }
        write_netcdf(tree, self._path(task))

    def _path(self, task):
        return self.path / f"chunk_{task.numbers[0]:06d}.nc"

    def _identity(self, task):
        return {
            "model_hash": self.model_hash,
            "library_hash": self.library_hash,
            "priors": described_priors(task.priors),
            "seed": task.seed,
            "settings": dataclasses.asdict(task.settings),
            "problems": task.numbers.tolist(),
            "arrays_hash": arrays_hash(task.arrays),
        }


def _prepared(model, dataset, name, options):
    """Return the arrays of a data set, or an error that says of which."""
    try:
        return model.prepare(dataset, **options)
    except BayesquakeError as problem:
        raise type(problem)(f"data set {name!r}: {problem}") from problem


def _names(names, datasets):
    if not len(datasets):
        raise OptionError("there are no data sets to fit; give at least one")
    if names is None:
        return [str(place) for place in range(len(datasets))]
    names = [str(name) for name in names]
    if len(names) != len(datasets) or len(set(names)) != len(names):
        raise OptionError(
            f"{len(datasets)} data sets need as many different names; {len(names)} were given, "
            f"{len(set(names))} of them different"
        )
    return names


def _split(model, options, sizes):
    """Return the settings of the triage that were given, and the options of ``model.prepare``."""
    taken = options_of(model.prepare)
    unknown = sorted(set(options) - SETTINGS - taken)
    if unknown:
        raise OptionError(
            f"unknown option {with_nearest(unknown, SETTINGS | taken)}; fit_many takes "
            f"{', '.join(sorted(SETTINGS))}, "
            f"preparing the data of {model.name} {', '.join(sorted(taken)) or 'none'}"
        )
    settings = {name: value for name, value in options.items() if name in SETTINGS}
    settings |= {name: size for name, size in sizes.items() if size is not None}
    return settings, checked_options(model.prepare, accepted_by(model.prepare, options))


def _recommended(model, arrays):
    """Return the settings of a triage that the model recommends for such a problem."""
    recommended = dict(model.recommended(arrays))
    if recommended.pop("driver") != "triage":
        return {}
    return {name: value for name, value in recommended.items() if name in SETTINGS}


@functools.cache
def _over_draws(constrain):
    return batched(jax.vmap(jax.vmap(constrain, (0, None)), (0, None)), (0, 0))
