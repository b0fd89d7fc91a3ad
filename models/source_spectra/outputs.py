"""What a fit adds to its posterior: stress drops, predictions, terms of the likelihood, quality.

Arrays over (draw, pair, trace, freq) are made for up to `MOST_PAIRS` pairs; the flags of quality
are made for all, from draws thinned to `DRAWS_JUDGED`.
"""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.model.options import one_of, takes
from bayesquake.results.convergence import convergence

from .arrays import FORMS, STRESS_DROP_OPTIONS, in_form, stress_drop_options
from .dispersion import discrepancy, discrepancy_cumulants, tail_probability
from .model import (
    cluster_log_likelihood,
    cluster_spectra,
    pair_location,
    pair_log_likelihood,
    pair_spectra,
)
from .noise import draw_log_expected
from .priors import PRIORS
from .quantities import QUANTITIES
from .simulate import draw_log_ratio, generator
from .spectrum import RUPTURE_MODELS, log_stress_drop

__all__ = ["MOST_PAIRS", "PoorPairWarning", "complete"]

MOST_PAIRS = 100
MOST_NUMBERS = 30_000_000
"""Of an array of bins and draws, a quarter of a gigabyte."""

DRAWS_JUDGED = 200
SMALLEST_P_VALUE = 0.01
BAND_EDGE = (1.5, 0.75)
"""A corner frequency below 1.5 times the lowest, or above 0.75 times the highest frequency, is
near the edge of the band."""

UNRESOLVED = 0.7
"""Posterior over prior standard deviation of d above which the data have not resolved f2."""

PATH_VALUES = 400
"""Values of the path term from which one is drawn for every bin above noise."""

NU_QUANTILE, NU_SHARE = 0.99, 0.8
FEWEST_EFFECTIVE = 200
NAMED_IN_WARNING = 5
FLAGGED_SHARE = 0.1
"""Share of overdispersed pairs in a result above which `bayesquake.check` fails it."""

FLAGS = {
    "f2_lt_f1": "the smaller event has the lower corner frequency, posterior median of d < 0",
    "f1_near_band_edge": "corner frequency of event 1 at the edge of the band: prior-dominated",
    "f2_unresolved": "sd of d above 0.7 of its prior's, or f2 above the band: f2 is not resolved",
    "overdispersed": "spectra scatter more than their degrees of freedom allow, p < 0.01",
    "nu_below_nominal": "fitted degrees of freedom, 99 % quantile, below 0.8 of the nominal ones",
    "low_ess": "fewer than 200 effective draws of a parameter",
}


class PoorPairWarning(UserWarning):
    """The data do not support what the posterior says of a pair."""


@takes(form=one_of(*FORMS), **STRESS_DROP_OPTIONS, priors=None)
def complete(
    dataset,
    *,
    form="auto",
    moment=None,
    shear_velocity=None,
    rupture_models="all",
    priors=None,
):
    """Check the options and return what computes the further groups of a result.

    Parameters
    ----------
    dataset : xarray.Dataset
    form : str
        As in `arrays.prepare`.
    moment : float, optional
        M0 of event 1 (N m), where the data set has none.
    shear_velocity : float, optional
        β at the source (m/s); with it, stress drops are computed.
    rupture_models : str or sequence of str
        Among which k is unknown, see `arrays.prepare`.
    priors : mapping of str to bayesquake.model.priors.Prior, optional
        Those of the fit, by which the flags judge widths.

    Returns
    -------
    callable
        ``(posterior, arrays, key) -> dict`` of `xarray.Dataset` by group.

    Raises
    ------
    SpectraError
        A stress drop is asked for without moment or shear velocity.
    OptionError
        An option of the stress drop makes no sense, see `arrays.stress_drop_options`.
    """
    dataset = in_form(dataset, form)
    asked = moment is not None or shear_velocity is not None or rupture_models != "all"
    stress_drop = (
        stress_drop_options(dataset, moment, shear_velocity, rupture_models) if asked else None
    )
    groups = _groups_of_pairs if "pair" in dataset.dims else _groups_of_cluster
    return functools.partial(groups, dataset, stress_drop, _prior_sds(priors))


