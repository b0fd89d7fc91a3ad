"""The entries of the experiment, in order."""

import functools
import time

import jax
import numpy as np
import pandas as pd

from bayesquake.design.greedy import greedy, information
from bayesquake.errors import DriverError
from bayesquake.inference.kernels.lowrank import dense
from bayesquake.inference.laplace import all_rows, few_pairs
from bayesquake.io.files import replace_when_complete
from bayesquake.model.coordinates import arrays_of
from bayesquake.models.fault_friction.physics.trajectory import YEAR
from bayesquake.models.fault_friction.results.derived import FIELDS

from . import figures
from .bp1 import first_event, problem
from .fields import (
    by_ring,
    conjugate_gradients,
    factors_of_stations,
    held_by_intervals,
)
from .filter import filtered
from .searches import ENDS, search_from_prior
from .twin import at_mode, at_truth, drawn, jacobian, radius, sd_ratio, simulated

__all__ = ["ENTRIES"]


def bp1_convergence(study, folder):
    """Follow BP1-QD in ever smaller cells.

    Returns
    -------
    str
        The onset of the first event in the smallest cells.
    """
    settings = study.config["bp1"]
    rows = []
    for cells in study.mode["cells"]:
        began = time.perf_counter()
        fault, start = problem(cells, settings)
        found = first_event(fault, start, settings)
        rows.append(
            {
                "cells": cells,
                "cell_m": settings["fault_depth"] / cells,
                "onset_years": found.onset / YEAR,
                "slip_m": found.slip,
                "steps": found.steps,
                "seconds": time.perf_counter() - began,
            }
        )
    table = pd.DataFrame(rows)
    table.to_csv(folder / "onsets.csv", index=False, float_format="%.7g")
    figures.onsets(table, settings["published"]).savefig(folder / "onsets.png", dpi=150)
    last = table.iloc[-1]
    return (
        f"{last.cell_m:.4g} m: onset at {last.onset_years:.3f} yr, slip {last.slip_m:.4f} m; "
        f"published {settings['published']['hbi_onset_years']} yr"
    )


def sd_maps(study, folder):
    """Map the standard deviations of the fields when slip rates are seen everywhere.

    Returns
    -------
    str
        The mean ratio to those of the prior within the patch, at its edge and beyond.
    """
    dataset = simulated(study.mode["twin"], seed=study.config["seed"])
    mode = at_mode(dataset)
    curvature = all_rows(mode.target, mode.position, None)
    variances = np.diagonal(curvature.covariance)
    some = np.linspace(0, variances.size - 1, study.mode["conjugate_gradients"]).astype(int)
    again, products = conjugate_gradients(mode, some)
    ratio = sd_ratio(curvature.covariance, mode)
    rings = study.config["rings"]
    table = pd.DataFrame(
        by_ring(ratio, radius(dataset), list(rings.values())), index=FIELDS, columns=list(rings)
    )
    table.to_csv(folder / "rings.csv", index_label="field", float_format="%.4f")
    figures.sd_maps(dataset, ratio).savefig(folder / "sd_maps.png", dpi=150)
    inside, edge, beyond = table.mean()
    apart = np.abs(again / variances[some] - 1).max()
    return (
        f"sd over prior sd {inside:.2f} within the patch, {edge:.2f} at its edge, {beyond:.2f} "
        f"beyond; lowest eigenvalue {curvature.lowest:.3f}; {len(some)} variances by {products} "
        f"products within {apart:.1e}"
    )


def low_rank(study, folder):
    """Compare the standard deviations by few eigenpairs with those by the whole Hessian.

    Returns
    -------
    str
        The rank, and the largest relative difference.
    """
    stations = study.mode["stations"]
    dataset = simulated(
        study.mode["twin"], seed=study.config["seed"], slip_rates=False, stations=stations
    )
    mode = at_mode(dataset)
    whole = np.sqrt(np.diagonal(all_rows(mode.target, mode.position, None).covariance))
    few = few_pairs(mode.target, mode.position, jax.random.key(study.config["seed"]))
    sd = np.linalg.norm(few.inverse_root(np.eye(whole.size)), axis=0)
    apart = np.abs(sd / whole - 1)
    figures.eigenvalues(few.values).savefig(folder / "eigenvalues.png", dpi=150)
    table = pd.DataFrame({"whole": whole, "few": sd})
    table.to_csv(folder / "sd.csv", index_label="unknown", float_format="%.6g")
    return (
        f"{np.prod(stations)} stations: rank {few.values.size} of {whole.size} in {few.products} "
        f"products; standard deviations within {100 * apart.max():.2g} % of the whole Hessian's"
    )


