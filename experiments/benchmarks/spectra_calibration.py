"""Simulation-based calibration of `source_spectra`, thousands of problems of every form.

Truths come from the prior. Pairs are fitted as the driver `triage` fits them, with what its chains
do not settle drawn by quadrature, clusters by `fit_many`; no problem is left out.
Run it as a module; ``--pairs`` sets the number of problems of each form.
"""

import argparse
import functools
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import xarray as xr

import bayesquake as bq
from bayesquake.batch.evidence import UncertifiedWarning
from bayesquake.batch.tiers import EXACT
from bayesquake.diagnostics.ranks import RANK_DRAWS, calibration_table, ranks_of
from bayesquake.models.source_spectra import MODEL, TRIAGE_OF_CLUSTERS
from bayesquake.models.source_spectra.outputs import PoorPairWarning

__all__ = ["FORMS", "calibrate_clusters", "calibrate_pairs"]

DRAWS = 200
BINS = 20
INTERVAL = 0.9
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nu (2, 2)": ({"nu1": 2.0, "nu2": 2.0}, {}),
    "nu (10, 10)": ({}, {}),
    "nu (10, 2)": ({"nu2": 2.0}, {}),
    "nu estimated": (
        {"degrees_of_freedom": "estimated"},
        {"degrees_of_freedom": "estimated"},
    ),
}
"""Design of the simulation and options of the fit of pairs."""

CLUSTER_EVENTS = 4


def calibrate_pairs(form, pairs, seed=0):
    """Return the table of ranks and coverage of one form of pairs.

    Parameters
    ----------
    form : str
        A key of `FORMS`.
    pairs : int
    seed : int

    Returns
    -------
    pandas.DataFrame
        As of `bayesquake.diagnostics.ranks.calibration_table`, with the coverage by quantiles
        of all draws and the share of pairs drawn by quadrature (of clusters, by
        sequential Monte Carlo).
    """
    design, options = FORMS[form]
    truth, dataset = MODEL.simulate(jax.random.key(seed), design | {"pairs": pairs})
    began = time.process_time()
    result = bq.fit(MODEL, dataset, draws=DRAWS, seed=seed, **options)
    seconds = time.process_time() - began
    names = [name for name in truth if name in result["posterior"] and name != "logit_nu"]
    draws = {name: result["posterior"][name].to_numpy() for name in names}
    tier = result["triage"]["tier"].to_numpy()
    return _table(form, truth, draws, tier, seconds / pairs)


def calibrate_clusters(clusters, seed=0):
    """Return the same table of clusters of `CLUSTER_EVENTS` events."""
    design = {"events": CLUSTER_EVENTS}
    keys = jax.random.split(jax.random.key(seed), clusters)
    simulated = [MODEL.simulate(key, design) for key in keys]
    began = time.process_time()
    result = bq.fit_many(
        MODEL,
        [dataset for _, dataset in simulated],
        form="cluster",
        draws=DRAWS,
        seed=seed,
        **TRIAGE_OF_CLUSTERS,
    )
    seconds = time.process_time() - began
    truth, draws = {}, {}
    for name, label in (("ln_fc", "event"), ("ln_relative_moment", "event")):
        values = np.stack([parameters[name] for parameters, _ in simulated])
        for i in range(0 if name == "ln_fc" else 1, CLUSTER_EVENTS):
            truth[f"{name}_{i + 1}"] = values[:, i]
            draws[f"{name}_{i + 1}"] = result["posterior"][name].isel({label: i}).to_numpy()
    tier = result["triage"]["tier"].to_numpy()
    return _table(f"K = {CLUSTER_EVENTS}", truth, draws, tier, seconds / clusters)


def _table(form, truth, draws, tier, seconds):
    names = list(draws)
    flat = np.stack([draws[name].reshape(-1, draws[name].shape[2]).T for name in names], axis=2)
    true = np.stack([truth[name] for name in names], axis=1)
    calibration = xr.Dataset(
        {"rank": (("replicate", "quantity"), ranks_of(flat, true))},
        coords={"quantity": names},
        attrs={"rank_draws": RANK_DRAWS, "interval": INTERVAL},
    )
    table = calibration_table(calibration, BINS)
    tail = 0.5 * (1 - INTERVAL)
    low, high = np.quantile(flat, [tail, 1 - tail], axis=1)
    table["quantile_coverage"] = ((true > low) & (true < high)).mean(axis=0)
    table["settled_share"] = (tier >= EXACT).mean()
    table["uncertified_share"] = (tier == 0).mean()
    table["cpu_seconds_each"] = seconds
    return pd.concat({form: table}, names=["form"])


def main():
    """Calibrate every form and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("spectra_calibration"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", PoorPairWarning)
    warnings.simplefilter("default", UncertifiedWarning)
    runs: dict[str, Callable[..., pd.DataFrame]] = {
        form: functools.partial(calibrate_pairs, form) for form in FORMS
    }
    runs["cluster"] = calibrate_clusters
    tables = []
    for name, run in runs.items():
        path = arguments.out / f"{name.replace(' ', '_')}_{arguments.pairs}_{arguments.seed}.csv"
        if not path.exists():
            run(arguments.pairs, arguments.seed).to_csv(path)
        tables.append(pd.read_csv(path))
        print(tables[-1].to_string(), flush=True)
    pd.concat(tables).to_csv(arguments.out / "table.csv", index=False)


if __name__ == "__main__":
    main()
