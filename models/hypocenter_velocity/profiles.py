r"""Two velocity profiles, each station seen through one of them, its label summed out.

With the share :math:`\pi_m` of the profile m among stations and its travel times, the picks of
station j have the density

.. math:: p_j = \sum_m \pi_m \prod_{n \in j} f(t_n \mid v^{(m)}),

to which all picks of the station belong at once. Without one of them, n, the profiles of its
station are probable by :math:`r_m^{(-n)} \propto \pi_m \prod_{n' \ne n} f(t_{n'} \mid v^{(m)})`,
and n given the others has the density :math:`\sum_m r_m^{(-n)} f(t_n \mid v^{(m)})`.

The profiles are :math:`\ln v_k^{(1, 2)} = \ln v_k \mp (\Delta + \delta_k - \sum_l o_l \delta_l)`.
The second one is faster, for :math:`\Delta > 0`, in the mean of ln v over what lies above the
preliminary hypocentres, of which the layer l has the share :math:`o_l`: the order must not hang on
layers that no ray crosses.

Arrays of picks hold a copy of every pick for each profile, those of the first one first.

References
----------
Ryberg & Haberland 2019, doi:10.1093/gji/ggz177 (hypocentres and velocities); McLachlan & Peel 2000,
doi:10.1002/0471721182 (finite mixtures)
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

__all__ = [
    "by_pick",
    "by_station",
    "log_likelihood",
    "log_share",
    "of_profiles",
    "pick_log_likelihood",
    "probable",
    "right_of_line",
    "shares_without",
    "split_by_lines",
]


def of_profiles(values, name):
    """Return ``vp`` or ``vs`` of every profile, (profile, layer)."""
    several = f"profile_{name}"
    return values[several] if several in values else values[name][None]


def log_share(values):
    """Return ln of the share of each profile among the stations, (profile,)."""
    if "profile_share" not in values:
        return jnp.zeros(1)
    share = values["profile_share"]
    return jnp.stack([jnp.log1p(-share), jnp.log(share)])


def by_pick(terms, data):
    """Return terms by copy as those of (profile, pick)."""
    return terms.reshape(len(data.sign), -1)


def by_station(fit, values, data):
    """Return ln π_m Π f of every profile and station, (profile, station), of ln f by copy."""
    cell = jnp.where(data.mask, fit, 0.0)
    place = data.profile * len(data.station_x) + data.station
    total = jax.ops.segment_sum(cell, place, len(data.sign) * len(data.station_x))
    return total.reshape(len(data.sign), -1) + log_share(values)[:, None]


def log_likelihood(fit, values, data):
    """Return the log likelihood of all picks, of ln f by copy.

    Labels are summed out, or are what ``data.member`` says where ``data.known`` is given.
    """
    joint = by_station(fit, values, data)
    if data.known is None:
        return logsumexp(joint, axis=0).sum()
    return (data.member * joint).sum()


def probable(fit, values, data):
    """Return how probable each profile is at each station, (profile, station)."""
    return jax.nn.softmax(by_station(fit, values, data), axis=0)


def shares_without(fit, values, data):
    """Return ln of how probable each profile is at the station of a pick without it.

    Returns
    -------
    (profile, pick)
    """
    joint = by_station(fit, values, data)[:, by_pick(data.station, data)[0]]
    others = joint - by_pick(jnp.where(data.mask, fit, 0.0), data)
    return jax.nn.log_softmax(others, axis=0)


def pick_log_likelihood(fit, values, data):
    """Return the log likelihood of every pick given all others, (pick,), zero for padding."""
    of_one = by_pick(jnp.where(data.mask, fit, 0.0), data)
    return logsumexp(shares_without(fit, values, data) + of_one, axis=0)


def right_of_line(azimuth, data):
    """Return which stations lie right of lines through their middle, (..., station).

    Parameters
    ----------
    azimuth : (...)
        Of the lines, rad clockwise from north.
    """
    azimuth = jnp.asarray(azimuth)[..., None]
    x, y = (place - place.mean() for place in (data.station_x, data.station_y))
    return jnp.cos(azimuth) * x - jnp.sin(azimuth) * y > 0


def split_by_lines(count, data):
    """Return profiles of the stations on both sides of so many lines, (line, profile, station)."""
    faster = right_of_line(2 * jnp.pi * jnp.arange(count) / count, data)
    return jnp.stack([~faster, faster], axis=1).astype(float)
