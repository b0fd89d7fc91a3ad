r"""An amplitude x of unknown polarity, of which records show the size: two equal modes.

.. math:: y_i = |x| + \sigma \epsilon_i

The posterior of x is symmetric, and its modes are too far apart for trajectories. The move
:math:`x \to \pm x`, each with probability 1/2, leaves it invariant.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesquake.batch.pad import padded
from bayesquake.io.datasets import Schema, Variable, labelled, prepared, table_reader
from bayesquake.model.capabilities import Moves
from bayesquake.model.model import Model, Quantity, Trial
from bayesquake.model.options import count, takes
from bayesquake.model.priors import Prior

__all__ = ["MODEL", "NOISE"]

NOISE = 0.5
"""Standard deviation (mm) of a record."""

DATA = Schema({"size": Variable("mm", "size of the amplitude", ("record",), low=-100, high=100)})


@prepared(DATA)
def prepare(dataset):
    """Return padded sizes and the mask."""
    return padded(size=dataset["size"].to_numpy())


def declare(data, priors):
    """Declare the model on one set of records."""
    amplitude = numpyro.sample("amplitude", priors["amplitude"])
    numpyro.deterministic("positive", (amplitude > 0).astype(float))
    with numpyro.handlers.mask(mask=data["mask"]):
        numpyro.sample("size", dist.Normal(jnp.abs(amplitude), NOISE), obs=data["size"])


def change_sign(key, values, arrays, priors):
    """Return the amplitude with a random sign."""
    return {"amplitude": values["amplitude"] * jax.random.rademacher(key, ())}


@takes(records=count(at_most=10_000))
def draw(key, values, *, records=5):
    """Draw records of a given amplitude."""
    noise = NOISE * np.asarray(jax.random.normal(key, (records,)))
    return labelled(DATA, {"size": np.abs(values["amplitude"]) + noise})


MODEL = Model(
    name="unsigned_amplitude",
    title="Amplitude of unknown polarity",
    references=("Tierney 1994, doi:10.1214/aos/1176325750",),
    declare=declare,
    priors={"amplitude": Prior("Normal", {"loc": 0, "scale": 10}, "mm", "x", "weak")},
    quantities={
        "amplitude": Quantity("mm", "amplitude, positive upward"),
        "positive": Quantity("1", "whether the amplitude is positive"),
    },
    read=table_reader(DATA),
    prepare=prepare,
    draw=draw,
    design_of=lambda dataset: {"records": dataset.sizes["record"]},
    moves=Moves(change_sign),
    trials=(Trial(),),
)
