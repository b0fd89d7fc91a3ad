"""A posterior of a hundred thousand events, in time alone."""

import time

import jax
import pandas as pd
from arviz_stats.base import array_stats

from bayesquake.inference.constrained import constrained
from bayesquake.inference.nuts import nuts
from bayesquake.targets.target import target

from .study import model

__all__ = ["run"]

TRUTH = {"k": 0.24, "alpha": 1.2, "c": 0.01, "p": 1.2, "beta": 2.3}
LENGTH_DAYS = 10_000.0
SIDE_KM = 100.0
MAGNITUDES = 5.0
"""m_max - m_c."""


def run(study, folder):
    """Simulate, fit by NUTS, and compare with the truth."""
    settings = study.mode["large_catalogue"]
    truth = TRUTH | {"mu": settings["background_events"] / LENGTH_DAYS / SIDE_KM**2}
    design = {
        "T": LENGTH_DAYS,
        "side_km": SIDE_KM,
        "space": False,
        "m_max": 3.0 + MAGNITUDES,
        "maximum_events": 10 * settings["background_events"],
    }
    dataset = model().simulate(jax.random.key(study.config["seed"]), design, truth)[1]
    began = time.perf_counter()
    in_time = target(model(), dataset, space=False)
    made = nuts(
        in_time,
        metric="diagonal",
        chains=settings["chains"],
        warmup=settings["warmup"],
        draws=settings["draws"],
        seed=study.config["seed"],
    )
    posterior = constrained(in_time, made.positions)
    seconds = time.perf_counter() - began
    table = pd.DataFrame(
        {
            name: {
                "truth": value,
                "mean": posterior[name].mean(),
                "sd": posterior[name].std(),
                "error_in_sd": (posterior[name].mean() - value) / posterior[name].std(),
                "rhat": float(array_stats.rhat(posterior[name])),
                "ess": float(array_stats.ess(posterior[name])),
            }
            for name, value in truth.items()
        }
    ).T
    table.to_csv(folder / "recovery.csv", index_label="parameter")
    return (
        f"{dataset.sizes['event']} events: {seconds / 60:.1f} min, "
        f"{made.gradients} gradients, {int(made.statistics['diverging'].sum())} divergences, "
        f"smallest ESS {table['ess'].min():.0f}, largest R-hat {table['rhat'].max():.3f}, largest "
        f"error {table['error_in_sd'].abs().max():.2f} sd"
    )
