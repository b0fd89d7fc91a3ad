r"""The simulator: spectra of pairs or of a cluster, from the prior or at given values.

Powers are :math:`P = (G S^2 + N) X` with :math:`X \sim \chi^2_\nu / \nu` drawn as gamma variables,
independent over events, traces and frequencies unless neighbouring bins are told to share
their estimates.
"""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.errors import OptionError
from bayesquake.io.catalog import content_hash
from bayesquake.model.options import any_of, count, flag, number, one_of
from bayesquake.model.priors import resolved
from bayesquake.model.simulation import checked_design, given_values

from .dataset import MOMENT
from .priors import PRIORS
from .spectrum import RUPTURE_MODELS, SHAPES, STRESS_DROP_FACTOR, log_source_spectrum

__all__ = ["DESIGN", "log_chi_square_share", "replicate", "simulate", "simulate_arrays"]

DESIGN = {
    "pairs": 1,
    "events": 0,
    "traces": 1,
    "frequencies": 60,
    "lowest_frequency": 0.5,
    "highest_frequency": 40.0,
    "nu1": 10.0,
    "nu2": 10.0,
    "degrees_of_freedom": "fixed",
    "falloff": "fixed",
    "levels": False,
    "hierarchical": False,
    "spectrum": "boatwright",
    "noise_to_signal": 0.0,
    "bins_per_estimate": 1,
    "moment": 1e13,
    "shear_velocity": 3500.0,
    "rupture_model": "",
}
"""Design of simulated spectra: a number of pairs, or with ``events`` > 0 one cluster of as many
events; traces; frequencies in geometric progression (Hz); degrees of freedom (``nu1`` of event 1
or of every event of a cluster) and whether they, the fall-off, levels of the traces and a
common prior of stress drops are drawn; noise over the smallest event's power at the lowest
frequency; neighbouring bins that share one estimate; M0 of event 1 (N m), β (m/s), and the
rupture model, drawn if not named."""

DESIGN_OPTIONS = {
    "pairs": count(at_most=1_000_000),
    "events": any_of(one_of(0), count(at_least=2, at_most=10_000)),
    "traces": count(at_most=100_000),
    "frequencies": count(at_least=2, at_most=1_000_000),
    "lowest_frequency": number("Hz", above=0, at_most=1e6),
    "highest_frequency": number("Hz", above=0, at_most=1e6),
    "nu1": number(above=0, at_most=1e9),
    "nu2": number(above=0, at_most=1e9),
    "degrees_of_freedom": one_of("fixed", "estimated"),
    "falloff": one_of("fixed", "free"),
    "levels": flag(),
    "hierarchical": flag(),
    "spectrum": one_of(*SHAPES),
    "noise_to_signal": number(at_least=0, at_most=1e9),
    "bins_per_estimate": count(),
    "moment": MOMENT,
    "shear_velocity": number("m/s", at_least=50, at_most=10_000),
    "rupture_model": one_of("", *RUPTURE_MODELS),
}

LOG_PATH_SCALE = 1.0
"""Spread of ln G over traces."""


def simulate(key, design=None, parameters=None, *, priors=None):
    """Simulate spectra.

    Parameters
    ----------
    key : jax.random.key
    design : mapping, optional
        Changes to `DESIGN`.
    parameters : mapping, optional
        Values of ``ln_fc1`` (ln Hz), ``dln_fc``, ``ln_moment_ratio`` and of the other priors'
        names; a number, or one per pair (per further event of a cluster). Whatever is absent
        is drawn from the prior.
    priors : mapping or path, optional
        Priors in place of the defaults.

    Returns
    -------
    parameters : dict of arrays
        Of shape (pair,), or (other event,) for a cluster.
    dataset : xarray.Dataset
        As from `data.read`.

    Raises
    ------
    OptionError
        The design or the parameters have an unknown entry or an impossible value.
    """
    design = _checked_design(design)
    key_values, key_data = jax.random.split(key)
    values = _values(key_values, design, dict(parameters or {}), priors)
    log_f = np.log(
        np.geomspace(
            design["lowest_frequency"], design["highest_frequency"], int(design["frequencies"])
        )
    )
    make = _cluster if design["events"] else _pairs
    dataset = make(key_data, design, values, log_f)
    dataset.attrs |= {"nu_max": _nu_max(design), "half_bandwidth_hz": 0.0, "source": "simulated"}
    hashed = [dataset[name] for name in sorted(dataset.data_vars)]
    dataset.attrs["content_hash"] = content_hash(*hashed)
    return values, dataset


