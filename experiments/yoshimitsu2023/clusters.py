r"""The likelihood of K events on common traces against all their pairs, pooled.

Each event takes part in K - 1 pairs. Pooled as if they were independent, the pairs count its
chi-square scatter K - 1 times, and hold about K / 2 times the information that there is:
intervals come out too narrow by :math:`\sqrt{K/2}`.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pandas as pd

import bayesquake as bq
from bayesquake.model.registry import load_model
from bayesquake.models.source_spectra.likelihood import log_f_density
from bayesquake.models.source_spectra.model import cluster_spectra

from . import figures
from .study import draw_truth

__all__ = ["POOLED", "coverage_of_clusters", "pooled_pairs", "run"]


def pooled_pairs(data, priors):
    """Declare a cluster of events by all its pairs as if these were independent.

    Parameters
    ----------
    data : bayesquake.models.source_spectra.arrays.ClusterArrays
    priors : dict of numpyro.distributions.Distribution
    """
    events = data.mask.shape[0]
    others = (events - 1,)
    ln_fc_first = numpyro.sample("ln_fc_first", priors["ln_fc1"])
    d = numpyro.sample("dln_fc_to", priors["dln_fc"].expand(others).to_event(1))
    m = numpyro.sample("ln_moment_ratio_to", priors["ln_moment_ratio"].expand(others).to_event(1))
    ln_fc = numpyro.deterministic("ln_fc", ln_fc_first + jnp.append(0.0, d))
    ln_relative_moment = numpyro.deterministic("ln_relative_moment", jnp.append(0.0, -m))
    log_s2, nu = cluster_spectra({"ln_fc": ln_fc, "ln_relative_moment": ln_relative_moment}, data)
    i, j = np.triu_indices(events, 1)
    y, loc = data.log_power[i] - data.log_power[j], log_s2[i] - log_s2[j]
    terms = data.mask[i] * data.mask[j] * log_f_density(y, loc, nu[i], nu[j])
    numpyro.factor("log_likelihood", terms.sum())


POOLED = dataclasses.replace(load_model("source_spectra"), declare=pooled_pairs)


def run(study, folder):
    """Fit simulated clusters of several sizes with both likelihoods.

    Returns
    -------
    str
        Coverage of ln f by number of events, in one line.
    """
    settings, mode = study.config["clusters"], study.mode["clusters"]
    table = pd.DataFrame(
        coverage_of_clusters(study, model, label, events, mode["replicates"], settings)
        for events in mode["events"]
        for label, model in {"K events": load_model("source_spectra"), "pooled": POOLED}.items()
    )
    table.to_csv(folder / "coverage.csv", index=False, float_format="%.4f")
    level = study.config["interval"]
    figures.clusters(table, level).savefig(folder / "coverage.png", dpi=150)
    return "coverage of ln f: " + "; ".join(
        f"K = {row.events}, {row.likelihood} {row.coverage:.3f} ± {row.coverage_error:.3f}"
        for row in table.itertuples()
    )


def coverage_of_clusters(study, model, label, events, replicates, settings):
    """Return how often the intervals of ln f hold the truth, over replicated clusters.

    Returns
    -------
    dict
        Coverage over all events with its error over clusters, mean posterior sd and root mean
        square error.
    """
    level = study.config["interval"]
    design = study.config["design"] | {
        "events": events,
        "traces": settings["traces"],
        "nu1": settings["degrees_of_freedom"],
    }
    key = jax.random.fold_in(jax.random.key(study.config["seed"]), 300 + events)
    drawn = draw_truth(study, (replicates, events - 1), 300 + events)
    drawn["ln_fc1"] = drawn["ln_fc1"][:, 0]
    truths, datasets = zip(
        *(
            model.simulate(k, design, {name: values[i] for name, values in drawn.items()})
            for i, k in enumerate(jax.random.split(key, replicates))
        ),
        strict=True,
    )
    result = bq.fit_many(
        model,
        datasets,
        form="cluster",
        seed=study.config["seed"],
        **study.mode["sampling"],
    )
    posterior = result["posterior"]["ln_fc"].stack(sample=("chain", "draw"))
    draws = posterior.transpose("problem", "event", "sample").to_numpy()
    truth = np.array([values["ln_fc"] for values in truths])
    tail = 0.5 * (1 - level)
    low, high = np.quantile(draws, [tail, 1 - tail], axis=2)
    held = ((low <= truth) & (truth <= high)).mean(axis=1)
    return {
        "events": events,
        "likelihood": label,
        "clusters": replicates,
        "coverage": held.mean(),
        "coverage_error": held.std(ddof=1) / np.sqrt(replicates),
        "mean_sd": draws.std(axis=2).mean(),
        "rmse": np.sqrt(((draws.mean(axis=2) - truth) ** 2).mean()),
        "uncertified": int((result["triage"]["tier"] == 0).sum()),
    }