def window(study, folder):
    """Tell how the fields narrow while slip accelerates, and once it has slowed down.

    Returns
    -------
    str
        By how much standard deviations within the patch are larger without the deceleration.
    """
    dataset = simulated(study.mode["twin"], seed=study.config["seed"])
    truth = at_truth(dataset)
    slopes = jacobian(truth)["log_slip_rate"]
    rows = slopes.reshape(len(slopes), -1, slopes.shape[-1])
    within = [study.config["rings"]["inside"]]
    precision, ratios = np.eye(slopes.shape[-1]), []
    for row in rows:
        precision = precision + row.T @ row
        ratio = sd_ratio(dense(precision).covariance, truth)
        ratios.append(by_ring(ratio, radius(dataset), within)[:, 0])
    years = dataset["time"].to_numpy() / YEAR
    table = pd.DataFrame(ratios, index=years, columns=FIELDS)
    fastest = dataset["log_slip_rate"].to_numpy().max(axis=1)
    peak = int(np.argmax(fastest))
    table.assign(fastest=fastest).to_csv(
        folder / "window.csv", index_label="last_year", float_format="%.4f"
    )
    figures.window(table, fastest, peak).savefig(folder / "window.png", dpi=150)
    factors = table.iloc[peak] / table.iloc[-1]
    told = ", ".join(f"{name} {factor:.2f}" for name, factor in factors.items())
    return f"sd within the patch, up to the peak at {years[peak]:.1f} yr over all: {told}"


def design(study, folder):
    """Choose stations one after another, each for what it adds to those before it.

    Returns
    -------
    str
        What the chosen stations tell, beside random ones.
    """
    mode = study.mode
    dataset = simulated(
        mode["twin"], seed=study.config["seed"], slip_rates=False, stations=mode["candidates"]
    )
    truth = at_truth(dataset)
    factors = factors_of_stations(jacobian(truth)["displacement"], truth)
    choice = greedy(factors, mode["chosen"])
    generator = np.random.default_rng(study.config["seed"])
    random = [
        information(factors[generator.choice(len(factors), mode["chosen"], replace=False)])
        for _ in range(mode["random_choices"])
    ]
    place = np.stack([dataset[f"station_{axis}"].to_numpy() for axis in "xy"], axis=1)
    table = pd.DataFrame(
        {
            "station": choice.site,
            "x_km": place[choice.site, 0] / 1e3,
            "y_km": place[choice.site, 1] / 1e3,
            "gain_nats": choice.gain,
        },
        index=np.arange(1, len(choice.site) + 1),
    )
    table.to_csv(folder / "stations.csv", index_label="order", float_format="%.4f")
    figures.stations(dataset, choice).savefig(folder / "stations.png", dpi=150)
    distance = np.hypot(*place[choice.site].T) / 1e3
    half = len(distance) // 2
    return (
        f"{choice.gain.sum():.1f} nats by {len(distance)} of {len(factors)} stations, "
        f"{np.median(random):.1f} (at most {np.max(random):.1f}) by random ones; the first {half} "
        f"{distance[:half].mean():.0f} km from the middle of the patch, the others "
        f"{distance[half:].mean():.0f} km"
    )


