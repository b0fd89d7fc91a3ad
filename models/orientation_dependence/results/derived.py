"""What is derived from the draws: maximum, tests, bootstrap, axes."""

import jax
import numpy as np
import xarray as xr

from bayesquake.model.options import count, one_of, takes
from bayesquake.results.schema import labelled

from ..model import QUANTITIES
from ..physics.statistics import STATISTICS, eigen_axes, eigenvalues
from .estimation import bootstrap as resample
from .estimation import independence_tests, maximum_likelihood, permuted_ratios

__all__ = ["aligned", "complete"]

AXIAL = {"rank": ["largest", "smallest"], "xyz": ["north", "east", "down"]}

_eigenvalues = jax.jit(jax.vmap(eigenvalues, (0, None)))
_axes = jax.jit(jax.vmap(eigen_axes, (0, None)))


@takes(
    statistic=one_of(*STATISTICS),
    bootstrap=count(at_least=0, at_most=1_000_000),
    permutations=count(at_least=0, at_most=1_000_000),
)
def complete(dataset, *, statistic="frame_bingham", bootstrap=200, permutations=200):
    """Plan the model's own result groups.

    They are ``posterior`` (axis), ``maximum_likelihood``, ``independence_test``, ``bootstrap`` and
    ``constant_data``.

    Parameters
    ----------
    dataset : xarray.Dataset
    statistic : str
        One of `physics.statistics.STATISTICS`.
    bootstrap : int
        Resampled data sets; 0 for none.
    permutations : int
        Data sets with permuted depths, for an exact p-value of independence; 0 for none.
    """
    chosen = STATISTICS[statistic]
    labels = {"stat": list(chosen.terms)}
    if chosen.blocks:
        labels |= {"block": list(chosen.blocks)} | AXIAL

    def groups(posterior, arrays, key):
        key_bootstrap, key_permutations = jax.random.split(key)
        best = maximum_likelihood(arrays)
        reference = np.asarray(eigen_axes(best.theta, arrays.forms))
        chains, draws = posterior["theta"].shape[:2]
        drawn = _axial(posterior["theta"], arrays, reference)
        drawn.pop("eigenvalue", None)
        leading = {"chain": np.arange(chains), "draw": np.arange(draws)}
        made = {
            "posterior": labelled(drawn, QUANTITIES, leading).assign_coords(labels),
            "maximum_likelihood": _maximum(best, arrays, reference).assign_coords(labels),
            "independence_test": _tests(arrays, chosen, permutations, key_permutations),
            "constant_data": _constants(dataset["depth"]),
        }
        if bootstrap:
            theta = resample(key_bootstrap, arrays, bootstrap)
            values = {"theta": theta, **_axial(theta, arrays, reference)}
            resampled = labelled(values, QUANTITIES, {"replicate": np.arange(bootstrap)})
            made["bootstrap"] = resampled.assign_coords(labels)
        return made

    return groups


def aligned(axes, reference):
    """Return axes (..., xyz) with the signs that bring them nearest to a reference."""
    return np.where((axes * reference).sum(axis=-1, keepdims=True) < 0, -axes, axes)


def _axial(theta, arrays, reference):
    """Return eigenvalues and aligned axes of coefficients (..., stat), {} without blocks."""
    if not arrays.forms.shape[0]:
        return {}
    lead, flat = theta.shape[:-1], theta.reshape(-1, theta.shape[-1])
    values = np.asarray(_eigenvalues(flat, arrays.forms))
    axes = aligned(np.asarray(_axes(flat, arrays.forms)), reference)
    return {
        "eigenvalue": values.reshape(*lead, *values.shape[1:]),
        "axis": axes.reshape(*lead, *axes.shape[1:]),
    }


def _maximum(best, arrays, reference):
    values = {"theta": best.theta}
    if len(reference):
        values["eigenvalue"] = np.asarray(eigenvalues(best.theta, arrays.forms))
        values["axis"] = reference
    error = np.sqrt(np.diagonal(best.covariance))
    excess = _described("log likelihood in excess of independence")
    return labelled(values, QUANTITIES, {}).assign(
        standard_error=("stat", error, _described("standard error from the curvature")),
        log_likelihood=((), float(best.log_likelihood), excess),
    )


def _tests(arrays, statistic, permutations, key):
    names, lrt, df, p_value = independence_tests(arrays, statistic.parts)
    exact = np.full(len(names), np.nan)
    if permutations:
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        permuted = permuted_ratios(seed, arrays, permutations)
        exact[0] = (1 + (permuted >= lrt[0]).sum()) / (1 + permutations)
    found = {
        "lrt": (lrt, "twice the log likelihood ratio"),
        "df": (df, "degrees of freedom"),
        "p_value": (p_value, "chi-square probability of a larger ratio"),
        "permutation_p_value": (exact, "share of permuted depths with a larger ratio, if sought"),
    }
    return xr.Dataset(
        {name: ("dropped", x, _described(meaning)) for name, (x, meaning) in found.items()},
        coords={"dropped": names},
    )


def _constants(depth):
    spread = _described("standard deviation of depth, the unit of z", "km")
    return xr.Dataset(
        {
            "mean_depth": ((), float(depth.mean()), _described("mean depth", "km")),
            "sd_depth": ((), float(depth.std(ddof=1)), spread),
        }
    )


def _described(meaning, unit="1"):
    return {"units": unit, "long_name": meaning}
