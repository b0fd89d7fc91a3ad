r"""Eight groups: the small hierarchical model on which samplers and calibration are timed.

Effects of eight groups, each measured once with a known error, share a mean and a spread,

.. math:: y_j \sim N(\mu + \tau z_j, \sigma_j), \qquad z_j \sim N(0, 1),
          \qquad \mu \sim N(0, 5), \qquad \tau \sim \mathrm{HalfCauchy}(5).

References
----------
Rubin 1981, doi:10.3102/10769986006004377 (the data); Gelman et al. 2013, Bayesian Data
Analysis, section 5.5.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import xarray as xr

from bayesquake.model.model import Model, Quantity
from bayesquake.model.priors import Prior, resolve_priors

__all__ = ["EIGHT_GROUPS", "SCHOOLS"]

ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)


def dataset_of(effects):
    """Return measured effects with their errors as a data set."""
    return xr.Dataset(
        {
            "y": ("group", np.asarray(effects, float), {"units": "1"}),
            "error": ("group", np.array(ERRORS), {"units": "1"}),
        }
    )


SCHOOLS = dataset_of(EFFECTS)
"""The coaching effects of Rubin (1981), in points."""


def eight_groups(data, priors):
    """Declare the model; data are dict of ``y`` and ``error``, (group,)."""
    mu = numpyro.sample("mu", priors["mu"])
    tau = numpyro.sample("tau", priors["tau"])
    z = numpyro.sample("z", dist.Normal().expand([len(ERRORS)]).to_event(1))
    theta = numpyro.deterministic("theta", mu + tau * z)
    numpyro.sample("y", dist.Normal(theta, data["error"]).to_event(1), obs=data["y"])


def simulate_arrays(key, arrays, priors):
    """Draw parameters from the prior and effects at them."""
    keys = jax.random.split(key, 4)
    values = {name: priors[name].sample(k) for name, k in zip(("mu", "tau"), keys, strict=False)}
    values["z"] = jax.random.normal(keys[2], (len(ERRORS),))
    values["theta"] = values["mu"] + values["tau"] * values["z"]
    noise = jax.random.normal(keys[3], (len(ERRORS),))
    return values, arrays | {"y": values["theta"] + arrays["error"] * noise}


def simulate(key, design=None, parameters=None, *, priors=None):
    """Simulate effects at parameters drawn from the prior."""
    resolved = resolve_priors(EIGHT_GROUPS, priors)
    distributions = {site: prior.distribution() for site, prior in resolved.items()}
    values, arrays = simulate_arrays(key, {"error": jnp.array(ERRORS)}, distributions)
    return values, dataset_of(arrays["y"])


def replicate(key, values, dataset):
    """Simulate effects at the groups' effects of one posterior draw."""
    return dataset_of(values["theta"] + np.array(ERRORS) * jax.random.normal(key, (len(ERRORS),)))


def prepare(dataset):
    """Return the arrays of a data set."""
    return {name: np.asarray(dataset[name], float) for name in ("y", "error")}


def calibrated(values, data):
    """Return mean, spread and the first group's effect."""
    return {"mu": values["mu"], "tau": values["tau"], "theta_0": values["theta"][0]}


EIGHT_GROUPS = Model(
    name="eight_groups",
    title="Eight groups with a common mean and spread",
    references=("Rubin 1981, doi:10.3102/10769986006004377",),
    declare=eight_groups,
    priors={
        "mu": Prior("Normal", (("loc", 0.0), ("scale", 5.0)), symbol="μ"),
        "tau": Prior("HalfCauchy", (("scale", 5.0),), symbol="τ"),
    },
    simulator=simulate,
    read=lambda source: source,
    prepare=prepare,
    quantities={
        "mu": Quantity("1", "common mean"),
        "tau": Quantity("1", "spread of the groups"),
        "theta": Quantity("1", "effect of each group", ("group",)),
        "z": Quantity("1", "standardised effects", ("group",), role="latent"),
    },
    calibrated=calibrated,
    recommended=lambda prepared: {"driver": "nuts", "warmup": 500},
    simulate_arrays=simulate_arrays,
    replicator=replicate,
)