def simulate_arrays(key, arrays, priors):
    """Draw parameters from the prior and log power ratios on the design of given pairs.

    Parameters
    ----------
    key : jax.random.key
    arrays : arrays.PairArrays
        Without noise.
    priors : dict of numpyro.distributions.Distribution

    Returns
    -------
    values : dict
    arrays : arrays.PairArrays
    """
    from numpyro.handlers import seed, trace

    from .model import pair_location, source_spectra

    key_values, key_data = jax.random.split(key)
    recorded = trace(seed(source_spectra, key_values)).get_trace(arrays, priors)
    values = {name: site["value"] for name, site in recorded.items()}
    loc, *nu = pair_location(values, arrays)
    a = [jnp.broadcast_to(0.5 * part, loc.shape) for part in nu]
    shares = [
        jax.random.loggamma(key, part) - jnp.log(part)
        for key, part in zip(jax.random.split(key_data), a, strict=True)
    ]
    return values, arrays._replace(y=(arrays.mask > 0) * (loc + shares[0] - shares[1]))


def replicate(key, values, dataset, *, spectrum="boatwright", form="auto", noise=False):
    """Simulate spectra without noise as real ones could have been, at one posterior draw.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        Of pairs ``ln_fc1``, ``dln_fc`` and ``ln_moment_ratio``, (pair,), and ``nu``, ``falloff``
        and ``level`` if they were parameters; of a cluster ``ln_fc`` and
        ``ln_relative_moment``, (event,), and ``cluster_nu`` and ``cluster_falloff``.
    dataset : xarray.Dataset
        Whose degrees of freedom, mask and frequencies are taken over.
    spectrum, form, noise
        Options of the fit, see `arrays.prepare`.

    Returns
    -------
    xarray.Dataset
        Of a cluster with path terms drawn from their posterior given the sources.

    Raises
    ------
    OptionError
        The fit was above noise, or of correlated frequencies.
    """
    from .arrays import in_form, prepare
    from .model import cluster_spectra, pair_location

    if noise or dataset.attrs.get("tempered"):
        raise OptionError(
            "spectra above noise, or of correlated frequencies, cannot be replicated; calibrate "
            "the form without noise, on frequencies 2W apart"
        )
    dataset = in_form(dataset, form)
    rng, values = generator(key), {name: jnp.asarray(value) for name, value in values.items()}
    replica = dataset.copy()
    if "pair" in dataset.dims:
        name = "log_power_ratio"
        arrays = prepare(dataset, spectrum=spectrum)
        arrays = arrays._replace(
            nu_max=arrays.g if "nu" in values else None,
            trace_mask=arrays.mask.max(axis=-1) if "level" in values else None,
        )
        drawn = (arrays.mask > 0) * draw_log_ratio(rng, *pair_location(values, arrays))
    else:
        name = "power"
        arrays = prepare(dataset, form="cluster", spectrum=spectrum)
        arrays = arrays._replace(nu_max=arrays.g if "cluster_nu" in values else None)
        values |= {n.removeprefix("cluster_"): value for n, value in values.items()}
        log_s2, nu = (np.asarray(part) for part in cluster_spectra(values, arrays))
        a = np.where(arrays.mask > 0, 0.5 * nu, 0.0)
        C = (a * np.exp(arrays.log_power - log_s2)).sum(axis=0)
        G = C / rng.standard_gamma(np.maximum(a.sum(axis=0), 1.0))
        share = np.exp(log_chi_square_share(rng, nu, nu.shape))
        drawn = np.where(arrays.mask > 0, G * np.exp(log_s2) * share, 1.0)
    size = dataset.sizes["freq"]
    replica[name] = dataset[name].copy(data=np.asarray(drawn)[..., :size])
    return replica


