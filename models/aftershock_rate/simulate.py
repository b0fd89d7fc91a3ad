r"""Exact simulation of detected aftershock sequences.

Detected events are a Poisson process of rate
:math:`\nu(t) = K (t + c)^{-p} e^{-\beta(\mu(t) - M_0) + \beta^2 \sigma^2 / 2}`: times come
from its inverse distribution function, magnitudes from
Normal(μ - βσ², σ) + Exponential(β). `simulate_complete` instead draws every event above
a magnitude floor and marks those detected; the two agree in distribution.
"""

import jax
import numpy as np
import xarray as xr
from scipy.special import ndtr

from bayesquake.errors import OptionError, SimulationError
from bayesquake.io.magnitudes import MAGNITUDE, ROUNDING
from bayesquake.model.options import count
from bayesquake.model.priors import resolved
from bayesquake.model.simulation import checked_design, given_values, require_event_limits

from .dataset import CUT, EARLIEST_DAYS, END_DAYS
from .gp import matern32
from .priors import PRIORS

__all__ = [
    "DESIGN",
    "draw_parameters",
    "replicate",
    "simulate",
    "simulate_complete",
    "simulate_detected",
]

DESIGN = {
    "M0": 7.0,
    "T": 1.0,
    "completeness_magnitude": np.nan,
    "magnitude_rounding": 0.0,
    "knots": 97,
    "minimum_events": 10,
    "maximum_events": 20_000,
}
"""Design of a simulated catalogue: main-shock magnitude, window (day), cut and rounding
(mag), knots of the true μ, and the number of events outside which it is refused."""

DESIGN_OPTIONS = {
    "M0": MAGNITUDE,
    "T": END_DAYS,
    "completeness_magnitude": CUT,
    "magnitude_rounding": ROUNDING,
    "knots": count(at_least=8, at_most=10_000),
    "minimum_events": count(at_least=0),
    "maximum_events": count(),
}

SCALARS = ("log_K", "p", "log_c", "beta", "log_sigma")
PROCESS = ("mu_1d", "mu_slope", "eta", "ell")
TIME_POINTS = 6000
LARGEST_CATALOGUE = 1e7
"""Expected events before any cut beyond which nothing is drawn."""

FIRST_POINT_DAYS = 1e-8
COVARIANCE_JITTER = 1e-9


def simulate(key, design=None, parameters=None, *, priors=None):
    """Simulate a detected catalogue, from the prior or at given parameters.

    Parameters
    ----------
    key : jax.random.key
    design : mapping, optional
        Changes to `DESIGN`.
    parameters : mapping, optional
        Values of ``log_K``, ``p``, ``log_c``, ``beta``, ``log_sigma``, and either ``mu`` at
        the knots (mag), shape (knot,), or ``mu_1d``, ``mu_slope``, ``eta`` and ``ell`` of
        its process; whatever is absent is drawn from the prior.
    priors : mapping or path, optional
        Priors in place of the defaults.

    Returns
    -------
    parameters : dict
    dataset : xarray.Dataset
        As from `data.read`.

    Raises
    ------
    SimulationError
        The number of events is outside the design's limits.
    OptionError
        The design or the parameters have an unknown entry or an impossible value.
    """
    design = checked_design(DESIGN, DESIGN_OPTIONS, design)
    require_event_limits(design)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    parameters = draw_parameters(rng, design, priors, parameters or {})
    expected = expected_detected(parameters, design)
    if not expected < LARGEST_CATALOGUE:
        raise SimulationError(
            f"the parameters make {expected:.3g} detected events, more than fit into memory; "
            "lower log_K"
        )
    t, magnitude = simulate_detected(rng, parameters, design)
    return parameters, _dataset(t, magnitude, design)


def replicate(key, values, dataset):
    """Simulate a catalogue as a real one could have been, at one posterior draw.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        ``log_K``, ``p``, ``log_c``, ``beta``, ``log_sigma`` and ``mu`` at the knots (mag).
    dataset : xarray.Dataset
        Whose main shock, window, cut and rounding are taken over.

    Raises
    ------
    SimulationError
        The number of events is outside the limits of `DESIGN`.
    """
    design = {
        "M0": float(dataset.attrs["M0"]),
        "T": float(dataset.attrs["T"]),
        "completeness_magnitude": float(dataset.attrs["Mc"]),
        "magnitude_rounding": float(dataset.attrs["delta_m"]),
        "knots": len(values["mu"]),
    }
    parameters = {name: float(values[name]) for name in SCALARS}
    return simulate(key, design, parameters | {"mu": np.asarray(values["mu"])})[1]


