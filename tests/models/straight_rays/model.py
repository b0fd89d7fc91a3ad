r"""Slowness perturbations of 3,000 cells from travel-time residuals along straight rays.

.. math:: s = \eta L_y z L_x^T, \qquad z_{ij} \sim N(0, 1), \qquad
          \delta t_r = \sum_{ij} l_{rij} s_{ij} + \sigma \epsilon_r

with the covariance :math:`L_x L_x^T`, an exponential one of the distance along x, the same along y,
and the length :math:`l_{rij}` of ray r in cell (i, j).
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr

from bayesquake.io.datasets import Schema, Variable, labelled, prepared, table_reader
from bayesquake.model.model import Model, Quantity, Trial
from bayesquake.model.options import any_of, count, instance, number, takes
from bayesquake.model.priors import Prior

__all__ = ["AMPLITUDE", "CELLS", "MODEL", "path_lengths", "roots"]

CELLS = (50, 60)
"""Cells of 1 km along y and x."""

AMPLITUDE, SCALE_KM = 0.02, 8.0
"""Prior standard deviation (s/km) of slowness and its correlation length."""

STEPS = 400
"""Points of a ray at which it is seen which cell it is in."""

RAY = ("ray",)
NOISE = {"noise": number("s", above=0, at_most=1)}
DATA = Schema(
    {
        "residual": Variable("s", "travel-time residual", RAY, low=-10, high=10),
        **{
            f"{axis}{end}": Variable("km", f"{axis} of end {end}", RAY, low=0, high=size)
            for end in (1, 2)
            for axis, size in (("y", CELLS[0]), ("x", CELLS[1]))
        },
    },
    attributes=NOISE,
)


def roots():
    """Return the roots of the covariances along y and x."""
    distances = [np.abs(np.subtract.outer(np.arange(n), np.arange(n))) for n in CELLS]
    return [np.linalg.cholesky(np.exp(-d / SCALE_KM)) for d in distances]


def path_lengths(dataset):
    """Return the length (km) of every ray in every cell, (ray, y, x)."""
    first, last = (np.stack([dataset[f"{a}{end}"] for a in "yx"], axis=1) for end in (1, 2))
    share = (np.arange(STEPS) + 0.5) / STEPS
    points = first[:, None] + share[:, None] * (last - first)[:, None]
    cell = np.minimum(points.astype(int), np.array(CELLS) - 1)
    lengths = np.zeros((len(first), *CELLS))
    step = np.linalg.norm(last - first, axis=1) / STEPS
    ray = np.arange(len(first))[:, None]
    np.add.at(lengths, (ray, cell[..., 0], cell[..., 1]), step[:, None])
    return lengths


@prepared(DATA)
def prepare(dataset):
    """Return residuals, path lengths, the roots of the covariances and σ."""
    y, x = roots()
    noise = np.asarray(dataset.attrs["noise"], float)
    residual = dataset["residual"].to_numpy()
    return {"residual": residual, "lengths": path_lengths(dataset), "y": y, "x": x, "noise": noise}


def declare(data, priors):
    """Declare the model on one set of rays."""
    z = numpyro.sample("z", priors["z"].expand(CELLS).to_event(2))
    slowness = numpyro.deterministic("slowness", AMPLITUDE * data["y"] @ z @ data["x"].T)
    numpyro.deterministic("mean_slowness", slowness.mean())
    expected = jnp.tensordot(data["lengths"], slowness)
    numpyro.sample("residual", dist.Normal(expected, data["noise"]), obs=data["residual"])


@takes(
    rays=count(at_most=2000),
    observed=any_of(None, instance(xr.Dataset, what="a data set")),
    **NOISE,
)
def draw(key, values, *, rays=300, observed=None, noise=0.02):
    """Draw residuals of random rays across the box, or of those of a data set."""
    key_ends, key_noise = jax.random.split(key)
    names = [name for name in DATA.variables if name != "residual"]
    ends = np.asarray(jax.random.uniform(key_ends, (4, rays))) * np.tile(CELLS, 2)[:, None]
    places = dict(zip(names, ends, strict=True))
    if observed is not None:
        places = {name: observed[name].to_numpy() for name in names}
    y, x = roots()
    slowness = AMPLITUDE * y @ values["z"] @ x.T
    exact = np.tensordot(
        path_lengths(xr.Dataset({n: (RAY, v) for n, v in places.items()})), slowness
    )
    residual = exact + noise * np.asarray(jax.random.normal(key_noise, exact.shape))
    return labelled(DATA, {"residual": residual, **places}, noise=noise)


MODEL = Model(
    name="straight_rays",
    title="Slowness of 3,000 cells from straight rays",
    references=("Tarantola 2005, doi:10.1137/1.9780898717921, chapter 3",),
    declare=declare,
    priors={"z": Prior("Normal", {"loc": 0, "scale": 1}, "1", "z", "by construction", CELLS)},
    quantities={
        "z": Quantity("1", "white latents", ("y", "x"), role="latent"),
        "slowness": Quantity("s/km", "slowness perturbation", ("y", "x"), role="field"),
        "mean_slowness": Quantity("s/km", "mean slowness perturbation of the box"),
    },
    read=table_reader(DATA),
    prepare=prepare,
    draw=draw,
    design_of=lambda data: {"observed": data, "noise": data.attrs["noise"]},
    recommended=lambda arrays: {"driver": "laplace"},
    trials=(Trial({"rays": 16}),),
)
