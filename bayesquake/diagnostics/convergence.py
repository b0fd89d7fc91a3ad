"""Convergence of a result: R-hat, effective sample size, Monte-Carlo error, divergences.

References
----------
Vehtari et al. 2021, doi:10.1214/20-BA1221 (rank-normalised R-hat, bulk and tail ESS);
Betancourt 2016, doi:10.48550/arXiv.1604.00695 (E-BFMI).
"""

import dataclasses

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats

from bayesquake.errors import ResultError

__all__ = ["CheckReport", "CheckRow", "check", "scalar_names", "summary_table", "with_elements"]

RHAT_LIMIT = 1.01
ESS_PER_CHAIN = 100
ENERGY_LIMIT = 0.3
DIVERGENCE_LIMIT = 0.001
PARETO_LIMIT = 0.7
TAIL = (0.05, 0.95)
TAIL_OPTIONS = {"method": "tail", "prob": TAIL}
MOST_ELEMENTS = 16
"""Elements of an array of quantities up to which each is a scalar of its own in tables."""

LARGEST_CHECKED = 1000
"""Arrays of more elements are maps of the other quantities and not checked again."""


@dataclasses.dataclass(frozen=True)
class CheckRow:
    """One check: its value, the threshold in words, the verdict (None: for information)."""

    name: str
    value: float
    threshold: str
    passed: bool | None
    meaning: str


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """All checks of a result."""

    rows: tuple[CheckRow, ...]

    @property
    def passed(self):
        """Whether no check failed."""
        return all(row.passed is not False for row in self.rows)


def scalar_names(posterior):
    """Return the names of the scalar quantities of a posterior, sorted."""
    return sorted(
        str(name) for name, draws in posterior.data_vars.items() if draws.dims == ("chain", "draw")
    )


def with_elements(draws):
    """Add the elements of small arrays of quantities to draws, as scalars of their own.

    Parameters
    ----------
    draws : xarray.Dataset
        Draws of a posterior or of a prior.

    Returns
    -------
    xarray.Dataset
        With a variable such as ``fc1[pair1]`` for every element of every quantity that has
        at most `MOST_ELEMENTS` labelled ones.
    """
    elements = {}
    for name, values in draws.data_vars.items():
        dims = values.dims[2:]
        labelled = dims and all(dim in values.coords for dim in dims)
        if not labelled or values.attrs.get("auxiliary") == 1 or values[0, 0].size > MOST_ELEMENTS:
            continue
        for place in np.ndindex(values.shape[2:]):
            element = values.isel(dict(zip(dims, place, strict=True)))
            # A slash in the name of a variable would be a path in a DataTree.
            labels = ",".join(str(element[dim].item()).replace("/", ":") for dim in dims)
            elements[f"{name}[{labels}]"] = element.drop_vars(dims)
    return draws.assign(elements)


