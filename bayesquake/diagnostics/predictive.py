"""Cross-validation by Pareto-smoothed importance sampling, with refits where it fails.

The folds are parts of the data that are independent given the parameters. A posterior
that leaves a fold out is reached by weighting the full posterior; where the Pareto k-hat
of the weights exceeds 0.7 the fold's own fit replaces them.

References
----------
Vehtari, Gelman & Gabry 2017, doi:10.1007/s11222-016-9696-4;
Vehtari et al. 2024, doi:10.48550/arXiv.1507.02646.
"""

import jax
import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from scipy.special import logsumexp

from bayesquake.errors import ResultError
from bayesquake.inference.constrained import constrained
from bayesquake.inference.drivers import driver_named
from bayesquake.model.registry import load_model, model_names
from bayesquake.results.configuration import configuration_of
from bayesquake.results.evidence import PARETO_LIMIT
from bayesquake.targets.target import target_of_arrays

__all__ = ["leave_one_out", "posterior_predictive_pvalues"]


def leave_one_out(result, *, refit=False, seed=0, progress=None):
    """Estimate the expected log predictive density, fold by fold.

    Parameters
    ----------
    result : xarray.DataTree
        With a group ``log_likelihood`` holding ``term`` (chain, draw, fold).
    refit : bool
        Refit without each fold whose k-hat exceeds 0.7, with the result's own settings.
    seed : int
        Of the refits.
    progress : callable, optional
        Called as ``progress(done, total)`` after each refit.

    Returns
    -------
    xarray.Dataset
        ``elpd`` and ``pareto_k`` by fold, ``refitted`` by fold; attributes ``elpd`` and
        ``standard_error`` of the sum.

    Raises
    ------
    ResultError
        The result has no log likelihood, or lacks what a refit needs.
    """
    if "log_likelihood" not in result.children:
        raise ResultError("the result has no group 'log_likelihood'; its model defines no folds")
    name = result.attrs.get("model")
    if name in model_names() and load_model(name).folds is None:
        raise ResultError(
            f"the data of {name} have no parts that are independent given the parameters, so that "
            "leaving one out does not apply; score later data instead"
        )
    term = result["log_likelihood"]["term"]
    values = term.to_numpy()
    flat = values.reshape(-1, values.shape[2]).T
    log_weights, k = array_stats.psislw(flat, axis=-1)
    log_weights, k = np.asarray(log_weights), np.asarray(k)
    elpd = logsumexp(log_weights + flat, axis=1) - logsumexp(log_weights, axis=1)
    failed = np.flatnonzero(k > PARETO_LIMIT) if refit else np.array([], int)
    for done, refitted_elpd in enumerate(_refits(result, failed.tolist(), seed) if refit else ()):
        elpd[failed[done]] = refitted_elpd
        if progress is not None:
            progress(done + 1, failed.size)
    refitted = np.isin(np.arange(k.size), failed)
    dim = term.dims[2]
    return xr.Dataset(
        {
            "elpd": (dim, elpd, {"units": "1", "long_name": "expected log predictive density"}),
            "pareto_k": (dim, k, {"units": "1", "long_name": "Pareto k-hat of the weights"}),
            "refitted": (dim, refitted, {"units": "1", "long_name": "from a fit without the fold"}),
        },
        coords={name: c for name, c in term.coords.items() if dim in c.dims},
        attrs={"elpd": elpd.sum(), "standard_error": float(np.sqrt(k.size * elpd.var(ddof=1)))},
    )


def _refits(result, folds, seed):
    """Yield the log predictive density of each fold under a fit that left it out."""
    model = load_model(result.attrs["model"])
    if model.folds is None:
        raise ResultError(f"{model.name} defines no folds, so none can be left out")
    configuration = configuration_of(result, model)
    full = model.prepare(configuration.dataset, **configuration.prepare_options)
    driver = driver_named(configuration.driver, model)
    terms_of = jax.jit(jax.vmap(lambda values: model.folds.terms(values, full)))
    for fold in folds:
        target = target_of_arrays(model, model.folds.without(full, fold), configuration.priors)
        made = driver(target, seed=seed + fold, **configuration.settings)
        draws = constrained(target, made.positions)
        flat = {name: values.reshape(-1, *values.shape[2:]) for name, values in draws.items()}
        terms = terms_of(flat)[:, fold]
        yield float(logsumexp(terms) - np.log(terms.size))


def posterior_predictive_pvalues(result):
    """Compare observed with replicated data.

    Returns
    -------
    xarray.Dataset
        For every variable that ``posterior_predictive`` and ``observed_data`` share, the
        mid-p-value: the share of replicates above the observed value plus half of those
        equal to it.
    """
    replicated = result["posterior_predictive"].to_dataset()
    observed = result["observed_data"].to_dataset()
    shared = [name for name in replicated.data_vars if name in observed.data_vars]
    return xr.Dataset(
        {
            name: (
                (replicated[name] > observed[name]) + 0.5 * (replicated[name] == observed[name])
            ).mean(("chain", "draw"))
            for name in shared
        }
    )
