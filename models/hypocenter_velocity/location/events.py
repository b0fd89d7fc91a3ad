"""The picks of every event as arrays of one length, and what its place and time are worth."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesquake.batch.importance import around_ends

__all__ = [
    "Box",
    "EventPicks",
    "log_density",
    "log_likelihood",
    "mean_of_picks",
    "residuals",
    "searched",
    "slopes",
]

AXES = 3
"""Of a place: east, north, down. The origin time comes after them."""

BLUR_S = (2.0,) * 5 + (0.5,) * 5 + (0.1,) * 4 + (0.0,) * 8
"""Errors added in each step of a search: large ones at first, which smooth the way."""

FIRST_DAMPING, AFTER_SUCCESS, AFTER_FAILURE = 1e-2, 0.2, 6.0
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-8, 1e8

UNIFORM_VARIANCE = 1 / 12
"""Of a number between 0 and 1: what of a box is known of a source before any pick."""

LONGEST_S = 1e3
"""Standard deviation of origin times before any pick, in the precision alone."""


class EventPicks(NamedTuple):
    """The picks of one event, padded, or of several with a leading axis.

    Attributes
    ----------
    time : (pick,)
        Arrival less the delay of its station, after the reference time of the event, s.
    station_x, station_y : (pick,)
        km.
    table : (pick,)
        Number of the table of its travel times.
    ratio : (pick,)
        By which these are multiplied.
    scale : (pick,)
        Of its error, s.
    mask : (pick,)
        False for padding.
    start : (2,)
        Epicentre from which the search begins, km.
    degrees_of_freedom : scalar or None
        Of Student's t; None for normal errors.
    """

    time: Any
    station_x: Any
    station_y: Any
    table: Any
    ratio: Any
    scale: Any
    mask: Any
    start: Any
    degrees_of_freedom: Any


class Box(NamedTuple):
    """The box in which sources are sought, every place in it being equally probable before.

    Attributes
    ----------
    low, high : (3,)
        km.
    """

    low: Any
    high: Any


def residuals(place, picks, tables):
    """Return arrival less travel time of every pick, (pick,), s, for a place (3,)."""
    return picks.time - picks.ratio * tables.travel_time(place, picks)


def log_density(position, picks, tables, box):
    """Return the log density of a place and origin time, (4,), without constants."""
    place, origin_time = position[:AXES], position[AXES]
    inside = jnp.all((place >= box.low) & (place <= box.high))
    held = jnp.clip(place, box.low, box.high)
    fit = log_likelihood((residuals(held, picks, tables) - origin_time) / picks.scale, picks)
    return jnp.where(inside, fit, -jnp.inf)


def searched(picks, tables, box, depths):
    """Climb from several depths and return the mixture of the ends, their masses and the best.

    Parameters
    ----------
    picks : EventPicks
        Of one event.
    tables : tables.Tables or field.FieldTables
    box : Box
    depths : (start,)
        km.

    Returns
    -------
    mixture : bayesquake.batch.importance.Mixture
        Of one component for each start.
    mass : (start,)
        Log of the integral of each end's Gaussian, but for a constant.
    best : (4,)
        The end of the largest log density.
    """

    def value(position, blurred):
        z = (residuals(position[:AXES], blurred, tables) - position[AXES]) / blurred.scale
        return log_likelihood(z, blurred)

    def step(carry, further):
        position, damping = carry
        blurred = picks._replace(scale=jnp.hypot(picks.scale, further))
        gradient, precision = slopes(position, blurred, tables, box)
        raised = precision + damping * jnp.diag(jnp.diagonal(precision))
        candidate = position + jnp.linalg.solve(raised, gradient)
        candidate = candidate.at[:AXES].set(jnp.clip(candidate[:AXES], box.low, box.high))
        better = value(candidate, blurred) > value(position, blurred)
        damping *= jnp.where(better, AFTER_SUCCESS, AFTER_FAILURE)
        damping = jnp.clip(damping, SMALLEST_DAMPING, LARGEST_DAMPING)
        return (jnp.where(better, candidate, position), damping), None

    def climb(depth):
        place = jnp.clip(jnp.append(picks.start, depth), box.low, box.high)
        origin_time = mean_of_picks(residuals(place, picks, tables), picks)
        first = jnp.append(place, origin_time), jnp.asarray(FIRST_DAMPING)
        (position, _), _ = jax.lax.scan(step, first, jnp.array(BLUR_S))
        return position, slopes(position, picks, tables, box)[1], value(position, picks)

    ends, precisions, heights = jax.vmap(climb)(depths)
    mixture, mass = around_ends(ends, precisions, heights)
    return mixture, mass, ends[jnp.argmax(heights)]


def slopes(position, picks, tables, box):
    """Return the gradient (4,) and Gauss and Newton's precision (4, 4) of the log density."""

    def of_place(place):
        value = residuals(place, picks, tables)
        return value, value

    by_place, residual = jax.jacfwd(of_place, has_aux=True)(position[:AXES])
    z = (residual - position[AXES]) / picks.scale
    nu = picks.degrees_of_freedom
    pull = 1.0 if nu is None else (nu + 1) / (nu + z**2)
    pull = jnp.where(picks.mask, pull / picks.scale**2, 0.0)
    rows = jnp.concatenate([by_place, -jnp.ones_like(by_place[:, :1])], axis=1)
    gradient = -rows.T @ (pull * (residual - position[AXES]))
    information = 1.0 if nu is None else (nu + 1) / (nu + 3)
    known = jnp.append(1 / (UNIFORM_VARIANCE * (box.high - box.low) ** 2), LONGEST_S**-2)
    return gradient, rows.T @ ((information * pull)[:, None] * rows) + jnp.diag(known)


def mean_of_picks(values, picks):
    """Return the mean of values of the picks, weighed by the scales of their errors."""
    return jnp.average(values, weights=jnp.where(picks.mask, picks.scale**-2, 0.0))


def log_likelihood(z, picks):
    """Return the log likelihood of standardised errors, without constants."""
    nu = picks.degrees_of_freedom
    terms = -0.5 * z**2 if nu is None else -(nu + 1) / 2 * jnp.log1p(z**2 / nu)
    return jnp.where(picks.mask, terms, 0.0).sum()
