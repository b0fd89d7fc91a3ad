r"""White noise and random walk of a benchmark, the walk integrated out.

.. math:: y_i = w_i + \sigma \epsilon_i, \qquad w_i = w_{i-1} + \tau \eta_i, \qquad w_0 = 0

so that y is normal with the covariance :math:`C = \tau^2 \min(i, j) + \sigma^2 I`. Given both
scales the walk is normal too, and it is drawn after them.

References
----------
Langbein & Johnson 1997, doi:10.1029/96JB02945
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr

from bayesquake.io.datasets import Schema, Variable, labelled, prepared, table_reader
from bayesquake.model.model import Model, Quantity, Trial
from bayesquake.model.options import count, takes
from bayesquake.model.priors import Prior

__all__ = ["MODEL"]

DATA = Schema(
    {"position": Variable("mm", "position of the benchmark", ("epoch",), low=-1e4, high=1e4)},
    fewest={"epoch": 4},
)
WALK = Quantity("mm", "random walk of the benchmark", ("epoch",))


@prepared(DATA)
def prepare(dataset):
    """Return positions and the covariance of a walk of unit steps."""
    y = dataset["position"].to_numpy()
    place = np.arange(1.0, y.size + 1)
    return {"y": y, "walk": np.minimum.outer(place, place)}


def declare(data, priors):
    """Declare the model on one series."""
    white = numpyro.sample("white", priors["white"])
    step = numpyro.sample("step", priors["step"])
    covariance = step**2 * data["walk"] + white**2 * jnp.eye(data["y"].size)
    numpyro.sample(
        "y", dist.MultivariateNormal(jnp.zeros(data["y"].size), covariance), obs=data["y"]
    )


@takes(epochs=count(at_least=4, at_most=2000))
def draw(key, values, *, epochs=40):
    """Draw a series at given scales."""
    noise = np.asarray(jax.random.normal(key, (2, epochs)))
    position = values["step"] * np.cumsum(noise[0]) + values["white"] * noise[1]
    return labelled(DATA, {"position": position})


@jax.jit
def walks(keys, white, step, data):
    """Draw the walk given each draw of the scales, (draw, epoch)."""

    def one(key, white, step):
        prior = step**2 * data["walk"]
        gain = jnp.linalg.solve(prior + white**2 * jnp.eye(len(prior)), prior)
        return jax.random.multivariate_normal(key, gain.T @ data["y"], prior - prior @ gain)

    return jax.vmap(one)(keys, white, step)


def complete(dataset):
    """Plan the draws of the walk."""

    def groups(posterior, arrays, key):
        chains, draws = posterior["white"].shape
        flat = [posterior[name].ravel() for name in ("white", "step")]
        drawn = np.asarray(walks(jax.random.split(key, chains * draws), *flat, arrays))
        walk = drawn.reshape(chains, draws, -1)
        attributes = {"units": WALK.unit, "long_name": WALK.meaning}
        return {"walk": xr.Dataset({"walk": (("chain", "draw", "epoch"), walk, attributes)})}

    return groups


MODEL = Model(
    name="benchmark_motion",
    title="White noise and random walk of a benchmark",
    references=("Langbein & Johnson 1997, doi:10.1029/96JB02945",),
    declare=declare,
    priors={
        "white": Prior("LogNormal", {"loc": 0, "scale": 1}, "mm", "σ", "weakly informative"),
        "step": Prior("LogNormal", {"loc": -1, "scale": 1}, "mm", "τ", "weakly informative"),
    },
    quantities={
        "white": Quantity("mm", "standard deviation of white noise"),
        "step": Quantity("mm", "standard deviation of a step of the random walk"),
    },
    read=table_reader(DATA),
    prepare=prepare,
    draw=draw,
    design_of=lambda dataset: {"epochs": dataset.sizes["epoch"]},
    recommended=lambda arrays: {"driver": "grid"},
    complete=complete,
    trials=(Trial({"epochs": 20}),),
)
