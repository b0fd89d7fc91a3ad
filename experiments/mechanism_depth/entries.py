"""The entries of the experiment, in order."""

import functools

import jax
import numpy as np
import pandas as pd

from bayesquake.models.orientation_dependence.physics.statistics import (
    STATISTICS,
    eigen_axes,
    eigenvalues,
)
from bayesquake.models.orientation_dependence.results.estimation import (
    bootstrap,
    independence_tests,
    maximum_likelihood,
    permuted_ratios,
)

from . import figures
from .study import mechanism_arrays

__all__ = ["ENTRIES"]

BLOCKS = ("P", "T")


def axes_of_change(study, folder, *, axes):
    """Estimate eigenvalues and axes, with intervals of the bootstrap.

    Returns
    -------
    str
        The eigenvalues, in one line.
    """
    arrays = mechanism_arrays(study, axes)
    best = maximum_likelihood(arrays)
    values = np.asarray(eigenvalues(best.theta, arrays.forms))
    vectors = np.asarray(eigen_axes(best.theta, arrays.forms))
    resampled = bootstrap(jax.random.key(study.config["seed"]), arrays, study.mode["bootstrap"])
    spread = np.asarray(jax.vmap(eigenvalues, (0, None))(resampled, arrays.forms))
    tail = 0.5 * (1 - study.config["interval"])
    low, high = np.quantile(spread, [tail, 1 - tail], axis=0)
    table = pd.DataFrame(
        {
            "block": np.repeat(BLOCKS, 2),
            "rank": ["largest", "smallest"] * 2,
            "eigenvalue": values.ravel(),
            "bootstrap_low": low.ravel(),
            "bootstrap_high": high.ravel(),
            "published": np.ravel([study.config["published"][block] for block in BLOCKS]),
            **dict(zip(("north", "east", "down"), vectors.reshape(-1, 3).T, strict=True)),
        }
    )
    table.to_csv(folder / "eigenvalues.csv", index=False, float_format="%.4f")
    return "; ".join(
        f"{block} {largest:.3f}/{smallest:.3f}"
        for block, (largest, smallest) in zip(BLOCKS, values, strict=True)
    )


def tests_of_dependence(study, folder, *, axes):
    """Test all of θ, and its parts P and T, against chi-square and permuted depths.

    Returns
    -------
    str
        The likelihood ratios, in one line.
    """
    arrays = mechanism_arrays(study, axes)
    parts = STATISTICS["frame_bingham"].parts
    names, lrt, df, p_value = independence_tests(arrays, parts)
    permuted = permuted_ratios(study.config["seed"], arrays, study.mode["permutations"])
    as_large = (permuted >= lrt[0]).sum()
    table = pd.DataFrame({"dropped": names, "lrt": lrt, "df": df, "p_value": p_value})
    table["permutation_p_value"] = np.nan
    table.loc[0, "permutation_p_value"] = (1 + as_large) / (1 + len(permuted))
    table.to_csv(folder / "tests.csv", index=False, float_format="%.5g")
    figures.permuted(permuted, lrt[0], int(df[0])).savefig(folder / "permuted.png", dpi=150)
    return ", ".join(f"{name} {ratio:.1f}" for name, ratio in zip(names, lrt, strict=True))


ENTRIES = {
    "published_axes": functools.partial(axes_of_change, axes="slip_vectors"),
    "published_tests": functools.partial(tests_of_dependence, axes="slip_vectors"),
    "moment_tensor_axes": functools.partial(axes_of_change, axes="moment_tensor"),
    "moment_tensor_tests": functools.partial(tests_of_dependence, axes="moment_tensor"),
}
"""Every entry takes the study and its own folder, and returns its result in one line."""
