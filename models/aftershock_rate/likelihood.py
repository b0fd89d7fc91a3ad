r"""The likelihood of a detected catalogue, in the order of its equation.

.. math::
   \ln L = \sum_i \left[\ln K - p \ln(t_i + c) + \ln \beta - \beta (M_i - M_0)
           + \ln \Phi\frac{M_i - \mu_i}{\sigma}\right]
           - \int_0^T K (t + c)^{-p} e^{-\beta(\mu(t) - M_0) + \beta^2\sigma^2/2} dt

With a completeness cut the exponential in the integral becomes
:math:`e^{\beta M_0} A(M_c)`; with rounded magnitudes the density of :math:`M_i` is
averaged over its bin (module `bayesquake.physics.detection_function`).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from bayesquake.physics.detection_function import (
    log_detected_density,
    log_detected_fraction,
    log_fraction_above,
)
from bayesquake.physics.omori import log_omori_integral, omori_utsu_log_rate

from . import grid
from .dataset import EARLIEST_DAYS

__all__ = [
    "Parameters",
    "cumulative_events",
    "log_likelihood",
    "log_likelihood_of_cells",
]


class Parameters(NamedTuple):
    """Parameters of one likelihood evaluation.

    Logs of K (day^(p-1)), c (day) and σ (mag); p; β (1/mag); μ at the knots (mag), (knot,).
    """

    log_K: Any
    p: Any
    log_c: Any
    beta: Any
    log_sigma: Any
    mu: Any


def log_event_density(parameters, data):
    """Return the log density of every event's time and magnitude, shape (event,)."""
    log_K, p, log_c, beta, log_sigma, mu = parameters
    mu_i = grid.interpolate(mu, data.cell, data.weight)
    return omori_utsu_log_rate(data.t, log_K, log_c, p) + log_detected_density(
        data.magnitude, mu_i, jnp.exp(log_sigma), beta, data.M0, data.rounding
    )


def log_seen_fraction(mu, parameters, data):
    """Return the log of the share of events, per event above M0, that the catalogue holds."""
    sigma = jnp.exp(parameters.log_sigma)
    if data.lower_magnitude is None:
        return log_detected_fraction(mu, sigma, parameters.beta, data.M0)
    return log_fraction_above(data.lower_magnitude, mu, sigma, parameters.beta, data.M0)


def expected_events_of_cells(parameters, data):
    """Return the expected events in [0, 1e-4 day] and in every cell, shapes () and (cell,)."""
    log_K, p, log_c, _, _, mu = parameters
    t, weight, log_measure = grid.quadrature_points(data.knots[:-1], data.knots[1:])
    mu_t = (1 - weight) * mu[:-1] + weight * mu[1:]
    log_rate = omori_utsu_log_rate(t, log_K, log_c, p) + log_seen_fraction(mu_t, parameters, data)
    earliest = jnp.exp(
        log_K
        + log_omori_integral(0.0, EARLIEST_DAYS, log_c, p)
        + log_seen_fraction(mu[0], parameters, data)
    )
    return earliest, jnp.exp(log_rate + log_measure).sum(axis=0)


def log_likelihood(parameters, data):
    """Return ln L of the cells whose ``cell_weight`` is 1."""
    events = data.mask * data.cell_weight[data.cell] * log_event_density(parameters, data)
    earliest, cells = expected_events_of_cells(parameters, data)
    return events.sum() - data.cell_weight[0] * earliest - (data.cell_weight * cells).sum()


def log_likelihood_of_cells(parameters, data):
    """Return ln L cell by cell, shape (cell,); the first cell includes [0, 1e-4 day].

    The terms sum to `log_likelihood` and are independent given the parameters.
    """
    events = data.mask * log_event_density(parameters, data)
    earliest, cells = expected_events_of_cells(parameters, data)
    per_cell = jnp.zeros(cells.shape).at[data.cell].add(events) - cells
    return data.cell_weight * per_cell.at[0].add(-earliest)


def cumulative_events(parameters, data):
    """Return the expected number of catalogued events before each event, shape (event,).

    Under the model these are the event times of a unit-rate Poisson process.
    """
    log_K, p, log_c, _, _, mu = parameters
    earliest, cells = expected_events_of_cells(parameters, data)
    before_cell = jnp.concatenate([earliest[None], earliest + jnp.cumsum(cells)])[data.cell]
    left, right = data.knots[data.cell], data.knots[data.cell + 1]
    x = jnp.maximum(jnp.log10(data.t), left)
    t, share, log_measure = grid.quadrature_points(left, x)
    mu_t = grid.interpolate(mu, data.cell, share * (x - left) / (right - left))
    log_rate = omori_utsu_log_rate(t, log_K, log_c, p) + log_seen_fraction(mu_t, parameters, data)
    within_cell = jnp.exp(log_rate + log_measure).sum(axis=0)
    early = jnp.exp(
        log_K
        + log_omori_integral(0.0, data.t, log_c, p)
        + log_seen_fraction(mu[0], parameters, data)
    )
    return jnp.where(data.t < EARLIEST_DAYS, early, before_cell + within_cell)
