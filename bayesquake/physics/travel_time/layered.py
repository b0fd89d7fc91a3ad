r"""First arrivals in flat layers of constant velocity, differentiable twice.

Convention: lengths in km, times in s, velocities in km/s; depth points down.
Layer :math:`k` of :math:`K` lies between ``tops[k]`` and ``tops[k + 1]``; the
uppermost layer extends upwards without end, the lowest one downwards. Source and
station may be at any depth, on an interface too, and either may be the deeper one.

**Direct wave.** With the thickness :math:`h_k` that the ray crosses in layer
:math:`k`, the velocity :math:`v_m` of the fastest crossed layer, :math:`r_k = v_k /
v_m`, :math:`b_k = 1 - r_k^2` and the tangent :math:`q` of the angle from the
vertical in the fastest layer, the ray covers the horizontal distance

.. math:: X(q) = \sum_k \frac{h_k r_k q}{\sqrt{1 + q^2 b_k}},
          \qquad X'(q) = \sum_k \frac{h_k r_k}{(1 + q^2 b_k)^{3/2}}.

:math:`X` is concave: Newton's steps from below the root of :math:`X(q) = d` never
pass it. With the horizontal slowness :math:`p = q / (v_m \sqrt{1 + q^2})` and the
vertical ones :math:`\eta_k = (v_k^{-2} - p^2)^{1/2} = v_k^{-1} [(1 + q^2 b_k) / (1 +
q^2)]^{1/2}`, the time and, by Fermat's principle, its differential are

.. math:: T = p\,d + \sum_k h_k \eta_k, \qquad
          \mathrm{d}T = p\,\mathrm{d}d + \sum_k \eta_k\,\mathrm{d}h_k
                        - \sum_k \frac{h_k}{v_k^3 \eta_k}\,\mathrm{d}v_k .

**Head waves.** A wave that runs along the top of layer :math:`n` takes

.. math:: T_n = \frac{d}{v_n} + A_n(z_\mathrm{source}) + A_n(z_\mathrm{station}), \qquad
          A_n(z) = \sum_{k < n} a_k(z) \sqrt{v_k^{-2} - v_n^{-2}},

where :math:`a_k(z)` is the thickness of layer :math:`k` below :math:`z`. It exists
where both ends are at or above the interface, every layer on its way is slower than
:math:`v_n`, and :math:`d` reaches the critical distance, itself a sum of two ends.
Waves along the underside of a faster layer above both ends are not modelled.

References
----------
Lay & Wallace (1995), *Modern Global Seismology*, section 3.2: travel times in layers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = [
    "HeadWaveEnd",
    "direct_wave_time",
    "first_arrival_time",
    "head_wave_end",
    "head_wave_time",
]

NEWTON_STEPS = 8
"""Six reach 1e-13 s, also where the fastest crossed layer is 1e-9 km thick."""

THINNEST_KM = 1e-9
"""Thickness crossed by a ray between two ends of equal depth."""


class HeadWaveEnd(NamedTuple):
    """What one end of a path contributes to the head wave along each layer's top.

    Attributes
    ----------
    delay : array, shape (..., layer)
        Vertical part of the time (s); infinite where no such wave reaches this end.
    offset : array, shape (..., layer)
        This end's share of the critical distance (km).
    """

    delay: jax.Array
    offset: jax.Array


def first_arrival_time(distance, source_depth, station_depth, tops, velocity):
    """Return the time of the first arrival, the earliest direct or head wave.

    Parameters
    ----------
    distance, source_depth, station_depth : arrays, broadcast against one another
        Horizontal distance and depths of both ends (km).
    tops : array, shape (layer,)
        Depth of each layer's top (km), increasing.
    velocity : array, shape (layer,)
        Velocities (km/s).

    Returns
    -------
    array, shape of the first three arguments together
        Time (s). First and second derivatives in every argument are exact; the time is
        continuous, its gradient jumps where one wave overtakes another.
    """
    direct = direct_wave_time(distance, source_depth, station_depth, tops, velocity)
    source_end = head_wave_end(source_depth, tops, velocity)
    station_end = head_wave_end(station_depth, tops, velocity)
    head = head_wave_time(distance, source_end, station_end, velocity)
    return jnp.minimum(direct, jnp.min(head, axis=-1))


def direct_wave_time(distance, source_depth, station_depth, tops, velocity):
    """Return the time (s) of the wave that runs from one end to the other without turning.

    The arguments and the shape of the result are those of `first_arrival_time`.
    """
    crossed = _crossed_thickness(source_depth, station_depth, tops)
    distance, _ = jnp.broadcast_arrays(distance, crossed[..., 0])
    return _ray_time(distance, crossed, jnp.broadcast_to(velocity, crossed.shape))


def head_wave_end(depth, tops, velocity):
    """Return what an end at this depth contributes to the head wave along each top.

    Parameters
    ----------
    depth : array
        Depth of a source or station (km).
    tops, velocity : arrays, shape (layer,)
        As in `first_arrival_time`.

    Returns
    -------
    HeadWaveEnd
        Arrays of shape ``depth.shape + (layer,)``.
    """
    below = _thickness_below(depth, tops)[..., :, None]
    faster = (velocity[:, None] < velocity[None, :]) & _above(len(tops))
    ratio = jnp.where(faster, velocity[:, None] / velocity[None, :], 0.5)
    vertical = jnp.where(faster, jnp.sqrt(1 - ratio**2) / velocity[:, None], 0.0)
    tangent = jnp.where(faster, ratio / jnp.sqrt(1 - ratio**2), 0.0)
    blocked = jnp.any((below > 0) & _above(len(tops)) & ~faster, axis=-2)
    reached = (jnp.asarray(depth)[..., None] <= tops) & ~blocked & (jnp.arange(len(tops)) > 0)
    delay = jnp.sum(below * vertical, axis=-2)
    return HeadWaveEnd(jnp.where(reached, delay, jnp.inf), jnp.sum(below * tangent, axis=-2))


def head_wave_time(distance, source_end, station_end, velocity):
    """Return the time of the head wave along each layer's top.

    Parameters
    ----------
    distance : array
        Horizontal distance (km).
    source_end, station_end : HeadWaveEnd
        Both ends of the path, as of `head_wave_end`.
    velocity : array, shape (layer,)
        Velocities (km/s).

    Returns
    -------
    array, shape (..., layer)
        Time (s); infinite where there is no such wave.
    """
    distance = jnp.asarray(distance)[..., None]
    exists = distance >= source_end.offset + station_end.offset
    time = distance / velocity + source_end.delay + station_end.delay
    return jnp.where(exists, time, jnp.inf)


def _above(layers):
    """Mark the pairs (k, n) in which layer k lies above layer n."""
    return jnp.arange(layers)[:, None] < jnp.arange(layers)[None, :]


def _thickness_below(depth, tops):
    """Return the thickness of each layer below a depth; an interface belongs to the layer below.

    The lowest layer has no bottom; it is given zero, for no head wave crosses it.
    """
    depth = jnp.asarray(depth)[..., None]
    bottoms = jnp.concatenate([tops[1:], tops[-1:]])
    uppermost = jnp.arange(len(tops)) == 0
    partial = jnp.where(depth < bottoms, bottoms - depth, 0.0)
    return jnp.where((depth < tops) & ~uppermost, bottoms - tops, partial)


def _crossed_thickness(source_depth, station_depth, tops):
    """Return the thickness of each layer between two depths, shape (..., layer).

    A deeper end on an interface belongs to the layer above it and a shallower one to the
    layer below, so that derivatives in depth are those of the ray that is there.
    """
    deep = jnp.maximum(source_depth, station_depth)[..., None]
    shallow = jnp.minimum(source_depth, station_depth)[..., None]
    lower_edges = jnp.append(tops[1:], jnp.inf)
    upper_edges = jnp.append(-jnp.inf, tops[1:])
    bottom = jnp.where(deep <= lower_edges, deep, lower_edges)
    top = jnp.where(shallow >= upper_edges, shallow, upper_edges)
    thickness = jnp.where(bottom > top, bottom - top, 0.0)
    within = (shallow >= upper_edges) & (shallow < lower_edges)
    level = deep - shallow < THINNEST_KM
    return jnp.where(level, jnp.where(within | (thickness > 0), THINNEST_KM, 0.0), thickness)


def _relative_velocities(thickness, velocity):
    """Return v, v_m, r and b of the layers; those that are not crossed count as the fastest.

    T does not depend on the velocity to which q refers: no derivative passes v_m.
    """
    crossed = thickness > 0
    fastest = jax.lax.stop_gradient(
        jnp.max(jnp.where(crossed, velocity, 0.0), axis=-1, keepdims=True)
    )
    v = jnp.where(crossed, velocity, fastest)
    return v, fastest, v / fastest, (fastest - v) * (fastest + v) / fastest**2


def _ray_distance(q, thickness, velocity):
    """Return X(q) and X'(q), each of shape (...,)."""
    _, _, r, b = _relative_velocities(thickness, velocity)
    q = q[..., None]
    stretch = jax.lax.rsqrt(1 + q**2 * b)
    slope = thickness * r * stretch
    return jnp.sum(slope * q, axis=-1), jnp.sum(slope * stretch**2, axis=-1)


