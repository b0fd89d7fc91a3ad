"""What each part of the sampler is worth: the joint posterior of simulated arrivals without it."""

import dataclasses

import pandas as pd

from bayesquake.inference.fit import fit
from bayesquake.model.coordinates import around_mode
from bayesquake.model.registry import load_model

from .chains import convergence_table
from .study import MODEL_NAME, simulated_arrivals

__all__ = ["ablation"]

PLACES = ("x", "y", "depth", "origin_time")


def ablation(study, folder):
    """Draw from one posterior with all parts of the sampler, and without one of them at a time.

    Returns
    -------
    str
        Effective draws of the worst event in a thousand gradients, case by case.
    """
    dataset, _ = simulated_arrivals(study, folder)
    model = load_model(MODEL_NAME)
    rows = {}
    for name in study.mode["cases"]:
        case = study.config["cases"]["whole"] | study.config["cases"][name]
        result = fit(
            without(model, case),
            dataset,
            driver="nuts",
            seed=study.config["seed"],
            warmup=study.mode["case_warmup"],
            draws=study.mode["case_draws"],
            metric=case["metric"],
            max_tree_depth=case["max_tree_depth"],
        )
        chains = convergence_table(result)
        statistics = result["sample_stats"]
        ess = chains["ess_per_1000_gradients"]
        rows[name] = {
            "r_hat": chains["r_hat"].max(),
            "velocities_per_1000_gradients": ess["vp"],
            "events_per_1000_gradients": ess.loc[list(PLACES)].min(),
            "gradients_per_draw": float(statistics["n_steps"].mean()),
            "divergent_percent": 100 * float(statistics["diverging"].mean()),
            "run_seconds": result.attrs["run_seconds"],
        }
        table = pd.DataFrame(rows).T.rename_axis("case")
        table.to_csv(folder / "cases.csv", float_format="%.4g")
    worst = table["events_per_1000_gradients"]
    return "worst event, effective draws in 1000 gradients: " + ", ".join(
        f"{name} {value:.1f}" for name, value in worst.items()
    )


def without(model, case):
    """Return the model with the coordinates and moves of a case."""
    coordinates = {"arrow": model.coordinates, "dense": around_mode(), "none": None}
    return dataclasses.replace(
        model,
        coordinates=coordinates[case["coordinates"]],
        moves=model.moves if case["moves"] else None,
    )
