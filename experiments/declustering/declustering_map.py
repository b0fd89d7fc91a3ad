"""Classification of simulated catalogues, whose true parents are known."""

import time

import jax
import numpy as np
import pandas as pd
from scipy.stats import rankdata

import bayesquake as bq
from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.classification import class_probabilities
from bayesquake.models.event_classification.nearest_neighbour import background_probability
from bayesquake.reporting.figures import BLUE, GREY, new_figure, styled

from .study import model, simulated_catalogue

__all__ = ["area_under_curve", "classification_scores", "run"]

BINS = 10
PAIRS_OF = 1500
"""Events, evenly spaced, of whose pairs it is asked whether they share a cluster."""


def run(study, folder):
    """Fit each catalogue, and score parameters, probabilities and clusters against the truth."""
    probability, recovery = jax.jit(class_probabilities), []
    scores = []
    for name, settings in study.mode["declustering_map"].items():
        dataset, truth = simulated_catalogue(study, name)
        began = time.perf_counter()
        result = bq.fit(
            model(),
            dataset,
            seed=study.config["seed"],
            maximum_magnitude=7.5,
            forecast_days=0.0,
            **settings,
        )
        seconds = time.perf_counter() - began
        bq.write_netcdf(result, folder / f"{name}.nc")
        posterior = result["posterior"].to_dataset()
        recovery.append(_recovery(posterior, truth).assign(catalogue=name))
        arrays = prepare(dataset, maximum_magnitude=7.5)
        n = dataset.sizes["event"]
        plugged = {name: float(posterior[name].mean()) for name in truth}
        estimates = {
            "posterior": result["classification"]["phi_mean"].to_numpy(),
            "plug-in": np.asarray(probability(plugged, arrays))[0, :n],
            "true parameters": np.asarray(probability(truth, arrays))[0, :n],
            "nearest neighbour": background_probability(arrays.events, n)[:n],
        }
        target = dataset["target"].to_numpy() == 1
        background = dataset["parent"].to_numpy()[target] == -1
        for estimate, phi in estimates.items():
            scores.append(
                {"catalogue": name, "estimate": estimate}
                | classification_scores(phi[target], background)
            )
        scores[-4] |= {
            "clusters_auc": clusters_auc(result["classification"]["root"].to_numpy(), dataset),
            "seconds": seconds,
        }
        figure = reliability_figure(
            {key: phi[target] for key, phi in estimates.items()}, background
        )
        figure.savefig(folder / f"reliability_{name}.png", dpi=150)
    scores = pd.DataFrame(scores)
    scores.round(4).to_csv(folder / "scores.csv", index=False)
    recovery = pd.concat(recovery)
    recovery.round(4).to_csv(folder / "recovery.csv", index_label="parameter")
    ours = scores[scores["estimate"] == "posterior"]
    return (
        f"largest error of a parameter {recovery['error_in_sd'].abs().max():.2f} sd; Brier score "
        f"{', '.join(f'{x:.3f}' for x in ours['brier'])}, AUC "
        f"{', '.join(f'{x:.3f}' for x in ours['auc'])}, calibration error "
        f"{', '.join(f'{x:.3f}' for x in ours['calibration_error'])}"
    )


def _recovery(posterior, truth):
    """Return posterior mean and sd of the logs of positive parameters against the truth."""
    rows = {}
    for name, value in truth.items():
        draws = posterior[name].to_numpy()
        exact = name in ("alpha", "gamma")
        draws, value = (draws, value) if exact else (np.log(draws), np.log(value))
        if name in ("p", "q"):
            draws, value = np.log(np.expm1(draws)), np.log(np.expm1(value))
        rows[name] = {
            "truth": value,
            "mean": draws.mean(),
            "sd": draws.std(),
            "error_in_sd": (draws.mean() - value) / draws.std(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def classification_scores(phi, background):
    """Score probabilities of being background.

    Parameters
    ----------
    phi : (event,)
    background : (event,) bool
        The truth; an event whose parent was not kept counts as triggered.

    Returns
    -------
    dict
        Mean of φ, true share, Brier score, expected calibration error in ten bins of width 0.1,
        and area under the ROC curve.
    """
    bins = np.minimum((phi * BINS).astype(int), BINS - 1)
    gap = np.bincount(bins, background - phi, minlength=BINS)
    return {
        "mean_phi": phi.mean(),
        "true_share": background.mean(),
        "brier": ((phi - background) ** 2).mean(),
        "calibration_error": np.abs(gap).sum() / phi.size,
        "auc": area_under_curve(phi, background),
    }


def area_under_curve(score, positive):
    """Return the probability that a positive scores above a negative."""
    rank = rankdata(score)
    count = positive.sum()
    return (rank[positive].sum() - 0.5 * count * (count + 1)) / (count * (~positive).sum())


def clusters_auc(root, dataset):
    """Return how well the posterior tells pairs of one true cluster from other pairs."""
    target = np.flatnonzero(dataset["target"].to_numpy() == 1)
    some = target[np.linspace(0, target.size - 1, min(target.size, PAIRS_OF)).astype(int)]
    first, second = np.triu_indices(some.size, 1)
    together = np.zeros(first.size)
    for draw in root[:, some]:
        together += draw[first] == draw[second]
    label = dataset["root"].to_numpy()[some]
    return area_under_curve(together, label[first] == label[second])


@styled
def reliability_figure(estimates, background):
    """Draw the share of background events against the probability given, per estimate."""
    figure, axes = new_figure(1, len(estimates), (2.4 * len(estimates), 2.6), sharey=True)
    for axis, (name, phi) in zip(axes, estimates.items(), strict=True):
        bins = np.minimum((phi * BINS).astype(int), BINS - 1)
        count = np.bincount(bins, minlength=BINS)
        seen = count > 0
        share = np.bincount(bins, background, minlength=BINS)[seen] / count[seen]
        mean = np.bincount(bins, phi, minlength=BINS)[seen] / count[seen]
        axis.plot([0, 1], [0, 1], color=GREY, lw=0.8)
        axis.errorbar(
            mean, share, 1.64 * np.sqrt(share * (1 - share) / count[seen]), fmt="o-", color=BLUE
        )
        axis.set_title(name)
        axis.set_xlabel("probability of background")
    axes[0].set_ylabel("share of background")
    return figure
