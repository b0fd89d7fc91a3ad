"""San Jacinto seismicity: a background that varies in space, residuals, and held-out scores.

The posterior is taken as the normal distribution that the sampler's coordinates are made of, at
the mode with the precision of single events' scores; its Pareto k-hat says how good that is.
"""

import datetime
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.stats import kstest

import bayesquake as bq
from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.background import basis_at, cells_of, coefficients
from bayesquake.models.event_classification.compensator import transformed_times
from bayesquake.models.event_classification.likelihood import expected_events
from bayesquake.models.event_classification.scoring import held_out_scores, window_after
from bayesquake.reporting.figures import BLUE, INK, VERMILION, new_figure, styled
from bayesquake.results.evidence import pareto_k

from .study import model

__all__ = ["draws_at_the_mode", "end_of_fit", "read_catalogue", "run"]

FORMS: dict[str, dict[str, Any]] = {
    "constant": {},
    "field": {"background": "field"},
    "constant, tapered": {"taper": True},
    "field, tapered": {"background": "field", "taper": True},
}
"""Options of the fit by the name of the form."""

BOX = [(-117.0, 33.0), (-116.0, 33.0), (-116.0, 34.0), (-117.0, 34.0)]


def run(study, folder):
    """Fit 2009 to 2013 with a constant background and a field, both forms, and score 2014 on."""
    settings = study.mode["sanjac_residuals"]
    dataset = read_catalogue(study, settings["completeness_magnitude"])
    end = end_of_fit(dataset)
    fitted = window_after(dataset, dataset.attrs["T0"], end)
    held_out = window_after(dataset, end, dataset.attrs["T1"])
    rows, fields = [], {}
    for form, options in FORMS.items():
        if "background" in options:
            options = options | {"basis_size": settings["basis_size"]}
        target = bq.target(model(), fitted, **options)
        draws, k_hat = draws_at_the_mode(target, settings["draws"], study.config["seed"])
        later = prepare(held_out, **options)
        mode = target.constrain(jnp.zeros(target.dim), target.data)
        plugged = held_out_scores({name: x[None] for name, x in mode.items()}, later)
        averaged = held_out_scores(draws, later)
        times = residual_times(mode, later, held_out)
        test = kstest(times, "uniform")
        rows.append(
            {"form": form, "pareto_k": k_hat}
            | {f"{name}_averaged": float(averaged[name]) for name in averaged}
            | {f"{name}_plugged": float(plugged[name]) for name in plugged}
            | {"ks_statistic": test.statistic, "ks_pvalue": test.pvalue, "events": times.size}
            | {
                name: float(mode[name])
                for name in ("mu", "k", "alpha", "c", "p", "q", "tau")
                if name in mode
            }
            | {"branching_ratio": float(mode["branching_ratio"])}
        )
        pd.DataFrame(rows).to_csv(folder / "scores.csv", index=False)
        fields[form] = (times, mode)
    polygon = fitted["polygon"].to_numpy()
    residual_figure({name: times for name, (times, _) in fields.items()}).savefig(
        folder / "transformed_times.png", dpi=150
    )
    field_figure(fields["field"][1], polygon, settings["basis_size"], fitted).savefig(
        folder / "background.png", dpi=150
    )
    constant, field = rows[:2]
    return (
        f"{constant['events']} held-out events: the field gains "
        f"{field['total_averaged'] - constant['total_averaged']:+.4f} nats per event (space "
        f"{field['space_averaged'] - constant['space_averaged']:+.4f}, time "
        f"{field['time_averaged'] - constant['time_averaged']:+.4f}); averaging over plug-in "
        f"{constant['total_averaged'] - constant['total_plugged']:+.5f} and "
        f"{field['total_averaged'] - field['total_plugged']:+.5f}"
    )


def read_catalogue(study, m_c):
    """Return the catalogue with targets from 2009 to 2015 and history from 2008."""
    return model().read(
        study.path("sanjac10_2008_2015.csv"),
        polygon=BOX,
        start="2009-01-01",
        end="2016-01-01",
        completeness_magnitude=m_c,
        magnitude_rounding=0.01,
        cut=True,
    )


def end_of_fit(dataset):
    """Return the start of 2014 in days."""
    return dataset.attrs["T0"] + (datetime.date(2014, 1, 1) - datetime.date(2009, 1, 1)).days


def draws_at_the_mode(target, count, seed):
    """Draw from the normal distribution of the whitened coordinates, the standard one.

    Returns
    -------
    draws : dict of (draw, ...)
        Constrained values.
    k_hat : float
        Pareto k-hat of their importance weights; above 0.7 the approximation is poor.
    """
    position = jax.random.normal(jax.random.key(seed), (count, target.dim))
    program = jax.jit(
        lambda x, data: jax.lax.map(
            lambda z: (target.log_density(z, data), target.constrain(z, data)), x
        )
    )
    log_density, draws = program(position, target.data)
    weight = np.asarray(log_density) + 0.5 * (np.asarray(position) ** 2).sum(axis=1)
    return draws, pareto_k(weight)


def residual_times(values, data, dataset):
    """Return transformed times of the targets over that of the end, (target,), at given values."""
    target = dataset["target"].to_numpy() == 1
    Lambda = np.asarray(jax.jit(transformed_times)(values, data))[: target.size][target]
    return Lambda / float(jax.jit(expected_events)(values, data))


@styled
def residual_figure(times):
    """Draw the number of held-out events against transformed time, less the straight line."""
    figure, axis = new_figure(1, 1, (5.0, 3.4))
    colours = (BLUE, VERMILION)
    for i, (name, found) in enumerate(times.items()):
        excess = (np.arange(found.size) + 1) / found.size - found
        axis.plot(found, excess, color=colours[i % 2], ls=("-", "--")[i // 2], label=name)
    band = 1.36 / np.sqrt(found.size)
    axis.axhspan(-band, band, color=INK, alpha=0.1, lw=0, label="95 % of unit-rate Poisson")
    axis.set(xlabel="transformed time, 0 to 1", ylabel="share of events less transformed time")
    axis.legend()
    return figure


@styled
def field_figure(values, polygon, basis_size, dataset):
    """Draw the background rate and the events of the fit."""
    weight = np.asarray(coefficients(values, polygon, basis_size))
    cells = cells_of(polygon).centroid
    rate = float(values["mu"]) * np.exp(basis_at(cells, polygon, basis_size) @ weight)
    figure, axis = new_figure(1, 1, (5.4, 4.4))
    drawn = axis.scatter(*cells.T, c=np.log10(rate), marker="s", s=26, cmap="viridis")
    axis.scatter(dataset["x_km"], dataset["y_km"], s=0.4, color="white", alpha=0.5)
    axis.set(xlabel="x (km)", ylabel="y (km)", aspect="equal")
    figure.colorbar(drawn, label="log10 background rate (1/day/km²)")
    return figure
