r"""Gutenberg-Richter b-value of magnitudes m rounded to bins of width δ, complete from Mc.

.. math:: P(k) = (1 - q) q^k, \quad q = e^{-\beta \delta}, \quad \beta = b \ln 10,
          \quad m = M_c + k \delta, \quad k = 0, 1, \ldots
"""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesquake.batch.pad import padded
from bayesquake.io.datasets import Schema, Variable, labelled, prepared, reader
from bayesquake.model.coordinates import around_mode
from bayesquake.model.model import Model, Quantity, Trial
from bayesquake.model.options import count, number, takes
from bayesquake.model.priors import Prior

__all__ = ["MODEL"]


def complete(dataset, name):
    """Raise ValueError if a magnitude lies below the lowest bin, so below Mc - δ/2."""
    if (dataset.magnitude < dataset.completeness_magnitude - dataset.magnitude_rounding / 2).any():
        raise ValueError("leave out the magnitudes below completeness_magnitude")


GIVEN = {
    "completeness_magnitude": number("mag", at_least=-4, at_most=10),
    "magnitude_rounding": number("mag", above=0, at_most=1),
}
MAGNITUDE = Variable("mag", "magnitude", ("event",), low=-5, high=50, also=("mag",))
DATA = Schema({"magnitude": MAGNITUDE}, attributes=GIVEN, fewest={"event": 2}, require=complete)


def catalogue(magnitude, *attributes):
    """Return the data set of magnitudes (event,) in mag, with Mc and δ."""
    return labelled(DATA, {"magnitude": magnitude}, **dict(zip(GIVEN, attributes, strict=True)))


def cells(event):
    """Return the preferred magnitude of an ObsPy event, else its first, else None."""
    magnitude = event.preferred_magnitude() or next(iter(event.magnitudes), None)
    return {"magnitude": magnitude.mag if magnitude else None}


@reader(DATA, event=cells)
@takes(**GIVEN)
def read(table, *, completeness_magnitude, magnitude_rounding):
    """Read the magnitudes of a catalogue; those below Mc - δ/2 are left out.

    Parameters
    ----------
    source : path, obspy.Catalog or xarray.Dataset
    completeness_magnitude, magnitude_rounding : float
        Mc, the centre of the lowest complete bin, and δ, the width of the bins, in mag.
    """
    magnitude = table.numbers("magnitude")
    above = magnitude >= completeness_magnitude - magnitude_rounding / 2
    return catalogue(magnitude[above], completeness_magnitude, magnitude_rounding)


@prepared(DATA)
def prepare(dataset):
    """Return padded arrays by event, the bin number k and the mask, and the width δ in mag."""
    mc, width = (dataset.attrs[name] for name in GIVEN)
    k = np.floor((dataset["magnitude"].to_numpy() - mc) / width + 0.5)
    return {**padded(k=k), "width": np.asarray(width, dtype=float)}


def declare(data, priors):
    """Declare the model on one catalogue: P(k) = (1 - q) q^k."""
    beta = numpyro.sample("beta", priors["beta"])
    numpyro.deterministic("b_value", beta / np.log(10))
    one_minus_q = -jax.numpy.expm1(-beta * data["width"])
    with numpyro.handlers.mask(mask=data["mask"]):
        numpyro.sample("k", dist.Geometric(probs=one_minus_q), obs=data["k"])


@takes(events=count(at_least=2, at_most=10_000_000), **GIVEN)
def draw(key, values, *, events=200, completeness_magnitude=2.0, magnitude_rounding=0.1):
    """Draw rounded magnitudes: k is the whole part of an exponential variable over β δ."""
    excess = np.asarray(jax.random.exponential(key, (events,)), dtype=float) / values["beta"]
    magnitude = completeness_magnitude + np.floor(excess / magnitude_rounding) * magnitude_rounding
    return catalogue(magnitude, completeness_magnitude, magnitude_rounding)


MODEL = Model(
    name="b_value",
    title="Gutenberg-Richter b-value",
    references=("Aki 1965, Bull. Earthq. Res. Inst. 43", "Bender 1983, doi:10.1785/BSSA0730030831"),
    declare=declare,
    priors={"beta": Prior("LogNormal", {"loc": np.log(2), "scale": 0.5}, "1/mag", "β", "weak")},
    quantities={
        "beta": Quantity("1/mag", "decay of the log of the number of events with magnitude"),
        "b_value": Quantity("1/mag", "Gutenberg-Richter b-value, β / ln 10"),
    },
    read=read,
    prepare=prepare,
    draw=draw,
    design_of=lambda data: {"events": data.sizes["event"]} | {a: data.attrs[a] for a in GIVEN},
    coordinates=around_mode(),
    trials=(Trial({"events": 50}),),
)
