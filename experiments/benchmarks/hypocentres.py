"""Locating hundreds of earthquakes: triage beside NUTS one by one, NUTS mapped, and NumPyro.

Run as ``python -m bayesquake.experiments.benchmarks.hypocentres [--out FOLDER]``. Every
method must certify every posterior: R-hat below 1.05 and bulk and tail effective sample sizes
of at least 100 for all five unknowns. What is compiled once is compiled beforehand; NumPyro's
`MCMC` compiles in every call and pays for it.
"""

import argparse
import dataclasses
import functools
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from bayesquake.batch.tiers import triage
from bayesquake.batch.triaged import TIERS, TriageSettings
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.starts import initial_positions
from bayesquake.inference.nuts import nuts, nuts_program
from bayesquake.io.files import replace_when_complete
from bayesquake.io.processor import processor
from bayesquake.results.convergence import convergence
from bayesquake.targets.target import target_of_arrays

from .hypocentre_model import HYPOCENTRE, simulated_picks
from .samplers import generative

__all__ = ["main", "measure"]

PROBLEMS = 200
CHAINS = 4
LARGEST_RHAT, SMALLEST_ESS = 1.05, 100.0
TRIAGE = TriageSettings(chains=CHAINS, draws=250, rhat_limit=LARGEST_RHAT, ess_limit=SMALLEST_ESS)
CHUNK = 250

WARMUP, DRAWS, DOUBLINGS = 100, 200, 5
"""NUTS with a diagonal metric, the cheapest of the settings tried; a problem that misses the
limits is done again with both doubled."""

NUMPYRO_PROBLEMS, NUMPYRO_WARMUP, NUMPYRO_DRAWS = 5, 300, 300
"""A few problems, one run each, scaled to all."""

SIZES = (50, 200, 1000)
"""Numbers of problems from which the exponent of the cost is found."""

MEMORY_SIZES, MEMORY_CHUNK = (200, 2000), 100
SEEDS = (1, 2, 3)
GOALS = {"NUTS, one by one": 4.0, "NUTS, mapped over all": 10.0, "numpyro.MCMC, one by one": 50.0}
"""Least ratio of CPU seconds to those of triage."""


def problems(count):
    """Return the target and the data of that many problems, (problem, ...) arrays."""
    picks = HYPOCENTRE.prepare(simulated_picks(count))
    return target_of_arrays(HYPOCENTRE, one(picks, 0)), picks


def one(picks, place):
    """Return the data of one problem."""
    return jax.tree.map(lambda values: values[place], picks)


def judged(positions):
    """Return the worst R-hat and the smallest effective sample size of (chain, draw, dim)."""
    found = convergence(np.moveaxis(positions, 2, 0))
    return found.r_hat.max(), min(found.ess_bulk.min(), found.ess_tail.min())


def certified(r_hat, ess):
    """Return whether the limits are kept."""
    return r_hat < LARGEST_RHAT and ess >= SMALLEST_ESS


def in_chunks(target, picks, seed, chunk=CHUNK):
    """Yield triage's results chunk by chunk."""
    for first in range(0, len(picks.arrival), chunk):
        numbers = np.arange(first, min(first + chunk, len(picks.arrival)))
        data = jax.tree.map(lambda values, numbers=numbers: values[numbers], picks)
        yield triage(target, data, seed=seed, numbers=numbers, settings=TRIAGE)


def by_triage(target, picks, seed):
    """Return worst R-hat, smallest ESS and tier of every problem."""
    rows = [
        (
            part.evidence.r_hat,
            np.minimum(part.evidence.ess_bulk, part.evidence.ess_tail),
            part.tier,
        )
        for part in in_chunks(target, picks, seed)
    ]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def by_nuts(target, data, seed, doublings=DOUBLINGS):
    """Return worst R-hat and smallest ESS of one problem, done again until they suffice."""
    for doubling in range(doublings):
        made = nuts(
            dataclasses.replace(target, data=data),
            chains=CHAINS,
            warmup=WARMUP * 2**doubling,
            draws=DRAWS * 2**doubling,
            seed=seed + 10_000 * doubling,
        )
        found = judged(made.positions)
        if certified(*found):
            break
    return found


