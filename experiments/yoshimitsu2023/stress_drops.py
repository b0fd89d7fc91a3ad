"""Stress drops with and without a known rupture model.

A stress drop needs k, which ties corner frequency and radius and differs between rupture
models. The ratio of two stress drops, m - 3 d, does not.
"""

import numpy as np
import pandas as pd

import bayesquake as bq
from bayesquake.model.registry import load_model
from bayesquake.models.source_spectra.spectrum import RUPTURE_MODELS, log_stress_drop

from . import figures
from .study import draw_truth, recovery, simulate_pairs

__all__ = ["run"]


def run(study, folder):
    """Fit the same pairs with k unknown, known, and mistaken for that of Brune.

    Returns
    -------
    str
        Widths of the stress drop and of the ratio of stress drops, in one line.
    """
    settings = study.config["stress_drops"]
    truth = draw_truth(study, study.mode["stress_drops"]["pairs"], 200)
    dataset = simulate_pairs(study, truth, 200)
    true_model = settings["true_rupture_model"]
    true_drops = {
        "ln_dsigma1": log_stress_drop(
            np.log(settings["moment"]),
            truth["ln_fc1"],
            np.log(RUPTURE_MODELS[true_model]),
            np.log(settings["shear_velocity"]),
        ),
        "ln_dsigma_ratio": truth["ln_moment_ratio"] - 3 * truth["dln_fc"],
    }
    fits = {
        "k unknown": settings["rupture_models"],
        "k known": true_model,
        "k of brune_s": "brune_s",
    }
    rows, posteriors = {}, {}
    for label, rupture_models in fits.items():
        draws = drops_of(study, dataset, settings, rupture_models)
        posteriors[label] = draws
        rows[label] = recovery(draws, true_drops, study.config["interval"])
    table = pd.concat(rows, names=["fit"])
    table.to_csv(folder / "stress_drops.csv", float_format="%.4f")
    figures.stress_drops(posteriors, true_drops).savefig(folder / "stress_drops.png", dpi=150)
    sd = table["mean_sd"]
    return (
        f"mean sd of ln Δσ1 {sd['k known', 'ln_dsigma1']:.2f} with k known, "
        f"{sd['k unknown', 'ln_dsigma1']:.2f} without; of the ratio "
        f"{sd['k known', 'ln_dsigma_ratio']:.3f} and {sd['k unknown', 'ln_dsigma_ratio']:.3f}"
    )


def drops_of(study, dataset, settings, rupture_models):
    """Return draws of ln Δσ of event 1 (ln Pa), of its ratio and of ln f1, (pair, sample)."""
    result = bq.fit(
        load_model("source_spectra"),
        dataset,
        seed=study.config["seed"],
        **study.mode["sampling"],
        moment=settings["moment"],
        shear_velocity=settings["shear_velocity"],
        rupture_models=rupture_models,
    )
    posterior = result["posterior"].to_dataset().stack(sample=("chain", "draw"))
    names = ("ln_dsigma1", "ln_dsigma_ratio", "ln_fc1")
    return {name: posterior[name].transpose("pair", "sample").to_numpy() for name in names}
