r"""The share of an event's offspring that falls inside the polygon.

In polar coordinates around the event the mass of
:math:`\frac{q-1}{\pi D} (1 + r^2/D)^{-q}` inside a closed curve R(φ) is

.. math:: S = \frac{1}{2\pi} \oint \left[1 - (1 + R^2/D)^{1-q}\right] d\varphi,

a signed sum over the edges, for events outside and polygons that are not convex too. Along an
edge at signed distance δ, with :math:`v = \sinh^{-1}(s/|\delta|)` and s counted from the foot
of the perpendicular, :math:`R = |\delta| \cosh v` and :math:`d\varphi = \pm dv/\cosh v`, so
that a few Gauss-Legendre nodes on either side of the foot suffice however near the event lies.
"""

import jax.numpy as jnp
import numpy as np

__all__ = ["mass_inside"]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
NEAREST = 1e-9
"""Distance (km) below which an edge passes through the event, and then contributes nothing."""


def mass_inside(position, log_D, q, polygon):
    """Return the mass inside a polygon of kernels centred at events.

    Parameters
    ----------
    position : (2, event)
        Plane coordinates (km).
    log_D : (event,)
        ln of D (km²).
    q : scalar
        Above 1.
    polygon : (vertex, 2)
        Plane coordinates (km), counter-clockwise, not closed.

    Returns
    -------
    (event,)
    """
    start = polygon - position.T[:, None, :]
    edge = jnp.roll(polygon, -1, axis=0) - polygon
    length = jnp.linalg.norm(edge, axis=1)
    along = edge / length[:, None]
    delta = start[..., 0] * along[:, 1] - start[..., 1] * along[:, 0]
    through = jnp.abs(delta) < NEAREST
    distance = jnp.where(through, 1.0, jnp.abs(delta))
    s = (start * along).sum(axis=-1)
    first, last = jnp.arcsinh(s / distance), jnp.arcsinh((s + length) / distance)

    def between(low, high):
        half = 0.5 * (high - low)[..., None]
        cosh = jnp.cosh(0.5 * (high + low)[..., None] + half * NODES)
        outside = (1 - q) * jnp.log1p((distance[..., None] * cosh) ** 2 * over_D)
        return (half * WEIGHTS * -jnp.expm1(outside) / cosh).sum(axis=-1)

    over_D = jnp.exp(-log_D)[:, None, None]
    before = between(jnp.minimum(first, 0.0), jnp.minimum(last, 0.0))
    after = between(jnp.maximum(first, 0.0), jnp.maximum(last, 0.0))
    sign = jnp.where(through, 0.0, jnp.sign(delta))
    return (sign * (before + after)).sum(axis=-1) / (2 * jnp.pi)
