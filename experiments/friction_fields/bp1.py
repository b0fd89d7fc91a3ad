r"""Benchmark problem BP1-QD: a vertical strike-slip fault that reaches the surface.

The initial stress is that of steady slip at the plate rate below the seismogenic depth,

.. math:: \tau_0 = \sigma a_{max} \operatorname{arsinh}\left[\frac{V_{pl}}{2 V_0}
          e^{(f_0 + b \ln(V_0 / V_{pl})) / a_{max}}\right] + \eta V_{pl},

and the initial state is the one with which every cell slips at the plate rate under it.

References
----------
Erickson et al. 2020, doi:10.1785/0220190248
"""

from typing import NamedTuple

import jax
import numpy as np

from bayesquake.errors import SimulationError
from bayesquake.models.fault_friction.physics.laws import Fault, Motion, Regularisation
from bayesquake.models.fault_friction.physics.stiffness import antiplane_half_space
from bayesquake.models.fault_friction.physics.trajectory import YEAR, trajectory

__all__ = ["FirstEvent", "first_event", "initial_stress", "problem"]

MOST_STEPS = 200_000
"""Of which 5,000 are taken on 512 cells."""


class FirstEvent(NamedTuple):
    """The first earthquake of a fault.

    Attributes
    ----------
    onset : float
        When some cell is seismic (s).
    slip : float
        Of the uppermost cell, some time later (m).
    steps : int
        Taken up to the end of the years that are followed.
    """

    onset: float
    slip: float
    steps: int


def initial_stress(settings):
    """Return τ0 and η: Pa and Pa s/m."""
    b, f0, rate = settings["b"], settings["reference_friction"], settings["plate_rate"]
    reference = settings["reference_slip_rate"]
    rigidity = settings["density"] * settings["shear_wave_speed"] ** 2
    damping = rigidity / (2 * settings["shear_wave_speed"])
    strength = np.exp((f0 + b * np.log(reference / rate)) / settings["a_deep"])
    steady = settings["a_deep"] * np.arcsinh(rate / (2 * reference) * strength)
    return settings["normal_stress"] * steady + damping * rate, damping


def problem(cells, settings):
    """Return the fault of so many cells and its motion at time zero.

    Parameters
    ----------
    cells : int
    settings : mapping
        The table ``bp1`` of ``config.toml``.

    Returns
    -------
    fault : Fault
    start : Motion
    """
    edges = np.linspace(0, settings["fault_depth"], cells + 1)
    depth = (edges[1:] + edges[:-1]) / 2
    a = np.interp(depth, settings["a_depths"], [settings["a_shallow"], settings["a_deep"]])
    b, slip = settings["b"], settings["characteristic_slip"]
    sigma, f0 = settings["normal_stress"], settings["reference_friction"]
    rate, reference = settings["plate_rate"], settings["reference_slip_rate"]
    stress, damping = initial_stress(settings)
    elastic = np.sinh((stress - damping * rate) / (a * sigma))
    log_state = a / b * np.log(2 * reference / rate * elastic) - f0 / b + np.log(rate / reference)
    rigidity = settings["density"] * settings["shear_wave_speed"] ** 2
    fault = Fault(
        a * sigma,
        np.full(cells, b * sigma),
        np.full(cells, slip),
        antiplane_half_space(edges[:-1], edges[1:], rigidity),
        rate,
        damping,
        Regularisation(f0 * sigma, reference),
    )
    return fault, Motion(np.zeros(cells), log_state, np.zeros(cells))


_follow = jax.jit(trajectory, static_argnames=("law", "most_steps"))


def first_event(fault, start, settings):
    """Follow a fault through its first earthquake.

    Returns
    -------
    FirstEvent

    Raises
    ------
    SimulationError
        There is none in the years that are followed.
    """

    def follow(years):
        times = np.array([years * YEAR])
        settings_of_run = {"tolerance": settings["tolerance"], "most_steps": MOST_STEPS}
        return _follow(fault, start, times, **settings_of_run)

    path = follow(settings["followed_years"])
    steps = int(path.steps)
    seismic = np.log(settings["seismic_slip_rate"] / settings["plate_rate"])
    begun = np.asarray(path.peaks)[:steps] > seismic
    if not begun.any():
        raise SimulationError(
            f"no event within {settings['followed_years']:g} years; follow the fault for longer"
        )
    onset = np.asarray(path.step_ends)[int(np.argmax(begun))]
    later = onset + settings["later_years"] * YEAR
    beyond_plate = follow(later / YEAR).motion.slip[0, 0]
    return FirstEvent(float(onset), float(beyond_plate + settings["plate_rate"] * later), steps)
