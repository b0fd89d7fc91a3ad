"""What is derived from the draws: hypocentres with covariances, residuals, picks that do not fit.

References
----------
Vehtari, Gelman & Gabry 2017, doi:10.1007/s11222-016-9696-4 (leaving one out by importance sampling)
"""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from scipy.special import ndtr, stdtr

from bayesquake.io.arrivals.dataset import PHASES
from bayesquake.model.options import count, takes
from bayesquake.physics.projection import to_geographic
from bayesquake.results.posteriors import some_draws

from ..data.arrays import indices
from ..data.dataset import DATA
from ..model import DIRECTIONS, arrival_distribution
from ..physics.arrivals import expected_arrivals
from ..profiles import by_pick, pick_log_likelihood, shares_without

__all__ = ["OUTLIER_PROBABILITY", "complete"]

OUTLIER_PROBABILITY = 1e-3
"""Probability of a pick as far off, given all others, below which it is called an outlier."""


@takes(pick_draws=count(at_least=100, at_most=1_000_000))
def complete(dataset, *, pick_draws=1000):
    """Plan the model's own result groups.

    They are ``posterior`` (labels alone), ``locations``, ``picks``, ``log_likelihood``,
    ``observed_data`` and ``constant_data``.

    Parameters
    ----------
    dataset : xarray.Dataset
    pick_draws : int
        Draws, of all chains together, for which every pick is predicted.
    """

    def groups(posterior, arrays, key):
        chains = posterior["x"].shape[0]
        kept, flat = some_draws(posterior, pick_draws)
        of_picks = _of_draws(flat, arrays)
        order = np.argsort(by_pick(arrays.place, arrays)[0])[: dataset.sizes["pick"]]
        terms, share, error, scale = (np.asarray(values)[..., order] for values in of_picks)
        described_terms = described("1", "log likelihood of the pick")
        leading = {"chain": np.arange(chains), "draw": kept}
        named = picks_named(dataset)
        likelihood = xr.Dataset(
            {
                "term": (
                    ("chain", "draw", "pick"),
                    terms.reshape(chains, len(kept), -1),
                    described_terms,
                )
            },
            coords=leading,
        )
        nu = arrays.degrees_of_freedom
        return {
            "posterior": xr.Dataset(coords=labels(dataset)),
            "locations": locations(posterior, dataset),
            "picks": picks(terms, share, error, scale, nu).assign_coords(named),
            "log_likelihood": likelihood.assign_coords(named),
            "observed_data": dataset[[n for n in DATA.variables if dataset[n].dims == ("pick",)]],
            "constant_data": dataset[[n for n in DATA.variables if dataset[n].dims != ("pick",)]],
        }

    return groups


@jax.jit
def _of_draws(values, data):
    """Return what `picks` takes, of all draws."""

    def of_one(values):
        expected = expected_arrivals(values, data)
        arrival = arrival_distribution(expected, values["sigma"], data)
        fit = arrival.log_prob(data.time)
        terms = pick_log_likelihood(fit, values, data)
        share = jnp.exp(shares_without(fit, values, data))
        error = by_pick(data.time - expected, data)
        return terms, share, error, by_pick(arrival.scale, data)[0]

    return jax.lax.map(of_one, jax.tree.map(jnp.asarray, values))


def labels(dataset):
    """Return the names of events, stations and phases."""
    names = {dim: dataset[dim].to_numpy() for dim in ("event", "station")}
    return names | {"phase": list(PHASES)}


def picks_named(dataset):
    """Return event, station and phase of every pick, as coordinates."""
    named = zip(labels(dataset).items(), indices(dataset), strict=True)
    return {f"pick_{kind}": ("pick", np.asarray(names)[index]) for (kind, names), index in named}


def locations(posterior, dataset):
    """Return mean and covariance of the draws of hypocentres."""
    place = np.stack([np.asarray(posterior[axis]) for axis in DIRECTIONS], axis=-1)
    flat = place.reshape(-1, *place.shape[2:])
    mean = flat.mean(axis=0)
    apart = flat - mean
    covariance = np.einsum("nea,neb->eab", apart, apart) / max(len(flat) - 1, 1)
    return hypocentres(mean, covariance, dataset)


def hypocentres(mean, covariance, dataset):
    """Return means (event, axis) and covariances as a data set, in degrees too if that can be."""
    found: dict = {
        "mean": (("event", "axis"), mean, described("km", "mean of the hypocentre")),
        "covariance": (
            ("event", "axis", "axis2"),
            covariance,
            described("km2", "covariance of the hypocentre"),
        ),
    }
    centre = dataset.attrs["centre_longitude"], dataset.attrs["centre_latitude"]
    if np.isfinite(centre).all():
        longitude, latitude = to_geographic(mean[:, 0], mean[:, 1], centre)
        found["longitude"] = (("event",), longitude, described("degrees_east", "of the mean"))
        found["latitude"] = (("event",), latitude, described("degrees_north", "of the mean"))
    return xr.Dataset(
        found,
        coords={
            "event": dataset["event"].to_numpy(),
            "axis": list(DIRECTIONS),
            "axis2": list(DIRECTIONS),
        },
    )


def picks(terms, share, error, scale, degrees_of_freedom):
    """Return residuals of all picks, and how probable each is, given all others.

    Parameters
    ----------
    terms, scale : (draw, pick)
        Log likelihood and scale of the error (s).
    share, error : (draw, profile, pick)
        Probability of each velocity profile without the pick, and observed less expected arrival
        (s).
    degrees_of_freedom : number or None
        Of Student's t; None for normal errors.
    """
    log_weights, k = array_stats.psislw(terms.T, axis=-1)
    weights = np.exp(np.asarray(log_weights))
    weights /= weights.sum(axis=1, keepdims=True)
    z = error / scale[:, None]
    below = ndtr(z) if degrees_of_freedom is None else stdtr(float(degrees_of_freedom), z)
    below = (weights * (share * below).sum(axis=1).T).sum(axis=1)
    probability = np.clip(2 * np.minimum(below, 1 - below), 0, 1)
    error = (share * error).sum(axis=1)
    found = {
        "residual": (error.mean(axis=0), "s", "observed less expected arrival, mean"),
        "residual_sd": (error.std(axis=0), "s", "standard deviation of the expected arrival"),
        "probability": (probability, "1", "of a pick as far off, given all others"),
        "pareto_k": (np.asarray(k), "1", "Pareto k-hat of leaving the pick out"),
        "outlier": (probability < OUTLIER_PROBABILITY, "1", "improbable given all others"),
    }
    return xr.Dataset(
        {name: ("pick", x, described(unit, meaning)) for name, (x, unit, meaning) in found.items()}
    )


def described(unit, meaning):
    """Return the attributes of a variable."""
    return {"units": unit, "long_name": meaning}
