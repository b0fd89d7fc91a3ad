r"""The unknown friction: numbers of a block on a spring, or fields of a fault of cells.

Fields are Gaussian processes around expected ones, :math:`\ln A = \overline{\ln A} + \sigma R z`
with independent standard normal z in every cell and the root R of a correlation; ln L likewise.
B - A itself is the Gaussian process, for it changes sign where the fault turns from weakening to
strengthening; where it would make B negative, B bends to a few hundredths of A.

The motion at time zero is known, or unknown by a standard deviation of ln V and ln θ, with the
correlation of the fields.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro

from .physics.laws import Fault, Motion

__all__ = ["Fields", "declare_friction", "fault_of", "names_of", "start_of", "unknowns_of"]

NUMBERS = ("log_a", "b_minus_a", "log_characteristic_slip", "log_stiffness")
"""Unknowns of a block on a spring."""

SMALLEST_RATIO = 0.02
"""B / A below which B bends to stay positive; at five times this B is 0.1 percent larger."""

FIELDS = ("log_a_white", "b_minus_a_white", "log_characteristic_slip_white")
"""Unknowns of a fault of cells."""

START = ("start_log_slip_rate_white", "start_log_state_white")
"""What is unknown of the motion at time zero, where it is not known."""


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
    """Declare the unknown friction and start; return numbers or white latents by name."""
    cells = len(data.start_log_state)
    spring = data.fields is None
    numbers = NUMBERS if spring else ()
    values = {
        name: numpyro.sample(
            name, priors[name] if name in numbers else priors[name].expand([cells]).to_event(1)
        )
        for name in names_of(data)
    }
    unknowns = unknowns_of(values, data)
    if spring:
        a, b_minus_a, slip, stiffness = physical(unknowns)
        numpyro.deterministic("a", a)
        numpyro.deterministic("characteristic_slip", slip)
        numpyro.deterministic("stiffness", stiffness)
        numpyro.deterministic("stiffness_ratio", stiffness * slip / b_minus_a)
    else:
        a, b_minus_a, slip = coloured(unknowns, data.fields)
        numpyro.deterministic("a_field", a)
        numpyro.deterministic("b_minus_a_field", b_minus_a)
        numpyro.deterministic("characteristic_slip_field", slip)
    return values


def names_of(data):
    """Return the names of the unknowns."""
    friction = NUMBERS if data.fields is None else FIELDS
    return friction if data.start_sd is None else (*friction, *START)


def unknowns_of(values, data):
    """Return the unknowns among named values.

    They are (4,) of a spring and (3, cell) of fields, or two more where the start is not known.
    """
    shape = () if data.fields is None else (len(data.start_log_state),)
    return jnp.stack([jnp.reshape(values[name], shape) for name in names_of(data)])


def start_of(unknowns, data):
    """Return the motion at time zero, a `physics.laws.Motion`."""
    q, s = data.start_log_slip_rate, data.start_log_state
    if data.start_sd is not None:
        apart = unknowns[-len(START) :]
        apart = apart[:, None] if data.fields is None else apart @ data.fields.root.T
        q, s = q + data.start_sd * apart[0], s + data.start_sd * apart[1]
    return Motion(q, s, jnp.zeros_like(s))


def physical(unknowns):
    """Return A, B - A (Pa), L (m) and k (Pa/m) of ln A, B - A, ln L and ln k, which come first."""
    log_a, b_minus_a, log_slip, log_stiffness = unknowns[: len(NUMBERS)]
    return jnp.exp(log_a), b_minus_a, jnp.exp(log_slip), jnp.exp(log_stiffness)


def coloured(white, fields):
    """Return the fields A, B - A (Pa) and L (m) of the first three white ones, (cell,) each."""
    log_a, b_minus_a, log_slip = fields.spread[:, None] * (white[: len(FIELDS)] @ fields.root.T)
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
