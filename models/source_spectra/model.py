r"""The generative model of spectral ratios, and of the spectra of a cluster of events.

Two events on one trace have the log power ratio

.. math:: y = 2 m + 2 c_s + (2/g) [\mathrm{softplus}(x_2) - \mathrm{softplus}(x_1)]
          + \ln F_{\nu_1, \nu_2}, \qquad x_i = n g (\ln f - \ln f_i),

where path, site and instrument have cancelled. K events on the same traces share the path term
instead, which is integrated out. With noise, the path term cannot cancel and is
integrated numerically. Corner frequencies have independent priors, or follow from stress drops
with a common prior.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions.transforms import AffineTransform

from .arrays import PairArrays
from .likelihood import log_f_density, log_power_density
from .noise import log_noisy_density
from .spectrum import (
    STRESS_DROP_FACTOR,
    log_source_spectrum,
    log_spectral_ratio,
    log_stress_drop_ratio,
)

__all__ = [
    "cluster_log_likelihood",
    "cluster_spectra",
    "pair_location",
    "pair_log_likelihood",
    "source_spectra",
]


def source_spectra(data, priors):
    """Declare the model on pairs or on a cluster.

    Parameters
    ----------
    data : arrays.PairArrays or arrays.ClusterArrays
    priors : dict of numpyro.distributions.Distribution
        Priors of ``ln_fc1``, ``dln_fc``, ``ln_moment_ratio``, ``logit_nu``, ``falloff``,
        ``level_scale``, ``mu_dsigma`` and ``tau_dsigma``.
    """
    (pairs if isinstance(data, PairArrays) else cluster)(data, priors)


def pairs(data, priors):
    """Declare the model on pairs of events, independent unless stress drops have one prior."""
    shape = data.g.shape

    ln_moment_ratio = numpyro.sample("ln_moment_ratio", over(priors["ln_moment_ratio"], shape))
    if data.stress_drop is None:
        ln_fc1 = numpyro.sample("ln_fc1", over(priors["ln_fc1"], shape))
        dln_fc = numpyro.sample("dln_fc", over(priors["dln_fc"], shape))
    else:
        log_moment1 = data.stress_drop.log_moment
        log_moments = jnp.stack([log_moment1, log_moment1 - ln_moment_ratio], axis=-1)
        ln_fc = corner_frequencies(data.stress_drop, log_moments, priors)
        ln_fc1 = numpyro.deterministic("ln_fc1", ln_fc[:, 0])
        dln_fc = numpyro.deterministic("dln_fc", ln_fc[:, 1] - ln_fc[:, 0])
    values = {"ln_fc1": ln_fc1, "dln_fc": dln_fc, "ln_moment_ratio": ln_moment_ratio}
    values |= shape_and_noise(data, priors, shape)
    if data.trace_mask is not None:
        scale = numpyro.sample("level_scale", over(priors["level_scale"], shape))
        several = data.trace_mask.sum(axis=-1, keepdims=True) > 1
        has_level = several & (data.trace_mask > 0)
        spread = jnp.where(has_level, scale[:, None], 1.0)
        drawn = numpyro.sample("level_drawn", dist.Normal(0.0, spread).to_event(2))
        level = jnp.where(has_level, drawn, 0.0)
        values["level"] = numpyro.deterministic("level", level)

    numpyro.deterministic("fc1", jnp.exp(ln_fc1))
    numpyro.deterministic("fc2", jnp.exp(ln_fc1 + dln_fc))
    numpyro.deterministic("ln_dsigma_ratio", log_stress_drop_ratio(ln_moment_ratio, dln_fc))
    numpyro.factor("log_likelihood", pair_log_likelihood(values, data).sum())


def cluster(data, priors):
    """Declare the model on K events that share their paths."""
    events = data.mask.shape[0]

    m = numpyro.sample("ln_moment_ratio_to", over(priors["ln_moment_ratio"], (events - 1,)))
    ln_relative_moment = numpyro.deterministic("ln_relative_moment", jnp.append(0.0, -m))
    if data.stress_drop is None:
        ln_fc_first = numpyro.sample("ln_fc_first", priors["ln_fc1"])
        d = numpyro.sample("dln_fc_to", over(priors["dln_fc"], (events - 1,)))
        ln_fc = numpyro.deterministic("ln_fc", ln_fc_first + jnp.append(0.0, d))
    else:
        log_moments = data.stress_drop.log_moment + ln_relative_moment
        ln_fc = numpyro.deterministic(
            "ln_fc", corner_frequencies(data.stress_drop, log_moments, priors)
        )
    values = {"ln_fc": ln_fc, "ln_relative_moment": ln_relative_moment}
    values |= shape_and_noise(data, priors, (), "cluster_")

    numpyro.deterministic("fc", jnp.exp(ln_fc))
    numpyro.factor("log_likelihood", cluster_log_likelihood(values, data).sum())


def shape_and_noise(data, priors, shape, prefix=""):
    """Declare the degrees of freedom and the fall-off where they are parameters."""
    values = {}
    if data.nu_max is not None:
        logit_nu = numpyro.sample(f"{prefix}logit_nu", over(priors["logit_nu"], shape))
        nu = 1.0 + (data.nu_max - 1.0) * jax.nn.sigmoid(logit_nu)
        values["nu"] = numpyro.deterministic(f"{prefix}nu", nu)
    if data.falloff is None:
        name = f"{prefix}falloff"
        values["falloff"] = numpyro.sample(name, over(priors["falloff"], shape))
    return values


def corner_frequencies(stress_drop, log_moments, priors):
    r"""Declare stress drops with one prior, and return the ln f_c that follow.

    The data see :math:`u = \ln\Delta\sigma + 3 \ln k` alone. With one unknown rupture model for all
    events, :math:`u_i \sim \mathrm{N}(\mu_u, \tau)`, where :math:`\mu_u = \mu + 3 \ln k` has the
    prior of :math:`\mu` shifted and averaged over the rows k; these are as probable afterwards
    as the prior of :math:`\mu` is high at :math:`\mu_u - 3 \ln k`.
    """
    rows = stress_drop.log_k.shape[0]
    prior = priors["mu_dsigma"]
    shifted = dist.TransformedDistribution(
        prior.expand((rows,)), AffineTransform(3.0 * stress_drop.log_k, 1.0)
    )
    equal = dist.Categorical(probs=jnp.full(rows, 1.0 / rows))
    mu_u = numpyro.sample("apparent_mu_dsigma", dist.MixtureSameFamily(equal, shifted))
    weight = prior.log_prob(mu_u - 3.0 * stress_drop.log_k)
    numpyro.deterministic("rupture_model_probability", jax.nn.softmax(weight))
    tau = numpyro.sample("tau_dsigma", priors["tau_dsigma"])
    z = numpyro.sample("dsigma_white", over(dist.Normal(), (log_moments.size,)))
    u = mu_u + tau * z.reshape(log_moments.shape)
    return (u - np.log(STRESS_DROP_FACTOR) - log_moments) / 3.0 + stress_drop.log_shear_velocity


def pair_log_likelihood(values, data):
    """Return the log likelihood of every ratio, (pair, trace, freq), 0 where masked.

    Parameters
    ----------
    values : mapping
        ``ln_fc1``, ``dln_fc``, ``ln_moment_ratio``, (pair,); where they are parameters ``nu``,
        ``falloff``, (pair,), and ``level``, (pair, trace).
    data : arrays.PairArrays
    """
    loc, nu1, nu2 = pair_location(values, data)
    if data.noise is None:
        return data.mask * log_f_density(data.y, loc, nu1, nu2, data.f_constants)
    log_power, log_noise = (jnp.moveaxis(x, 1, 0) for x in data.noise[:2])
    log_s2, nu = pair_spectra(values, data)
    return _noisy(log_power, log_noise, log_s2, nu, jnp.stack([data.mask] * 2), data.noise)


def pair_spectra(values, data):
    """Return ln S² of both events relative to the moment of event 2, and ν.

    Returns
    -------
    log_s2, nu : (2, pair, trace, freq)
    """
    loc, nu1, nu2 = pair_location(values, data)
    n = values.get("falloff", data.falloff)[:, None]
    ln_fc2 = (values["ln_fc1"] + values["dln_fc"])[:, None]
    shape2 = log_source_spectrum(data.log_f, ln_fc2, n, data.g[:, None])[:, None, :]
    log_s2_of_2 = jnp.broadcast_to(2.0 * shape2, loc.shape)
    nu = jnp.stack([jnp.broadcast_to(nu1, loc.shape), jnp.broadcast_to(nu2, loc.shape)])
    return jnp.stack([loc + log_s2_of_2, log_s2_of_2]), nu


def pair_location(values, data):
    """Return what the sources make of the log power ratios, and their degrees of freedom.

    Returns
    -------
    loc : (pair, trace, freq)
    nu1, nu2 : (pair, trace, freq)
        Or (pair, 1, 1) where they are one parameter.
    """
    ln_fc1, dln_fc, m = (values[name][:, None] for name in ("ln_fc1", "dln_fc", "ln_moment_ratio"))
    n = values.get("falloff", data.falloff)[:, None]
    loc = log_spectral_ratio(data.log_f, ln_fc1, dln_fc, m, n, data.g[:, None])[:, None, :]
    loc = jnp.broadcast_to(loc, data.y.shape)
    if data.trace_mask is not None:
        loc = loc + 2.0 * values["level"][:, :, None]
    if data.nu_max is None:
        return loc, data.nu1, data.nu2
    nu = values["nu"][:, None, None]
    return loc, nu, nu


def cluster_log_likelihood(values, data):
    """Return the log likelihood of every (trace, freq) of a cluster, 0 where masked.

    Parameters
    ----------
    values : mapping
        ``ln_fc``, ``ln_relative_moment``, (event,), and where they are parameters ``nu`` and
        ``falloff``.
    data : arrays.ClusterArrays
    """
    log_s2, nu = cluster_spectra(values, data)
    if data.noise is None:
        return log_power_density(data.log_power, log_s2, nu, data.mask)
    unit = 2.0 * (data.smallest * values["ln_relative_moment"]).sum()
    return _noisy(
        data.noise.log_power, data.noise.log_noise, log_s2 - unit, nu, data.mask, data.noise
    )


def cluster_spectra(values, data):
    """Return ln S² of every event relative to the moment of the first, and ν.

    Returns
    -------
    log_s2 : (event, 1, freq)
    nu : (event, trace, freq)
    """
    n = values.get("falloff", data.falloff)
    shape = log_source_spectrum(data.log_f, values["ln_fc"][:, None], n, data.g)
    log_s2 = 2.0 * (values["ln_relative_moment"][:, None] + shape)[:, None, :]
    nu = data.nu if data.nu_max is None else jnp.broadcast_to(values["nu"], data.nu.shape)
    return log_s2, nu


def over(prior, shape):
    """Return independent copies of a distribution in an array."""
    return prior.expand(shape).to_event(len(shape)) if shape else prior


def _noisy(log_power, log_noise, log_s2, nu, mask, noise):
    nodes = None if noise.nodes is None else noise.nodes.shape[-1]
    return log_noisy_density(log_power, log_noise, log_s2, nu, mask, noise.box, nodes)
