"""The one shape of a result, whoever wrote it.

A result is an `xarray.DataTree`. Root attributes hold the provenance, the schema and the
``configuration`` from which it can be made again. Groups:

==================  ====================================================================
posterior           draws (chain, draw, ...) of the quantities
moments             mean, sd and their Monte-Carlo errors of fields, in place of their draws
sample_stats        statistics of the draws under ArviZ's names
checks              the evidence, see `bayesquake.results.checks`
observed_data       the data set, from which it can be fitted again
prior, log_prior    draws from the prior, and its log density at the posterior draws
ranks               of true values in simulated data sets, by ``replicate``
==================  ====================================================================

Whatever a model or a driver adds is a group of its own. A result of many data sets has the
dimension ``problem`` where one of a single data set has none.
"""

import numpy as np
import xarray as xr

from bayesquake.results.checks import as_group
from bayesquake.results.posteriors import STATISTIC_MEANINGS

__all__ = [
    "SCHEMA",
    "assemble",
    "labelled",
    "labelled_statistics",
    "variable_attributes",
    "with_labels_of",
]

SCHEMA = 3
"""Number of the shape, written into every result; a file of another is refused."""


def assemble(groups, checks, attributes):
    """Return a result.

    Parameters
    ----------
    groups : mapping of str to xarray.Dataset
    checks : sequence of Check
    attributes : mapping
        From `bayesquake.results.provenance.provenance`, and whatever the run noted.

    Returns
    -------
    xarray.DataTree
    """
    rows = as_group(checks)
    if "posterior" in groups:
        rows = with_labels_of(groups["posterior"], rows)
    whole = {**groups, "checks": rows}
    result = xr.DataTree.from_dict({name: whole[name] for name in sorted(whole)})
    result.attrs = {"schema": SCHEMA, **attributes}
    return result


def variable_attributes(quantity):
    """Return the attributes of a variable that holds a quantity."""
    return {
        "units": quantity.unit,
        "long_name": quantity.meaning,
        "role": quantity.role,
        "fixed": int(quantity.fixed),
    }


def labelled(values, quantities, leading):
    """Label arrays of quantities with dimensions, units and meanings.

    Parameters
    ----------
    values : mapping of str to array
        Leading axes first.
    quantities : mapping of str to Quantity
    leading : mapping of str to coordinate values
        Names of the leading axes; None for one without coordinates.

    Returns
    -------
    xarray.Dataset
    """
    return xr.Dataset(
        {
            name: (
                (*leading, *quantities[name].dims),
                array,
                variable_attributes(quantities[name]),
            )
            for name, array in values.items()
        },
        coords={dim: places for dim, places in leading.items() if places is not None},
    )


def labelled_statistics(statistics, problem_dim=""):
    """Label sample statistics (chain, draw) or, of many problems, (chain, draw, problem)."""
    chains, draws = statistics["lp"].shape[:2]
    dims = ("chain", "draw", *((problem_dim,) if problem_dim else ()))
    return xr.Dataset(
        {
            name: (dims, values, {"units": "1", "long_name": STATISTIC_MEANINGS[name]})
            for name, values in statistics.items()
        },
        coords={"chain": np.arange(chains), "draw": np.arange(draws)},
    )


def with_labels_of(reference, draws):
    """Return draws with the coordinates that another data set gives to their dimensions."""
    own = {"chain", "draw"}
    return draws.assign_coords(
        {
            name: values
            for name, values in reference.coords.items()
            if set(values.dims) <= set(draws.dims) - own
        }
    )