@jax.custom_jvp
def _ray_tangent(distance, thickness, velocity):
    """Return the root q of X(q) = d by Newton's steps from below."""
    _, _, r, b = _relative_velocities(thickness, velocity)
    fastest = b <= 0
    straight = distance / jnp.sum(thickness * r, axis=-1)
    slower = jnp.where(fastest, 0.0, thickness * r * jax.lax.rsqrt(jnp.where(fastest, 1.0, b)))
    in_fastest = jnp.sum(jnp.where(fastest, thickness, 0.0), axis=-1)
    below = jnp.maximum(straight, (distance - jnp.sum(slower, axis=-1)) / in_fastest)

    def newton(_, q):
        reached, spreading = _ray_distance(q, thickness, velocity)
        return q + (distance - reached) / spreading

    return jax.lax.fori_loop(0, NEWTON_STEPS, newton, below)


@_ray_tangent.defjvp
def _ray_tangent_jvp(primals, tangents):
    """Differentiate X(q(d, h, v), h, v) = d."""
    distance, thickness, velocity = primals
    q = _ray_tangent(distance, thickness, velocity)
    (_, spreading), (moved, _) = jax.jvp(
        lambda h, v: _ray_distance(q, h, v), (thickness, velocity), tangents[1:]
    )
    return q, (tangents[0] - moved) / spreading


