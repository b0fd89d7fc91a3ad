"""The quantities of the posterior: priors, unit and meaning of each, and those calibrated."""

import math

import jax.numpy as jnp

from bayesquake.model.model import Quantity
from bayesquake.model.priors import Prior

__all__ = ["PRIORS", "QUANTITIES", "calibrated"]

SHORTEST_C = 1e-5
"""Days; below it equal times would make the likelihood unbounded, and no catalogue resolves it."""


def _normal(unit, symbol, loc, scale, source="weakly informative", **limits):
    family = "TruncatedNormal" if limits else "Normal"
    parameters = {"loc": loc, "scale": scale} | limits
    return Prior(family, tuple(sorted(parameters.items())), unit, symbol, source)


PRIORS = {
    "log_mu": _normal("ln(day-1 km-2)", "ln μ", -10.0, 3.0),
    "log_k": _normal("1", "ln k", -1.5, 1.0),
    "alpha": _normal("mag-1", "α", 1.5, 0.7),
    "log_c": _normal("ln(day)", "ln c", -4.0, 2.0, low=math.log(SHORTEST_C)),
    "log_p_minus_1": _normal("1", "ln(p-1)", -1.5, 1.0),
    "omega": _normal("1", "ω", 0.1, 0.3),
    "log_tau": _normal("ln(day)", "ln τ", 9.0, 1.5),
    "log_d": _normal("ln(km2)", "ln d", -1.0, 1.5),
    "gamma": _normal("mag-1", "γ", 1.0, 0.7),
    "log_q_minus_1": _normal("1", "ln(q-1)", -0.5, 0.7),
    "log_beta": _normal("ln(mag-1)", "ln β", math.log(2.3), 0.3),
    "field_amplitude": Prior(
        "HalfNormal", (("scale", 1.5),), "1", "σ_f", "weakly informative: factors up to e^3"
    ),
    "field_length": Prior(
        "LogNormal", (("loc", math.log(0.3)), ("scale", 0.5)), "1", "ℓ_f", "weakly informative"
    ),
    "class_mean": _normal("1", "y_c", 0.0, 1.0),
    "class_mean_further": _normal("1", "y_c", 0.0, 1.5),
    "log_class_width": _normal("1", "ln s_c", -0.5, 0.7),
    "log_mark_width": _normal("1", "ln s", -0.5, 0.7),
}

QUANTITIES = {
    "mu": Quantity("day-1 km-2", "background rate"),
    "log_mu": Quantity("ln(day-1 km-2)", "natural log of mu"),
    "k": Quantity("1", "expected direct offspring of an event at the reference magnitude"),
    "log_k": Quantity("1", "natural log of k"),
    "alpha": Quantity("mag-1", "growth of the log productivity with magnitude"),
    "c": Quantity("d", "time constant of the Omori-Utsu decay"),
    "log_c": Quantity("ln(d)", "natural log of c"),
    "p": Quantity("1", "exponent of the Omori-Utsu decay"),
    "log_p_minus_1": Quantity("1", "natural log of p - 1"),
    "omega": Quantity("1", "p - 1, of any sign, of the tapered decay"),
    "tau": Quantity("d", "time at which the tapered decay ends"),
    "log_tau": Quantity("ln(d)", "natural log of tau"),
    "d": Quantity("km2", "squared reach of triggering at the reference magnitude"),
    "log_d": Quantity("ln(km2)", "natural log of d"),
    "gamma": Quantity("mag-1", "growth of ln D with magnitude"),
    "q": Quantity("1", "exponent of the decay in space"),
    "log_q_minus_1": Quantity("1", "natural log of q - 1"),
    "beta": Quantity("mag-1", "Gutenberg-Richter exponent, b ln 10"),
    "log_beta": Quantity("ln(mag-1)", "natural log of beta"),
    "branching_ratio": Quantity("1", "mean number of direct offspring of an event"),
    "field_amplitude": Quantity("1", "standard deviation of the log background field"),
    "field_length": Quantity("1", "length of the field over the region's half-width"),
    "z": Quantity("1", "white coefficients of the field", ("basis",), role="latent"),
    "mu_field": Quantity("day-1 km-2", "background rate in grid cells", ("cell",)),
    "class_mean": Quantity("1", "first-mark means, in ascending order", ("class",), role="latent"),
    "class_mean_further": Quantity("1", "means of the other marks", ("class", "further_mark")),
    "class_means": Quantity("1", "standardised mean marks of classes", ("class", "mark")),
    "log_class_width": Quantity("1", "log standardised widths of classes", ("class", "mark")),
    "class_widths": Quantity("1", "standardised widths of classes", ("class", "mark")),
    "class_weight": Quantity("1", "share of each class in the background", ("class",)),
    "log_mark_width": Quantity("1", "log of mark_width", ("mark",)),
    "mark_width": Quantity("1", "standardised scatter of offspring's marks", ("mark",)),
}

CALIBRATED = (
    "log_mu",
    "log_k",
    "alpha",
    "log_c",
    "log_p_minus_1",
    "omega",
    "log_tau",
    "log_d",
    "gamma",
    "log_q_minus_1",
    "log_beta",
    "branching_ratio",
)


def calibrated(values, data):
    """Return the scalars whose ranks and coverage are checked: parameters and branching ratio."""
    return {name: jnp.asarray(values[name]) for name in CALIBRATED if name in values}
