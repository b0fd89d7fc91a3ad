"""What the posterior of a result says of spectra: predictive bands, and spectra without their path.

These are made from the draws and the degrees of freedom, because results of many pairs do not
store replicates.
"""

import json

import jax
import numpy as np

from .spectrum import SHAPES, log_source_spectrum, log_spectral_ratio

__all__ = [
    "flat",
    "is_cluster",
    "predictive_band",
    "source_amplitudes",
    "spectral_shape",
    "thinned",
]

DRAWS_SHOWN = 400
REPLICATES = 8000
"""At least as many make a predictive band; its edges are then known to 0.25 % in probability."""


def predictive_band(result, i, level=0.9):
    """Return the predictive band of the log power ratios of one pair, over all its traces.

    It is made from the posterior and the degrees of freedom, because results of many pairs do
    not store replicates.

    Parameters
    ----------
    result : xarray.DataTree
        Of pairs.
    i : int
        The pair's number.
    level : float
        Probability that a ratio lies in the band.

    Returns
    -------
    freq : (freq,) array
        The frequencies (Hz) at which the pair has data.
    low, high : (freq,) array
    location : (freq,) array
        Posterior median of what the sources make of the ratio.
    """
    pair = {"pair": i}
    chosen = _draws_of_pair(result, i)
    constants = result["constant_data"].to_dataset().isel(pair)
    mask = constants["mask"].transpose("trace", "freq").to_numpy() == 1
    used = mask.any(axis=0)
    freq = constants["freq"].to_numpy()
    n, g = spectral_shape(result, i)
    source = jax.jit(log_spectral_ratio)(
        np.log(freq),
        *(chosen[name][:, None] for name in ("ln_fc1", "dln_fc", "ln_moment_ratio")),
        n[:, None],
        g,
    )
    source = np.asarray(source)[:, used]
    log_ratio = source[:, None, :]
    if "level" in chosen:
        log_ratio = log_ratio + 2.0 * chosen["level"][:, :, None]
    nu1, nu2 = (
        constants[name].transpose("trace", "freq").to_numpy()[:, used] for name in ("nu1", "nu2")
    )
    if "nu" in chosen:
        nu1 = nu2 = chosen["nu"][:, None, None]
    repeats = -(-REPLICATES // (len(source) * mask.shape[0]))
    shape = (repeats, len(source), *mask[:, used].shape)
    scatter = np.log(np.random.default_rng(0).f(nu1, nu2, shape))
    replicas = np.where(mask[:, used], log_ratio + scatter, np.nan)
    low, high = np.nanquantile(replicas, [(1 - level) / 2, (1 + level) / 2], axis=(0, 1, 2))
    return freq[used], low, high, np.median(source, axis=0)


def source_amplitudes(result):
    """Return the source spectra of a cluster, and the amplitudes of every trace without the path.

    The path term of a bin is taken where its density is highest given the sources.

    Parameters
    ----------
    result : xarray.DataTree
        Of a cluster.

    Returns
    -------
    spectra : (3, event, freq) array
        5 %, 50 % and 95 % quantiles, in units of the moment of the first event.
    amplitude : (event, trace, freq) array
        In the same units.
    used : (event, trace, freq) array of bool
        Where the event and another one have data.
    """
    posterior, constants = result["posterior"], result["constant_data"]
    dims = ("event", "trace", "freq")
    mask = constants["mask"].transpose(*dims).to_numpy()
    power = result["observed_data"]["power"].transpose(*dims).to_numpy()
    nu = constants["nu"].transpose(*dims).to_numpy()
    n, g = spectral_shape(result)
    log_f, ln_fc = np.log(constants["freq"].to_numpy()), thinned(flat(posterior["ln_fc"]))
    shape = jax.jit(log_source_spectrum)(log_f, ln_fc[..., None], n[:, None, None], g)
    log_s = np.asarray(shape) + thinned(flat(posterior["ln_relative_moment"]))[..., None]
    spectra = np.exp(np.quantile(log_s, [0.05, 0.5, 0.95], axis=0))
    a = 0.5 * nu * mask
    C = (a * power / spectra[1][:, None] ** 2).sum(axis=0)
    G = np.where(C > 0, C, 1.0) / np.where(C > 0, a.sum(axis=0), 1.0)
    return spectra, np.sqrt(power / G), (mask == 1) & (mask.sum(axis=0) > 1)


def is_cluster(result):
    """Return whether a result is that of a cluster of events."""
    return "pair" not in result["posterior"].dims


def flat(variable):
    """Return draws with one leading axis."""
    ordered = variable.transpose("chain", "draw", ...)
    return ordered.to_numpy().reshape(-1, *ordered.shape[2:])


def thinned(draws):
    """Return at most `DRAWS_SHOWN` draws, evenly taken."""
    index = np.linspace(0, len(draws) - 1, min(DRAWS_SHOWN, len(draws))).astype(int)
    return draws[index]


def _draws_of_pair(result, i):
    names = ("ln_fc1", "dln_fc", "ln_moment_ratio", "nu", "level")
    posterior = result["posterior"]
    return {
        name: thinned(flat(posterior[name].isel(pair=i))) for name in names if name in posterior
    }


def spectral_shape(result, i=0):
    """Return draws of the fall-off, of one pair if it is a parameter, and the sharpness."""
    posterior = result["posterior"]
    options = json.loads(result.attrs["configuration"])["options"]
    n, g = SHAPES[options.get("spectrum", "boatwright")]
    if "falloff" in posterior:
        return thinned(flat(posterior["falloff"].isel(pair=i))), g
    if "cluster_falloff" in posterior:
        return thinned(flat(posterior["cluster_falloff"])), g
    return np.array([n]), g
