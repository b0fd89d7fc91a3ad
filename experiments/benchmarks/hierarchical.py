r"""Ninety-eight groups: a hierarchical model of a hundred dimensions, in centred form.

Measured effects share a mean and a spread,

.. math:: y_j \sim N(\theta_j, \sigma_j), \qquad \theta_j \sim N(\mu, \tau),
          \qquad \mu \sim N(0, 5), \qquad \log \tau \sim N(0, 1).

Errors from 0.1 to 3 around a spread of 1 make scales differ by ten, and groups with large
errors follow the mean.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr

from bayesquake.model.model import Model, Quantity
from bayesquake.model.priors import Prior

__all__ = ["MEASURED", "NINETY_EIGHT_GROUPS"]

GROUPS = 98
SMALLEST_ERROR, LARGEST_ERROR = 0.1, 3.0
TRUTH = {"mu": 2.0, "log_tau": 0.0}
SEED = 5


def errors():
    """Return the error of every group, (group,), log-uniform."""
    rng = np.random.default_rng(SEED)
    return np.exp(rng.uniform(np.log(SMALLEST_ERROR), np.log(LARGEST_ERROR), GROUPS))


def hierarchy(data, priors):
    """Declare the model; data are dict of ``y`` and ``error``, (group,)."""
    mu = numpyro.sample("mu", priors["mu"])
    log_tau = numpyro.sample("log_tau", priors["log_tau"])
    theta = numpyro.sample("theta", dist.Normal(mu, jnp.exp(log_tau)).expand([GROUPS]).to_event(1))
    numpyro.sample("y", dist.Normal(theta, data["error"]).to_event(1), obs=data["y"])


def simulate(key, design=None, parameters=None, *, priors=None):
    """Simulate effects at given mean and spread, or at draws from the prior."""
    keys = jax.random.split(key, 4)
    values = parameters or {
        name: NINETY_EIGHT_GROUPS.priors[name].distribution().sample(k)
        for name, k in zip(TRUTH, keys, strict=False)
    }
    scale = jnp.exp(values["log_tau"])
    theta = values["mu"] + scale * jax.random.normal(keys[2], (GROUPS,))
    effects = theta + errors() * jax.random.normal(keys[3], (GROUPS,))
    dataset = xr.Dataset(
        {
            "y": ("group", np.asarray(effects), {"units": "1"}),
            "error": ("group", errors(), {"units": "1"}),
        }
    )
    return values | {"theta": theta}, dataset


def prepare(dataset):
    """Return the arrays of a data set."""
    return {name: np.asarray(dataset[name], float) for name in ("y", "error")}


def calibrated(values, data):
    """Return mean, log spread and the first group's effect."""
    return {"mu": values["mu"], "log_tau": values["log_tau"], "theta_0": values["theta"][0]}


NINETY_EIGHT_GROUPS = Model(
    name="ninety_eight_groups",
    title="Ninety-eight groups with a common mean and spread, centred",
    references=(),
    declare=hierarchy,
    priors={
        "mu": Prior("Normal", (("loc", 0.0), ("scale", 5.0)), symbol="μ"),
        "log_tau": Prior("Normal", (("loc", 0.0), ("scale", 1.0)), symbol="ln τ"),
    },
    simulator=simulate,
    read=lambda source: source,
    prepare=prepare,
    quantities={
        "mu": Quantity("1", "common mean"),
        "log_tau": Quantity("1", "log spread of the groups"),
        "theta": Quantity("1", "effect of each group", ("group",)),
    },
    calibrated=calibrated,
    recommended=lambda prepared: {"driver": "nuts", "warmup": 500},
)

MEASURED = simulate(jax.random.key(SEED), parameters=TRUTH)[1]
"""Effects simulated at mean 2 and spread 1."""