def _groups_of_pairs(dataset, stress_drop, prior_sd, posterior, arrays, key):
    key_k, key_predictive = jax.random.split(key)
    lead = posterior["ln_fc1"].shape[:2]
    coords = {"chain": np.arange(lead[0]), "draw": np.arange(lead[1]), "pair": dataset["pair"]}
    derived = xr.Dataset(coords=coords)
    if stress_drop is not None:
        log_k = _drawn_log_k(key_k, stress_drop, posterior)
        derived = derived.assign(_mean_stress_drop(posterior, log_k))
        drop1 = log_stress_drop(
            stress_drop.log_moment,
            posterior["ln_fc1"],
            log_k[..., None],
            stress_drop.log_shear_velocity,
        )
        drops = {"ln_dsigma1": drop1, "ln_dsigma2": drop1 - posterior["ln_dsigma_ratio"]}
        for name, values in drops.items():
            derived[name] = (("chain", "draw", "pair"), values, _attributes(name))
    if "level" in posterior:
        derived = derived.assign_coords(trace=dataset["trace"])
    quality = _quality_of_pairs(dataset, prior_sd, posterior, arrays)
    _warn(quality, dataset["pair"].to_numpy(), posterior["ln_moment_ratio"])
    groups = {
        "posterior": derived,
        "observed_data": _observed(dataset),
        "constant_data": _constants(dataset, stress_drop),
        "quality": quality,
    }
    bins = int(np.prod(dataset["mask"].shape)) * lead[0] * lead[1]
    if dataset.sizes["pair"] <= MOST_PAIRS and bins <= MOST_NUMBERS:
        groups |= _predictions_of_pairs(key_predictive, dataset, posterior, arrays, coords)
    return groups


def _groups_of_cluster(dataset, stress_drop, prior_sd, posterior, arrays, key):
    lead = posterior["ln_fc"].shape[:2]
    coords = {"chain": np.arange(lead[0]), "draw": np.arange(lead[1]), "event": dataset["event"]}
    derived = xr.Dataset(coords=coords)
    if stress_drop is not None:
        log_k = _drawn_log_k(key, stress_drop, posterior)
        derived = derived.assign(_mean_stress_drop(posterior, log_k))
        drops = log_stress_drop(
            stress_drop.log_moment + posterior["ln_relative_moment"],
            posterior["ln_fc"],
            log_k[..., None],
            stress_drop.log_shear_velocity,
        )
        derived["ln_dsigma"] = (("chain", "draw", "event"), drops, _attributes("ln_dsigma"))
    values = {name: posterior[name] for name in ("ln_fc", "ln_relative_moment")}
    for name in ("nu", "falloff"):
        if f"cluster_{name}" in posterior:
            values[name] = posterior[f"cluster_{name}"]
    terms = _over_draws(cluster_log_likelihood, values, arrays)
    quality = _quality_of_cluster(dataset, prior_sd, values, arrays)
    _warn(quality, dataset["event"].to_numpy())
    return {
        "posterior": derived,
        "observed_data": _observed(dataset),
        "constant_data": _constants(dataset, stress_drop),
        "log_likelihood": _terms(terms, dataset, coords, ("trace", "freq")),
        "quality": quality,
    }


def _drawn_log_k(key, stress_drop, posterior):
    """Draw the rupture model of every draw, uniformly unless stress drops had a prior."""
    lead = next(iter(posterior.values())).shape[:2]
    uniform = np.ones((*lead, len(stress_drop.log_k)))
    probability = np.asarray(posterior.get("rupture_model_probability", uniform))
    row = jax.random.categorical(key, jnp.log(probability))
    return stress_drop.log_k[np.asarray(row)]


