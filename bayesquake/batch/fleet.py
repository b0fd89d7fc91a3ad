"""Chunks of problems on a cluster of machines, through a Dask client.

A chunk travels as plain data and the name under which its model is imported, so that a
worker, one process with its own JAX, can run it alone. Whatever happens to a worker, its
unfinished chunks, and finished ones that had not been fetched yet, are done again by the others;
since a chunk depends on nothing else, the result is the same.
"""

import importlib
import inspect
import sys

import jax

from bayesquake.errors import DriverError, OptionError

__all__ = ["importable_name", "imported", "on_workers"]


def importable_name(model):
    """Return ``module:name`` under which a model can be imported.

    Raises
    ------
    OptionError
        The model is not a global variable of the module of its generative function or of
        a package around it.
    """
    module = inspect.unwrap(model.declare).__module__
    while module and module != "__main__":
        for name, value in vars(sys.modules[module]).items():
            if value is model:
                return f"{module}:{name}"
        module = module.rpartition(".")[0]
    raise OptionError(
        f"the model {model.name!r} cannot be imported by other processes; to use client=, put it "
        "in a module as a global variable, beside its generative function or in the package "
        "around it"
    )


def imported(name):
    """Return what ``module:name`` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def on_workers(client, function, tasks):
    """Run a function of plain data on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
        Its workers must be processes of one thread.
    function : callable
        Importable on the workers.
    tasks : sequence
        Its arguments.

    Yields
    ------
    place, result
        As they come.

    Raises
    ------
    OptionError
        A worker has several threads.
    DriverError
        A task ended too many workers.
    """
    from distributed import KilledWorker, as_completed

    if any(threads != 1 for threads in client.nthreads().values()):
        raise OptionError(
            "the workers of the cluster have several threads, which would share one JAX; start "
            "them with one thread and one process each, as LocalCluster(processes=True, "
            "threads_per_worker=1)"
        )
    cache = jax.config.jax_compilation_cache_dir
    futures = {
        client.submit(_run, function, task, cache, pure=False): place
        for place, task in enumerate(tasks)
    }
    try:
        for future in as_completed(futures):
            place = futures[future]
            try:
                yield place, future.result()
            except KilledWorker as problem:
                raise DriverError(
                    f"chunk {place} of {len(futures)} ended every worker that tried it "
                    f"({problem}); give the workers more memory, or make the chunk smaller"
                ) from problem
            future.release()
    finally:
        client.cancel(list(futures))


def _run(function, task, cache):
    """Run on a worker, which shares the caller's folder of compiled programs if it has none."""
    if cache and not jax.config.jax_compilation_cache_dir:
        jax.config.update("jax_compilation_cache_dir", cache)
    return function(task)
