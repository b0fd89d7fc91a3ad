"""What drivers can say of their draws, as rows of `bayesquake.results.checks`.

References
----------
Vehtari et al. 2021, doi:10.1214/20-BA1221 (rank-normalised R-hat, bulk and tail ESS);
Betancourt 2016, doi:10.48550/arXiv.1604.00695 (E-BFMI);
Flegal & Jones 2010, doi:10.1214/09-AOS735 (errors of moments from means of batches);
Vehtari, Simpson, Gelman, Yao & Gabry 2024, Journal of Machine Learning Research 25(72), 1-58.
"""

import numpy as np
from arviz_stats.base import array_stats

from bayesquake.results.checks import Check

__all__ = [
    "DIVERGENCE_LIMIT",
    "ENERGY_LIMIT",
    "ESS_PER_CHAIN",
    "LARGEST_CHANGE",
    "LARGEST_CHECKED",
    "PARETO_LIMIT",
    "RHAT_LIMIT",
    "TAIL_OPTIONS",
    "chain_checks",
    "convergence_checks",
    "divergence_check",
    "energy_check",
    "energy_fraction",
    "error_check",
    "ess_check",
    "field_error",
    "field_rhat",
    "largest_error",
    "missing_check",
    "pareto_k",
    "rhat_check",
    "still_check",
    "weight_check",
    "weighted_change_check",
]

RHAT_LIMIT = 1.01
ESS_PER_CHAIN = 100
ENERGY_LIMIT = 0.3
DIVERGENCE_LIMIT = 0.001
PARETO_LIMIT = 0.7
"""Largest Pareto k-hat of weights that can be believed."""

FEWEST_WEIGHTS = 25
SMALLEST_SPREAD = 1e-6
"""Spread of log weights below which they are equal."""

LARGEST_CHANGE = 0.1
"""Standard deviations by which a mean or a standard deviation may be off."""

TAIL_OPTIONS = {"method": "tail", "prob": (0.05, 0.95)}
AXES = {"chain_axis": 0, "draw_axis": 1}

LARGEST_CHECKED = 1000
"""Arrays of more elements are fields: instead of R-hat and effective sample size, whose worst over
so many elements is extreme by chance, the Monte-Carlo errors of their moments are checked."""

FIELD_SHARE = 0.95
BATCHES = 8
"""Batches of a chain whose moments tell the error: long against the memory of a chain worth
keeping, and few enough that chains which disagree strongly miss the limit however long they are."""


def chain_checks(posterior, statistics, missing=0):
    """Return the rows of Markov chains, or of independent runs.

    Scalars and arrays of the model's quantities alike enter, the worst deciding. Auxiliary latents,
    coordinates of a representation rather than quantities of the science, are shown.

    Parameters
    ----------
    posterior : xarray.Dataset
        Constrained draws (chain, draw, ...) with the attributes ``role`` and ``fixed``.
    statistics : mapping of str to (chain, draw)
    missing : int
        Draws per chain that were asked for and not made.

    Returns
    -------
    tuple of Check
    """
    quantities = posterior.filter_by_attrs(role=lambda role: role != "latent")
    latents = posterior.filter_by_attrs(role="latent")
    scalars, fields, still = _by_size(quantities)
    rows = [still_check(float(len(still)), f": {', '.join(still)}" if still else "")]
    if scalars:
        rows += convergence_checks(scalars, posterior.sizes["chain"])
    if fields:
        errors = {name: field_error(draws) for name, draws in fields.items()}
        name = max(errors, key=errors.__getitem__)
        limit = largest_error(posterior.sizes["chain"])
        rows.append(error_check(errors[name], limit, meaning=f", here {name}"))
        rows.append(field_rhat_check(max(map(field_rhat, fields.values()))))
    moving_latents = _by_size(latents)[0]
    if moving_latents:
        row, *_ = convergence_checks(moving_latents, posterior.sizes["chain"])
        rows.append(row._replace(name="R-hat of latents", kind="information", limit=np.nan))
    if "diverging" in statistics:
        rows.append(divergence_check(float(np.mean(statistics["diverging"]))))
    if "energy" in statistics:
        rows.append(energy_check(float(energy_fraction(np.asarray(statistics["energy"])))))
    return (*rows, missing_check(missing))


