"""What speaks for the draws of each of many problems, and in words where it is too little."""

import functools
import warnings
from typing import Any, NamedTuple

import jax
import numpy as np

from bayesquake.batch.lanes import in_lanes
from bayesquake.batch.shard import batched
from bayesquake.inference.smc import evidence_checks
from bayesquake.results.checks import Check, failing
from bayesquake.results.convergence import Convergence, convergence
from bayesquake.results.evidence import (
    LARGEST_CHANGE,
    LARGEST_CHECKED,
    divergence_check,
    energy_check,
    error_check,
    ess_check,
    field_error,
    field_rhat,
    rhat_check,
    still_check,
)

__all__ = [
    "Evidence",
    "UncertifiedWarning",
    "checks_of",
    "evidence_of_draws",
    "failures_of",
    "no_evidence",
    "warn_of_failures",
]

NAMED_IN_WARNING = 10
NO_DRAWS = (
    "the log density is not finite at any starting point, check its data; or it has several modes "
    "to which sequential Monte Carlo did not come from the prior"
)


class UncertifiedWarning(UserWarning):
    """Some problems have no certified posterior."""


class Evidence(NamedTuple):
    """Numbers that speak for the draws of every problem, NaN where one does not apply.

    Attributes
    ----------
    r_hat, ess_bulk, ess_tail : (problem,)
        Worst of the scalars and small arrays of quantities; R-hat of larger arrays by their
        `field_rhat`.
    field_error : (problem,)
        Largest Monte-Carlo error of a mean or variance of a larger array.
    still : (problem,)
        Number of quantities that never move.
    divergences : (problem,)
        Share of trajectories that diverged.
    e_bfmi : (problem,)
        Of the worst chain.
    change : (problem,)
        Move of exact draws' moments when the nodes of their rule are halved.
    smallest_ess, drift, spread : (problem,)
        Of sequential Monte Carlo, see `bayesquake.inference.smc.evidence_checks`.
    """

    r_hat: Any
    ess_bulk: Any
    ess_tail: Any
    field_error: Any
    still: Any
    divergences: Any
    e_bfmi: Any
    change: Any
    smallest_ess: Any
    drift: Any
    spread: Any


def no_evidence(problems):
    """Return that nothing speaks for any of so many problems."""
    return Evidence(*np.full((len(Evidence._fields), problems), np.nan))


def checks_of(evidence, settings, dim="problem"):
    """Return evidence as rows, those that apply to some problem.

    Parameters
    ----------
    evidence : Evidence
    settings : bayesquake.batch.triaged.TriageSettings
        With the limits.
    dim : str
        Name of the problem axis.

    Returns
    -------
    tuple of Check
    """
    rows = (
        rhat_check(evidence.r_hat, settings.rhat_limit, dim),
        ess_check("bulk ESS", evidence.ess_bulk, settings.least_ess, dim),
        ess_check("tail ESS", evidence.ess_tail, settings.least_ess, dim),
        error_check(evidence.field_error, settings.least_ess**-0.5, dim),
        still_check(evidence.still, over=dim),
        divergence_check(evidence.divergences, dim),
        energy_check(evidence.e_bfmi, dim),
        Check(
            "change on half the nodes",
            evidence.change,
            LARGEST_CHANGE,
            "below",
            "adequacy",
            dim,
            "of a mean or sd of exact draws, in posterior sd",
        ),
        *evidence_checks(evidence.smallest_ess, evidence.drift, evidence.spread, dim),
    )
    return tuple(row for row in rows if not np.isnan(row.value).all())


