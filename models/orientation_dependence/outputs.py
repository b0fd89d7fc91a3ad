"""What a fit of this model adds to its result: maximum, tests, bootstrap, axes."""

import functools
import numbers

import jax
import numpy as np
import xarray as xr

from bayesquake.errors import OptionError
from bayesquake.results.schema import variable_attributes

from .estimation import bootstrap as resample
from .estimation import independence_tests, maximum_likelihood, permuted_ratios
from .quantities import QUANTITIES
from .statistics import eigen_axes, eigenvalues, statistic_named

__all__ = ["aligned", "complete"]

RANKS = ("largest", "smallest")
XYZ = ("north", "east", "down")

_eigenvalues = jax.jit(jax.vmap(eigenvalues, (0, None)))
_axes = jax.jit(jax.vmap(eigen_axes, (0, None)))


def complete(dataset, *, statistic="frame_bingham", bootstrap=200, permutations=200):
    """Plan the model's own result groups.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `data.read`.
    statistic : str
        One of `statistics.STATISTICS`.
    bootstrap : int
        Resampled data sets; 0 for none.
    permutations : int
        Data sets with permuted depths, for an exact p-value of independence; 0 for none.

    Returns
    -------
    callable
        ``(posterior, arrays, key) -> dict`` of `xarray.Dataset`: groups ``posterior`` (axis),
        ``maximum_likelihood``, ``independence_test``, ``bootstrap``, ``observed_data`` and
        ``constant_data``.

    Raises
    ------
    OptionError
        The statistic is unknown or a number of data sets makes no sense.
    """
    chosen = statistic_named(statistic)
    for name, count in {"bootstrap": bootstrap, "permutations": permutations}.items():
        is_count = isinstance(count, numbers.Integral) and not isinstance(count, bool)
        if not (is_count and count >= 0):
            raise OptionError(f"{name} = {count!r} must be an integer of at least 0")
    return functools.partial(_groups, dataset, chosen, int(bootstrap), int(permutations))


def _groups(dataset, statistic, replicates, permutations, posterior, arrays, key):
    """Compute the groups that `complete` planned."""
    key_bootstrap, key_permutations = jax.random.split(key)
    best = maximum_likelihood(arrays)
    labels = {"stat": list(statistic.terms)}
    if statistic.blocks:
        labels |= {"block": list(statistic.blocks), "rank": list(RANKS), "xyz": list(XYZ)}
    reference = np.asarray(eigen_axes(best.theta, arrays.forms))
    lead = posterior["theta"].shape[:2]
    drawn = _axial(posterior["theta"].reshape(-1, len(statistic.terms)), arrays, reference)
    groups = {
        "posterior": _labelled({"axis": drawn["axis"]} if drawn else {}, lead, labels),
        "maximum_likelihood": _maximum(best, arrays, reference, labels),
        "independence_test": _tests(arrays, statistic, permutations, key_permutations),
        "observed_data": dataset.copy(),
        "constant_data": _constants(dataset),
    }
    if replicates:
        theta = resample(key_bootstrap, arrays, replicates)
        values = {"theta": theta, **_axial(theta, arrays, reference)}
        groups["bootstrap"] = _labelled(values, (replicates,), labels)
    return groups


def aligned(axes, reference):
    """Return axes (..., xyz) with the signs that bring them nearest to a reference."""
    return np.where((axes * reference).sum(axis=-1, keepdims=True) < 0, -axes, axes)


def _axial(theta, arrays, reference):
    """Return eigenvalues and aligned axes of (draw, stat) coefficients, {} without blocks."""
    if not arrays.forms.shape[0]:
        return {}
    return {
        "eigenvalue": np.asarray(_eigenvalues(theta, arrays.forms)),
        "axis": aligned(np.asarray(_axes(theta, arrays.forms)), reference),
    }


def _labelled(values, lead, labels):
    """Return arrays with their leading axes unfolded, with units and coordinates."""
    names = {1: ("replicate",), 2: ("chain", "draw")}[len(lead)]
    return xr.Dataset(
        {
            name: (
                (*names, *QUANTITIES[name].dims),
                array.reshape(*lead, *array.shape[1:]),
                _attributes(name),
            )
            for name, array in values.items()
        },
        coords={name: np.arange(size) for name, size in zip(names, lead, strict=True)} | labels,
    )


def _attributes(name):
    return variable_attributes(QUANTITIES[name])


def _maximum(best, arrays, reference, labels):
    error = np.sqrt(np.diagonal(best.covariance))
    variables = {
        "theta": ("stat", best.theta, _attributes("theta")),
        "standard_error": (
            "stat",
            error,
            {"units": "1", "long_name": "standard error from the curvature"},
        ),
        "log_likelihood": (
            (),
            float(best.log_likelihood),
            {"units": "1", "long_name": "log likelihood in excess of independence"},
        ),
    }
    if len(reference):
        values = np.asarray(eigenvalues(best.theta, arrays.forms))
        variables["eigenvalue"] = (("block", "rank"), values, _attributes("eigenvalue"))
        variables["axis"] = (("block", "rank", "xyz"), reference, _attributes("axis"))
    return xr.Dataset(variables, coords=labels)


def _tests(arrays, statistic, permutations, key):
    names, lrt, df, p_value = independence_tests(arrays, statistic.parts)
    exact = np.full(len(names), np.nan)
    if permutations:
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        permuted = permuted_ratios(seed, arrays, permutations)
        exact[0] = (1 + (permuted >= lrt[0]).sum()) / (1 + permutations)
    meanings = {
        "lrt": (lrt, "twice the log likelihood ratio"),
        "df": (df, "degrees of freedom"),
        "p_value": (p_value, "chi-square probability of a larger ratio"),
        "permutation_p_value": (exact, "share of permuted depths with a larger ratio, if sought"),
    }
    return xr.Dataset(
        {
            name: ("dropped", values, {"units": "1", "long_name": meaning})
            for name, (values, meaning) in meanings.items()
        },
        coords={"dropped": names},
    )


def _constants(dataset):
    depth = dataset["depth"]
    return xr.Dataset(
        {
            "mean_depth": ((), float(depth.mean()), {"units": "km", "long_name": "mean depth"}),
            "sd_depth": (
                (),
                float(depth.std(ddof=1)),
                {"units": "km", "long_name": "standard deviation of depth, the unit of z"},
            ),
        }
    )
