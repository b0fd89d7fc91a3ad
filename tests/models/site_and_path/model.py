r"""Level, growth and anelastic decay of a region, from the coefficients of its attenuation.

.. math:: a = l, \qquad b = g, \qquad c = 1 + d

where (a, b, c) are those of the model ``attenuation``, whose likelihood is the data, and the
geometrical decay is 1.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from bayesquake.io.datasets import Schema, Variable, labelled, prepared, table_reader
from bayesquake.model.capabilities import Accepts
from bayesquake.model.model import Model, Quantity, Trial
from bayesquake.model.options import number, takes
from bayesquake.model.priors import Prior

__all__ = ["MODEL"]

NAMES = ("a", "b", "c")
DATA = Schema(
    {
        "estimate": Variable("1", "estimate of the coefficient", ("coefficient",)),
        "covariance": Variable("1", "covariance of the estimates", ("coefficient", "coefficient2")),
    },
    coordinates={"coefficient": NAMES, "coefficient2": NAMES},
)


def estimates(mean, covariance):
    """Return estimates and their covariance as a data set."""
    return labelled(DATA, {"estimate": mean, "covariance": covariance})


@prepared(DATA)
def prepare(dataset):
    """Return the estimates and their covariance."""
    return {name: dataset[name].to_numpy() for name in DATA.variables}


def declare(data, priors):
    """Declare the model on the likelihood of one region."""
    level = numpyro.sample("level", priors["level"])
    growth = numpyro.sample("growth", priors["growth"])
    decay = numpyro.sample("decay", priors["decay"])
    expected = jnp.stack([level, growth, 1 + decay])
    estimate = dist.MultivariateNormal(expected, data["covariance"])
    numpyro.sample("estimate", estimate, obs=data["estimate"])


@takes(error=number(above=0, at_most=10))
def draw(key, values, *, error=0.1):
    """Draw estimates with independent errors."""
    exact = np.array([values["level"], values["growth"], 1 + values["decay"]])
    noise = error * np.asarray(jax.random.normal(key, (3,)))
    return estimates(exact + noise, error**2 * np.eye(3))


MODEL = Model(
    name="site_and_path",
    title="Level, growth and anelastic decay of a region",
    references=("Joyner & Boore 1981, Bulletin of the Seismological Society of America 71, 2011",),
    declare=declare,
    priors={
        "level": Prior("Normal", {"loc": -2.5, "scale": 0.3}, "ln(m/s2)", "l", "weak"),
        "growth": Prior("Normal", {"loc": 1.2, "scale": 0.2}, "1", "g", "weak"),
        "decay": Prior("Normal", {"loc": 0.3, "scale": 0.2}, "1", "d", "weak"),
    },
    quantities={
        "level": Quantity("ln(m/s2)", "ln A at magnitude 6 and 100 km"),
        "growth": Quantity("1", "growth of ln A with magnitude"),
        "decay": Quantity("1", "decay of ln A beyond the geometrical"),
    },
    read=table_reader(DATA),
    prepare=prepare,
    draw=draw,
    accepts=Accepts(NAMES, estimates),
    trials=(Trial(),),
)
