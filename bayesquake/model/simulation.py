"""Simulated data sets that keep to a model's own limits."""

from bayesquake.errors import SimulationError

__all__ = ["ATTEMPTS", "simulate_accepted"]

ATTEMPTS = 200
"""Simulations tried before a design is given up."""


def simulate_accepted(model, key, design=None, parameters=None, priors=None):
    """Simulate until the model's own limits on a data set are met.

    Returns
    -------
    parameters : dict
    dataset : xarray.Dataset
    refused : int
        Data sets refused before this one.

    Raises
    ------
    SimulationError
        Every attempt was refused.
    """
    import jax

    for refused, attempt in enumerate(jax.random.split(key, ATTEMPTS)):
        try:
            return *model.simulate(attempt, design, parameters, priors=priors), refused
        except SimulationError as problem:
            reason = problem
    raise SimulationError(f"{ATTEMPTS} simulations in a row were refused; the last: {reason}")