def _mean_stress_drop(posterior, log_k):
    """Return the mean of ln Δσ of every draw, if stress drops had a prior."""
    if "apparent_mu_dsigma" not in posterior:
        return {}
    values = posterior["apparent_mu_dsigma"] - 3.0 * log_k
    return {"mu_dsigma": (("chain", "draw"), values, _attributes("mu_dsigma"))}


def _quality_of_pairs(dataset, prior_sd, posterior, arrays):
    fc1 = np.median(posterior["fc1"], axis=(0, 1))
    d, (_, highest) = posterior["dln_fc"], _band(dataset)
    p_value = _dispersion(_discrepancy_of_pairs, _thinned(_pair_values(posterior)), arrays)
    flags = {
        "f2_lt_f1": np.median(d, axis=(0, 1)) < 0,
        "f1_near_band_edge": _near_edge(fc1, dataset),
        "f2_unresolved": (d.std(axis=(0, 1)) > UNRESOLVED * prior_sd["dln_fc"])
        | (np.median(posterior["fc2"], axis=(0, 1)) > highest),
        "overdispersed": p_value < SMALLEST_P_VALUE,
        "nu_below_nominal": _below_nominal(posterior, arrays),
        "low_ess": _effective(posterior, ("ln_fc1", "dln_fc", "ln_moment_ratio")),
    }
    return _labelled_quality(flags, p_value, "pair", dataset)


def _below_nominal(posterior, arrays):
    """Return whether fitted degrees of freedom are clearly fewer than the tapers promise."""
    if "nu" not in posterior:
        return np.zeros(arrays.y.shape[0], bool)
    used = arrays.mask > 0
    total = np.asarray(((arrays.nu1 + arrays.nu2) * used).sum(axis=(1, 2)) / 2)
    nominal = total / np.asarray(used.sum(axis=(1, 2)))
    return np.quantile(posterior["nu"], NU_QUANTILE, axis=(0, 1)) < NU_SHARE * nominal


def _quality_of_cluster(dataset, prior_sd, values, arrays):
    ln_fc = values["ln_fc"]
    p_value = _dispersion(_discrepancy_of_cluster, _thinned(values), arrays)
    events = np.ones(ln_fc.shape[2], bool)
    of_others = np.append(0.0, events[1:] * prior_sd["dln_fc"])
    flags = {
        "f1_near_band_edge": _near_edge(np.exp(np.median(ln_fc, axis=(0, 1))), dataset),
        "f2_unresolved": ln_fc.std(axis=(0, 1))
        > UNRESOLVED * np.hypot(prior_sd["ln_fc1"], of_others),
        "overdispersed": events & bool(p_value < SMALLEST_P_VALUE),
        "low_ess": _effective(values, ("ln_fc",)),
    }
    return _labelled_quality(flags, np.broadcast_to(p_value, events.shape), "event", dataset)


def _labelled_quality(flags, p_value, dim, dataset):
    quality = xr.Dataset(coords={dim: dataset[dim]})
    for name, flag in flags.items():
        quality[name] = (dim, flag, {"units": "1", "long_name": FLAGS[name]})
    for name in {"overdispersed", "nu_below_nominal"} & set(flags):
        quality[name].attrs["largest_share"] = FLAGGED_SHARE
    quality["dispersion_p_value"] = (
        dim,
        p_value,
        {"units": "1", "long_name": "posterior predictive p-value of the scatter"},
    )
    return quality


def _near_edge(fc, dataset):
    (lowest, highest), (low, high) = _band(dataset), BAND_EDGE
    return (fc < low * lowest) | (fc > high * highest)


def _band(dataset):
    """Return the lowest and highest frequency with data of every pair or event."""
    used = (dataset["mask"] == 1).any("trace").to_numpy()
    frequency = dataset["freq"].to_numpy()
    lowest = np.where(used, frequency, np.inf).min(axis=1)
    return lowest, np.where(used, frequency, -np.inf).max(axis=1)


def _prior_sds(priors):
    priors = PRIORS if priors is None else priors
    return {
        name: float(priors[name].distribution().variance) ** 0.5 for name in ("ln_fc1", "dln_fc")
    }


