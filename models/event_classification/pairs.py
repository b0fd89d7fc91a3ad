r"""Sums over all pairs of events, tile by tile, with their derivatives in the same pass.

:math:`G_i = \sum_{t_j < t_i} g(t_i - t_j, r_{ij}, \Delta m_j)` of every event and its
derivatives by the coefficients of the kernel share two logarithms and one exponential per
pair. Pairs are visited in square tiles of the lower triangle of the time-ordered catalogue, so
that memory does not grow with their number, and differentiation keeps only the derivatives,
(event, coefficient).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .triggering import Kernel

__all__ = ["Events", "over_tiles", "pair_rates", "squared_distance", "tile_size", "triggered_rate"]

TILE = 128
SMALL_TILE, SMALL_CATALOGUE = 64, 512


class Events(NamedTuple):
    """A catalogue in order of time.

    Attributes
    ----------
    time : (event,)
        Days. Padding stands at the end, no earlier than the last event, where it triggers nothing.
    position : (axis, event) or None
        Two plane coordinates, or three of points on a sphere (km); None leaves space out.
    curvature : scalar or None
        1/(4 R²) of the sphere (1/km²).
    dm : (event,)
        Magnitude above the reference magnitude.
    marks : (mark, event) or None
    triggers : (event,) or None
        1 for events that trigger others, 0 for those that do not; None if all do.
    """

    time: Any
    position: Any
    curvature: Any
    dm: Any
    marks: Any = None
    triggers: Any = None


def tile_size(size):
    """Return the side of the tiles for a padded number of events, which it divides."""
    return SMALL_TILE if size <= SMALL_CATALOGUE else TILE


@jax.custom_jvp
def triggered_rate(kernel, events):
    """Return G at every event, (event,), in 1/(day km²), or in 1/day without space.

    Parameters
    ----------
    kernel : Kernel
        By whose coefficients it can be differentiated, in either mode and twice.
    events : Events
        Which are data: derivatives by them are not made.
    """
    return rates_and_slopes(kernel, events)[0]


@triggered_rate.defjvp
def _tangent(primals, tangents):
    rates, slopes = rates_and_slopes(*primals)
    steps = jax.tree.map(
        lambda slope, step: jnp.tensordot(step, slope, jnp.ndim(step)), slopes, tangents[0]
    )
    return rates, sum(jax.tree.leaves(steps))


@jax.jit
def rates_and_slopes(kernel, events):
    """Return G (event,) and its derivatives, a `Kernel` of (event,) or (mark, event)."""

    def add(sums, sources, targets):
        terms = _terms(kernel, targets, sources)
        return jax.tree.map(lambda total, term: total + term @ ones, sums, terms)

    # A product with ones reads each term once, where sums would compute the exponentials anew.
    side = tile_size(events.time.size)
    zero, ones = jnp.zeros(side), jnp.ones(side)
    widths = kernel.log_mark_width
    slopes = Kernel(**dict.fromkeys(Kernel._fields, zero))._replace(
        log_mark_width=None if widths is None else jnp.zeros((*widths.shape, side))
    )
    return over_tiles(add, (zero, slopes), events, events.time.size)


def over_tiles(add, start, events, size):
    """Accumulate over the source tiles of every target tile.

    Parameters
    ----------
    add : callable
        ``(carry, sources, targets) -> carry``, both one tile of ``events``, sources in order.
    start : pytree of (..., tile)
        The first carry.
    events : pytree of (..., event) and scalars
        In order of time.
    size : int
        Number of events.

    Returns
    -------
    pytree of (..., event)
    """
    side = tile_size(size)

    def tile(index):
        def cut(values):
            return jax.lax.dynamic_slice_in_dim(values, index * side, side, axis=-1)

        return jax.tree.map(lambda values: cut(values) if jnp.ndim(values) else values, events)

    def of_target(row):
        targets = tile(row)
        return jax.lax.fori_loop(
            0, row + 1, lambda column, carry: add(carry, tile(column), targets), start
        )

    rows = jax.lax.map(of_target, jnp.arange(size // side))
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -2).reshape(*x.shape[1:-1], -1), rows)


def pair_rates(kernel, targets, sources):
    """Return g of all pairs of two tiles, (target, source), zero unless the source is earlier."""
    return _factors(kernel, targets, sources).rate


class Factors(NamedTuple):
    """g of the pairs of two tiles, and what its derivatives are made of, all (target, source)."""

    rate: Any
    delay: Any
    shifted: Any
    log_shifted: Any
    scaled: Any
    log_scaled: Any
    mark_distance: Any


def _factors(kernel, targets, sources):
    """Compute ln g = A + a Δm - p ln(t + c) - q ln(1 + r²/D) - t/τ and its parts."""
    later = targets.time[:, None] > sources.time
    if sources.triggers is not None:
        later = later & (sources.triggers > 0)
    t = jnp.where(later, targets.time[:, None] - sources.time, 1.0)
    shifted = t + kernel.c
    log_shifted = jnp.log(shifted)
    log_g = kernel.log_amplitude + kernel.magnitude_slope * sources.dm
    log_g = log_g - kernel.p * log_shifted - kernel.decay_rate * t
    scaled, log_scaled, mark_distance = jnp.zeros(()), jnp.zeros(()), None
    if targets.position is not None:
        over_D = jnp.exp(-kernel.log_d - kernel.gamma * sources.dm)
        scaled = squared_distance(targets, sources) * over_D
        log_scaled = jnp.log1p(scaled)
        log_g = log_g - kernel.q * log_scaled
    if kernel.log_mark_width is not None:
        width = jnp.exp(kernel.log_mark_width)[:, None, None]
        mark_distance = ((targets.marks[:, :, None] - sources.marks[:, None, :]) / width) ** 2
        normal = -0.5 * mark_distance - kernel.log_mark_width[:, None, None]
        log_g = log_g + normal.sum(axis=0) - 0.5 * len(normal) * jnp.log(2 * jnp.pi)
    rate = jnp.where(later, jnp.exp(log_g), 0.0)
    return Factors(rate, t, shifted, log_shifted, scaled, log_scaled, mark_distance)


def _terms(kernel, targets, sources):
    """Return g and its derivatives by every coefficient, each (target, source)."""
    g, t, shifted, log_shifted, scaled, log_scaled, mark_distance = _factors(
        kernel, targets, sources
    )
    spread = kernel.q * g * (scaled / (1 + scaled))
    return g, Kernel(
        log_amplitude=g,
        magnitude_slope=g * sources.dm,
        c=-kernel.p * g / shifted,
        p=-g * log_shifted,
        log_d=spread,
        gamma=spread * sources.dm,
        q=-g * log_scaled,
        decay_rate=-g * t,
        log_mark_width=None if mark_distance is None else g * (mark_distance - 1),
    )


def squared_distance(targets, sources):
    r"""Return r² (km²) of all pairs: in the plane, or along great circles by the chord.

    With :math:`h = chord^2/(4 R^2)`, :math:`r^2 = chord^2 (1 + h/3 + 8h^2/45 + 4h^3/35 + ...)`.
    """
    chord = sum(
        (x[:, None] - y) ** 2 for x, y in zip(targets.position, sources.position, strict=True)
    )
    if targets.curvature is None:
        return chord
    h = targets.curvature * chord
    return chord * (1 + h * (1 / 3 + h * (8 / 45 + h * (4 / 35))))