def draw_parameters(rng, design, priors=None, given=None):
    """Draw parameters from the prior, with μ an exact Matérn-3/2 process at the knots.

    Raises
    ------
    OptionError
        A given name is not a parameter, or its value is impossible.
    SimulationError
        The prior made a β that is not positive.
    """
    chosen = resolved(PRIORS, priors, "aftershock_rate")
    given = dict(given or {})
    unknown = set(given) - set(chosen) - {"mu"}
    if unknown:
        raise OptionError(
            f"there is no parameter {', '.join(sorted(unknown))}; "
            f"choose from {', '.join([*chosen, 'mu'])}"
        )
    lengths = {"mu": (design["knots"],)}
    given = {
        name: given_values(name, x, lengths.get(name, ()), chosen.get(name))
        for name, x in given.items()
    }
    keys = jax.random.split(jax.random.key(int(rng.integers(2**63))), len(chosen))
    values = {
        name: float(prior.distribution().sample(key))
        for (name, prior), key in zip(chosen.items(), keys, strict=True)
    } | given
    if not values["beta"] > 0:
        error = OptionError if "beta" in given else SimulationError
        raise error(f"parameter beta = {float(values['beta'])} must be positive")
    if "mu" in given:
        return {name: values[name] for name in values if name not in PROCESS}
    x = knots_of(design)
    covariance = np.array(matern32(x, x, values["eta"], values["ell"]))
    covariance[np.diag_indices_from(covariance)] += COVARIANCE_JITTER * values["eta"] ** 2
    g = np.linalg.cholesky(covariance) @ rng.standard_normal(x.size)
    return {"mu": values["mu_1d"] + values["mu_slope"] * x + g} | values


def knots_of(design):
    """Return the knots of μ in x = log10(days), (knot,)."""
    return np.linspace(np.log10(EARLIEST_DAYS), np.log10(design["T"]), design["knots"])


def simulate_detected(rng, parameters, design):
    """Draw the detected events directly.

    Returns
    -------
    t, magnitude : (event,)
        Days after the main shock, ascending; magnitude.
    """
    points, cumulative = _cumulative_rate(parameters, design)
    n = rng.poisson(cumulative[-1])
    t = np.sort(np.interp(rng.uniform(0, cumulative[-1], n), cumulative, points))
    beta, sigma = parameters["beta"], np.exp(parameters["log_sigma"])
    mu = mu_at(t, parameters["mu"], design)
    normal = rng.normal(mu - beta * sigma**2, sigma)
    return t, normal + rng.exponential(1 / beta, n)


def simulate_complete(rng, parameters, design, floor):
    """Draw every event above a magnitude floor, and which of them are detected.

    Returns
    -------
    t, magnitude : (event,)
    detected : (event,) of bool
    """
    beta, sigma = parameters["beta"], np.exp(parameters["log_sigma"])
    points = _time_points(design)
    c = np.exp(parameters["log_c"])
    log_rate = parameters["log_K"] - parameters["p"] * np.log(points + c)
    cumulative = _integrate(log_rate - beta * (floor - design["M0"]), points)
    n = rng.poisson(cumulative[-1])
    t = np.sort(np.interp(rng.uniform(0, cumulative[-1], n), cumulative, points))
    magnitude = floor + rng.exponential(1 / beta, n)
    probability = ndtr((magnitude - mu_at(t, parameters["mu"], design)) / sigma)
    return t, magnitude, rng.uniform(size=n) < probability


def mu_at(t, mu, design):
    """Return μ at times t (day), the linear interpolant of the knots in x."""
    return np.interp(np.log10(np.maximum(t, EARLIEST_DAYS)), knots_of(design), mu)


def expected_detected(parameters, design):
    """Return the expected number of detected events in [0, T]."""
    return float(_cumulative_rate(parameters, design)[1][-1])


def _cumulative_rate(parameters, design):
    points = _time_points(design)
    beta, sigma = parameters["beta"], np.exp(parameters["log_sigma"])
    mu = mu_at(points, parameters["mu"], design)
    log_rate = (
        parameters["log_K"]
        - parameters["p"] * np.log(points + np.exp(parameters["log_c"]))
        - beta * (mu - design["M0"])
        + 0.5 * (beta * sigma) ** 2
    )
    return points, _integrate(log_rate, points)


def _time_points(design):
    return np.concatenate([[0.0], np.geomspace(FIRST_POINT_DAYS, design["T"], TIME_POINTS)])


def _integrate(log_rate, points):
    rate = np.exp(log_rate)
    steps = 0.5 * (rate[1:] + rate[:-1]) * np.diff(points)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _dataset(t, magnitude, design):
    delta, cut = float(design["magnitude_rounding"]), float(design["completeness_magnitude"])
    if delta > 0:
        magnitude = np.round(np.round(magnitude / delta) * delta, 10)
    if not np.isnan(cut):
        kept = magnitude >= cut - 1e-9
        t, magnitude = t[kept], magnitude[kept]
    if not design["minimum_events"] <= t.size <= design["maximum_events"]:
        raise SimulationError(
            f"{t.size} simulated events lie outside [{design['minimum_events']}, "
            f"{design['maximum_events']}]; try another seed or change the design"
        )
    return xr.Dataset(
        {
            "t": ("event", t, {"units": "d", "long_name": "time after the main shock"}),
            "mag": ("event", magnitude, {"units": "mag", "long_name": "magnitude"}),
        },
        attrs={
            "M0": float(design["M0"]),
            "T": float(design["T"]),
            "Mc": cut,
            "delta_m": delta,
            "main_shock_time": "",
            "source": "simulated",
        },
    )