def _effective(posterior, names):
    """Return whether a parameter of each problem has too few effective draws."""
    few = []
    for name in names:
        draws = np.moveaxis(posterior[name], 2, 0)
        if draws.shape[1] < 2 or draws.shape[2] < 4:
            return np.zeros(len(draws), bool)
        varying = np.ptp(draws, axis=(1, 2)) != 0
        found = convergence(draws)
        few.append(varying & ~(np.minimum(found.ess_bulk, found.ess_tail) >= FEWEST_EFFECTIVE))
    return np.any(few, axis=0)


def _pair_values(posterior):
    names = ("ln_fc1", "dln_fc", "ln_moment_ratio", "nu", "falloff", "level")
    return {name: posterior[name] for name in names if name in posterior}


def _thinned(values):
    flat = {name: draws.reshape(-1, *draws.shape[2:]) for name, draws in values.items()}
    total = len(next(iter(flat.values())))
    index = np.linspace(0, total - 1, min(DRAWS_JUDGED, total)).astype(int)
    return {name: draws[index] for name, draws in flat.items()}


def _dispersion(discrepancy_of, values, arrays):
    """Return the posterior mean of the tail probability of the observed discrepancy."""
    keys = jax.random.split(jax.random.key(0), len(next(iter(values.values()))))
    return np.asarray(_mean_tail_probability(discrepancy_of, values | {"key": keys}, arrays))


@functools.partial(jax.jit, static_argnums=0)
def _mean_tail_probability(discrepancy_of, values, arrays):
    def of_draw(values):
        return tail_probability(*discrepancy_of(values, arrays))

    return jax.lax.map(of_draw, values).mean(axis=0)


def _discrepancy_of_pairs(values, arrays):
    """Return D of every pair and its cumulants."""
    log_s2, nu = pair_spectra(values, arrays)
    mask = jnp.stack([arrays.mask, arrays.mask])
    if arrays.noise is None:
        log_power = jnp.stack([arrays.y, jnp.zeros_like(arrays.y)])
    else:
        log_power, log_noise = (jnp.moveaxis(x, 1, 0) for x in arrays.noise[:2])
        log_s2 = _above_noise(values, log_power, log_noise, log_s2, nu, mask, arrays.noise)
    D = discrepancy(log_power, log_s2, nu, mask)
    return tuple(part.sum(axis=(1, 2)) for part in (D, *discrepancy_cumulants(nu, mask)))


def _discrepancy_of_cluster(values, arrays):
    """Return D of a cluster and its cumulants."""
    log_s2, nu = cluster_spectra(values, arrays)
    log_s2 = jnp.broadcast_to(log_s2, nu.shape)
    if arrays.noise is not None:
        log_s2 = log_s2 - 2.0 * (arrays.smallest * values["ln_relative_moment"]).sum()
        log_power, log_noise = arrays.noise[:2]
        log_s2 = _above_noise(values, log_power, log_noise, log_s2, nu, arrays.mask, arrays.noise)
    D = discrepancy(arrays.log_power, log_s2, nu, arrays.mask)
    return tuple(part.sum() for part in (D, *discrepancy_cumulants(nu, arrays.mask)))


def _above_noise(values, log_power, log_noise, log_s2, nu, mask, noise):
    """Return ln of the expected powers, which take the place of S² where there is noise."""
    return draw_log_expected(
        values["key"], log_power, log_noise, log_s2, nu, mask, noise.box, PATH_VALUES
    )


def _predictions_of_pairs(key, dataset, posterior, arrays, coords):
    values = _pair_values(posterior)
    terms = _over_draws(pair_log_likelihood, values, arrays)
    dims = ("pair", "trace", "freq")
    likelihood = {"log_likelihood": _terms(terms, dataset, coords, dims)}
    if arrays.noise is not None:
        return likelihood
    loc, nu1, nu2 = _mapped(pair_location, _flat(values), arrays)
    replicas = draw_log_ratio(generator(key), loc, nu1, nu2) * (arrays.mask > 0)
    return likelihood | {
        "posterior_predictive": _by_bin(
            "log_power_ratio", replicas, "replicated log of the power ratio", dataset, coords, dims
        ),
    }