def _slownesses(distance, thickness, velocity):
    """Return p, shape (...,), and eta, shape (..., layer), in s/km."""
    v, fastest, _, b = _relative_velocities(thickness, velocity)
    q = _ray_tangent(distance, thickness, velocity)[..., None]
    horizontal = q / (fastest * jnp.sqrt(1 + q**2))
    vertical = jnp.sqrt((1 + q**2 * b) / (1 + q**2)) / v
    return horizontal[..., 0], vertical


@jax.custom_jvp
def _ray_time(distance, thickness, velocity):
    """Return T = p d + sum_k h_k eta_k."""
    horizontal, vertical = _slownesses(distance, thickness, velocity)
    return horizontal * distance + jnp.sum(thickness * vertical, axis=-1)


@_ray_time.defjvp
def _ray_time_jvp(primals, tangents):
    """Differentiate by Fermat's principle: the path may be held where it is."""
    distance, thickness, velocity = primals
    distance_dot, thickness_dot, velocity_dot = tangents
    horizontal, vertical = _slownesses(distance, thickness, velocity)
    time = horizontal * distance + jnp.sum(thickness * vertical, axis=-1)
    along = jnp.where(thickness > 0, thickness / (velocity**3 * vertical), 0.0)
    moved = jnp.sum(vertical * thickness_dot - along * velocity_dot, axis=-1)
    return time, horizontal * distance_dot + moved