def summary_table(result):
    """Summarise every scalar quantity, and every element of small arrays of quantities.

    Parameters
    ----------
    result : xarray.DataTree

    Returns
    -------
    pandas.DataFrame
        By quantity: ``mean``, ``sd``, ``q5``, ``q50``, ``q95`` in the quantity's unit,
        ``mcse_mean``, ``mcse_sd``, ``r_hat``, ``ess_bulk``, ``ess_tail``, ``unit``.
    """
    posterior = with_elements(_posterior(result))
    rows = {}
    for name in scalar_names(posterior):
        draws = posterior[name].to_numpy()
        low, median, high = np.quantile(draws, [0.05, 0.5, 0.95])
        rows[name] = {
            "mean": draws.mean(),
            "sd": draws.std(ddof=1),
            "q5": low,
            "q50": median,
            "q95": high,
            "mcse_mean": _of_chains(array_stats.mcse, draws, method="mean"),
            "mcse_sd": _of_chains(array_stats.mcse, draws, method="sd"),
            "r_hat": _of_chains(array_stats.rhat, draws),
            "ess_bulk": _of_chains(array_stats.ess, draws, method="bulk"),
            "ess_tail": _of_chains(array_stats.ess, draws, **TAIL_OPTIONS),
            "unit": posterior[name].attrs["units"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def check(result):
    """Check a result against the thresholds of a trustworthy posterior.

    Scalars and arrays of the model's quantities alike enter; the worst value of each
    statistic decides. Auxiliary latents, coordinates of a representation rather than
    quantities of the science, are shown and do not decide.

    Parameters
    ----------
    result : xarray.DataTree

    Returns
    -------
    CheckReport

    Raises
    ------
    ResultError
        The result lacks a posterior.
    """
    posterior, statistics = _posterior(result), result["sample_stats"].to_dataset()
    if result.attrs.get("approximate", 0):
        return CheckReport((*_approximation_rows(result), *_derived_rows(result)))
    ending = (*_quality_rows(result), *_derived_rows(result), _finished_row(result))
    if "triage" in result.children:
        return CheckReport((*_triage_rows(result), *ending))
    quantities = posterior.filter_by_attrs(auxiliary=lambda flag: flag != 1)
    rows = [
        _worst(quantities, "R-hat", array_stats.rhat, {}, np.max, RHAT_LIMIT),
        _worst(quantities, "bulk ESS", array_stats.ess, {"method": "bulk"}, np.min, None),
        _worst(quantities, "tail ESS", array_stats.ess, TAIL_OPTIONS, np.min, None),
    ]
    latents = posterior.filter_by_attrs(auxiliary=1)
    if latents.data_vars:
        row = _worst(latents, "R-hat of latents", array_stats.rhat, {}, np.max, RHAT_LIMIT)
        rows.append(dataclasses.replace(row, passed=None))
    if "diverging" in statistics:
        divergent = float(statistics["diverging"].mean())
        rows.append(_divergence_row(divergent))
    if "energy" in statistics:
        energy = float(
            np.min(array_stats.bfmi(statistics["energy"].to_numpy(), chain_axis=0, draw_axis=1))
        )
        rows.append(
            CheckRow(
                "E-BFMI",
                energy,
                f"> {ENERGY_LIMIT}",
                energy > ENERGY_LIMIT,
                "how well momentum draws explore the energy, worst chain",
            )
        )
    return CheckReport((*rows, *ending))


def _triage_rows(result):
    """Yield the rows of many problems, each of which has been certified or not."""
    table, statistics = result["triage"].to_dataset(), result["sample_stats"].to_dataset()
    uncertified = int((table["tier"] == 0).sum())
    yield CheckRow(
        "uncertified problems",
        float(uncertified),
        "0",
        uncertified == 0,
        f"of {table['tier'].size} problems, those whose chains do not agree",
    )
    for name, title, worst in (
        ("r_hat", "R-hat", table["r_hat"].max()),
        ("ess_bulk", "bulk ESS", table["ess_bulk"].min()),
        ("ess_tail", "tail ESS", table["ess_tail"].min()),
    ):
        yield CheckRow(title, float(worst), "", None, f"worst of all problems, {name}")
    divergent = float(statistics["diverging"].mean())
    yield _divergence_row(divergent)


def _divergence_row(divergent):
    return CheckRow(
        "divergences",
        divergent,
        f"< {DIVERGENCE_LIMIT:.1%} of draws",
        divergent < DIVERGENCE_LIMIT,
        "share of trajectories that left the energy surface",
    )


def _quality_rows(result):
    """Yield how much of the data a model's own criteria object to."""
    if "quality" not in result.children:
        return
    for name, flag in result["quality"].data_vars.items():
        if flag.dtype.kind not in "bi":
            continue
        share, limit = float(flag.mean()), flag.attrs.get("largest_share")
        yield CheckRow(
            str(name),
            share,
            "" if limit is None else f"< {limit:.0%} of the data",
            None if limit is None else share < float(limit),
            flag.attrs.get("long_name", ""),
        )


def _derived_rows(result):
    """Yield a row if the model's own outputs failed after sampling."""
    if reason := result.attrs.get("derived_failure"):
        yield CheckRow("derived outputs", 0.0, "1", False, str(reason))


def _finished_row(result):
    finished = not result.attrs["interrupted"]
    meaning = "whether the run was left to its end"
    return CheckRow("finished", float(finished), "1", finished, meaning)


def _posterior(result):
    if "posterior" not in result.children:
        raise ResultError("the result has no group 'posterior'; make it with `bayesquake fit`")
    return result["posterior"].to_dataset()


def _approximation_rows(result):
    k = float(result.attrs["pareto_k"])
    yield CheckRow(
        "Pareto k-hat",
        k,
        f"< {PARETO_LIMIT}",
        k < PARETO_LIMIT,
        "tail of the importance weights of the approximation",
    )


def _of_chains(statistic, draws, **options):
    return float(statistic(draws, chain_axis=0, draw_axis=1, **options))


def _worst(posterior, name, statistic, options, worst_of, upper):
    """Return the row of the worst value over every varying element of the posterior."""
    values, labels = [], []
    for variable, draws in posterior.data_vars.items():
        flat = draws.to_numpy().reshape(*draws.shape[:2], -1).astype(float)
        varying = np.ptp(flat, axis=(0, 1)) > 0
        if varying.size > LARGEST_CHECKED or not varying.any():
            continue
        found = np.asarray(
            statistic(flat[:, :, varying], chain_axis=0, draw_axis=1, **options), float
        )
        values.append(worst_of(np.where(np.isfinite(found), found, np.inf if upper else 0.0)))
        labels.append(str(variable))
    worst = int(np.argmax(values) if upper else np.argmin(values))
    value = float(values[worst])
    limit = upper if upper else float(ESS_PER_CHAIN * posterior.sizes["chain"])
    return CheckRow(
        name,
        value,
        f"< {limit}" if upper else f"> {limit:g}",
        value < limit if upper else value > limit,
        f"worst of all quantities, here {labels[worst]}",
    )
