"""Reference posteriors: draws to measure samplers against, stored with the checks they passed.

A reference holds scalars and small arrays as draws in single precision, larger arrays as moments
with their Monte-Carlo errors, beside the data. It is certified or not written.

References
----------
Magnusson et al. 2025, doi:10.48550/arXiv.2407.04967 (posteriordb, whose criteria these are).
"""

import numpy as np
import pandas as pd

from bayesquake.diagnostics.convergence import MOST_ELEMENTS
from bayesquake.errors import ReferencePosteriorError
from bayesquake.inference.constrained import constrained
from bayesquake.inference.nuts import nuts
from bayesquake.model.priors import resolve_priors
from bayesquake.model.registry import folder_of
from bayesquake.results.checks import Check, failing
from bayesquake.results.configuration import configuration_of, described_priors
from bayesquake.results.evidence import (
    convergence_checks,
    energy_check,
    energy_fraction,
    still_check,
)
from bayesquake.results.moments import MOMENTS, moments_of
from bayesquake.results.netcdf import open_result
from bayesquake.results.provenance import provenance
from bayesquake.results.schema import assemble, labelled
from bayesquake.targets.target import target_of_arrays

__all__ = ["agreement", "make_reference", "open_reference", "reference_target"]

CHAINS, DRAWS = 10, 1000
TARGET_ACCEPT = 0.9
AUTOCORRELATION_LIMIT = 0.05


def make_reference(
    model, dataset, *, seed, warmup=2000, thinning=10, priors=None, progress=None, **options
):
    """Draw and certify a reference posterior, 10,000 draws of 10 chains.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    dataset : xarray.Dataset
        Free to be stored with the model, such as simulated data.
    seed, warmup : int
    thinning : int
        Steps per kept draw.
    priors : mapping or path, optional
        Priors in place of the defaults, as in `bayesquake.fit`.
    progress : callable, optional
    **options
        Of ``model.prepare``.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior`` (scalars and small arrays, draws), ``moments`` (larger arrays by
        ``moment``) and ``observed_data``; ``checks`` holds the criteria.

    Raises
    ------
    ReferencePosteriorError
        A criterion is missed; the message gives its value.
    """
    target = target_of_arrays(model, model.prepare(dataset, **options), priors)
    found = nuts(
        target,
        chains=CHAINS,
        warmup=warmup,
        draws=DRAWS * thinning,
        seed=seed,
        target_accept=TARGET_ACCEPT,
        progress=progress,
    )
    kept = slice(thinning - 1, None, thinning)
    values = constrained(target, found.positions[:, kept])
    fixed = {name for name, quantity in model.quantities.items() if quantity.fixed}
    checks = reference_checks(values, found.statistics, fixed)
    _require(checks)
    configuration = {
        "writer": "reference",
        "model": model.name,
        "driver": "nuts",
        "settings": {"warmup": warmup, "thinning": thinning, "target_accept": TARGET_ACCEPT},
        "options": options,
        "priors": described_priors(resolve_priors(model, priors)),
    }
    small = {name: draws for name, draws in values.items() if draws[0, 0].size <= MOST_ELEMENTS}
    arrays = {name: draws for name, draws in values.items() if name not in small}
    by_draw = {"chain": np.arange(CHAINS), "draw": np.arange(DRAWS)}
    return assemble(
        {
            "posterior": labelled(
                {name: draws.astype(np.float32) for name, draws in small.items()},
                model.quantities,
                by_draw,
            ),
            "moments": labelled(
                {name: moments_of(draws) for name, draws in arrays.items()},
                model.quantities,
                {"moment": list(MOMENTS)},
            ),
            "observed_data": dataset.copy(),
        },
        checks,
        provenance(model, dataset, configuration, seed)
        | {
            "gradient_count": found.gradients,
            "compile_seconds": found.compile_seconds,
            "run_seconds": found.run_seconds,
        },
    )


def open_reference(model):
    """Open the reference posterior that is stored with a model.

    Raises
    ------
    ReferencePosteriorError
        The model has none.
    """
    file = folder_of(model.name) / "reference.nc"
    if not file.is_file():
        raise ReferencePosteriorError(f"{model.name} has no reference posterior")
    return open_result(file)


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
        ours = moments_of(draws)
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
        return moments_of(reference["posterior"][name].to_numpy().astype(float))
    if name not in reference["moments"]:
        raise ReferencePosteriorError(
            f"the reference lacks {name}; make it anew with `bayesquake reproduce references`"
        )
    return reference["moments"][name].to_numpy()


def reference_checks(values, statistics, fixed=()):
    """Return the rows of the criteria of a reference.

    Parameters
    ----------
    values : mapping of str to (chain, draw, ...)
        Constrained draws.
    statistics : mapping of str to (chain, step)
        Of all steps after warm-up.
    fixed : collection of str
        Quantities that may be the same in every draw.
    """
    elements = {name: draws.reshape(*draws.shape[:2], -1) for name, draws in values.items()}
    moving = {name: x[:, :, np.ptp(x, axis=(0, 1)) != 0] for name, x in elements.items()}
    at_rest = [name for name, x in moving.items() if not x.size and name not in fixed]
    flat = np.concatenate(list(moving.values()), axis=2)
    centred = flat - flat.mean(axis=1, keepdims=True)
    lag_one = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / (centred**2).sum(axis=1)
    return (
        still_check(float(len(at_rest)), f": {', '.join(at_rest)}" if at_rest else ""),
        *convergence_checks({name: x for name, x in moving.items() if x.size}, CHAINS),
        Check(
            "lag-1 autocorrelation",
            float(np.abs(lag_one.mean(axis=0)).max()),
            AUTOCORRELATION_LIMIT,
            kind="precision",
            meaning="of kept draws, mean over chains, worst of all quantities",
        ),
        Check(
            "divergences",
            float(statistics["diverging"].sum()),
            1.0,
            kind="adequacy",
            meaning="divergent trajectories after warm-up, kept or not",
        ),
        energy_check(float(energy_fraction(statistics["energy"]))),
    )


def _require(checks):
    """Raise unless every criterion is met."""
    missed = [
        f"{row.name} = {row.value:.4g}, not {row.sense} {row.limit:g}"
        for row in checks
        if failing(row)
    ]
    if missed:
        raise ReferencePosteriorError(
            f"the draws are no reference: {'; '.join(missed)}; use more warm-up or thinning"
        )
