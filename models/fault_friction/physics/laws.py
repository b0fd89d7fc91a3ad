r"""Rate-and-state friction on a fault of cells in quasi-dynamic equilibrium.

With slip rate V, state :math:`\theta`, :math:`A = a \sigma`, :math:`B = b \sigma` and stress in Pa,

.. math:: \tau_i = \tau_0 + A_i \ln\frac{V_i}{V_0} + B_i \ln\frac{V_0 \theta_i}{L_i}, \qquad
          \dot\tau_i = -\sum_j K_{ij} (V_j - V_{pl}) - \eta \dot V_i,

and the logarithms :math:`q = \ln(V / V_{pl})`, :math:`s = \ln(\theta V_{pl} / L)`,

.. math:: \dot q = -\frac{\sum_j K_{ij} (V_j - V_{pl}) + B \dot s}{A + \eta V}, \qquad
          \dot s = \begin{cases} (V_{pl} / L) (e^{-s} - e^q) & \text{aging law} \\
                                 -(V_{pl} / L) \, e^q (q + s) & \text{slip law.} \end{cases}

The regularised law :math:`\tau = A \operatorname{arsinh} x`, with
:math:`x = (V / 2 V_0) \exp(\psi / a)` and :math:`\psi = f_0 + b \ln(V_0 \theta / L)`, has the same
form, A and B being multiplied by :math:`r = x / \sqrt{1 + x^2}`.

References
----------
Ruina 1983, doi:10.1029/JB088iB12p10359 (both laws of state)
Rice & Ben-Zion 1996, doi:10.1073/pnas.93.9.3811 (regularisation)
Erickson et al. 2023, doi:10.1785/0120220066 (the benchmark problems' equations)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["LAWS", "Fault", "Motion", "Regularisation", "motion_rate"]


class Regularisation(NamedTuple):
    """Where the logarithm of the slip rate is made to vanish with it.

    Attributes
    ----------
    strength : (cell,) array or scalar
        Reference strength f0 σ (Pa).
    slip_rate : scalar
        Reference slip rate V0 (m/s).
    """

    strength: Any
    slip_rate: Any


class Fault(NamedTuple):
    """Friction, stiffness and loading of a fault.

    Attributes
    ----------
    a, b : (cell,) array
        A = a σ and B = b σ (Pa).
    characteristic_slip : (cell,) array
        L (m).
    stiffness : (cell, cell) array
        K (Pa/m), see `stiffness`.
    plate_rate : scalar
        Vpl (m/s).
    damping : scalar
        η = G / 2β (Pa s/m).
    regularisation : Regularisation, optional
    """

    a: Any
    b: Any
    characteristic_slip: Any
    stiffness: Any
    plate_rate: Any
    damping: Any
    regularisation: Regularisation | None = None


class Motion(NamedTuple):
    """How a fault moves.

    Attributes
    ----------
    log_slip_rate : (..., cell) array
        q = ln(V / Vpl).
    log_state : (..., cell) array
        s = ln(θ Vpl / L).
    slip : (..., cell) array
        Slip beyond that of the plates, the integral of V - Vpl (m).
    """

    log_slip_rate: Any
    log_state: Any
    slip: Any


def aging(q, s):
    """Return the rate of s in Vpl / L under Dieterich's law, which heals at rest."""
    return jnp.exp(-s) - jnp.exp(q)


def slip(q, s):
    """Return the rate of s in Vpl / L under Ruina's law, which needs slip."""
    return -jnp.exp(q) * (q + s)


LAWS = {"aging": aging, "slip": slip}


def motion_rate(motion, fault, law):
    """Return the time derivative of a motion, a `Motion` in 1/s and m/s.

    Parameters
    ----------
    motion : Motion
    fault : Fault
    law : {"aging", "slip"}
    """
    q, s, _ = motion
    slip_rate = fault.plate_rate * jnp.exp(q)
    beyond_plate = slip_rate - fault.plate_rate
    s_rate = fault.plate_rate / fault.characteristic_slip * LAWS[law](q, s)
    a, b = effective_friction(q, s, fault)
    stressing = -fault.stiffness @ beyond_plate
    return Motion((stressing - b * s_rate) / (a + fault.damping * slip_rate), s_rate, beyond_plate)


def effective_friction(q, s, fault):
    """Return A and B, multiplied by r where the law is regularised, (cell,) each (Pa)."""
    if fault.regularisation is None:
        return fault.a, fault.b
    strength, reference_rate = fault.regularisation
    log_rates = jnp.log(fault.plate_rate / reference_rate)
    log_x = q + log_rates - jnp.log(2) + (strength + fault.b * (s - log_rates)) / fault.a
    r = jnp.exp(-jax.nn.softplus(-2 * log_x) / 2)
    return fault.a * r, fault.b * r