def convergence_checks(quantities, chains):
    """Return the rows of R-hat and of the bulk and tail effective sample sizes, the worst deciding.

    Parameters
    ----------
    quantities : mapping of str to (chain, draw, element)
        The elements that move.
    chains : int
    """
    found = {
        name: (
            np.nan_to_num(array_stats.rhat(draws, **AXES), nan=np.inf).max(),
            np.nan_to_num(array_stats.ess(draws, method="bulk", **AXES), nan=0.0).min(),
            np.nan_to_num(array_stats.ess(draws, **TAIL_OPTIONS, **AXES), nan=0.0).min(),
        )
        for name, draws in quantities.items()
    }
    rhat = max(found, key=lambda name: found[name][0])
    bulk = min(found, key=lambda name: found[name][1])
    tail = min(found, key=lambda name: found[name][2])
    enough = float(ESS_PER_CHAIN * chains)
    return [
        rhat_check(float(found[rhat][0]), meaning=f", here {rhat}"),
        ess_check("bulk ESS", float(found[bulk][1]), enough, meaning=f", here {bulk}"),
        ess_check("tail ESS", float(found[tail][2]), enough, meaning=f", here {tail}"),
    ]


def pareto_limit(draws):
    """Return the largest Pareto k-hat that so many weighted draws can be believed at.

    References
    ----------
    Vehtari et al. 2024, doi:10.48550/arXiv.1507.02646, section 3.2.4
    """
    return min(PARETO_LIMIT, 1 - 1 / np.log10(draws))


def rhat_check(value, limit=RHAT_LIMIT, over="", meaning=""):
    """Return the row of the largest rank-normalised split R-hat."""
    meaning = f"largest of all quantities{meaning}"
    return Check("R-hat", value, limit, "below", "adequacy", over, meaning)


def ess_check(name, value, limit, over="", meaning=""):
    """Return the row of the smallest effective sample size, ``name`` being bulk or tail ESS."""
    meaning = f"smallest of all quantities{meaning}"
    return Check(name, value, limit, "above", "precision", over, meaning)


def error_check(value, limit, over="", meaning=""):
    """Return the row of the largest Monte-Carlo error of a field's moments, see `field_error`."""
    meaning = f"largest of a mean or variance, in sd of what is averaged{meaning}"
    return Check("Monte-Carlo error of fields", value, limit, "below", "adequacy", over, meaning)


def field_rhat_check(value):
    """Return the row of the R-hat of fields, see `field_rhat`."""
    meaning = "not exceeded by 95 % of the elements of a field"
    return Check("R-hat of fields", value, RHAT_LIMIT, "below", "adequacy", "", meaning)


def still_check(value, meaning="", over=""):
    """Return the row of the number of quantities that never move, though none is declared fixed."""
    meaning = f"quantities that are the same in every draw{meaning}"
    return Check("still quantities", value, 1.0, "below", "adequacy", over, meaning)


def divergence_check(value, over=""):
    """Return the row of the share of divergent trajectories."""
    meaning = "share of trajectories that left the energy surface"
    return Check("divergences", value, DIVERGENCE_LIMIT, "below", "adequacy", over, meaning)


def energy_check(value, over=""):
    """Return the row of the smallest energy fraction of missing information of a chain."""
    meaning = "how well momentum draws explore the energy, worst chain"
    return Check("E-BFMI", value, ENERGY_LIMIT, "above", "adequacy", over, meaning)


