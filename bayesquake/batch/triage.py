"""The triage as a driver: for one data set that holds many independent posteriors."""

import json
import time

import jax
import numpy as np
import xarray as xr

from bayesquake.batch.evidence import checks_of, failures_of, warn_of_failures
from bayesquake.batch.tiers import triage
from bayesquake.batch.triaged import TRIAGE_OPTIONS, TriageSettings, table_of
from bayesquake.errors import DriverError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.settings import ONE_PIECE
from bayesquake.model.options import any_of, count, takes
from bayesquake.results.posteriors import Found

__all__ = ["triage_driver"]

TUNED = (
    "rhat_limit",
    "ess_limit",
    "searches",
    "iterations",
    "importance_draws",
    "pilot",
    "adaptation",
    "trajectory_length",
    "common_leapfrogs",
    "target_accept",
    "width",
)
"""Fields of `TriageSettings` that the driver takes."""

KEPT = ("lp", "acceptance_rate", "diverging")
"""Sample statistics kept of every draw; the others would fill most of a result."""


@takes(
    **ONE_PIECE,
    chunk=count(),
    **{name: any_of(None, TRIAGE_OPTIONS[name]) for name in TUNED},
)
def triage_driver(
    target,
    *,
    chains=4,
    draws=500,
    seed=0,
    progress=None,
    chunk=512,
    rhat_limit=None,
    ess_limit=None,
    searches=None,
    iterations=None,
    importance_draws=None,
    pilot=None,
    adaptation=None,
    trajectory_length=None,
    common_leapfrogs=None,
    target_accept=None,
    width=None,
):
    """Draw from every one of the independent posteriors of a target, and certify each.

    Parameters
    ----------
    target : bayesquake.targets.target.Target
        With a ``split``.
    chains, draws : int
        Number of chains, and of kept draws in each, for every problem.
    seed : int
        A problem's draws depend on it and on the problem's place.
    progress : callable, optional
        Called as ``progress(done, problems, statistics)`` after every chunk.
    chunk : int
        Problems worked on together; bounds the memory.
    rhat_limit, ess_limit, searches, iterations, importance_draws, pilot, adaptation, width
        Fields of `bayesquake.batch.triaged.TriageSettings`, and so are
    trajectory_length, common_leapfrogs, target_accept
        whose defaults stand where nothing is given.

    Returns
    -------
    Found
        With the groups ``triage``, how every problem was certified, and ``laplace``, the
        Gaussian at its mode in unconstrained coordinates.

    Raises
    ------
    DriverError
        The target is one posterior.

    Warns
    -----
    bayesquake.batch.evidence.UncertifiedWarning
        Problems remain whose chains do not agree.
    """
    if target.split is None:
        raise DriverError(
            "driver 'triage' needs many independent problems in one data set; this is one "
            "posterior, for which nuts is the usual driver"
        )
    changes = {
        "rhat_limit": rhat_limit,
        "ess_limit": ess_limit,
        "searches": searches,
        "iterations": iterations,
        "importance_draws": importance_draws,
        "pilot": pilot,
        "adaptation": adaptation,
        "trajectory_length": trajectory_length,
        "common_leapfrogs": common_leapfrogs,
        "target_accept": target_accept,
        "width": width,
    }
    settings = TriageSettings(
        chains, draws, **{name: value for name, value in changes.items() if value is not None}
    )

    began = time.perf_counter()
    with recorded_compilations() as compiled:
        split = target.split()
        problems = len(jax.tree.leaves(split.data)[0])
        parts = []
        for first in range(0, problems, chunk):
            numbers = np.arange(first, min(first + chunk, problems))
            made = triage(
                split.target,
                jax.tree.map(lambda values, numbers=numbers: values[numbers], split.data),
                seed=seed,
                numbers=numbers,
                settings=settings,
                exact=split.exact,
            )
            kept = {name: made.statistics[name] for name in KEPT}
            parts.append(made._replace(statistics=kept))
            if progress is not None:
                progress(int(numbers[-1]) + 1, problems, {})
    triaged = jax.tree.map(lambda *values: np.concatenate(values), *parts)
    statistics = {name: np.moveaxis(values, 0, 2) for name, values in triaged.statistics.items()}
    checks = checks_of(triaged.evidence, settings, split.dim)
    failures = failures_of(checks, triaged.tier, np.arange(problems))
    warn_of_failures(failures, problems)
    return Found(
        positions=split.join(triaged.positions),
        statistics=statistics,
        checks=lambda posterior: checks,
        gradients=int(triaged.gradients.sum()),
        compile_seconds=compiled.seconds,
        run_seconds=time.perf_counter() - began - compiled.seconds,
        notes={"failures": json.dumps(failures), "interrupted": 0},
        problem_dim=split.dim,
        groups={"triage": table_of(triaged, split.dim), "laplace": _laplace(triaged, split)},
    )


def _laplace(triaged, split):
    names = [name.replace("[0]", "") for name in split.target.coordinates]
    covariance = np.einsum("pij,pkj->pik", triaged.root, triaged.root)
    coordinates = "in the unconstrained coordinates named by param"
    return xr.Dataset(
        {
            "map": (
                (split.dim, "param"),
                triaged.centre,
                {"units": "1", "long_name": f"mode {coordinates}"},
            ),
            "cov": (
                (split.dim, "param", "param_bis"),
                covariance,
                {"units": "1", "long_name": f"inverse of the negative Hessian {coordinates}"},
            ),
        },
        coords={"param": names, "param_bis": names},
    )
