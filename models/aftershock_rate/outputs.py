"""What a fit of this model adds to its result: detection map, forecasts, terms, residuals."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.errors import OptionError
from bayesquake.io.magnitudes import MAGNITUDE
from bayesquake.model.capabilities import Folds
from bayesquake.model.options import any_of, each, takes
from bayesquake.physics.detection_function import detection_probability, magnitude_cdf

from .dataset import END_DAYS
from .forecast import log_expected_count
from .grid import interpolate, time_bins
from .likelihood import (
    Parameters,
    cumulative_events,
    expected_events_of_cells,
    log_likelihood_of_cells,
)
from .quantities import QUANTITIES

__all__ = ["FOLDS", "complete"]

FORECAST_DAYS = (1.0, 7.0)
FORECAST_MAGNITUDES = (3.0, 4.0, 5.0)
MAGNITUDE_GRID_STEP = 0.25
LARGEST_MEAN = 1e18
"""Largest Poisson mean whose counts fit into 64-bit integers."""

CHUNK = 500
"""Draws whose derived arrays are computed at once; bounds the memory."""


@takes(
    forecast_windows=any_of(None, each(END_DAYS, length=2), each(each(END_DAYS, length=2))),
    forecast_magnitudes=any_of(None, MAGNITUDE, each(MAGNITUDE)),
)
def complete(dataset, *, forecast_windows=None, forecast_magnitudes=None):
    """Plan the model's own result groups, refusing bad forecast options before any sampling.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `data.read`.
    forecast_windows : sequence of (start, end), optional
        Days after the main shock, not before the end of the window; the next day and the
        next week by default.
    forecast_magnitudes : sequence of float, optional
        Thresholds (mag); 3, 4 and 5, less half a rounding step, by default.

    Returns
    -------
    callable
        ``(posterior, arrays, key) -> dict`` of `xarray.Dataset`: groups ``posterior``
        (detection), ``posterior_predictive``, ``log_likelihood``, ``observed_data``,
        ``constant_data`` and ``residuals``.

    Raises
    ------
    OptionError
        A forecast window starts before the end of the data, or ends before it starts.
    """
    T, delta = float(dataset.attrs["T"]), float(dataset.attrs["delta_m"])
    windows = _windows(forecast_windows, T)
    thresholds = _thresholds(forecast_magnitudes, delta)
    return functools.partial(_groups, dataset, windows, thresholds)


def _groups(dataset, windows, thresholds, posterior, arrays, key):
    """Compute the groups that `complete` planned."""
    M0, T, delta = (float(dataset.attrs[name]) for name in ("M0", "T", "delta_m"))
    mag_grid = _magnitude_grid(dataset["mag"].to_numpy())
    days = 10.0 ** np.asarray(arrays.knots)
    first_cells = time_bins(arrays.knots)
    edges = np.append(days[first_cells], days[-1])
    edges[0] = 0.0

    events = dataset.sizes["event"]
    key_forecast, key_replicate, key_pit = jax.random.split(key, 3)
    half_bin = 0.0 if arrays.rounding is None else 0.5 * delta
    bin_share = jax.random.uniform(key_pit, arrays.t.shape)
    pit_edges = (arrays.magnitude - half_bin, arrays.magnitude + half_bin, bin_share)
    derived = _in_chunks(posterior, arrays, jnp.asarray(mag_grid), pit_edges, events)
    lead = posterior["p"].shape
    log_expected = np.asarray(
        log_expected_count(
            {name: posterior[name][..., None, None] for name in ("log_K", "p", "log_c", "beta")},
            M0,
            windows[:, :1],
            windows[:, 1:],
            thresholds,
        )
    )
    expected_bins = np.add.reduceat(derived["expected_cells"], first_cells, axis=-1)
    observed_bins = np.histogram(dataset["t"], np.append(edges[:-1], np.inf))[0]
    chain_draw = {"chain": np.arange(lead[0]), "draw": np.arange(lead[1])}
    bin_coords = {
        "time_bin": np.arange(first_cells.size),
        "bin_start": _day_coordinate("time_bin", edges[:-1], "start of the bin"),
        "bin_end": _day_coordinate("time_bin", edges[1:], "end of the bin"),
    }
    time_grid = ("time_grid", days, {"units": "d", "long_name": "time after the main shock"})
    grid_magnitude = ("mag_grid", mag_grid, {"units": "mag", "long_name": "magnitude"})
    pit, cumulative = derived["pit"].mean(0), derived["cumulative"].mean(0)
    return {
        "posterior": xr.Dataset(
            {
                "detection": (
                    ("chain", "draw", "time_grid", "mag_grid"),
                    derived["detection"].reshape(*lead, days.size, mag_grid.size),
                    _attributes("detection"),
                )
            },
            coords={**chain_draw, "time_grid": time_grid, "mag_grid": grid_magnitude},
        ),
        "posterior_predictive": xr.Dataset(
            {
                "forecast_count": (
                    ("chain", "draw", "window", "mag_threshold"),
                    _poisson(key_forecast, np.exp(log_expected)),
                    {"units": "1", "long_name": "true events above the threshold in the window"},
                ),
                "forecast_log_mean": (
                    ("chain", "draw", "window", "mag_threshold"),
                    log_expected,
                    {"units": "1", "long_name": "log of the expected count"},
                ),
                "detected_count": (
                    ("chain", "draw", "time_bin"),
                    _poisson(key_replicate, expected_bins).reshape(*lead, -1),
                    {"units": "1", "long_name": "replicated catalogued events in the time bin"},
                ),
            },
            coords={
                **chain_draw,
                **bin_coords,
                "window": np.arange(len(windows)),
                "window_start": _day_coordinate("window", windows[:, 0], "start of the window"),
                "window_end": _day_coordinate("window", windows[:, 1], "end of the window"),
                "mag_threshold": ("mag_threshold", thresholds, {"units": "mag"}),
            },
        ),
        "log_likelihood": xr.Dataset(
            {
                "term": (
                    ("chain", "draw", "time_bin"),
                    np.add.reduceat(derived["log_likelihood"], first_cells, axis=-1).reshape(
                        *lead, -1
                    ),
                    {"units": "1", "long_name": "log likelihood of the time bin"},
                )
            },
            coords={**chain_draw, **bin_coords},
        ),
        "observed_data": _observed(dataset).assign(
            detected_count=(
                "time_bin",
                observed_bins,
                {"units": "1", "long_name": "catalogued events in the time bin"},
            )
        ),
        "constant_data": xr.Dataset(
            {
                "M0": ((), M0, {"units": "mag", "long_name": "main-shock magnitude"}),
                "T": ((), T, {"units": "d", "long_name": "end of the window"}),
                "Mc": (
                    (),
                    float(dataset.attrs["Mc"]),
                    {"units": "mag", "long_name": "completeness cut, NaN if none"},
                ),
                "delta_m": (
                    (),
                    delta,
                    {"units": "mag", "long_name": "rounding step of magnitudes, 0 if none"},
                ),
            }
        ),
        "residuals": xr.Dataset(
            {
                "pit_magnitude": (
                    "event",
                    pit,
                    {
                        "units": "1",
                        "long_name": "distribution function at mag, randomised in its bin",
                    },
                ),
                "cumulative_events": (
                    "event",
                    cumulative,
                    {"units": "1", "long_name": "posterior mean expected events up to the event"},
                ),
            }
        ),
    }


def _observed(dataset):
    named = dataset.drop_vars([name for name in dataset.coords if name != "event"])
    for name in named.data_vars:
        named[name].attrs.setdefault("units", "1")
    return named


def _attributes(name):
    quantity = QUANTITIES[name]
    return {"units": quantity.unit, "long_name": quantity.meaning}


def _day_coordinate(dim, values, meaning):
    return (dim, np.asarray(values, float), {"units": "d", "long_name": meaning})


def _windows(windows, T):
    if windows is None:
        windows = [(T, T + days) for days in FORECAST_DAYS]
    windows = np.atleast_2d(windows)
    for start, end in windows:
        if not T <= start < end:
            raise OptionError(
                f"the forecast window [{start:g}, {end:g}] day must start at or after the end of "
                f"the data, T = {T:g} day, and end after it starts"
            )
    return windows


def _thresholds(magnitudes, delta):
    if magnitudes is None:
        return np.array(FORECAST_MAGNITUDES) - 0.5 * delta
    return np.atleast_1d(magnitudes)


def _magnitude_grid(magnitude):
    low = np.floor(magnitude.min()) - 0.5
    return np.arange(low, np.ceil(magnitude.max()) + 1e-9, MAGNITUDE_GRID_STEP)


def _poisson(key, mean):
    seed = np.asarray(jax.random.key_data(key)).ravel()
    return np.random.default_rng(seed).poisson(np.minimum(np.nan_to_num(mean), LARGEST_MEAN))


@jax.jit
def _derive(values, arrays, mag_grid, pit_edges):
    """Return everything derived from one draw; vectorised by `_in_chunks`."""

    def of_draw(values):
        parameters = Parameters(*(values[name] for name in Parameters._fields))
        sigma = jnp.exp(parameters.log_sigma)
        mu_i = interpolate(parameters.mu, arrays.cell, arrays.weight)
        earliest, cells = expected_events_of_cells(parameters, arrays)
        return {
            "detection": detection_probability(
                mag_grid[None, :], parameters.mu[:, None], sigma
            ).astype(jnp.float32),
            "expected_cells": cells.at[0].add(earliest),
            "log_likelihood": log_likelihood_of_cells(parameters, arrays),
            "pit": _pit(arrays, pit_edges, mu_i, sigma, parameters.beta),
            "cumulative": cumulative_events(parameters, arrays),
        }

    return jax.vmap(of_draw)(values)


def _pit(arrays, edges, mu_i, sigma, beta):
    """Return P(magnitude below the observed one), uniform if the model holds.

    For rounded magnitudes it lies at a random share between the edges of the bin.
    """
    low, high, share = edges
    below = (1 - share) * magnitude_cdf(low, mu_i, sigma, beta)
    below += share * magnitude_cdf(high, mu_i, sigma, beta)
    if arrays.lower_magnitude is None:
        return below
    cut_below = magnitude_cdf(arrays.lower_magnitude, mu_i, sigma, beta)
    return (below - cut_below) / (1 - cut_below)


def _in_chunks(posterior, arrays, mag_grid, pit_edges, events):
    """Return derived arrays with a flat leading draw axis, computed chunk by chunk."""
    flat = {
        name: np.asarray(posterior[name]).reshape(-1, *np.shape(posterior[name])[2:])
        for name in Parameters._fields
    }
    total = flat["p"].shape[0]
    parts = []
    for first in range(0, total, CHUNK):
        index = np.arange(first, first + CHUNK) % total
        values = {name: draws[index] for name, draws in flat.items()}
        part = _derive(values, arrays, mag_grid, pit_edges)
        kept = min(CHUNK, total - first)
        parts.append({name: np.asarray(values)[:kept] for name, values in part.items()})
    derived = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name in ("pit", "cumulative"):
        derived[name] = derived[name][:, :events]
    return derived


def _fold_count(arrays):
    return time_bins(arrays.knots).size


def _without_fold(arrays, fold):
    firsts = np.append(time_bins(arrays.knots), arrays.knots.shape[0] - 1)
    weight = np.ones(arrays.knots.shape[0] - 1)
    weight[firsts[fold] : firsts[fold + 1]] = 0.0
    return arrays._replace(cell_weight=weight)


def _fold_terms(values, arrays):
    parameters = Parameters(*(values[name] for name in Parameters._fields))
    cells = log_likelihood_of_cells(parameters, arrays)
    return jnp.stack([part.sum() for part in jnp.split(cells, time_bins(arrays.knots)[1:])])


FOLDS = Folds(count=_fold_count, without=_without_fold, terms=_fold_terms)
