r"""The likelihood of a catalogue, in the order of its equation.

.. math:: \ln L = \sum_{i\ target} \ln \lambda(t_i, x_i) - \int_{T_0}^{T_1} \int_S \lambda,
          \qquad \lambda(t, x) = \mu(x) + \sum_{t_j < t} g_j(t - t_j, r_j)

Sources are all events of the data set, history and those outside the polygon included. With
marks y the background is a mixture over classes, :math:`\mu(x) \sum_c w_c f_c(y)`, and
offspring have marks around those of their parents.
"""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import logsumexp

from .background import background_rate, expected_background
from .inside import mass_inside
from .pairs import tile_size, triggered_rate
from .temporal import triggered_rate_in_time
from .triggering import productivity, time_fraction, triggering_kernel

__all__ = [
    "expected_events",
    "expected_offspring",
    "log_intensity",
    "log_likelihood",
    "log_magnitude_density",
    "log_rates",
    "rates",
]


def log_likelihood(values, data):
    """Return ln L of times, places and marks.

    Parameters
    ----------
    values : mapping
        Constrained parameters: ``mu``, ``k``, ``alpha``, ``c``, ``p``, and as the form has
        them ``tau``, ``d``, ``gamma``, ``q`` and those of field and marks.
    data : arrays.Catalogue
    """
    at_targets = jnp.where(data.target > 0, log_intensity(values, data), 0.0)
    return at_targets.sum() - expected_events(values, data)


def log_intensity(values, data):
    """Return ln λ at every event, (event,), in ln 1/(day km²), or in ln 1/day without space."""
    log_background, triggered = log_rates(values, data)
    return logsumexp(jnp.concatenate([log_background, log_or_nothing(triggered)[None]]), axis=0)


def rates(values, data):
    """Return the background and the triggered rate at every event, both (event,)."""
    log_background, triggered = log_rates(values, data)
    return jnp.exp(log_background).sum(axis=0), triggered


def log_rates(values, data):
    """Return logs of the background rates by class, (class, event), and the triggered rate."""
    in_space = data.events.position is not None
    kernel = triggering_kernel(values, space=in_space)
    background = background_rate(values, data.background, data.events.time.size)
    if not in_space:
        background = background * data.area
    log_background = jnp.log(background)[None]
    if data.events.marks is not None:
        log_background = log_background + log_mark_densities(values, data)
    elif not in_space:
        return log_background, triggered_rate_in_time(kernel, data.events)
    return log_background, triggered_rate(kernel, data.events)


def log_mark_densities(values, data):
    """Return ln w_c f_c(y) of every background class at every event, (class, event)."""
    normal = dist.Normal(values["class_means"][:, :, None], values["class_widths"][:, :, None])
    log_density = normal.log_prob(data.events.marks).sum(axis=1)
    return jnp.log(values["class_weight"])[:, None] + log_density


def log_or_nothing(rate):
    """Return the log of a rate that may be zero, with a derivative of zero there."""
    return jnp.where(rate > 0, jnp.log(jnp.where(rate > 0, rate, 1.0)), -jnp.inf)


def expected_events(values, data):
    """Return the integral of λ over the window and the polygon."""
    background = expected_background(values, data.background, data.area, data.duration)
    return background + (data.present * expected_offspring(values, data)).sum()


@jax.jit
def expected_offspring(values, data):
    """Return the expected direct offspring of every event in window and polygon, (event,)."""

    @jax.checkpoint
    def of_chunk(chunk):
        dm, start, end, plane = chunk
        expected = productivity(values, dm) * time_fraction(values, start, end)
        if data.polygon is None:
            return expected
        log_D = jnp.log(values["d"]) + values["gamma"] * dm
        return expected * mass_inside(plane.T, log_D, values["q"], data.polygon)

    size = data.events.time.size
    length = tile_size(size)
    plane = jnp.zeros((size, 2)) if data.plane is None else data.plane.T
    chunks = (data.events.dm, data.gap_start, data.gap_end, plane)
    chunks = jax.tree.map(lambda x: x.reshape(size // length, length, *x.shape[1:]), chunks)
    return jax.lax.map(of_chunk, chunks).reshape(-1)


def log_magnitude_density(beta, magnitudes):
    r"""Return the log density of the magnitudes of target events, truncated exponential.

    .. math:: \sum_i \ln \frac{\beta e^{-\beta \Delta m_i}}{1 - e^{-\beta M}}
              + n \ln \frac{\sinh(\beta\delta/2)}{\beta\delta/2}

    The last term is that of magnitudes rounded to steps δ.
    """
    n, total, span, step = magnitudes
    x = 0.5 * beta * step
    small = x < 1e-4
    safe = jnp.where(small, 1.0, x)
    rounding = jnp.where(small, x**2 / 6, jnp.log(jnp.sinh(safe) / safe))
    return n * (jnp.log(beta) - jnp.log(-jnp.expm1(-beta * span)) + rounding) - beta * total
