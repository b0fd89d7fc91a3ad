"""Trade-offs of corner frequencies and moment ratio, as a criterion of quality.

The first part fits the file of simulated pairs and measures how the posteriors of ln f1,
ln f2 and m are correlated. The second moves the corner frequency of the smaller event out of
the band and watches what d = ln(f2 / f1) still has from the data.
"""

import warnings

import numpy as np
import pandas as pd
from scipy.stats import truncnorm

import bayesquake as bq
from bayesquake.experiments.entries import DataAbsentError
from bayesquake.model.registry import load_model
from bayesquake.models.source_spectra.outputs import PoorPairWarning

from . import figures
from .study import PARAMETERS, draw_truth, simulate_pairs

__all__ = ["run", "table_of_pairs"]

UNRESOLVED = "f2_unresolved"


def run(study, folder):
    """Fit the pairs of the file, or simulated ones, and the pairs with moving f2.

    Returns
    -------
    str
        Flags, and width of d inside and beyond the band, in one line.
    """
    settings = study.config["trade_offs"]
    dataset = pairs_of_file(study)
    result = fit(study, dataset)
    pairs = table_of_pairs(result)
    pairs.to_csv(folder / "pairs.csv", float_format="%.4f")
    good, unresolved = pairs["sd_dln_fc"].idxmin(), pairs["sd_dln_fc"].idxmax()
    figures.joint_posteriors(result, (good, unresolved)).savefig(folder / "joint.png", dpi=150)

    moving = moving_corner(study, settings)
    moving.to_csv(folder / "moving_corner.csv", float_format="%.4f")
    figures.resolution(moving).savefig(folder / "moving_corner.png", dpi=150)
    return (
        f"{int(pairs[UNRESOLVED].sum())} of {len(pairs)} pairs flagged {UNRESOLVED}; "
        + "; ".join(
            f"f1 = {fc1:g} Hz, f2 = {ratio:g} x the highest: sd of d {row['relative_sd']:.2f} of "
            f"its prior's, {row[UNRESOLVED]:.0%} flagged"
            for (fc1, ratio), row in moving.iterrows()
            if ratio in (min(settings["f2_over_highest"]), max(settings["f2_over_highest"]))
        )
    )


def pairs_of_file(study):
    """Return the file of simulated pairs, or where it is absent pairs of the same design."""
    try:
        path = study.path(study.config["trade_offs"]["file"])
    except DataAbsentError:
        return simulate_pairs(study, draw_truth(study, 60, 100), 100)
    return load_model("source_spectra").read(path)


def fit(study, dataset):
    """Fit pairs, whose flags are read from the result rather than from warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PoorPairWarning)
        return bq.fit(
            load_model("source_spectra"),
            dataset,
            seed=study.config["seed"],
            **study.mode["sampling"],
        )


def table_of_pairs(result):
    """Return moments, correlations and flags of every pair of a result."""
    posterior = result["posterior"].to_dataset().stack(sample=("chain", "draw"))
    draws = {name: posterior[name].transpose("pair", "sample").to_numpy() for name in PARAMETERS}
    draws["ln_fc2"] = draws["ln_fc1"] + draws["dln_fc"]
    columns = {}
    for name in PARAMETERS:
        columns[f"mean_{name}"] = draws[name].mean(axis=1)
        columns[f"sd_{name}"] = draws[name].std(axis=1)
    for name in ("ln_fc2", "ln_moment_ratio"):
        columns[f"correlation_ln_fc1_{name}"] = [
            np.corrcoef(a, b)[0, 1] for a, b in zip(draws["ln_fc1"], draws[name], strict=True)
        ]
    for name, flag in result["quality"].data_vars.items():
        columns[name] = flag.to_numpy()
    return pd.DataFrame(columns, index=pd.Index(posterior["pair"].to_numpy(), name="pair"))


def moving_corner(study, settings):
    """Return how wide d and ln f1 are as f2 leaves the band.

    Beyond the band the data only exclude corner frequencies inside it: what they leave is the
    prior above d = ln(f_max / f1), whose standard deviation stands beside that of d.

    Returns
    -------
    pandas.DataFrame
        Indexed by true ``fc1`` (Hz) and ``f2_over_highest``.
    """
    design, nu = study.config["design"], settings["degrees_of_freedom"]
    ln_highest = np.log(design["highest_frequency"])
    ln_fc1, ratio = (
        np.repeat(part.ravel(), study.mode["trade_offs"]["pairs"])
        for part in np.meshgrid(settings["ln_fc1"], settings["f2_over_highest"])
    )
    truth = {
        "ln_fc1": ln_fc1,
        "dln_fc": ln_highest + np.log(ratio) - ln_fc1,
        "ln_moment_ratio": np.full(ln_fc1.shape, np.log(settings["moment_ratio"])),
    }
    table = table_of_pairs(fit(study, simulate_pairs(study, truth, 101, nu1=nu, nu2=nu)))
    prior = load_model("source_spectra").priors["dln_fc"].distribution()
    sd = float(prior.scale)
    cut = (ln_highest - ln_fc1 - float(prior.loc)) / sd
    table = table.assign(
        fc1=np.exp(ln_fc1).round(2),
        f2_over_highest=ratio,
        true_d=truth["dln_fc"],
        relative_sd=table["sd_dln_fc"] / sd,
        relative_sd_of_prior_beyond=truncnorm(cut, np.inf).std(),
    )
    return table.groupby(["fc1", "f2_over_highest"])[
        [
            "true_d",
            "mean_dln_fc",
            "sd_dln_fc",
            "relative_sd",
            "relative_sd_of_prior_beyond",
            UNRESOLVED,
            "sd_ln_fc1",
            "correlation_ln_fc1_ln_fc2",
        ]
    ].mean()
