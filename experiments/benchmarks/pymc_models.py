"""The benchmark models in PyMC, for the samplers that take its models.

Each declares the density of its namesake, `eight_groups` and `hierarchical`, in the same
coordinates.
"""

import pymc as pm

__all__ = ["eight_groups", "ninety_eight_groups"]


def eight_groups(y, error):
    """Return eight groups in non-centred form; effects and errors are (group,)."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", 5.0)
        z = pm.Normal("z", shape=len(y))
        theta = pm.Deterministic("theta", mu + tau * z)
        pm.Normal("y", theta, error, observed=pm.Data("effects", y))
    return model


def ninety_eight_groups(y, error):
    """Return ninety-eight groups in centred form; effects and errors are (group,)."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        log_tau = pm.Normal("log_tau", 0.0, 1.0)
        theta = pm.Normal("theta", mu, pm.math.exp(log_tau), shape=len(y))
        pm.Normal("y", theta, error, observed=pm.Data("effects", y))
    return model
