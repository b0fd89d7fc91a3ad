"""The checks of a result as its own evidence states them, and a table of its quantities.

References
----------
Vehtari et al. 2021, doi:10.1214/20-BA1221 (rank-normalised R-hat, bulk and tail ESS).
"""

import dataclasses

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats

from bayesquake.errors import ResultError
from bayesquake.results.checks import failing, rows_of, worst
from bayesquake.results.evidence import TAIL_OPTIONS

__all__ = ["CheckReport", "CheckRow", "check", "scalar_names", "summary_table", "with_elements"]

MOST_ELEMENTS = 16
"""Elements of an array of quantities up to which each is a scalar of its own in tables."""

NAMED = 5
"""Problems that a row names."""


@dataclasses.dataclass(frozen=True)
class CheckRow:
    """One check: its (worst) value, the threshold in words, the verdict (None: information)."""

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
        if (
            not labelled
            or values.attrs.get("role") == "latent"
            or values[0, 0].size > MOST_ELEMENTS
        ):
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
    """Check a result against the limits that its own evidence states.

    Parameters
    ----------
    result : xarray.DataTree

    Returns
    -------
    CheckReport
        Every row of the group ``checks``, and what the rows leave unexamined.

    Raises
    ------
    ResultError
        The result has no group ``checks``.
    """
    if "checks" not in result.children:
        raise ResultError("the result has no group 'checks'; make it with `bayesquake fit`")
    group = result["checks"].to_dataset()
    rows = rows_of(group)
    read = tuple(_read(row, group) for row in rows)
    return CheckReport((*read, *_unexamined(rows, group)))


def _read(row, group):
    """Return a row of evidence as a reader sees it."""
    missed = failing(row)
    meaning = row.meaning
    if row.over:
        meaning += f", worst of {missed.size} {row.over}s"
        if missed.any():
            meaning += f"; misses it: {_names(row.over, missed, group)}"
    sign = "<" if row.sense == "below" else ">"
    decides = row.kind != "information"
    return CheckRow(
        name=row.name,
        value=worst(row),
        threshold=f"{sign} {row.limit:g}" if decides else "",
        passed=not missed.any() if decides else None,
        meaning=meaning,
    )


def _unexamined(rows, group):
    """Yield a row if nothing speaks of the adequacy of the result, or of some of its problems."""
    adequacy = [row for row in rows if row.kind == "adequacy"]
    if not adequacy:
        meaning = "no row of this result speaks of its adequacy, so that it has not been checked"
        yield CheckRow("unexamined", 1.0, "< 1", False, meaning)
    for dim in sorted({row.over for row in adequacy if row.over}):
        values = np.array([np.asarray(row.value, float) for row in adequacy if row.over == dim])
        silent = np.isnan(values).all(axis=0)
        if silent.any():
            meaning = f"{dim}s whose adequacy no row speaks of: {_names(dim, silent, group)}"
            yield CheckRow(f"unexamined {dim}s", float(silent.sum()), "< 1", False, meaning)


def _names(dim, chosen, group):
    """Return the names of the first of the chosen problems, and how many there are."""
    places = np.flatnonzero(chosen)
    names = group[dim].to_numpy()[places] if dim in group.coords else places
    named = ", ".join(map(str, names[:NAMED]))
    return f"{named}{', ...' if places.size > NAMED else ''} ({places.size} in all)"


def _posterior(result):
    if "posterior" not in result.children:
        raise ResultError("the result has no group 'posterior'; make it with `bayesquake fit`")
    return result["posterior"].to_dataset()


def _of_chains(statistic, draws, **options):
    return float(statistic(draws, chain_axis=0, draw_axis=1, **options))
