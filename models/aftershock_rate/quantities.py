"""The quantities of the posterior: unit and meaning of each, and those calibrated."""

import jax.numpy as jnp

from bayesquake.model.model import Quantity

from .forecast import log_expected_count
from .model import MAGNITUDE_OF_COUNT

__all__ = ["QUANTITIES", "calibrated"]

QUANTITIES = {
    "K": Quantity("day^(p-1)", "productivity: rate of events above M0 is K (t + c)^-p"),
    "log_K": Quantity("ln(day^(p-1))", "natural log of K"),
    "p": Quantity("1", "exponent of the Omori-Utsu decay"),
    "c": Quantity("d", "time constant of the Omori-Utsu decay"),
    "log_c": Quantity("ln(d)", "natural log of c"),
    "beta": Quantity("mag-1", "Gutenberg-Richter exponent, b ln 10"),
    "b_value": Quantity("mag-1", "Gutenberg-Richter b-value"),
    "sigma": Quantity("mag", "width of the detection curve"),
    "log_sigma": Quantity("ln(mag)", "natural log of sigma"),
    "mu_1d": Quantity("mag", "mean line of the 50 % detection magnitude at one day"),
    "mu_slope": Quantity("mag/decade", "slope of the mean line in log10 time"),
    "eta": Quantity("mag", "amplitude of the Gaussian process of the detection magnitude"),
    "ell": Quantity("decade", "length scale of the Gaussian process in log10 time"),
    "log_N": Quantity("1", "log expected number of true events above M 3 after the grid centre"),
    "mu_center": Quantity("mag", "mean line of the detection magnitude at the grid centre"),
    "z": Quantity("1", "white latents of the Gaussian process", ("basis",), role="latent"),
    "mu": Quantity("mag", "50 % detection magnitude at each time", ("time_grid",)),
    "detection": Quantity("1", "probability of detection", ("time_grid", "mag_grid")),
}

CALIBRATED_DAYS = {"mu_1e-3d": 1e-3, "mu_1e-2d": 1e-2, "mu_1e-1d": 1e-1, "mu_at_1d": 1.0}
PARAMETERS = ("log_K", "p", "log_c", "beta", "log_sigma", "mu_1d", "mu_slope", "eta", "ell")
WEEK = 7.0


def calibrated(values, data):
    """Return the scalars whose ranks and coverage are checked.

    Parameters
    ----------
    values : mapping
        Constrained parameters and ``mu`` at the knots.
    data : grid.CatalogueArrays

    Returns
    -------
    dict of scalars
        Nine parameters; μ at 10⁻³, 10⁻², 10⁻¹ and 1 day (mag); log of the expected count
        above magnitude 3 in the week after the window.
    """
    parameters = {name: values[name] for name in PARAMETERS if name in values}
    detection = {
        name: jnp.interp(jnp.log10(days), data.knots, values["mu"])
        for name, days in CALIBRATED_DAYS.items()
    }
    log_week = log_expected_count(values, data.M0, data.T, data.T + WEEK, MAGNITUDE_OF_COUNT)
    return parameters | detection | {"log_week_count": log_week}
