"""Evidence about a result as rows: stated by whoever made the result, read by everyone else.

A row holds a number, or one number for each of many problems, and the limit it must keep. Its
kind says which question it answers:

============  ===========================================================
adequacy      do the draws come from the posterior at all
precision     are there enough of them
data          does the model, or what it derives, object to these data
information   shown, decides nothing
============  ===========================================================

A number that is not a number fails. Among the numbers of many problems it says that the row does
not apply to that problem, as R-hat does not to exact draws. A result, or a problem, of which no
row speaks of adequacy has not been examined and fails.
"""

import operator
import re
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

__all__ = ["KINDS", "Check", "as_group", "failing", "judged", "rows_of", "worst"]

KINDS = ("adequacy", "precision", "data", "information")
SENSES = {"below": operator.lt, "above": operator.gt}


class Check(NamedTuple):
    """A number that speaks for or against a result.

    Attributes
    ----------
    name : str
        As people call it, such as R-hat.
    value : float or (problem,) array
    limit : float
        What it must keep; NaN for information.
    sense : {"below", "above"}
        The side of the limit on which it must lie.
    kind : str
        One of `KINDS`.
    over : str
        Name of the dimension of the value, empty for a number.
    meaning : str
    """

    name: str
    value: Any
    limit: float = np.nan
    sense: str = "below"
    kind: str = "information"
    over: str = ""
    meaning: str = ""


def failing(check):
    """Return whether the number, or the number of every problem, misses the limit."""
    values = np.asarray(check.value, float)
    if check.kind == "information":
        return np.zeros(values.shape, bool)
    missed = ~SENSES[check.sense](values, check.limit)
    return missed & ~np.isnan(values) if check.over else missed


def worst(check):
    """Return the number that is farthest on the wrong side, NaN if the row applies nowhere."""
    values = np.ravel(np.asarray(check.value, float))
    if np.isnan(values).all():
        return np.nan
    return float(np.nanmin(values) if check.sense == "above" else np.nanmax(values))


def judged(checks, dim):
    """Return whether every problem along a dimension keeps all limits and has been examined.

    Parameters
    ----------
    checks : sequence of Check
    dim : str

    Returns
    -------
    (problem,) bool array
    """
    rows = [row for row in checks if row.over == dim]
    missed = np.any([failing(row) for row in rows], axis=0)
    adequacy = [np.asarray(row.value, float) for row in rows if row.kind == "adequacy"]
    return ~missed & ~np.isnan(adequacy).all(axis=0)


def as_group(checks):
    """Return rows as the group ``checks`` of a result, a variable for each.

    Parameters
    ----------
    checks : sequence of Check

    Returns
    -------
    xarray.Dataset
        Of variables such as ``r_hat`` with the attributes ``title``, ``limit``, ``sense``,
        ``kind`` and ``long_name``.
    """
    names: list[str] = []
    for row in checks:
        name = re.sub(r"\W+", "_", row.name.lower())
        names.append(name if name not in names else f"{name}_{len(names)}")
    return xr.Dataset(
        {
            name: (
                (row.over,) if row.over else (),
                np.asarray(row.value, float),
                {
                    "units": "1",
                    "title": row.name,
                    "long_name": row.meaning,
                    "limit": float(row.limit),
                    "sense": row.sense,
                    "kind": row.kind,
                },
            )
            for name, row in zip(names, checks, strict=True)
        }
    )


def rows_of(group):
    """Return the rows that a group ``checks`` holds, tuple of `Check`."""
    return tuple(
        Check(
            name=values.attrs["title"],
            value=values.to_numpy() if values.ndim else values.item(),
            limit=float(values.attrs["limit"]),
            sense=values.attrs["sense"],
            kind=values.attrs["kind"],
            over=str(values.dims[0]) if values.ndim else "",
            meaning=values.attrs["long_name"],
        )
        for values in group.data_vars.values()
    )
