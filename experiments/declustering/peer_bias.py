"""What leaving out distant pairs does to the maximum-likelihood fit of a public catalogue.

The catalogue was simulated by Mizrahi with a tapered kernel. A widely used way to save
time counts only pairs within a distance that grows with the magnitude of the earlier event,
while the expected offspring are still counted over the whole plane.

References
----------
Mizrahi, lmizrahi/etas, doi:10.5281/zenodo.6583992
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.optimize import minimize

import bayesquake as bq
from bayesquake.models.event_classification.arrays import reference_magnitude
from bayesquake.models.event_classification.background import background_rate
from bayesquake.models.event_classification.likelihood import expected_events, log_likelihood
from bayesquake.models.event_classification.pairs import (
    over_tiles,
    pair_rates,
    squared_distance,
    tile_size,
)
from bayesquake.models.event_classification.triggering import to_form_a, triggering_kernel

from .sanjac_residuals import draws_at_the_mode
from .study import model

__all__ = ["OPTIONS", "TRUTH", "read_catalogue", "run"]

TRUTH = {
    "log10_mu": -7.5,
    "log10_k0": -2.49,
    "a": 1.69,
    "log10_c": -2.95,
    "omega": -0.03,
    "log10_tau": 3.99,
    "log10_d": -0.35,
    "gamma": 1.22,
    "rho": 0.51,
}
OPTIONS = {"taper": True, "edge_correction": False}


class Reaching(NamedTuple):
    """Events, and the distance (km) within which each is taken to trigger others."""

    events: Any
    reach: Any


def run(study, folder):
    """Fit without and with the cut, at several magnitudes of completeness."""
    settings = study.mode["peer_bias"]
    rows, errors = [], {}
    for m_c in settings["completeness_magnitude"]:
        dataset = read_catalogue(study, m_c)
        target = bq.target(model(), dataset, **OPTIONS)
        values = maximum(target, lambda values, data=target.data: log_likelihood(values, data))
        rows.append({"m_c": m_c, "pairs": "all"} | _estimates(values, target.data))
        errors[m_c] = truth_in_sd(target, settings["draws"], study.config["seed"])
        pd.DataFrame(errors).round(3).to_csv(folder / "truth_in_sd.csv", index_label="parameter")
        if m_c == settings["cut_at"]:
            m_ref = reference_magnitude(dataset)
            values = fit_with_cut(target, m_ref, settings["rupture_lengths"])
            rows.append({"m_c": m_c, "pairs": "near"} | _estimates(values, target.data))
    table = pd.DataFrame(rows)
    table.round(4).to_csv(folder / "estimates.csv", index=False)
    everything = table[table["pairs"] == "all"]
    found = ", ".join(f"{x:.2f}" for x in everything["log_likelihood"])
    cut = table[table["pairs"] == "near"].iloc[0]
    whole = everything[everything["m_c"] == cut["m_c"]].iloc[0]
    farthest = max(abs(z) for z in errors[settings["cut_at"]].values())
    return (
        f"log likelihood {found} with all pairs, the truth within {farthest:.2f} posterior sd; "
        f"at m_c {cut['m_c']} the cut costs "
        f"{whole['log_likelihood'] - cut['log_likelihood']:.1f} nats and moves log10 tau from "
        f"{whole['log10_tau']:.2f} to {cut['log10_tau']:.2f}"
    )


def read_catalogue(study, m_c):
    """Return the catalogue with targets from 1981 to 2006 and history from 1971."""
    return model().read(
        study.path("mizrahi_example_catalog.csv"),
        polygon=study.path("california_polygon.csv"),
        start="1981-01-01",
        end="2007-01-01",
        completeness_magnitude=m_c,
        magnitude_rounding=0.1,
        cut=True,
        sort=True,
        distance="sphere",
        earth_radius_km=6378.1,
        area_km2=959_823.0,
    )


def maximum(target, log_density):
    """Return the values at the maximum of a function of them, sought from the model's mode."""
    value = jax.jit(lambda position: -log_density(target.constrain(position, target.data)))
    slope = jax.jit(jax.jacfwd(value))
    found = minimize(value, np.zeros(target.dim), jac=slope, method="BFGS")
    return target.constrain(jnp.asarray(found.x), target.data)


def fit_with_cut(target, m_ref, rupture_lengths):
    """Return the maximum without the pairs farther apart than so many rupture lengths."""
    data = target.data
    size = data.events.time.size
    reach = rupture_lengths * rupture_length(m_ref + data.events.dm)
    start = jnp.zeros(tile_size(size))

    def log_density(values):
        kernel = triggering_kernel(values, space=True)

        def add(total, sources, targets):
            near = squared_distance(targets.events, sources.events) < sources.reach**2
            rate = pair_rates(kernel, targets.events, sources.events)
            return total + jnp.where(near, rate, 0.0).sum(axis=1)

        triggered = over_tiles(add, start, Reaching(data.events, reach), size)
        rate = background_rate(values, data.background, size) + triggered
        return (data.target * jnp.log(rate)).sum() - expected_events(values, data)

    return maximum(target, log_density)


def rupture_length(magnitude):
    """Return the length (km) of the surface rupture, Wells & Coppersmith 1994, all faults."""
    return 10 ** (-3.22 + 0.69 * magnitude)


def _estimates(values, data):
    found = {name: float(value) for name, value in published(values).items()}
    return {"log_likelihood": float(jax.jit(log_likelihood)(values, data))} | found


def published(values):
    """Return the parameters of `TRUTH` of ours."""
    theirs = to_form_a(values) | {"mu": values["mu"]}
    return {
        name: jnp.log10(theirs[name.removeprefix("log10_")])
        if name.startswith("log10_")
        else theirs[name]
        for name in TRUTH
    }


def truth_in_sd(target, count, seed):
    """Return how many posterior standard deviations the truth is from the posterior mean."""
    draws, _ = draws_at_the_mode(target, count, seed)
    found = jax.jit(jax.vmap(published))(draws)
    return {
        name: float((value - found[name].mean()) / found[name].std())
        for name, value in TRUTH.items()
    }