def by_mapped_nuts(target, picks, seed):
    """Return worst R-hat and smallest ESS of every problem, all in one program.

    The few that miss the limits are done again one by one.
    """
    count = len(picks.arrival)
    program = nuts_program(target.log_density, "diagonal", 0.8, 10)
    keys = jax.vmap(lambda key: jax.random.split(key, CHAINS))(
        jax.random.split(jax.random.key(seed), count)
    )
    starts = np.stack(
        [
            initial_positions(
                dataclasses.replace(target, data=one(picks, i)), jax.random.key(i), CHAINS
            )
            for i in range(count)
        ]
    )
    start, block = mapped_program(program)
    state = start(keys, starts, picks)
    stages = np.concatenate([program.stages(WARMUP), np.zeros(DRAWS, int)])
    parts = []
    for first in range(0, len(stages), 100):
        state, positions, _ = block(state, picks, stages[first : first + 100])
        parts.append(np.asarray(positions))
    positions = np.concatenate(parts, axis=1)[:, WARMUP:].swapaxes(1, 2)
    found = [judged(of_problem) for of_problem in positions]
    return [
        pair if certified(*pair) else by_nuts(target, one(picks, i), seed + i)
        for i, pair in enumerate(found)
    ]


@functools.cache
def mapped_program(program):
    """Return start and block of a program, compiled over problems."""
    return (
        jax.jit(jax.vmap(program.start, (0, 0, 0))),
        jax.jit(jax.vmap(program.block, (0, 0, None))),
    )


