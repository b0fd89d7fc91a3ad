"""Our samplers and calibration beside those of other packages, in one run.

Run as ``python -m bayesquake.experiments.benchmarks.peers [--out FOLDER] [--only NAME]``,
with the extra ``peers`` installed; what is not installed is named and left out.
"""

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from bayesquake.io.files import replace_when_complete
from bayesquake.io.processor import processor

from .measurements import NOT_INSTALLED, Scale, measure_calibration, measure_sampling
from .samplers import EIGHT_SCHOOLS, HIERARCHY, installed

__all__ = ["ENTRIES", "main"]

PACKAGES = ("bayesquake", "jax", "blackjax", "numpyro", "nutpie", "pymc", "simuk")
WIDTH = 170
"""Characters of a printed line, so that tables stay whole in a file too."""

COLUMNS = {
    "first_cpu_seconds": ("first call (s)", "{:.1f}"),
    "cpu_seconds": ("CPU (s)", "{:.3f}"),
    "compilations": ("compilations", "{:.0f}"),
    "minimum_ess": ("min. ESS", "{:.0f}"),
    "worst_rhat": ("max. R-hat", "{:.4f}"),
    "ess_per_second": ("ESS per CPU s", "{:,.0f}"),
    "ess_per_1000_draw_gradients": ("per 1000 gradients of draws", "{:.1f}"),
    "ess_per_1000_gradients": ("per 1000 gradients", "{:.1f}"),
}
"""Measures of a sampler: heading and format."""

NUMPYRO = ("numpyro.MCMC", "numpyro.MCMC, jit_model_args", "numpyro.MCMC, sequential")
SCHOOLS_GOALS = (
    ("ess_per_second", "nuts", NUMPYRO, 50.0),
    ("ess_per_second", "chees", NUMPYRO, 300.0),
)
HIERARCHY_GOALS = (
    ("ess_per_second", "chees", ("nuts",), 5.0),
    ("ess_per_1000_draw_gradients", "nuts", ("nutpie",), 1.0),
    ("ess_per_1000_gradients", "nuts", ("nutpie",), 1.0),
)
"""Measure, sampler, the peers whose best counts, least ratio."""
LARGEST_RHAT = 1.01
CALIBRATION_GOAL = 50.0
BAND = 0.95
"""Probability of the band of uniform ranks, and that chance alone stays within the goal."""


def eight_schools(scale):
    """Measure the samplers on the eight schools."""
    rows = measure_sampling(EIGHT_SCHOOLS, scale)
    return {"rows": rows, "goals": sampling_goals(rows, SCHOOLS_GOALS)}


def hierarchical(scale):
    """Measure the samplers on the hierarchical model of a hundred dimensions."""
    rows = measure_sampling(HIERARCHY, scale)
    rhat = next(row["worst_rhat"] for row in rows if row["sampler"] == "chees")
    goals = [
        *sampling_goals(rows, HIERARCHY_GOALS),
        goal("R-hat of chees", rhat, rhat < LARGEST_RHAT, f"< {LARGEST_RHAT}"),
    ]
    return {"rows": rows, "goals": goals}


def calibration(scale):
    """Measure simulation-based calibration of the eight groups."""
    rows = measure_calibration(scale)
    ours, *others = rows
    seconds = [
        row["cpu_seconds_per_simulation"]
        for row in others
        if row["status"] != NOT_INSTALLED and row["settled"]
    ]
    ratio = min(seconds) / ours["cpu_seconds_per_simulation"] if seconds else None
    by_chance = int(binom.ppf(BAND, ours["bands"], 1 - BAND))
    goals = [
        goal(
            "fastest simuk of equal warm-up and draws / nuts, CPU seconds per simulation",
            ratio,
            None if ratio is None else ratio >= CALIBRATION_GOAL,
            f">= {CALIBRATION_GOAL:g}",
        ),
        goal(
            f"ranks outside the 95 % band, of {ours['bands']}",
            ours["outside_band"],
            ours["outside_band"] <= by_chance,
            f"<= {by_chance}",
        ),
    ]
    return {"rows": rows, "goals": goals}


ENTRIES = {
    "eight_schools": eight_schools,
    "hierarchical": hierarchical,
    "calibration": calibration,
}


def sampling_goals(rows, goals):
    """Return goals on ratios of a measure between samplers, as rows of `goal`."""
    by_name = {row["sampler"]: row for row in rows}
    found = []
    for measure, name, peers, threshold in goals:
        best = max((by_name[peer] for peer in peers), key=lambda row: row.get(measure, 0.0))
        ratio = by_name[name][measure] / best[measure] if measure in best else None
        met = None if ratio is None else ratio >= threshold
        meaning = f"{name} / {best['sampler']}: {COLUMNS[measure][0]}"
        found.append(goal(meaning, ratio, met, f">= {threshold:g}"))
    return found


def goal(meaning, value, met, threshold):
    """Return a row of the goals; value and verdict are None if a peer is not installed."""
    return {"goal": meaning, "value": value, "threshold": threshold, "met": met}


def show(measured, console):
    """Print the measurements of all entries as tables."""
    console.print(f"{measured['date']}, {measured['processor']}, {measured['packages']}")
    for name, entry in measured["entries"].items():
        tabulate = show_calibration if name == "calibration" else show_sampling
        console.print(tabulate(name, entry["rows"]))
        table = Table("goal", "value", "threshold", "", title=f"{name}: goals")
        for row in entry["goals"]:
            value = NOT_INSTALLED if row["value"] is None else f"{row['value']:.5g}"
            verdict = {True: "met", False: "not met", None: ""}[row["met"]]
            table.add_row(row["goal"], value, row["threshold"], verdict)
        console.print(table)


def show_sampling(title, rows):
    """Return the table of the samplers of a problem."""
    table = Table("sampler", "chains", *(heading for heading, _ in COLUMNS.values()), title=title)
    for row in rows:
        if row["status"] == NOT_INSTALLED:
            table.add_row(row["sampler"], NOT_INSTALLED)
            continue
        cells = [form.format(row[key]) if key in row else "" for key, (_, form) in COLUMNS.items()]
        errors = [row.get(f"{key}_error") for key in COLUMNS]
        with_errors = [
            cell if error is None else f"{cell} ± {error:.1f}"
            for cell, error in zip(cells, errors, strict=True)
        ]
        table.add_row(row["sampler"], str(row["chains"]), *with_errors)
    return table


def show_calibration(title, rows):
    """Return the table of the calibrations."""
    table = Table("calibration", "simulations", "CPU (s) per simulation", title=title)
    for row in rows:
        if row["status"] == NOT_INSTALLED:
            table.add_row(row["calibration"], NOT_INSTALLED)
            continue
        seconds = f"{row['cpu_seconds_per_simulation']:.4f}"
        table.add_row(row["calibration"], str(row["simulations"]), seconds)
    return table


def main(arguments=None):
    """Measure, print, and with ``--out`` save ``peers.json`` in that folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for peers.json")
    parser.add_argument("--only", choices=ENTRIES, help="one entry instead of all")
    given = parser.parse_args(arguments)
    names = list(ENTRIES) if given.only is None else [given.only]
    measured = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "packages": {name: version(name) for name in PACKAGES if installed(name)},
        "entries": {name: ENTRIES[name](Scale()) for name in names},
    }
    show(measured, Console(width=WIDTH))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(measured, indent=1)
        replace_when_complete(
            given.out / "peers.json", lambda part: Path(part).write_text(text, encoding="utf-8")
        )


if __name__ == "__main__":
    main()
