"""The bias of ignoring offspring outside the polygon, on catalogues with many events near it."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import bayesquake as bq
from bayesquake.model.simulation import simulate_accepted
from bayesquake.reporting.figures import BLUE, GREY, VERMILION, new_figure, styled

from .study import model

__all__ = ["run"]

TRUTH = {
    "mu": 2.2e-4,
    "k": 0.3,
    "alpha": 1.2,
    "c": 0.01,
    "p": 1.2,
    "d": 0.7,
    "gamma": 0.8,
    "q": 1.6,
    "beta": 2.3,
}
DESIGN = {"side_km": 24.0, "T": 2000.0, "minimum_events": 250, "maximum_events": 700}
NEAR = 2.0
"""Events within so many √D of the boundary are near it."""


def run(study, folder):
    """Estimate ln k of many catalogues with and without the correction."""
    rows = []
    for i in range(study.mode["edge_effect"]["catalogues"]):
        key = jax.random.fold_in(jax.random.key(study.config["seed"]), i)
        dataset = simulate_accepted(model(), key, DESIGN, TRUTH)[1]
        row = {"near": share_near(dataset)}
        for name, corrected in (("corrected", True), ("whole plane", False)):
            target = bq.target(model(), dataset, edge_correction=corrected)
            mode = target.constrain(jnp.zeros(target.dim), target.data)
            root = np.asarray(target.data.whitening.root)
            sd = np.sqrt(np.diag(np.linalg.inv(root @ root.T)))[target_index(target)]
            row[name] = float(mode["log_k"]) - np.log(TRUTH["k"])
            row[f"sd, {name}"] = sd
        rows.append(row)
        table = pd.DataFrame(rows)
        table.to_csv(folder / "log_k.csv", index=False)
    figure(table).savefig(folder / "edge_effect.png", dpi=150)
    parts = [f"{100 * table['near'].mean():.0f} % of events near the boundary"]
    for name in ("corrected", "whole plane"):
        error = table[name].std() / np.sqrt(len(table))
        sd = table[f"sd, {name}"].mean()
        parts.append(
            f"{name}: bias of ln k {table[name].mean():+.3f} ± {error:.3f}, "
            f"{table[name].mean() / sd:+.2f} posterior sd"
        )
    return "; ".join(parts)


def target_index(target):
    """Return the place of ln k among the coordinates of the model."""
    return list(target.coordinates).index("log_k")


def share_near(dataset):
    """Return the share of events within `NEAR` √D of the boundary of the square."""
    dm = dataset["magnitude"].to_numpy() - dataset.attrs["m_c"]
    reach = NEAR * np.sqrt(TRUTH["d"] * np.exp(TRUTH["gamma"] * dm))
    side = DESIGN["side_km"]
    x, y = dataset["x_km"].to_numpy(), dataset["y_km"].to_numpy()
    distance = np.minimum(np.minimum(x, side - x), np.minimum(y, side - y))
    return (distance < reach).mean()


@styled
def figure(table):
    """Draw the estimates of ln k less the truth, with and without the correction."""
    drawn, axis = new_figure(1, 1, (4.6, 3.2))
    both = table[["corrected", "whole plane"]].to_numpy()
    bins = np.linspace(both.min(), both.max(), 16)
    for name, colour in (("corrected", BLUE), ("whole plane", VERMILION)):
        axis.hist(table[name], bins, color=colour, alpha=0.6, label=name)
    axis.axvline(0, color=GREY)
    axis.set(xlabel="estimate of ln k less the truth", ylabel="catalogues")
    axis.legend()
    return drawn
