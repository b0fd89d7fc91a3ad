"""What a fit of this model adds to its result: classification, residuals, forecast."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.stats import kstest

from bayesquake.errors import OptionError, SimulationError
from bayesquake.io.catalog import utc_times
from bayesquake.model.options import any_of, count, number, takes
from bayesquake.results.posteriors import some_draws

from .arrays import reference_magnitude
from .background import Field, cells_of, log_field
from .classification import classify, cluster_sizes, roots
from .compensator import terms_and_times
from .forecast import forecast_catalogs
from .likelihood import expected_events, log_magnitude_density
from .quantities import QUANTITIES

__all__ = ["complete"]

OF_EVENTS = ("time_days", "longitude", "latitude", "magnitude", "target", "event_id")
"""What the classification repeats of every event, so that its tables can be read alone."""


@takes(
    classification_draws=count(at_most=1_000_000),
    chosen_event=any_of(None, count(at_least=0)),
    forecast_days=number("d", at_least=0, at_most=1e5),
    forecast_draws=count(at_most=1_000_000),
)
def complete(
    dataset, *, classification_draws=100, chosen_event=None, forecast_days=30.0, forecast_draws=1000
):
    """Plan the model's own result groups, refusing bad options before any sampling.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `data.read`.
    classification_draws : int
        Posterior draws, evenly spaced, of which every event is classified and its log
        likelihood kept; each costs two passes over all pairs.
    chosen_event : int, optional
        Position of the event whose cluster is mapped; the largest target by default.
    forecast_days : float
        Length of the forecast that follows the window; 0 leaves it out.
    forecast_draws : int
        Catalogues of the forecast, each from a posterior draw.

    Returns
    -------
    callable
        ``(posterior, arrays, key) -> dict`` of `xarray.Dataset`: groups ``posterior``
        (mu_field), ``log_likelihood``, ``observed_data``, ``constant_data``,
        ``classification``, ``residuals`` and ``forecast``.

    Raises
    ------
    OptionError
    """
    events = dataset.sizes["event"]
    if chosen_event is None:
        target = dataset["target"].to_numpy() == 1
        chosen_event = int(np.argmax(np.where(target, dataset["magnitude"], -np.inf)))
    if chosen_event >= events:
        raise OptionError(
            f"chosen_event = {chosen_event!r} must be a position from 0 to {events - 1}"
        )
    return functools.partial(
        _groups, dataset, classification_draws, chosen_event, forecast_days, forecast_draws
    )


def _groups(dataset, draws, chosen_event, forecast_days, forecast_draws, posterior, arrays, key):
    """Compute the groups that `complete` planned."""
    key_classes, key_forecast = jax.random.split(key)
    chains = posterior["k"].shape[0]
    per_chain, flat = some_draws(posterior, draws)
    terms, Lambda, total = (
        np.asarray(x) for x in _of_draws(jax.tree.map(jnp.asarray, flat), arrays)
    )
    groups = {
        "posterior": _field(posterior, arrays, dataset),
        "log_likelihood": _terms(terms, flat["beta"], arrays, dataset, chains, per_chain),
        "observed_data": dataset.copy(),
        "constant_data": _constants(dataset, arrays),
        "classification": _classification(key_classes, flat, arrays, dataset, chosen_event),
        "residuals": _residuals(Lambda.mean(axis=0), total.mean(), dataset),
    }
    if forecast_days:
        every = {name: np.asarray(x).reshape(-1, *x.shape[2:]) for name, x in posterior.items()}
        try:
            groups["forecast"] = forecast_catalogs(
                key_forecast, every, dataset, arrays, days=forecast_days, catalogs=forecast_draws
            )
        except SimulationError as problem:
            warnings.warn(
                f"the forecast is left out: {problem}. Branching ratios near or above one make "
                "catalogues grow without end; choose fewer forecast_days",
                stacklevel=2,
            )
    return groups


def _classification(key, values, arrays, dataset, chosen_event):
    n = dataset.sizes["event"]
    probability, parent = classify(key, jax.tree.map(jnp.asarray, values), arrays)
    probability, parent = probability[..., :n], parent[:, :n]
    phi = probability.sum(axis=1)
    triggered = 1 - phi.mean(axis=0)
    by_class = np.concatenate([probability.mean(axis=0), triggered[None]]).T
    classes = probability.shape[1]
    names = ["background"] if classes == 1 else [f"background {i + 1}" for i in range(classes)]
    root = roots(parent)

    def per_event(values, meaning):
        return ("event", values, {"units": "1", "long_name": meaning})

    def per_draw(values, meaning):
        return (
            ("draw_c", "event"),
            values.astype(np.int32),
            {"units": "1", "long_name": meaning},
        )

    meaning = "posterior probability of being background"
    return xr.Dataset(
        {
            "phi_mean": per_event(phi.mean(axis=0), meaning),
            "phi_q05": per_event(np.quantile(phi, 0.05, axis=0), f"5 % quantile of the {meaning}"),
            "phi_q95": per_event(np.quantile(phi, 0.95, axis=0), f"95 % quantile of the {meaning}"),
            "class_prob": (
                ("event", "class"),
                by_class,
                {"units": "1", "long_name": "posterior probability of every class"},
            ),
            "parent": per_draw(parent, "position of the parent, -1 for background"),
            "root": per_draw(root, "position of the first ancestor"),
            "cluster_size": per_draw(cluster_sizes(root), "number of events in the cluster"),
            "cocluster": per_event(
                (root == root[:, [chosen_event]]).mean(axis=0),
                "posterior probability of sharing the cluster of the chosen event",
            ),
        },
        coords={
            "class": [*names, "triggered"],
            "draw_c": np.arange(len(parent)),
            **{name: dataset[name] for name in OF_EVENTS if name in dataset},
            **_times(dataset),
        },
        attrs={"chosen_event": chosen_event},
    )


def _times(dataset):
    """Return the origin times as a coordinate, where the catalogue has absolute times."""
    epoch = dataset.attrs["epoch"]
    if not epoch:
        return {}
    times = utc_times(epoch, dataset["time_days"]).astype("datetime64[ns]")
    return {"time_utc": ("event", times, {"long_name": "origin time (UTC)"})}


def _terms(terms, beta, arrays, dataset, chains, per_chain):
    """Return what time and place, and what the magnitude, of every target add to ln L."""
    target = dataset["target"].to_numpy() == 1
    one = arrays.magnitudes._replace(count=1.0, total=arrays.events.dm[: target.size][target])
    found = {
        "term": (
            terms[:, : target.size][:, target],
            "log rate less the targets expected since the one before",
        ),
        "magnitude": (log_magnitude_density(beta[:, None], one), "log density of the magnitude"),
    }
    return xr.Dataset(
        {
            name: (
                ("chain", "draw", "target_event"),
                np.asarray(values).reshape(chains, per_chain.size, -1),
                {"units": "1", "long_name": meaning},
            )
            for name, (values, meaning) in found.items()
        },
        coords={
            "chain": np.arange(chains),
            "draw": per_chain,
            "target_event": ("target_event", np.flatnonzero(target), {"units": "1"}),
        },
    )


@jax.jit
def _of_draws(values, arrays):
    """Return terms and transformed times of every draw, (draw, event), and expected targets."""

    def of_draw(draw):
        terms, Lambda = terms_and_times(draw, arrays)
        return terms, Lambda, expected_events(draw, arrays)

    return jax.lax.map(of_draw, values)


def _residuals(Lambda, total, dataset):
    """Return posterior means of transformed times, and how far they are from uniform."""
    target = dataset["target"].to_numpy() == 1
    Lambda = Lambda[: target.size][target]
    test = kstest(Lambda / total, "uniform")
    return xr.Dataset(
        {
            "transformed_time": (
                "target_event",
                Lambda,
                {"units": "1", "long_name": "expected targets until the event"},
            ),
            "expected_total": (
                (),
                float(total),
                {"units": "1", "long_name": "expected targets in the whole window"},
            ),
            "ks_statistic": (
                (),
                float(test.statistic),
                {"units": "1", "long_name": "Kolmogorov-Smirnov distance from uniform"},
            ),
            "ks_pvalue": (
                (),
                float(test.pvalue),
                {"units": "1", "long_name": "its p-value, of parameters taken as known"},
            ),
        },
        coords={"target_event": ("target_event", np.flatnonzero(target), {"units": "1"})},
    )


def _field(posterior, arrays, dataset):
    """Return the background rate in grid cells, or nothing where it is constant."""
    chains, draws = posterior["k"].shape
    chain_draw = {"chain": np.arange(chains), "draw": np.arange(draws)}
    if not isinstance(arrays.background, Field):
        return xr.Dataset(coords=chain_draw)
    cells = cells_of(dataset["polygon"].to_numpy())

    def of_draw(values):
        return values["mu"] * jnp.exp(log_field(values, arrays.background, "cells"))

    needed = {name: posterior[name] for name in ("mu", "field_amplitude", "field_length", "z")}
    flat = {name: np.asarray(x).reshape(-1, *x.shape[2:]) for name, x in needed.items()}
    field = np.asarray(jax.lax.map(of_draw, flat, batch_size=100), np.float32)
    quantity = QUANTITIES["mu_field"]
    attributes = {"units": quantity.unit, "long_name": quantity.meaning}
    km = {"units": "km"}
    return xr.Dataset(
        {"mu_field": (("chain", "draw", "cell"), field.reshape(chains, draws, -1), attributes)},
        coords={
            **chain_draw,
            "cell_x_km": ("cell", cells.centroid[:, 0], km),
            "cell_y_km": ("cell", cells.centroid[:, 1], km),
            "cell_share": ("cell", cells.share, {"units": "1"}),
        },
    )


def _constants(dataset, arrays):
    names = {"T0": "d", "T1": "d", "m_c": "1", "delta_m": "1", "area_km2": "km2"}
    variables = {name: ((), dataset.attrs[name], {"units": unit}) for name, unit in names.items()}
    m_ref = reference_magnitude(dataset)
    variables["m_ref"] = ((), m_ref, {"units": "1", "long_name": "reference magnitude"})
    variables["m_max"] = (
        (),
        float(m_ref + arrays.magnitudes.span),
        {"units": "1", "long_name": "largest possible magnitude"},
    )
    return xr.Dataset(variables)
