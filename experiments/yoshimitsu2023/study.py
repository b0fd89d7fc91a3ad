"""What the entries share: settings, simulated pairs and draws from their posteriors."""

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.batch.tiers import triage
from bayesquake.batch.triaged import TriageSettings
from bayesquake.experiments import entries
from bayesquake.model.registry import load_model
from bayesquake.models.source_spectra.problems import TRIAGE
from bayesquake.targets.target import target

__all__ = [
    "CONFIG",
    "PARAMETERS",
    "coverage_error",
    "draw_truth",
    "open_study",
    "pair_draws",
    "recovery",
    "simulate_pairs",
]

CONFIG = Path(__file__).with_name("config.toml")
PARAMETERS = ("ln_fc1", "dln_fc", "ln_moment_ratio")


def open_study(*, quick=False):
    """Return the settings and the folder of the spectra and records."""
    return entries.open_study(CONFIG, "source", quick=quick)


def draw_truth(study, shape, seed):
    """Draw true sources from the record ranges of the settings.

    Returns
    -------
    dict of arrays of that shape
        ``ln_fc1`` (ln Hz), ``dln_fc`` and ``ln_moment_ratio``.
    """
    rng = np.random.default_rng([study.config["seed"], seed])
    return {
        name: rng.normal(limits["mean"], limits["sd"], shape)
        for name, limits in study.config["truth"].items()
    }


def simulate_pairs(study, truth, seed, **design):
    """Return a data set of simulated pairs of the given sources, as the model reads it.

    Parameters
    ----------
    study : bayesquake.experiments.entries.Study
    truth : dict of (pair,) arrays
    seed : int
    **design
        Changes to the design of the settings.
    """
    design = study.config["design"] | {"pairs": len(truth["ln_fc1"])} | design
    key = jax.random.fold_in(jax.random.key(study.config["seed"]), seed)
    return load_model("source_spectra").simulate(key, design, truth)[1]


def pair_draws(study, model, dataset, **options):
    """Draw from the posterior of every pair.

    Parameters
    ----------
    study : bayesquake.experiments.entries.Study
    model : bayesquake.model.model.Model
        ``source_spectra``, or with another likelihood of the same parameters.
    dataset : xarray.Dataset
        Of pairs.
    **options
        Of ``model.prepare``.

    Returns
    -------
    xarray.Dataset
        Unconstrained coordinates, which ln f1, d and m are themselves, (pair, sample).
    """
    split = target(model, dataset, **options).split()
    made = triage(
        split.target,
        split.data,
        seed=study.config["seed"],
        settings=TriageSettings(**TRIAGE | study.mode["sampling"]),
        exact=split.exact,
    )
    flat = made.positions.reshape(len(made.positions), -1, split.target.dim)
    names = [name.removesuffix("[0]") for name in split.target.coordinates]
    return xr.Dataset(
        {name: (("pair", "sample"), flat[..., i]) for i, name in enumerate(names)},
        attrs={"uncertified": int((made.tier == 0).sum())},
    )


def recovery(draws, truth, level):
    """Compare posteriors with the truth, one row per parameter.

    Parameters
    ----------
    draws : mapping of (problem, sample) arrays
    truth : mapping of (problem,) arrays
    level : float
        Probability of the intervals.

    Returns
    -------
    pandas.DataFrame
        ``rmse`` and ``bias`` of the posterior mean, ``mean_sd`` and ``coverage``.
    """
    tail = 0.5 * (1 - level)
    rows = {}
    for name in truth:
        values = np.asarray(draws[name])
        error = values.mean(axis=1) - truth[name]
        low, high = np.quantile(values, [tail, 1 - tail], axis=1)
        rows[name] = {
            "rmse": np.sqrt((error**2).mean()),
            "bias": error.mean(),
            "mean_sd": values.std(axis=1).mean(),
            "coverage": ((low <= truth[name]) & (truth[name] <= high)).mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("parameter")


def coverage_error(level, count):
    """Return the Monte-Carlo standard error of a coverage from so many independent problems."""
    return np.sqrt(level * (1 - level) / count)
