"""Reference posteriors: draws to measure samplers against, stored with the checks they passed.

A reference holds scalars and small arrays as draws in single precision, larger arrays as moments
with their Monte-Carlo errors, beside the data. It is certified or not written.

References
----------
Magnusson et al. 2025, doi:10.48550/arXiv.2407.04967 (posteriordb, whose criteria these are).
"""

from importlib import resources

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats

from bayesquake.diagnostics.convergence import MOST_ELEMENTS
from bayesquake.errors import ReferencePosteriorError
from bayesquake.inference.constrained import constrained
from bayesquake.inference.nuts import nuts
from bayesquake.model.priors import resolve_priors
from bayesquake.results.configuration import configuration_of, described_priors
from bayesquake.results.netcdf import open_result
from bayesquake.results.provenance import provenance
from bayesquake.targets.target import target_of_arrays

__all__ = ["agreement", "make_reference", "open_reference", "reference_target"]

CHAINS, DRAWS = 10, 1000
RHAT_LIMIT = 1.01
AUTOCORRELATION_LIMIT = 0.05
ENERGY_LIMIT = 0.2
MOMENTS = ("mean", "sd", "mcse_mean", "mcse_sd")


def make_reference(model, dataset, *, seed, warmup=2000, thinning=10, progress=None, **options):
    """Draw and certify a reference posterior, 10,000 draws of 10 chains.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    dataset : xarray.Dataset
        Free to be stored with the model, such as simulated data.
    seed, warmup : int
    thinning : int
        Steps per kept draw.
    progress : callable, optional
    **options
        Of ``model.prepare``.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` (scalars and small arrays, draws), ``moments`` (larger arrays by
        ``moment``) and
        ``observed_data``; attributes hold the checks and the provenance.

    Raises
    ------
    ReferencePosteriorError
        A criterion is missed; the message gives its value.
    """
    target = target_of_arrays(model, model.prepare(dataset, **options))
    made = nuts(
        target,
        chains=CHAINS,
        warmup=warmup,
        draws=DRAWS * thinning,
        seed=seed,
        target_accept=0.9,
        progress=progress,
    )
    kept = slice(thinning - 1, None, thinning)
    values = constrained(target, made.positions[:, kept])
    checks = _certify(values, made.statistics)
    configuration = {
        "model": model.name,
        "driver": "nuts",
        "settings": {"warmup": warmup, "thinning": thinning, "target_accept": 0.9},
        "options": options,
        "priors": described_priors(resolve_priors(model)),
    }
    small = {name: draws for name, draws in values.items() if draws[0, 0].size <= MOST_ELEMENTS}
    arrays = {name: draws for name, draws in values.items() if name not in small}
    observed = dataset.copy()
    observed.attrs = dict(dataset.attrs)
    result = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {
                    name: (
                        ("chain", "draw", *model.quantities[name].dims),
                        draws.astype(np.float32),
                        _attributes(model, name),
                    )
                    for name, draws in small.items()
                },
                coords={"chain": np.arange(CHAINS), "draw": np.arange(DRAWS)},
            ),
            "moments": xr.Dataset(
                {
                    name: (
                        ("moment", *model.quantities[name].dims),
                        _moments(draws),
                        _attributes(model, name),
                    )
                    for name, draws in arrays.items()
                },
                coords={"moment": list(MOMENTS)},
            ),
            "observed_data": observed,
        }
    )
    result.attrs = provenance(model, dataset, configuration, seed) | {
        "gradient_count": made.gradients,
        "compile_seconds": made.compile_seconds,
        "run_seconds": made.run_seconds,
        **checks,
    }
    return result


def open_reference(model):
    """Open the reference posterior that is stored with a model.

    Raises
    ------
    ReferencePosteriorError
        The model has none.
    """
    file = resources.files("bayesquake.models") / model.name / "reference.nc"
    if not file.is_file():
        raise ReferencePosteriorError(f"{model.name} has no reference posterior")
    with resources.as_file(file) as path:
        return open_result(path)


def reference_target(model, reference):
    """Return the target that a reference posterior is of, for samplers to run on."""
    configuration = configuration_of(reference, model)
    arrays = model.prepare(configuration.dataset, **configuration.prepare_options)
    return target_of_arrays(model, arrays, configuration.priors)