def by_numpyro(data, seed):
    """Return worst R-hat and smallest ESS of one problem from NumPyro's `MCMC`."""
    from numpyro.infer import MCMC, NUTS

    mcmc = MCMC(
        NUTS(generative(HYPOCENTRE)),
        num_warmup=NUMPYRO_WARMUP,
        num_samples=NUMPYRO_DRAWS,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    mcmc.run(jax.random.key(seed), data)
    values = mcmc.get_samples(group_by_chain=True)
    return judged(np.stack([np.asarray(values[name]) for name in sorted(values)], axis=2))


def compile_all(target, picks):
    """Compile every program that a method uses more than once."""
    few = jax.tree.map(lambda values: values[:1], picks)
    never = dataclasses.replace(TRIAGE, rhat_limit=0.0, longer=1)
    triage(target, few, settings=never)
    by_triage(target, few, seed=0)
    by_nuts(target, one(picks, 0), seed=0, doublings=1)
    by_mapped_nuts(target, picks, seed=0)


def row_of(method, seconds, found, scale=1.0):
    """Return a row of the table: CPU seconds, and how well the posteriors are known."""
    r_hat, ess = np.array(found)[:, :2].T
    kept = (r_hat < LARGEST_RHAT) & (ess >= SMALLEST_ESS)
    return {
        "method": method,
        "problems": len(r_hat),
        "cpu_seconds": seconds * scale,
        "scale": scale,
        "certified": int(kept.sum()),
        "worst_rhat": float(r_hat.max()),
        "smallest_ess": float(ess.min()),
        "median_ess": float(np.median(ess)),
        "ess_per_second": float(ess.mean() * len(ess) / seconds),
    }


def compare():
    """Measure all methods on the same problems.

    Returns
    -------
    list of dict
        Rows of the table, triage first.
    """
    target, picks = problems(PROBLEMS)
    compile_all(target, picks)
    rows = []

    runs = []
    for seed in SEEDS:
        with recorded_compilations() as compilations:
            began = time.process_time()
            *found, tier = by_triage(target, picks, seed)
            runs.append((time.process_time() - began, found, tier, compilations.count))
    seconds, found, tier, _ = sorted(runs, key=lambda run: run[0])[len(runs) // 2]
    row = row_of("triage", seconds, np.transpose(found))
    row["seconds_of_seeds"] = [run[0] for run in runs]
    row["compilations"] = max(run[3] for run in runs)
    row["tiers"] = {name: int((tier == i).sum()) for i, name in enumerate(TIERS)}
    row["named"] = np.flatnonzero(tier == 0).tolist()
    rows.append(row)

    began = time.process_time()
    found = [by_nuts(target, one(picks, i), seed=i) for i in range(PROBLEMS)]
    rows.append(row_of("NUTS, one by one", time.process_time() - began, found))

    began = time.process_time()
    found = by_mapped_nuts(target, picks, seed=1)
    rows.append(row_of("NUTS, mapped over all", time.process_time() - began, found))

    began = time.process_time()
    found = [by_numpyro(one(picks, i), seed=i) for i in range(NUMPYRO_PROBLEMS)]
    seconds = time.process_time() - began
    scale = PROBLEMS / NUMPYRO_PROBLEMS
    rows.append(row_of("numpyro.MCMC, one by one", seconds, found, scale))
    for row in rows:
        row["ratio"] = row["cpu_seconds"] / rows[0]["cpu_seconds"]
    return rows


def scaling():
    """Measure triage at several numbers of problems.

    Returns
    -------
    dict
        ``cpu_seconds`` by number of problems, medians over seeds, and ``exponent``, the slope
        of their logarithms.
    """
    target, picks = problems(max(SIZES))
    seconds = {}
    for size in SIZES:
        part = jax.tree.map(lambda values, size=size: values[:size], picks)
        runs = []
        for seed in SEEDS:
            began = time.process_time()
            by_triage(target, part, seed)
            runs.append(time.process_time() - began)
        seconds[size] = float(np.median(runs))
    slope = np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0]
    return {"cpu_seconds": seconds, "exponent": float(slope)}


def peak_memory(count):
    """Return the peak memory (GB) of a fresh process that does that many problems in chunks."""
    command = [sys.executable, "-m", __spec__.name, "--peak-memory", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def own_peak_memory(count):
    """Triage problems chunk by chunk, keep their means, and return the peak memory (GB)."""
    target, picks = problems(count)
    means = [part.positions.mean(axis=(1, 2)) for part in in_chunks(target, picks, 1, MEMORY_CHUNK)]
    assert len(np.concatenate(means)) == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure():
    """Measure everything.

    Returns
    -------
    dict
        ``rows``, ``scaling`` and ``peak_memory_gb`` by number of problems.
    """
    # First, while this process is small: a child's peak counts its parent's at the fork.
    memory = {count: peak_memory(count) for count in MEMORY_SIZES}
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "rows": compare(),
        "scaling": scaling(),
        "peak_memory_gb": memory,
    }


def show(measured, console):
    """Print the measurements as tables."""
    console.print(f"{measured['date']}, {measured['processor']}")
    headings = ("CPU (s)", "ratio", "goal", "certified", "max. R-hat", "min. ESS", "ESS per CPU s")
    table = Table("method", *headings, title=f"{PROBLEMS} hypocentres")
    for row in measured["rows"]:
        goal = GOALS.get(row["method"])
        table.add_row(
            row["method"],
            f"{row['cpu_seconds']:.1f}",
            f"{row['ratio']:.1f}",
            "" if goal is None else f">= {goal:g}" + ("" if row["ratio"] >= goal else ", not met"),
            f"{row['certified']} of {row['problems']}",
            f"{row['worst_rhat']:.3f}",
            f"{row['smallest_ess']:.0f}",
            f"{row['ess_per_second']:,.0f}",
        )
    console.print(table)
    first, *_, last = measured["rows"]
    console.print(
        f"triage: {first['tiers']}, named {first['named']}, {first['compilations']} compilations; "
        f"{last['method']}: {last['problems']} problems, scaled by {last['scale']:g}"
    )
    table = Table("problems", "CPU (s)", title="triage")
    for size, seconds in measured["scaling"]["cpu_seconds"].items():
        table.add_row(str(size), f"{seconds:.2f}")
    console.print(table)
    console.print(f"exponent of the cost: {measured['scaling']['exponent']:.2f} (goal 0.9 to 1.1)")
    for count, memory in measured["peak_memory_gb"].items():
        console.print(f"peak memory, {count} problems in chunks of {MEMORY_CHUNK}: {memory:.2f} GB")


def main(arguments=None):
    """Measure, print, and with ``--out`` save ``hypocentres.json`` in that folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for hypocentres.json")
    parser.add_argument("--peak-memory", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.peak_memory:
        print(own_peak_memory(given.peak_memory))
        return
    measured = measure()
    show(measured, Console(width=140))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(measured, indent=1)
        replace_when_complete(
            given.out / "hypocentres.json",
            lambda part: Path(part).write_text(text, encoding="utf-8"),
        )


if __name__ == "__main__":
    main()