def generator(key):
    """Return NumPy's generator for a JAX key: its gamma variables cost a tenth of JAX's."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())


def log_chi_square_share(rng, nu, shape):
    """Draw ln(X / ν), X chi-square with ν degrees of freedom, in an array of that shape."""
    a = np.broadcast_to(0.5 * np.asarray(nu, float), shape)
    return np.log(rng.standard_gamma(a)) - np.log(a)


def draw_log_ratio(rng, loc, nu1, nu2):
    """Draw ln(P1 / P2) around loc."""
    shape = np.shape(loc)
    first, second = (log_chi_square_share(rng, nu, shape) for nu in (nu1, nu2))
    return np.asarray(loc) + first - second


def _checked_design(changes):
    design = checked_design(DESIGN, DESIGN_OPTIONS, changes)
    if not design["lowest_frequency"] < design["highest_frequency"]:
        raise OptionError(
            f"highest_frequency = {design['highest_frequency']:g} Hz must be above "
            f"lowest_frequency = {design['lowest_frequency']:g} Hz; raise it"
        )
    return design


def _nu_max(design):
    return float(design["nu1"] if design["events"] else max(design["nu1"], design["nu2"]))


def _values(key, design, given, priors):
    """Return the parameters in arrays, those not given drawn from the prior."""
    chosen = resolved(PRIORS, priors, "source_spectra")
    priors = {name: prior.distribution() for name, prior in chosen.items()}
    if unknown := set(given) - set(priors):
        raise OptionError(
            f"there is no parameter {', '.join(sorted(unknown))}; choose from {', '.join(priors)}"
        )
    events = int(design["events"])
    many = (events - 1,) if events else (int(design["pairs"]),)
    one = () if events else many
    shapes = {"ln_fc1": one, "dln_fc": many, "ln_moment_ratio": many}
    if design["degrees_of_freedom"] == "estimated" or "logit_nu" in given:
        shapes["logit_nu"] = one
    if design["falloff"] == "free" or "falloff" in given:
        shapes["falloff"] = one
    if design["levels"] or "level_scale" in given:
        shapes["level_scale"] = one
    if design["hierarchical"]:
        shapes |= {"mu_dsigma": (), "tau_dsigma": ()}
    if idle := set(given) - set(shapes):
        raise OptionError(
            f"the design has no place for {', '.join(sorted(idle))}; its parameters are "
            f"{', '.join(shapes)}"
        )
    keys = dict(zip(priors, jax.random.split(key, len(priors)), strict=True))
    values = {
        name: (
            given_values(name, given[name], shape, chosen[name])
            if name in given
            else np.asarray(priors[name].sample(keys[name], shape))
        )
        for name, shape in shapes.items()
    }
    if design["hierarchical"]:
        values |= _from_stress_drops(jax.random.fold_in(key, 1), design, values)
    return values


def _from_stress_drops(key, design, values):
    """Return the corner frequencies that follow from stress drops with a common prior."""
    key_drop, key_model = jax.random.split(key)
    names = (design["rupture_model"],) if design["rupture_model"] else tuple(RUPTURE_MODELS)
    log_k = jax.random.choice(key_model, jnp.log(jnp.array([RUPTURE_MODELS[k] for k in names])))
    m = values["ln_moment_ratio"]
    log_moment = np.log(design["moment"]) - (
        np.append(0.0, m) if design["events"] else np.stack([np.zeros_like(m), m], axis=-1)
    )
    z = jax.random.normal(key_drop, log_moment.shape)
    ln_dsigma = values["mu_dsigma"] + values["tau_dsigma"] * z
    per_radius = (ln_dsigma - np.log(STRESS_DROP_FACTOR) - log_moment) / 3.0
    ln_fc = np.asarray(per_radius + log_k + np.log(design["shear_velocity"]))
    dln_fc = ln_fc[..., 1:] - ln_fc[..., :1]
    return {"ln_fc1": ln_fc[..., 0], "dln_fc": dln_fc if design["events"] else dln_fc[..., 0]}


def _pairs(key, design, values, log_f):
    key_path, key_level, key_power = jax.random.split(key, 3)
    shape = (int(design["pairs"]), int(design["traces"]), len(log_f))
    m, ln_fc1 = values["ln_moment_ratio"], values["ln_fc1"]
    ln_fc = np.stack([ln_fc1, ln_fc1 + values["dln_fc"]], axis=1)
    log_moment = np.stack([m, np.zeros_like(m)], axis=1)
    nu = _degrees_of_freedom(design, values, shape)
    log_s = _log_spectra(design, values, ln_fc, log_moment, log_f)[:, :, None, :]
    if "level_scale" in values and shape[1] > 1:
        white = jax.random.normal(key_level, shape[:2])
        level = np.asarray(values["level_scale"][:, None] * white)
        values["level"] = level
        log_s = log_s + np.stack([level, np.zeros_like(level)], axis=1)[..., None]
    log_s = np.broadcast_to(log_s, (shape[0], 2, *shape[1:]))
    log_G = LOG_PATH_SCALE * jax.random.normal(key_path, (shape[0], 1, shape[1], 1))
    power, noise = _powers(key_power, design, log_s, np.asarray(log_G), nu, 1)
    variables = {
        "log_power_ratio": (np.log(power[:, 0] / power[:, 1]), "1", "log of the power ratio"),
        "nu1": (nu[:, 0], "1", "degrees of freedom of the power of event 1"),
        "nu2": (nu[:, 1], "1", "degrees of freedom of the power of event 2"),
        "mask": (np.ones(shape, np.int8), "1", "1 where there are data"),
    }
    for i in (1, 2) if design["noise_to_signal"] > 0 else ():
        variables[f"power{i}"] = (power[:, i - 1], "counts2/Hz", f"power of event {i}")
        variables[f"noise{i}"] = (noise[:, i - 1], "counts2/Hz", f"power of noise, event {i}")
    dataset = _labelled(variables, "pair", shape, log_f)
    if design["hierarchical"]:
        dataset["moment1"] = _moment("pair", np.full(shape[0], float(design["moment"])))
    return dataset


def _cluster(key, design, values, log_f):
    key_path, key_power = jax.random.split(key)
    shape = (int(design["events"]), int(design["traces"]), len(log_f))
    ln_fc = np.append(values["ln_fc1"], values["ln_fc1"] + values["dln_fc"])
    log_moment = np.append(0.0, -values["ln_moment_ratio"])
    values |= {"ln_fc": ln_fc, "ln_relative_moment": log_moment}
    nu = _degrees_of_freedom(design, values, shape)
    log_s = _log_spectra(design, values, ln_fc, log_moment, log_f)[:, None, :]
    log_G = LOG_PATH_SCALE * jax.random.normal(key_path, (1, shape[1], 1))
    log_s = np.broadcast_to(log_s, shape)
    power, noise = _powers(key_power, design, log_s, np.asarray(log_G), nu, 0)
    variables = {
        "power": (power, "counts2/Hz", "power of the event"),
        "nu": (nu, "1", "degrees of freedom of the power"),
        "mask": (np.ones(shape, np.int8), "1", "1 where there are data"),
    }
    if design["noise_to_signal"] > 0:
        variables["noise_power"] = (noise, "counts2/Hz", "power of the noise")
    dataset = _labelled(variables, "event", shape, log_f)
    if design["hierarchical"]:
        dataset["moment"] = _moment("event", design["moment"] * np.exp(log_moment))
    return dataset


def _degrees_of_freedom(design, values, shape):
    """Return ν of every power, (pair, 2, trace, freq) or (event, trace, freq)."""
    if "logit_nu" in values:
        share = 1 / (1 + np.exp(-values["logit_nu"]))
        values["nu"] = 1 + (_nu_max(design) - 1) * share
        nu = values["nu"].reshape(-1, 1, 1, 1)
        nu = nu[0] if design["events"] else nu
    elif design["events"]:
        nu = design["nu1"]
    else:
        nu = np.array([design["nu1"], design["nu2"]])[:, None, None]
    full = shape if design["events"] else (shape[0], 2, *shape[1:])
    return np.broadcast_to(np.asarray(nu, float), full)


def _log_spectra(design, values, ln_fc, log_moment, log_f):
    """Return ln S of every event, (..., event, freq)."""
    n, g = SHAPES[design["spectrum"]]
    if "falloff" in values:
        n = values["falloff"][..., None, None]
    return np.asarray(log_moment[..., None] + log_source_spectrum(log_f, ln_fc[..., None], n, g))


def _powers(key, design, log_s, log_G, nu, event_axis):
    """Return the powers and the noise, whose level is that of the smallest event at first."""
    signal = np.exp(log_G + 2 * log_s)
    smallest = signal.min(axis=event_axis, keepdims=True)[..., :1]
    noise = np.broadcast_to(design["noise_to_signal"] * smallest, signal.shape)
    width = int(design["bins_per_estimate"])
    first = np.arange(signal.shape[-1]) // width * width
    share = log_chi_square_share(generator(key), nu, signal.shape)[..., first]
    return (signal + noise) * np.exp(share), noise


def _labelled(variables, dim, shape, log_f):
    names = np.array([f"{dim}{i + 1}" for i in range(shape[0])])
    traces = np.array([f"trace{i + 1}" for i in range(shape[1])])
    frequency = {"units": "Hz", "long_name": "frequency"}
    return xr.Dataset(
        {
            name: ((dim, "trace", "freq"), values, {"units": unit, "long_name": meaning})
            for name, (values, unit, meaning) in variables.items()
        },
        coords={dim: names, "trace": traces, "freq": ("freq", np.exp(log_f), frequency)},
    )


def _moment(dim, values):
    return (dim, values, {"units": "N m", "long_name": "seismic moment"})