def energy_fraction(energy):
    """Return the E-BFMI of the worst chain, 0 where it is not a number.

    Parameters
    ----------
    energy : (..., chain, draw) array

    Returns
    -------
    (...) array
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = np.asarray(array_stats.bfmi(energy, chain_axis=-2, draw_axis=-1))
    return np.nan_to_num(fraction, nan=0.0, posinf=0.0).min(axis=-1)


def missing_check(missing, what="draws"):
    """Return the row of what an interrupted run did not make."""
    meaning = f"{what} that were asked for and not made before the run was interrupted"
    return Check(f"missing {what}", float(missing), 1.0, "below", "precision", meaning=meaning)


def weight_check(k_hat):
    """Return the row of an approximation whose draws have the Pareto k-hat `pareto_k`."""
    meaning = "tail of the importance weights of the approximation"
    return Check("Pareto k-hat", float(k_hat), PARETO_LIMIT, "below", "adequacy", meaning=meaning)


def weighted_change_check(positions, log_weight):
    """Return the row of how far importance weights move the moments of unweighted draws.

    An approximation that is too wide has weights without a tail, which k-hat does not see.

    Parameters
    ----------
    positions : (chain, draw, dim)
        Unconstrained.
    log_weight : (chain, draw)
    """
    flat = positions.reshape(-1, positions.shape[-1])
    smoothed, _ = _smoothed(log_weight)
    weight = np.exp(smoothed - smoothed.max())
    weight /= weight.sum()
    mean, sd = weight @ flat, flat.std(axis=0)
    weighted_sd = np.sqrt(weight @ (flat - mean) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.fmax(np.abs(mean - flat.mean(axis=0)), np.abs(weighted_sd - sd)) / sd
    value = float(np.nan_to_num(change, nan=np.inf).max())
    meaning = "of a mean or sd, by weighting the draws of the approximation, in their sd"
    return Check("change by weights", value, LARGEST_CHANGE, "below", "adequacy", "", meaning)


def pareto_k(log_weight):
    """Return the Pareto k-hat of importance weights; above 0.7 they are unreliable.

    Equal weights, those of an approximation that is exact, have no tail: 0. Too few weights tell
    nothing: inf.
    """
    return np.inf if np.size(log_weight) < FEWEST_WEIGHTS else _smoothed(log_weight)[1]


def largest_error(chains):
    """Return the error of a mean, in standard deviations, at the smallest ESS that is enough."""
    return (ESS_PER_CHAIN * chains) ** -0.5


def field_error(draws):
    """Return the largest Monte-Carlo error of the means and variances of a field.

    An error is in standard deviations of what is averaged, so that its inverse square is an
    effective number of draws, whatever the tails of an element.

    Parameters
    ----------
    draws : (chain, draw, element) array

    Returns
    -------
    float
        Inf where the draws are not finite.
    """
    chains, length, elements = draws.shape
    size = max(length // BATCHES, 1)
    batches = chains * (length // size)
    offsets = draws[:, : length // size * size] - draws.mean(axis=(0, 1))
    moving = np.ptp(offsets, axis=(0, 1)) != 0
    if not np.isfinite(offsets).all():
        return np.inf

    def error(averaged):
        of_batches = averaged.reshape(batches, size, elements).mean(axis=1)
        scale = averaged.std(axis=(0, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return (of_batches.std(axis=0, ddof=1) / scale / np.sqrt(batches))[moving]

    # Squares of far smaller elements than one would underflow.
    unit = np.where(moving, np.abs(offsets).max(axis=(0, 1)), 1.0)
    errors = np.fmax(error(offsets / unit), error((offsets / unit) ** 2))
    return float(errors.max(initial=0.0))


def field_rhat(draws):
    """Return the 95 % quantile over the elements of a field of the split R-hat.

    The largest of many is extreme by chance; the quantile rises where chains disagree throughout.

    Parameters
    ----------
    draws : (chain, draw, element) array

    Returns
    -------
    float
        Inf where the draws are not finite.
    """
    half = draws.shape[1] // 2
    halves = np.concatenate([draws[:, :half], draws[:, -half:]])
    within, means = halves.var(axis=1, ddof=1).mean(axis=0), halves.mean(axis=1)
    moving = np.ptp(draws, axis=(0, 1)) != 0
    if not np.isfinite(within).all():
        return np.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        rhat = np.sqrt(means.var(axis=0, ddof=1) / within + (half - 1) / half)[moving]
    return float(np.quantile(rhat, FIELD_SHARE))


def _smoothed(log_weight):
    """Return Pareto-smoothed log weights and their k-hat.

    ArviZ smooths the weights exp(-x) of the log likelihoods x that it is given, and raises where
    the largest weights are equal, which then need no smoothing.
    """
    log_weight = np.ravel(log_weight)
    if np.ptp(log_weight) < SMALLEST_SPREAD:
        return log_weight, 0.0
    try:
        smoothed, k = array_stats.psislw(-log_weight)
    except ValueError:
        return log_weight, 0.0
    return np.asarray(smoothed), float(k)


def _by_size(posterior):
    """Return (chain, draw, element) arrays that move, small and large ones, and names at rest."""
    scalars, fields, still = {}, {}, []
    for name, draws in posterior.data_vars.items():
        flat = draws.to_numpy().reshape(*draws.shape[:2], -1).astype(float)
        undefined = np.isnan(flat).all(axis=(0, 1))
        moving = (np.ptp(flat, axis=(0, 1)) != 0) & ~undefined
        if not moving.any():
            if draws.attrs.get("fixed") != 1:
                still.append(str(name))
        elif moving.size > LARGEST_CHECKED:
            fields[str(name)] = flat
        else:
            scalars[str(name)] = flat[:, :, moving]
    return scalars, fields, still
