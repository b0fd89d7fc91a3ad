"""The scalar parameters: which a form has, and their natural values."""

import jax.numpy as jnp
import numpy as np

from bayesquake.errors import OptionError

from .triggering import branching_ratio

__all__ = ["NATURAL", "SIMULATED", "natural_values", "scalar_sites", "sites_of_natural"]

LOGARITHMIC = ("mu", "k", "c", "tau", "d", "beta")
NATURAL = (*LOGARITHMIC, "p", "q", "branching_ratio")
"""Values that follow from the sampled ones."""

SIMULATED = (*NATURAL, "alpha", "gamma", "field_amplitude", "field_length", "z")
"""Values by which catalogues are simulated."""


def scalar_sites(*, taper, space, field):
    """Return the names of the sampled scalars of a form of the model."""
    decay = ("omega", "log_tau") if taper else ("log_p_minus_1",)
    places = ("log_d", "gamma", "log_q_minus_1") if space else ()
    surface = ("field_amplitude", "field_length") if field else ()
    return ("log_mu", "log_k", "alpha", "log_c", *decay, *places, *surface, "log_beta")


def natural_values(sites, span):
    """Return sampled scalars together with all that follow from them.

    Parameters
    ----------
    sites : mapping
    span : scalar
        M = m_max - m_ref.

    Returns
    -------
    dict
        The sites; ``mu``, ``k``, ``c``, ``tau``, ``d``, ``beta`` as far as they have logs among
        them; ``p``, ``q`` and ``branching_ratio``.
    """
    values = dict(sites)
    for name in LOGARITHMIC:
        if f"log_{name}" in sites:
            values[name] = jnp.exp(sites[f"log_{name}"])
    if "omega" in sites:
        values["p"] = 1 + sites["omega"]
    else:
        values["p"] = 1 + jnp.exp(sites["log_p_minus_1"])
    if "log_q_minus_1" in sites:
        values["q"] = 1 + jnp.exp(sites["log_q_minus_1"])
    values["branching_ratio"] = branching_ratio(values["k"], values["alpha"], values["beta"], span)
    return values


def sites_of_natural(values, *, taper):
    """Return sampled scalars in place of natural values such as ``mu``, ``p`` or ``q``.

    Raises
    ------
    OptionError
        A natural value is not above 0, or q, or p without a taper, not above 1.
    """
    least = dict.fromkeys(LOGARITHMIC, 0.0) | {"q": 1.0} | ({} if taper else {"p": 1.0})
    for name in set(values) & set(least):
        if not values[name] > least[name]:
            raise OptionError(f"parameter {name} = {values[name]:g} must be above {least[name]:g}")
    sites = {name: float(value) for name, value in values.items() if name not in NATURAL}
    for name in LOGARITHMIC:
        if name in values:
            sites[f"log_{name}"] = float(np.log(values[name]))
    if "p" in values:
        omega = float(values["p"] - 1)
        sites |= {"omega": omega} if taper else {"log_p_minus_1": float(np.log(omega))}
    if "q" in values:
        sites["log_q_minus_1"] = float(np.log(values["q"] - 1))
    return sites
