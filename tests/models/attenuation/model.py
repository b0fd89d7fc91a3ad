r"""Attenuation of peak ground acceleration A with magnitude M and hypocentral distance R.

.. math:: \ln A = a + b (M - 6) - c \ln (R / 100\,\mathrm{km}) + \sigma \epsilon, \qquad
          \epsilon \sim N(0, 1)
"""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr

from bayesquake.batch.pad import padded
from bayesquake.io.datasets import Schema, Variable, labelled, prepared, reader
from bayesquake.model.coordinates import around_mode
from bayesquake.model.model import Model, Quantity, Trial
from bayesquake.model.options import any_of, count, instance, number, takes
from bayesquake.model.priors import Prior

__all__ = ["MODEL"]

RECORD = ("record",)
DATA = Schema(
    {
        "acceleration": Variable("m/s2", "peak ground acceleration", RECORD, low=1e-8),
        "distance": Variable("km", "hypocentral distance", RECORD, low=0.1, high=2e4),
        "magnitude": Variable("1", "magnitude", RECORD, low=-5, high=10, also=("mag",)),
    },
    fewest={"record": 3},
)


@reader(DATA)
@takes(largest_distance_km=any_of(None, number("km", above=0)))
def read(table, *, largest_distance_km=None):
    """Read peak ground accelerations from a CSV table with a column for every variable.

    Parameters
    ----------
    source : path or xarray.Dataset
    largest_distance_km : float, optional
        Records from further away are left out.
    """
    near = table.numbers("distance") <= (largest_distance_km or np.inf)
    return labelled(DATA, {name: table.numbers(name)[near] for name in DATA.variables})


@prepared(DATA)
def prepare(dataset):
    """Return padded arrays by record: ln A, ln (R / 100 km), M - 6 and the mask."""
    return padded(
        log_acceleration=np.log(dataset["acceleration"].to_numpy()),
        log_distance=np.log(dataset["distance"].to_numpy() / 100),
        magnitude=dataset["magnitude"].to_numpy() - 6,
    )


def declare(data, priors):
    """Declare the model on one set of records."""
    a = numpyro.sample("a", priors["a"])
    b = numpyro.sample("b", priors["b"])
    c = numpyro.sample("c", priors["c"])
    sigma = numpyro.sample("sigma", priors["sigma"])
    mean = a + b * data["magnitude"] - c * data["log_distance"]
    with numpyro.handlers.mask(mask=data["mask"]):
        numpyro.sample("log_acceleration", dist.Normal(mean, sigma), obs=data["log_acceleration"])


@takes(
    records=count(at_least=3, at_most=1_000_000),
    largest_magnitude=number(at_least=4, at_most=10),
    observed=any_of(None, instance(xr.Dataset, what="a data set")),
)
def draw(key, values, *, records=100, largest_magnitude=7.0, observed=None):
    """Draw records at given parameters, at random places or at those of an observed data set."""
    key_places, key_noise = jax.random.split(key)
    if observed is None:
        near, size = np.asarray(jax.random.uniform(key_places, (2, records)))
        distance, magnitude = 10 ** (1 + 1.5 * near), 4 + (largest_magnitude - 4) * size
    else:
        distance, magnitude = observed["distance"].to_numpy(), observed["magnitude"].to_numpy()
    mean = values["a"] + values["b"] * (magnitude - 6) - values["c"] * np.log(distance / 100)
    noise = values["sigma"] * np.asarray(jax.random.normal(key_noise, distance.shape))
    return labelled(
        DATA,
        {"acceleration": np.exp(mean + noise), "distance": distance, "magnitude": magnitude},
    )


WEAK = "weakly informative"
MODEL = Model(
    name="attenuation",
    title="Attenuation of peak ground acceleration",
    references=("Joyner & Boore 1981, Bulletin of the Seismological Society of America 71, 2011",),
    declare=declare,
    priors={
        "a": Prior("Normal", {"loc": -2.0, "scale": 2.0}, "ln(m/s2)", "a", WEAK),
        "b": Prior("Normal", {"loc": 1.0, "scale": 0.5}, "1", "b", WEAK),
        "c": Prior("Normal", {"loc": 1.5, "scale": 0.5}, "1", "c", WEAK),
        "sigma": Prior("HalfNormal", {"scale": 1.0}, "1", "σ", WEAK),
    },
    quantities={
        "a": Quantity("ln(m/s2)", "ln A at magnitude 6 and 100 km"),
        "b": Quantity("1", "growth of ln A with magnitude"),
        "c": Quantity("1", "decay of ln A with the log of distance"),
        "sigma": Quantity("1", "standard deviation of ln A"),
    },
    read=read,
    prepare=prepare,
    draw=draw,
    design_of=lambda dataset: {"observed": dataset},
    coordinates=around_mode(),
    trials=(Trial({"records": 20}),),
)