def evidence_of_draws(positions, data, judged, fixed, width):
    """Return the evidence that lies in the draws themselves.

    Parameters
    ----------
    positions : (problem, chain, draw, dim)
    data : pytree of (problem, ...)
    judged : callable or None
        ``(position, data) -> dict`` of the quantities that must converge; the coordinates if None.
    fixed : collection of str
        Quantities that may be the same in every draw.
    width : int
        Problems worked on together.

    Returns
    -------
    Evidence
    """

    def lane(lane):
        positions, data = lane
        values = {"position": positions} if judged is None else _values(judged)(positions, data)
        found = [_of_quantity(np.asarray(values[name]), name in fixed) for name in sorted(values)]
        r_hat, bulk, tail, error, still = (np.stack(column) for column in zip(*found, strict=True))
        return no_evidence(len(positions))._replace(
            r_hat=np.fmax.reduce(r_hat, axis=0),
            ess_bulk=np.fmin.reduce(bulk, axis=0),
            ess_tail=np.fmin.reduce(tail, axis=0),
            field_error=np.fmax.reduce(error, axis=0),
            still=still.sum(axis=0).astype(float),
        )

    return in_lanes(lane, (positions, data), width)


def _of_quantity(draws, fixed):
    """Return R-hat, bulk and tail ESS, error as a field, and whether at rest, of every problem."""
    flat = draws.reshape(*draws.shape[:3], -1).astype(float)
    problems, *_, size = flat.shape
    moving = (np.ptp(flat, axis=(1, 2)) != 0) & ~np.isnan(flat).all(axis=(1, 2))
    still = ~moving.any(axis=1) & (not fixed)
    unknown = np.full(problems, np.nan)
    if size > LARGEST_CHECKED:
        errors, rhats = unknown.copy(), unknown.copy()
        for place in np.flatnonzero(moving.any(axis=1)):
            errors[place], rhats[place] = field_error(flat[place]), field_rhat(flat[place])
        return rhats, unknown, unknown, errors, still
    by_element = np.moveaxis(flat, -1, 1).reshape(problems * size, *flat.shape[1:3])
    chosen = moving.ravel()
    found = Convergence(*np.full((3, problems * size), np.nan))
    if chosen.any():
        for values, statistic in zip(found, convergence(by_element[chosen]), strict=True):
            values[chosen] = statistic
    r_hat, bulk, tail = (values.reshape(problems, size) for values in found)
    return (
        np.fmax.reduce(np.where(moving & np.isnan(r_hat), np.inf, r_hat), axis=1),
        np.fmin.reduce(np.where(moving & np.isnan(bulk), 0.0, bulk), axis=1),
        np.fmin.reduce(np.where(moving & np.isnan(tail), 0.0, tail), axis=1),
        unknown,
        still,
    )


@functools.cache
def _values(judged):
    over_chains = jax.vmap(jax.vmap(judged, (0, None)), (0, None))
    return batched(over_chains, (0, 0))


def failures_of(checks, tier, names):
    """Return why each problem that is not certified is not, by name.

    Parameters
    ----------
    checks : sequence of Check
        Over the problems.
    tier : (problem,) int
        0 where nothing certified the problem.
    names : sequence of str

    Returns
    -------
    dict of str
    """
    checks = [row for row in checks if row.over]
    missed = [failing(row) for row in checks]
    return {
        str(names[i]): ", ".join(
            f"{row.name} {row.value[i]:.4g} (must be {row.sense} {row.limit:g})"
            for row, fails in zip(checks, missed, strict=True)
            if fails[i]
        )
        or NO_DRAWS
        for i in np.flatnonzero(np.asarray(tier) == 0)
    }


def warn_of_failures(failures, problems, stacklevel=3):
    """Warn of the problems that have no certified posterior, if there are any.

    Warns
    -----
    UncertifiedWarning
    """
    if failures:
        warnings.warn(_listing(failures, problems), UncertifiedWarning, stacklevel=stacklevel)


def _listing(failures, problems):
    first = list(failures.items())[:NAMED_IN_WARNING]
    lines = [f"{name}: {reason}" for name, reason in first]
    if len(failures) > len(first):
        lines.append(f"and {len(failures) - len(first)} more, in the attribute 'failures'")
    return f"{len(failures)} of {problems} problems have no certified posterior\n" + "\n".join(
        lines
    )
