r"""The unknown friction: numbers of a block on a spring, or fields of a fault of cells.

Fields are Gaussian processes around expected ones, :math:`\ln A = \overline{\ln A} + \sigma R z`
with independent standard normal z in every cell and the root R of a correlation; ln L likewise.
B - A itself is the Gaussian process, for it changes sign where the fault turns from weakening to
strengthening; where it would make B negative, B bends to a few hundredths of A.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro

from .physics.laws import Fault

__all__ = ["Fields", "declare_friction", "fault_of", "names_of", "unknowns_of"]

NUMBERS = ("log_a", "b_minus_a", "log_characteristic_slip", "log_stiffness")
"""Unknowns of a block on a spring."""

SMALLEST_RATIO = 0.02
"""B / A below which B bends to stay positive; at five times this B is 0.1 percent larger."""

FIELDS = ("log_a_white", "b_minus_a_white", "log_characteristic_slip_white")
"""Unknowns of a fault of cells."""


class Fields(NamedTuple):
    """What is known before of a fault of cells.

    Attributes
    ----------
    stiffness : (cell, cell)
        Pa/m.
    expected_log_a, expected_b_minus_a, expected_log_characteristic_slip : (cell,)
        ln Pa, Pa, ln m.
    spread : (3,)
        Standard deviations of the fields around these, in the same units.
    root : (cell, cell)
        R, a lower triangle.
    """

    stiffness: Any
    expected_log_a: Any
    expected_b_minus_a: Any
    expected_log_characteristic_slip: Any
    spread: Any
    root: Any


def declare_friction(data, priors):
    """Declare the unknown friction; return the numbers of a spring, or white fields, by name."""
    if data.fields is None:
        values = {name: numpyro.sample(name, priors[name]) for name in NUMBERS}
        a, b_minus_a, slip, stiffness = physical(unknowns_of(values, data))
        numpyro.deterministic("a", a)
        numpyro.deterministic("characteristic_slip", slip)
        numpyro.deterministic("stiffness", stiffness)
        numpyro.deterministic("stiffness_ratio", stiffness * slip / b_minus_a)
        return values
    cells = len(data.fields.stiffness)
    values = {
        name: numpyro.sample(name, priors[name].expand([cells]).to_event(1)) for name in FIELDS
    }
    a, b_minus_a, slip = coloured(unknowns_of(values, data), data.fields)
    numpyro.deterministic("a_field", a)
    numpyro.deterministic("b_minus_a_field", b_minus_a)
    numpyro.deterministic("characteristic_slip_field", slip)
    return values


def names_of(data):
    """Return the names of the unknowns."""
    return NUMBERS if data.fields is None else FIELDS


def unknowns_of(values, data):
    """Return the unknowns among named values: (4,) of a spring, or (3, cell) of fields."""
    return jnp.stack([jnp.asarray(values[name]) for name in names_of(data)])


def physical(unknowns):
    """Return A, B - A (Pa), L (m) and k (Pa/m) of ln A, B - A, ln L and ln k."""
    log_a, b_minus_a, log_slip, log_stiffness = unknowns
    return jnp.exp(log_a), b_minus_a, jnp.exp(log_slip), jnp.exp(log_stiffness)


def coloured(white, fields):
    """Return the fields A, B - A (Pa) and L (m) of white ones, (cell,) each of (3, cell)."""
    log_a, b_minus_a, log_slip = fields.spread[:, None] * (white @ fields.root.T)
    a = jnp.exp(fields.expected_log_a + log_a)
    b_over_a = 1 + (fields.expected_b_minus_a + b_minus_a) / a
    positive = SMALLEST_RATIO * jax.nn.softplus(b_over_a / SMALLEST_RATIO)
    slip = jnp.exp(fields.expected_log_characteristic_slip + log_slip)
    return a, a * (positive - 1), slip


def fault_of(unknowns, data):
    """Return the `physics.laws.Fault` of the unknowns."""
    if data.fields is None:
        a, b_minus_a, slip, stiffness = (value[None] for value in physical(unknowns))
        stiffness = stiffness[None]
    else:
        a, b_minus_a, slip = coloured(unknowns, data.fields)
        stiffness = data.fields.stiffness
    return Fault(a, a + b_minus_a, slip, stiffness, data.plate_rate, data.damping)
