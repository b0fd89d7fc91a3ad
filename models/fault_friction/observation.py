r"""What is seen of the motion of a fault: slip rates in its cells, and displacements of the ground.

Slip rates are seen as q = ln(V / Vpl) with normal errors. The displacement of the station i in the
direction k is

.. math:: d_{ik}(t) = \sum_j G_{ikj} \int_0^t (V_j - V_{pl}) \, dt'
          + o_{ik} + c \, \sigma_{ik} \epsilon

with the displacement G by unit slip, an offset o, and one factor c for all errors, since those
that come with GNSS solutions are formal.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpyro
from jax.scipy.stats import norm

from .friction import fault_of, unknowns_of
from .motion import expected_motion

__all__ = [
    "Series",
    "declare_displacement",
    "errors_of",
    "expected_observations",
    "log_likelihood",
    "log_scale",
    "offset_of",
    "residuals",
]


class Series(NamedTuple):
    """Numbers that were seen at the epochs.

    Attributes
    ----------
    value : (epoch, ...)
        Zero where there is none.
    seen : (epoch, ...) of bool
    error : (epoch, ...)
        Standard deviations.
    """

    value: Any
    seen: Any
    error: Any


def declare_displacement(data, priors):
    """Declare offsets and the scale of errors where displacements are seen; return them by name."""
    if "displacement" not in data.observed:
        return {}
    shape = data.displacement_of_slip.shape[:2]
    of_station = priors["displacement_offset_white"].expand(shape).to_event(2)
    values = {
        "displacement_offset_white": numpyro.sample("displacement_offset_white", of_station),
        "displacement_error_scale": numpyro.sample(
            "displacement_error_scale", priors["displacement_error_scale"]
        ),
    }
    numpyro.deterministic("displacement_offset", offset_of(values, data))
    return values


def offset_of(values, data):
    """Return the displacements at time zero, (station, component), m."""
    return data.displacement_offset_sd * values["displacement_offset_white"]


def expected_observations(values, data):
    """Return what is expected of named values, (epoch, ...) by the names of ``data.observed``.

    It is not finite where the fault cannot be followed.
    """
    expected = expected_motion(unknowns_of(values, data), data)
    if "displacement" in expected:
        expected["displacement"] += offset_of(values, data)
    return expected


def errors_of(values, data):
    """Return the standard deviations of what was seen, by the names of ``data.observed``."""

    def of(name, error):
        return error * values["displacement_error_scale"] if name == "displacement" else error

    return {name: of(name, series.error) for name, series in data.observed.items()}


def residuals(values, data):
    """Return what was expected less what was seen, over its error, as one vector.

    Zero where nothing was seen, and not finite where the fault cannot be followed so far.
    """
    expected, errors = expected_observations(values, data), errors_of(values, data)
    apart = [
        jnp.where(series.seen, (expected[name] - series.value) / errors[name], 0.0)
        for name, series in data.observed.items()
    ]
    return jnp.concatenate([residual.ravel() for residual in apart])


def log_scale(values, data):
    """Return the logarithm of the normal densities of what was seen where residuals are zero."""
    return sum(
        jnp.where(data.observed[name].seen, norm.logpdf(0.0) - jnp.log(error), 0.0).sum()
        for name, error in errors_of(values, data).items()
    )


def log_likelihood(values, data):
    """Return the log density of all that was seen; minus infinity where the fault is lost."""
    residual = residuals(values, data)
    positive = (fault_of(unknowns_of(values, data), data).b >= 0).all()
    possible = jnp.isfinite(residual).all() & positive
    squared = (jnp.where(possible, residual, 0.0) ** 2).sum()
    return jnp.where(possible, log_scale(values, data) - squared / 2, -jnp.inf)
