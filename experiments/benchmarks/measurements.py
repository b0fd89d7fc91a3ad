"""How the benchmark beside other packages measures.

Every entry is called once to compile; the calls after that are measured, in CPU seconds,
which other work on the machine disturbs least. What compiles in every call pays for it.
"""

import dataclasses
import functools
import resource
import time

import numpy as np
from arviz_stats.base import array_stats

from bayesquake.diagnostics.ranks import calibration_table
from bayesquake.inference.kernels.compilation import recorded_compilations

from .calibrations import CALIBRATIONS
from .samplers import SAMPLERS, installed

__all__ = ["NOT_INSTALLED", "Scale", "measure_calibration", "measure_sampling"]

NOT_INSTALLED = "not installed"


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is run.

    Attributes
    ----------
    warmup, draws : int
        Of each chain of a sampler.
    few_chains, many_chains : int
        Of ordinary samplers, and of those that learn from many chains.
    seeds, compiling_seeds : int
        Measured calls, and of samplers that compile in every call.
    simulations, peer_simulations : int
        Of each call of our calibration, and of one that is scaled from fewer.
    calibration_seeds : int
        Measured calls of our calibration.
    calibration_warmup, calibration_draws : int
        Of the one chain of a simulation.
    """

    warmup: int = 500
    draws: int = 500
    few_chains: int = 4
    many_chains: int = 16
    seeds: int = 12
    compiling_seeds: int = 3
    simulations: int = 1000
    peer_simulations: int = 10
    calibration_seeds: int = 5
    calibration_warmup: int = 200
    calibration_draws: int = 300


def measure_sampling(problem, scale, samplers=SAMPLERS):
    """Measure samplers on a problem.

    Seeds run in the outer loop, so that what else the machine does falls on all alike.

    Parameters
    ----------
    problem : Problem
    scale : Scale
    samplers : sequence of Sampler

    Returns
    -------
    list of dict
        By sampler: ``status``, and if that is "measured" the ``first_cpu_seconds`` of
        preparation and first call, the medians over seeds of ``cpu_seconds``,
        ``compilations``, ``minimum_ess``, ``worst_rhat`` and ``ess_per_second``, and, where
        gradients are counted, the means of ``ess_per_1000_draw_gradients`` and
        ``ess_per_1000_gradients`` with their standard errors.
    """
    rows = []
    for sampler in samplers:
        row = {"sampler": sampler.name, "package": sampler.package, "status": NOT_INSTALLED}
        if installed(sampler.package):
            row["status"] = "measured"
            row["chains"] = scale.many_chains if sampler.many else scale.few_chains
            row["seeds"] = scale.compiling_seeds if sampler.compiles else scale.seeds
        rows.append(row)
    prepared = {}
    for row, sampler in zip(rows, samplers, strict=True):
        if row["status"] == "measured":
            began = cpu_seconds()
            sample = sampler.prepare(problem, row["chains"], scale.warmup, scale.draws)
            sample(0)
            row["first_cpu_seconds"] = cpu_seconds() - began
            prepared[sampler.name] = sample
    calls: dict[str, list] = {name: [] for name in prepared}
    for seed in range(1, scale.seeds + 1):
        for row in rows:
            if seed <= row.get("seeds", 0):
                sample = functools.partial(prepared[row["sampler"]], seed)
                calls[row["sampler"]].append(_measured_call(sample, problem.compared))
    return [row | _summary(calls.get(row["sampler"], [])) for row in rows]


def _measured_call(sample, compared):
    with recorded_compilations() as compilations:
        began = cpu_seconds()
        drawn = sample()
        seconds = cpu_seconds() - began
    draws = [drawn.values[name] for name in compared]
    kept = np.concatenate([values.reshape(*values.shape[:2], -1) for values in draws], axis=2)
    ess = float(array_stats.ess(kept, chain_axis=0, draw_axis=1, method="bulk").min())
    measured = {
        "cpu_seconds": seconds,
        "compilations": compilations.count,
        "minimum_ess": ess,
        "worst_rhat": float(array_stats.rhat(kept, chain_axis=0, draw_axis=1).max()),
        "ess_per_second": ess / seconds,
    }
    counts = {
        "ess_per_1000_draw_gradients": drawn.draw_gradients,
        "ess_per_1000_gradients": drawn.gradients,
    }
    known = {name: 1000 * ess / count for name, count in counts.items() if count is not None}
    return measured | known


def _summary(calls):
    """Return medians over calls, and means with standard errors of what gradients bring."""
    summary = {}
    for name in calls[0] if calls else ():
        values = np.array([call[name] for call in calls])
        if name.startswith("ess_per_1000"):
            summary[name] = float(values.mean())
            if len(values) > 1:
                summary[f"{name}_error"] = float(values.std(ddof=1) / np.sqrt(len(values)))
        else:
            summary[name] = float(np.median(values))
    return summary


def measure_calibration(scale, calibrations=CALIBRATIONS):
    """Measure simulation-based calibration of the eight groups.

    Parameters
    ----------
    scale : Scale
    calibrations : sequence of Calibration

    Returns
    -------
    list of dict
        By calibration: ``status``, and if that is "measured" ``simulations`` of a call and the
        median ``cpu_seconds_per_simulation``; of ours also ``bands``, how often a quantity was
        compared with the simultaneous 95 % band of uniform ranks, and ``outside_band``, how
        often its ranks left it.
    """
    rows = []
    for calibration in calibrations:
        row = {"calibration": calibration.name, "settled": calibration.settled}
        rows.append(row)
        if not all(installed(package) for package in calibration.packages):
            row["status"] = NOT_INSTALLED
            continue
        row["status"] = "measured"
        own = calibration.packages == ("bayesquake",)
        row["simulations"] = scale.simulations if own else scale.peer_simulations
        run = functools.partial(
            calibration.run, row["simulations"], scale.calibration_warmup, scale.calibration_draws
        )
        run(0)
        seconds, inside = [], []
        for seed in range(1, 1 + (scale.calibration_seeds if own else 1)):
            began = cpu_seconds()
            ranks = run(seed)
            seconds.append(cpu_seconds() - began)
            if own:
                inside.extend(calibration_table(ranks)["inside_band"])
        row["cpu_seconds_per_simulation"] = float(np.median(seconds)) / row["simulations"]
        if own:
            row |= {"bands": len(inside), "outside_band": len(inside) - sum(inside)}
    return rows


def cpu_seconds():
    """Return the CPU seconds of this process and of its finished children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