def enkf(study, folder):
    """Compare the spread of an ensemble Kalman filter with the posterior.

    Returns
    -------
    str
        The ratio of standard deviations, and how many truths lie within two of them.
    """
    seed = study.config["seed"]
    dataset = simulated(study.mode["filtered"], seed=seed)
    mode = at_mode(dataset)
    posterior = sd_ratio(all_rows(mode.target, mode.position, None).covariance, mode)
    arrays = arrays_of(mode.target.data)
    members = filtered(jax.random.key(seed), arrays, study.mode["members"])
    fields = np.einsum("ij,tmkj->tkmi", np.asarray(arrays.fields.root), members.white)
    spread, mean = fields.std(axis=2), fields.mean(axis=2)
    within = [study.config["rings"]["inside"]]
    inside = by_ring(spread, radius(dataset), within)[..., 0]
    years = dataset["time"].to_numpy() / YEAR
    table = pd.DataFrame(inside, index=years, columns=FIELDS)
    laplace = dict(zip(FIELDS, by_ring(posterior, radius(dataset), within)[:, 0], strict=True))
    table.assign(lost=members.lost).to_csv(
        folder / "spread.csv", index_label="year", float_format="%.4f"
    )
    figures.spread(table, laplace).savefig(folder / "spread.png", dpi=150)
    ratio = ", ".join(f"{name} {table[name].iloc[-1] / sd:.2f}" for name, sd in laplace.items())
    held = (np.abs(mean[-1]) < 2 * spread[-1]).mean()
    truth = np.asarray(mode.position)[mode.friction] @ np.asarray(arrays.fields.root).T
    of_posterior = (np.abs(truth) < 2 * posterior).mean()
    return (
        f"spread of {study.mode['members']} members over the posterior's, within the patch: "
        f"{ratio}; {100 * held:.0f} % of the truths within two of the filter's, "
        f"{100 * of_posterior:.0f} % within two of the posterior's; {members.lost.sum()} members "
        "were lost"
    )


def modes(study, folder):
    """Seek the mode of the twin from draws of the prior, each by a search of its own.

    Searches that are in the table already are not made again.

    Returns
    -------
    str
        How many end near the best, and by how much they cut the gradient.
    """
    dataset = simulated(study.mode["twin"], seed=study.config["seed"])
    done = one_by_one(
        folder / "searches.csv", study.mode["searches"], ENDS, search_from_prior(dataset)
    )
    below = done["log_density"].max() - done["log_density"]
    near = below < study.config["same_mode"]
    taken = done.loc[near, ["jacobians", "seconds", "gradient_cut"]]
    return (
        f"{near.sum()} of {len(done)} searches end within {study.config['same_mode']} of the best "
        f"log density, the others up to {below.max():.3g} below it, in {taken.jacobians.min():.0f} "
        f"to {taken.jacobians.max():.0f} Jacobians and {taken.seconds.min():.0f} to "
        f"{taken.seconds.max():.0f} s; gradients are cut by {taken.gradient_cut.min():.1e} or more"
    )


def coverage(study, folder):
    """Count how often 90 % intervals of the fields hold the truth, on twins drawn from the prior.

    Twins that are in the table already are not fitted again.

    Returns
    -------
    str
        The share by field, and its standard error between twins.
    """
    settings = study.mode["covered"]

    def of_twin(seed):
        truth, dataset = drawn(settings, seed=seed)
        try:
            return held_by_intervals(truth, dataset)
        except DriverError:
            return np.nan

    done = one_by_one(folder / "twins.csv", study.mode["twins"], FIELDS, of_twin)
    share, error = done.mean(), done.sem()
    told = ", ".join(f"{name} {share[name]:.3f} ({error[name]:.3f})" for name in FIELDS)
    lost = int(done[FIELDS[0]].isna().sum())
    return f"{len(done)} twins, {lost} of them without a mode: {told}"


def one_by_one(path, count, columns, row_of):
    """Return a table with a row for every seed, written after each; rows that it has are kept."""
    done = pd.read_csv(path, index_col="seed") if path.is_file() else pd.DataFrame(columns=columns)
    for seed in set(range(count)).difference(done.index):
        done.loc[seed] = row_of(seed)
        replace_when_complete(path, functools.partial(done.to_csv, index_label="seed"))
    return done


ENTRIES = {
    "bp1_convergence": bp1_convergence,
    "modes": modes,
    "sd_maps": sd_maps,
    "low_rank": low_rank,
    "window": window,
    "design": design,
    "enkf": enkf,
    "coverage": coverage,
}
"""Every entry takes the study and its own folder, and returns its result in one line."""