def agreement(values, reference):
    """Compare draws with a reference, in combined Monte-Carlo errors.

    Parameters
    ----------
    values : mapping of str to (chain, draw, ...)
        Constrained draws, such as from `bayesquake.inference.fit.constrained`.
    reference : xarray.DataTree

    Returns
    -------
    pandas.DataFrame
        By quantity and element: ``mean`` and ``sd`` of both, the difference of means in
        posterior standard deviations, and the differences of means and of standard
        deviations in combined Monte-Carlo errors, ``z_mean`` and ``z_sd``, infinite for
        draws without a finite error.

    Raises
    ------
    ReferencePosteriorError
        The reference lacks a quantity.
    """
    rows = []
    for name, draws in values.items():
        ours = _moments(draws)
        theirs = _reference_moments(reference, name)
        varying = theirs[1] > 0
        z = (ours[:2] - theirs[:2]) / np.hypot(ours[2:], theirs[2:])
        z = np.where(np.isfinite(z), z, np.inf)
        for index in np.ndindex(varying.shape):
            if varying[index]:
                at = (slice(None), *index)
                rows.append(
                    {
                        "quantity": name
                        + ("" if index == () else f"[{','.join(map(str, index))}]"),
                        "mean": ours[at][0],
                        "reference_mean": theirs[at][0],
                        "sd": ours[at][1],
                        "reference_sd": theirs[at][1],
                        "difference_in_sd": (ours[at][0] - theirs[at][0]) / theirs[at][1],
                        "z_mean": z[at][0],
                        "z_sd": z[at][1],
                    }
                )
    return pd.DataFrame(rows).set_index("quantity")


def _reference_moments(reference, name):
    if name in reference["posterior"]:
        return _moments(reference["posterior"][name].to_numpy().astype(float))
    if name not in reference["moments"]:
        raise ReferencePosteriorError(
            f"the reference lacks {name}; make it anew with `bayesquake reproduce references`"
        )
    return reference["moments"][name].to_numpy()


def _certify(values, statistics):
    """Return the checks as attributes, or raise."""
    flat = np.concatenate([d.reshape(*d.shape[:2], -1) for d in values.values()], axis=2)
    flat = flat[:, :, np.ptp(flat, axis=(0, 1)) > 0]
    axes = {"chain_axis": 0, "draw_axis": 1}
    centred = flat - flat.mean(axis=1, keepdims=True)
    lag_one = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / (centred**2).sum(axis=1)
    checks = {
        "worst_r_hat": float(np.max(array_stats.rhat(flat, **axes))),
        "worst_lag_1_autocorrelation": float(np.abs(lag_one.mean(axis=0)).max()),
        "divergences": int(statistics["diverging"].sum()),
        "worst_e_bfmi": float(np.min(array_stats.bfmi(statistics["energy"], **axes))),
        "smallest_bulk_ess": float(np.min(array_stats.ess(flat, method="bulk", **axes))),
        "smallest_tail_ess": float(
            np.min(array_stats.ess(flat, method="tail", prob=(0.05, 0.95), **axes))
        ),
    }
    missed = [
        f"{name} = {checks[name]:.4g}, not {limit}"
        for name, limit, passed in (
            ("worst_r_hat", f"below {RHAT_LIMIT}", checks["worst_r_hat"] < RHAT_LIMIT),
            (
                "worst_lag_1_autocorrelation",
                f"below {AUTOCORRELATION_LIMIT}",
                checks["worst_lag_1_autocorrelation"] < AUTOCORRELATION_LIMIT,
            ),
            ("divergences", "0", checks["divergences"] == 0),
            ("worst_e_bfmi", f"above {ENERGY_LIMIT}", checks["worst_e_bfmi"] > ENERGY_LIMIT),
        )
        if not passed
    ]
    if missed:
        raise ReferencePosteriorError(
            f"the draws are no reference: {'; '.join(missed)}; use more warm-up or thinning"
        )
    return checks


def _moments(draws):
    """Return mean, sd and their Monte-Carlo errors, (moment, ...)."""
    axes = {"chain_axis": 0, "draw_axis": 1}
    return np.stack(
        [
            draws.mean(axis=(0, 1)),
            draws.std(axis=(0, 1)),
            array_stats.mcse(draws, method="mean", **axes),
            array_stats.mcse(draws, method="sd", **axes),
        ]
    )


def _attributes(model, name):
    quantity = model.quantities[name]
    return {
        "units": quantity.unit,
        "long_name": quantity.meaning,
        "auxiliary": int(quantity.auxiliary),
    }
