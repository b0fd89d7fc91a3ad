r"""Velocities of the layers, each by itself or with few bends.

By themselves the layers have :math:`\ln v_k = \ln v_k^0 + c_k` around reference velocities. With
bends, ln v is straight in the depth z of the tops of the layers but for a change of its slope at
every top between the first and the last. For the share :math:`u_k` of the whole depth that lies
above the top of layer k,

.. math:: \ln v_k = (1 - u_k)(\ln v_1^0 + e_1) + u_k (\ln v_K^0 + e_2)
          + \sum_l G(u_k, u_l) \sqrt{h_l}\, b_l, \qquad b_l \sim \mathrm{Laplace}(0, \beta),

with the mean :math:`h_l` of the two spacings beside a top and :math:`G(u, w) = -u (1 - w)` for
:math:`u \le w`, :math:`-w (1 - u)` beyond: the slope of ln v by u grows by :math:`\sqrt{h_l} b_l`.
Laplace's distribution is a normal one whose variance is exponential; most bends are small and a few
large, as where the number of layers is unknown.

References
----------
Ryberg & Haberland 2019, doi:10.1093/gji/ggz177 (an unknown number of layers)
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

__all__ = ["VELOCITY_SITES", "Bends", "bends_between", "velocities", "velocity_priors"]

VELOCITY_SITES = (
    "log_vp_change",
    "log_vp_ends",
    "bend",
    "log_vs_change",
    "vpvs",
    "contrast",
    "layer_contrast",
)
"""What chains hold of velocities, of each model some."""


class Bends(NamedTuple):
    """How ln v of the layers hangs on its ends and bends.

    Attributes
    ----------
    ends : (layer, 2)
        By ln v of the first and the last layer.
    bend : (layer, bend)
    """

    ends: Any
    bend: Any


def bends_between(tops):
    """Return the `Bends` of layers with these tops, (layer,), km."""
    share = (tops - tops[0]) / (tops[-1] - tops[0])
    inner = share[1:-1]
    spacing = (share[2:] - share[:-2]) / 2
    u, w = share[:, None], inner[None]
    response = -np.where(u <= w, u * (1 - w), w * (1 - u)) * np.sqrt(spacing)
    return Bends(np.stack([1 - share, share], axis=1), response)


def velocity_priors(values, data, priors):
    """Return the distribution of each site of the velocities, by name.

    Parameters
    ----------
    values : mapping
        With ``bend_spread`` if there are bends.
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution
    """
    layers = len(data.tops)

    def each(name, count):
        return priors[name].expand([count]).to_event(1)

    if data.bends is None:
        found = {"log_vp_change": each("log_vp_change", layers)}
    else:
        spread = dist.transforms.AffineTransform(0.0, values["bend_spread"])
        bend = dist.TransformedDistribution(each("bend_shift", layers - 2), spread)
        found = {"log_vp_ends": each("log_vp_ends", 2), "bend": bend}
    if data.log_vs is None:
        found["vpvs"] = priors["vpvs"]
    else:
        found["log_vs_change"] = each("log_vs_change", layers)
    if len(data.sign) == 1:
        return found
    contrasts = {"contrast": priors["contrast"], "layer_contrast": each("layer_contrast", layers)}
    return found | contrasts


def velocities(values, data):
    """Return vp and vs (km/s), vs by Vp/Vs unless it has its own reference.

    Of two profiles these are of the mean of ln v, and ``profile_vp`` and ``profile_vs``, (profile,
    layer), of each.
    """
    if data.bends is None:
        log_vp = data.log_vp + values["log_vp_change"]
    else:
        first_and_last = jnp.stack([data.log_vp[0], data.log_vp[-1]]) + values["log_vp_ends"]
        log_vp = data.bends.ends @ first_and_last + data.bends.bend @ values["bend"]
    vp = jnp.exp(log_vp)
    if data.log_vs is None:
        vs = vp / values["vpvs"]
    else:
        vs = jnp.exp(data.log_vs + values["log_vs_change"])
    if len(data.sign) == 1:
        return {"vp": vp, "vs": vs}
    deviation = values["layer_contrast"] - data.order @ values["layer_contrast"]
    ratio = jnp.exp(data.sign[:, None] * (values["contrast"] + deviation))
    return {"vp": vp, "vs": vs, "profile_vp": ratio * vp, "profile_vs": ratio * vs}