def _flat(values):
    return {
        name: jnp.asarray(draws).reshape(-1, *draws.shape[2:]) for name, draws in values.items()
    }


def _over_draws(function, values, arrays):
    return np.asarray(_mapped(function, _flat(values), arrays))


@functools.partial(jax.jit, static_argnums=0)
def _mapped(function, values, arrays):
    return jax.lax.map(lambda draw: function(draw, arrays), values)


def _terms(terms, dataset, coords, dims):
    return _by_bin("term", terms, "log likelihood of the bin", dataset, coords, dims)


def _by_bin(name, values, meaning, dataset, coords, dims):
    """Label (draw, ..., freq) arrays, without the padding of frequencies."""
    size = dataset.sizes["freq"]
    lead = (len(coords["chain"]), len(coords["draw"]))
    shaped = np.asarray(values)[..., :size].reshape(*lead, *values.shape[1:-1], size)
    return xr.Dataset(
        {name: (("chain", "draw", *dims), shaped, {"units": "1", "long_name": meaning})},
        coords=coords | {"trace": dataset["trace"], "freq": dataset["freq"]},
    )


def _observed(dataset):
    constant = [name for name in dataset.data_vars if name in ("nu", "nu1", "nu2", "mask")]
    observed = dataset.drop_vars(constant)
    observed["freq"].attrs.setdefault("units", "Hz")
    return observed


def _constants(dataset, stress_drop):
    names = [name for name in ("nu", "nu1", "nu2", "mask") if name in dataset]
    constants = dataset[names].drop_attrs(deep=False)
    if stress_drop is None:
        return constants
    known = np.array(list(RUPTURE_MODELS.values()))
    rows = np.abs(np.exp(stress_drop.log_k)[:, None] - known).argmin(axis=1)
    dims = ("pair",) if np.ndim(stress_drop.log_moment) else ()
    return constants.assign(
        moment_of_event_1=(
            dims,
            np.exp(stress_drop.log_moment),
            {"units": "N m", "long_name": "seismic moment of event 1"},
        ),
        shear_velocity=(
            (),
            np.exp(stress_drop.log_shear_velocity),
            {"units": "m/s", "long_name": "shear velocity at the source"},
        ),
        k=(
            "rupture_model",
            np.exp(stress_drop.log_k),
            {"units": "1", "long_name": "corner frequency times radius over shear velocity"},
        ),
        rupture_model=("rupture_model", [list(RUPTURE_MODELS)[row] for row in rows]),
    )


def _warn(quality, names, ln_moment_ratio=None):
    """Warn of pairs or events of which no corner frequency should be claimed."""
    kind = next(iter(quality.dims))
    corner = "f1" if kind == "pair" else "its corner"
    reasons = {
        "overdispersed": quality["overdispersed"].to_numpy(),
        f"prior-dominated, the band does not hold {corner}": quality[
            "f1_near_band_edge"
        ].to_numpy(),
    }
    if ln_moment_ratio is not None:
        smaller = np.median(ln_moment_ratio, axis=(0, 1)) < 0
        reasons["event 1 seems to be the smaller one"] = smaller
    for reason, flag in reasons.items():
        if flag.any():
            named = ", ".join(map(str, names[flag][:NAMED_IN_WARNING]))
            more = "" if flag.sum() <= NAMED_IN_WARNING else ", ..."
            warnings.warn(
                f"{flag.sum()} of {flag.size} {kind}s: {reason}: {named}{more}; see the group "
                "'quality'",
                PoorPairWarning,
                stacklevel=4,
            )


def _attributes(name):
    quantity = QUANTITIES[name]
    return {"units": quantity.unit, "long_name": quantity.meaning}
