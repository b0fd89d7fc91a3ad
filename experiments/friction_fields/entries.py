"""The entries of the experiment, in order."""

import time

import pandas as pd

from bayesquake.models.fault_friction.physics.trajectory import YEAR

from . import figures
from .bp1 import first_event, problem

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


ENTRIES = {"bp1_convergence": bp1_convergence}
"""Every entry takes the study and its own folder, and returns its result in one line."""
