r"""Friction of a fault from how it slips.

A fault under rate-and-state friction and plate loading has the slip rate V(t) and the state θ(t),
see `physics.laws`. What is seen of it at the times t_k is

.. math:: y_k = \ln\frac{V(t_k)}{V_{pl}} + \sigma \epsilon_k, \qquad \epsilon_k \sim N(0, 1),

or displacements of the ground, see `observation`, or both.

Friction is that of a block on a spring, with the unknowns A, B - A, L and the stiffness k and
independent priors on ln A, B - A, ln L and ln k; or of a fault of cells of known stiffness, with
fields of A, B - A and L, see `friction`.

References
----------
Ito, Kano & Nagao 2023, doi:10.48550/arXiv.2109.13143 (friction fields from slow slip)
Kano et al. 2013, doi:10.5047/eps.2013.08.002 (friction from slip rates by adjoints)
"""

import numpy as np
import numpyro

from bayesquake.model.model import Quantity
from bayesquake.model.priors import Prior

from .friction import declare_friction
from .observation import declare_displacement, log_likelihood

__all__ = ["PRIORS", "QUANTITIES", "declare"]

CELL = ("cell",)
STATION = ("station", "component")
OURS = "our default"
PRIORS = {
    "log_a": Prior("Normal", {"loc": np.log(1e5), "scale": 0.3}, "ln Pa", "ln A", OURS),
    "b_minus_a": Prior("Normal", {"loc": 4e4, "scale": 1e4}, "Pa", "B - A", OURS),
    "log_characteristic_slip": Prior(
        "Normal", {"loc": np.log(0.04), "scale": 0.3}, "ln m", "ln L", OURS
    ),
    "log_stiffness": Prior(
        "Normal", {"loc": np.log(1.2e6), "scale": 0.2}, "ln(Pa/m)", "ln k", OURS
    ),
    "log_a_white": Prior("Normal", {"loc": 0, "scale": 1}, "1", "z of ln A", OURS, CELL),
    "b_minus_a_white": Prior("Normal", {"loc": 0, "scale": 1}, "1", "z of B - A", OURS, CELL),
    "log_characteristic_slip_white": Prior(
        "Normal", {"loc": 0, "scale": 1}, "1", "z of ln L", OURS, CELL
    ),
    "start_log_slip_rate_white": Prior(
        "Normal", {"loc": 0, "scale": 1}, "1", "z of q(0)", OURS, CELL
    ),
    "start_log_state_white": Prior("Normal", {"loc": 0, "scale": 1}, "1", "z of s(0)", OURS, CELL),
    "displacement_offset_white": Prior(
        "Normal", {"loc": 0, "scale": 1}, "1", "offset over its sd", OURS, STATION
    ),
    "displacement_error_scale": Prior("LogNormal", {"loc": 0, "scale": 0.3}, "1", "c", OURS),
}

QUANTITIES = {
    "a": Quantity("Pa", "direct effect A = a σ"),
    "b_minus_a": Quantity("Pa", "B - A, positive where steady slip weakens the fault"),
    "characteristic_slip": Quantity("m", "slip L over which the state evolves"),
    "stiffness": Quantity("Pa/m", "stiffness k of the spring"),
    "stiffness_ratio": Quantity("1", "stiffness over the critical one (B - A) / L"),
    "log_a": Quantity("1", "ln of A in Pa", role="latent"),
    "log_characteristic_slip": Quantity("1", "ln of L in m", role="latent"),
    "log_stiffness": Quantity("1", "ln of k in Pa/m", role="latent"),
    "a_field": Quantity("Pa", "direct effect A = a σ", CELL, "field"),
    "b_minus_a_field": Quantity("Pa", "B - A, positive where slip weakens", CELL, "field"),
    "characteristic_slip_field": Quantity(
        "m", "slip L over which the state evolves", CELL, "field"
    ),
    "displacement_error_scale": Quantity("1", "factor c of all errors of displacements"),
    "displacement_offset": Quantity("m", "displacement at time zero", STATION),
    "displacement_offset_white": Quantity("1", "offset over its sd", STATION, "latent"),
    "start_log_slip_rate_white": Quantity("1", "white latents of ln V at zero", CELL, "latent"),
    "start_log_state_white": Quantity("1", "white latents of ln θ at time zero", CELL, "latent"),
    "log_a_white": Quantity("1", "white latents of ln A", CELL, "latent"),
    "b_minus_a_white": Quantity("1", "white latents of B - A", CELL, "latent"),
    "log_characteristic_slip_white": Quantity("1", "white latents of ln L", CELL, "latent"),
}


def declare(data, priors):
    """Declare the model on what was seen of one fault.

    Parameters
    ----------
    data : data.arrays.FaultArrays
    priors : dict of numpyro.distributions.Distribution
    """
    values = declare_friction(data, priors) | declare_displacement(data, priors)
    numpyro.factor("observations", log_likelihood(values, data))
