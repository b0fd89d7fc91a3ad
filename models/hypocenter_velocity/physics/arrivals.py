r"""Arrival times in flat layers: what picks of P and S should be.

For the path from event i to station j, along which P takes :math:`T_{ij}`, a pick of the phase c is
expected at

.. math:: t_{ijc} = t_{0i} + \kappa_c T_{ij} + d_{cj}, \qquad \kappa_P = 1,

or with the S time of S velocities of its own. The depth of a source is :math:`z = z_0 +
\ln(1 + e^\zeta)` for any real ζ, z₀ being the top of the layers.

Convention: km, s, km/s; x east, y north, depth down.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.physics.travel_time.layered import (
    HeadWaveEnd,
    direct_wave_time,
    first_arrival_time,
    head_wave_end,
    head_wave_time,
)

from ..profiles import of_profiles

__all__ = [
    "REFERENCE_VPVS",
    "SHALLOWEST_KM",
    "TYPICAL_ERROR_S",
    "by_event",
    "depth_coordinate",
    "depth_of",
    "distance_of",
    "expected_arrivals",
    "path_times",
    "preliminary_origin_times",
    "station_delays",
    "travel_times",
]

REFERENCE_VPVS = 1.73

TYPICAL_ERROR_S = (0.05, 0.10)
"""Standard errors of P and S picks by which they are weighed where a fixed weight is needed."""

SHORTEST_KM = 1e-6
"""Epicentral distance below which direction has no meaning."""

SHALLOWEST_KM = 0.5
"""Preliminary depths nearer to the top of the layers than this count as so deep."""


def depth_of(coordinate, top):
    """Return the depth (km) of a source from its unbounded coordinate ζ."""
    return top + jax.nn.softplus(coordinate)


def depth_coordinate(depth, top):
    """Return the unbounded coordinate ζ of a depth (km), of one that is not too shallow."""
    below = np.maximum(depth - top, SHALLOWEST_KM)
    return below + np.log(-np.expm1(-below))


def path_times(x, y, depth, velocity, data):
    """Return the first arrivals of one phase along all paths, (path,), s.

    Parameters
    ----------
    x, y, depth : (event,)
        km.
    velocity : (layer,)
        km/s.
    data : data.arrays.PickArrays
    """
    i, j = data.path_event, data.path_station
    distance = distance_of(x[i] - data.station_x[j], y[i] - data.station_y[j])
    direct = direct_wave_time(distance, depth[i], data.station_depth[j], data.tops, velocity)
    source_end = HeadWaveEnd(*(end[i] for end in head_wave_end(depth, data.tops, velocity)))
    station_end = HeadWaveEnd(
        *(end[j] for end in head_wave_end(data.station_depth, data.tops, velocity))
    )
    head = head_wave_time(distance, source_end, station_end, velocity)
    return jnp.minimum(direct, head.min(axis=-1))


def travel_times(values, data):
    """Return the travel time of every pick and its station term, (pick,), s.

    Parameters
    ----------
    values : mapping
        ``x``, ``y``, ``depth``, ``vp``, ``station_term``, ``vpvs`` or, where S has velocities of
        its own, ``vs``; ``mean_s_delay`` if there is one; of two profiles ``profile_vp`` and
        ``profile_vs``.
    data : data.arrays.PickArrays
    """
    place = values["x"], values["y"], values["depth"]
    along = jax.vmap(lambda velocity: path_times(*place, velocity, data))
    of_p = along(of_profiles(values, "vp"))
    of_s = values["vpvs"] * of_p if data.log_vs is None else along(of_profiles(values, "vs"))
    of_copy = data.profile, data.path
    times = jnp.where(data.phase == 1, of_s[of_copy], of_p[of_copy])
    return times + station_delays(values)[data.phase, data.station]


def station_delays(values):
    """Return the delay of every phase at every station, (phase, station), s."""
    terms = values["station_term"]
    if "mean_s_delay" not in values:
        return terms
    return jnp.asarray(terms).at[1].add(values["mean_s_delay"])


def expected_arrivals(values, data):
    """Return the expected arrival of every pick, (pick,), s, of given ``origin_time`` too."""
    return values["origin_time"][data.event] + travel_times(values, data)


def by_event(terms, data):
    """Return the sum over the picks of each event, (event,), of terms by pick."""
    return jax.ops.segment_sum(terms, data.event, data.centre.shape[-1])


def preliminary_origin_times(values):
    """Return the mean of arrival less travel time of each event, (event,), s.

    Parameters
    ----------
    values : mapping
        Variables of a data set of `data.dataset.DATA`, NumPy arrays.
    """
    event, station, phase = (
        values[f"{kind}_index"].astype(int) for kind in ("event", "station", "phase")
    )
    distance = np.hypot(
        values["x"][event] - values["station_x"][station],
        values["y"][event] - values["station_y"][station],
    )
    time = first_arrival_time(
        distance,
        values["depth"][event],
        values["station_depth"][station],
        jnp.asarray(values["top"]),
        jnp.asarray(values["vp"]),
    )
    residual = values["time"] - np.where(phase == 1, REFERENCE_VPVS, 1.0) * np.asarray(time)
    weight = np.array(TYPICAL_ERROR_S)[phase] ** -2
    return np.bincount(event, weight * residual) / np.bincount(event, weight)


def distance_of(x, y):
    """Return the length (km) of a difference in x and y, differentiable at zero."""
    return jnp.sqrt(x**2 + y**2 + SHORTEST_KM**2)
