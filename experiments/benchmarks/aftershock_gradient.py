"""Gradient time and memory of `aftershock_rate`, in one run.

Run as ``python -m bayesquake.experiments.benchmarks.aftershock_gradient [--out FOLDER]``.
Compile time is apart; a gradient time is the fastest of many calls, the one least disturbed
by other work on the machine.
"""

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.experiments.entries import DataAbsentError
from bayesquake.experiments.morikawa2021.study import open_study, read_window
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.model.priors import resolve_priors
from bayesquake.model.registry import load_model
from bayesquake.models.aftershock_rate.simulate import DESIGN, knots_of, simulate
from bayesquake.targets.target import target_of_arrays

from .events_process import dense_process, log_density, start, state_space_process

__all__ = ["main", "measure"]

BASIS = 32
SHORTEST_SECONDS = 2.0
FEWEST_CALLS = 5
SEQUENCES = ("kobe1995", "laquila2009", "emilia2012")
WINDOWS_DAYS = (0.125, 0.25, 0.5, 1.0)
BATCH_LENGTH = 1024
LARGE = 100_000

GOALS = (
    ("dense at events / grid basis, n = 1000", ("dense", 1000), ("basis", 1000), ">=", 50.0),
    (
        "state space at events / grid basis, n = 10000",
        ("state", 10_000),
        ("basis", 10_000),
        ">=",
        2.0,
    ),
    ("as sampled, n = 10000 / n = 300", ("as sampled", 10_000), ("as sampled", 300), "<=", 5.0),
    ("grid basis, n = 10000 / n = 300", ("basis", 10_000), ("basis", 300), "<=", 5.0),
)


def catalogue(events, seed=0):
    """Simulate a catalogue of exactly that many events in one day."""
    design = DESIGN | {"maximum_events": 10 * events}
    x = knots_of(design)
    parameters = {
        "log_K": -3.7,
        "p": 1.05,
        "log_c": -4.5,
        "beta": 1.96,
        "log_sigma": np.log(0.25),
        "mu": 1.9 - 0.7 * x + 0.3 * np.exp(-0.5 * ((x + 1.5) / 0.4) ** 2),
    }
    trial = simulate(jax.random.key(seed), design, parameters)[1].sizes["event"]
    parameters["log_K"] += np.log(1.2 * events / trial) + 0.1
    made = simulate(jax.random.key(seed), design, parameters)[1]
    kept = np.random.default_rng(seed).choice(made.sizes["event"], events, replace=False)
    return made.isel(event=np.sort(kept))


def plain_model():
    """Return the model in its own coordinates, without whitening."""
    return dataclasses.replace(load_model("aftershock_rate"), coordinates=None)


def basis_problem(events, model):
    """Return density, position and data of the basis on the time grid."""
    arrays = model.prepare(catalogue(events), backend="hsgp", basis_size=BASIS)
    target = target_of_arrays(model, arrays)
    return target.log_density, target.initial(jax.random.key(1), target.data), target.data


def sampled_problem(events, _=None):
    """Return density, position and data of the default settings, whitened."""
    model = load_model("aftershock_rate")
    target = target_of_arrays(model, model.prepare(catalogue(events)))
    return target.log_density, target.initial(jax.random.key(1), target.data), target.data


def events_problem(events, process):
    """Return density, position and data of the process at the events."""
    dataset = catalogue(events)
    priors = {
        name: prior.distribution()
        for name, prior in resolve_priors(load_model("aftershock_rate")).items()
    }
    data = (
        jnp.asarray(dataset["t"].to_numpy()),
        jnp.asarray(dataset["mag"].to_numpy()),
        jnp.asarray(dataset.attrs["M0"]),
        jnp.asarray(dataset.attrs["T"]),
    )
    return log_density(process, priors), start(events), data


def time_gradient(density, position, data):
    """Return compile seconds and the fastest gradient in milliseconds.

    Raises
    ------
    FloatingPointError
        The gradient is not finite.
    """
    began = time.perf_counter()
    compiled = jax.jit(jax.value_and_grad(density)).lower(position, data).compile()
    compile_seconds = time.perf_counter() - began
    finite = [bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(compiled(position, data))]
    if not all(finite):
        raise FloatingPointError("the gradient is not finite at the starting point")
    return compile_seconds, 1e3 * fastest(lambda: compiled(position, data))


def fastest(call):
    """Return the seconds of the fastest of many calls."""
    seconds: list[float] = []
    while len(seconds) < FEWEST_CALLS or sum(seconds) < SHORTEST_SECONDS:
        began = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def measure_gradients():
    """Return rows of method, events, compile seconds and gradient milliseconds."""
    plain = plain_model()
    cases = [
        *(("basis", n, basis_problem, plain) for n in (300, 1000, 10_000)),
        *(("as sampled", n, sampled_problem, None) for n in (300, 1000, 10_000)),
        ("dense", 1000, events_problem, dense_process),
        *(("state", n, events_problem, state_space_process) for n in (1000, 10_000)),
    ]
    rows = []
    for method, events, problem, detail in cases:
        compile_seconds, milliseconds = time_gradient(*problem(events, detail))
        rows.append(
            {
                "method": method,
                "events": events,
                "compile_seconds": compile_seconds,
                "gradient_ms": milliseconds,
            }
        )
    return rows


def batch_windows():
    """Return twelve prepared windows of one shape, and where they come from."""
    model, study = load_model("aftershock_rate"), open_study()
    try:
        datasets = [
            read_window(study, sequence, end, magnitude_rounding=0.0)
            for sequence in SEQUENCES
            for end in WINDOWS_DAYS
        ]
        origin = ", ".join(SEQUENCES)
    except DataAbsentError:
        datasets = [
            catalogue(events, seed)
            for seed in range(len(SEQUENCES))
            for events in (150, 300, 500, 900)
        ]
        origin = "simulated"
    return [
        model.prepare(dataset, length=BATCH_LENGTH, basis_size=BASIS) for dataset in datasets
    ], origin


def measure_batch():
    """Return compilations and time of a batch of gradients against single ones."""
    prepared, origin = batch_windows()
    targets = [target_of_arrays(load_model("aftershock_rate"), arrays) for arrays in prepared]
    gradient = jax.value_and_grad(targets[0].log_density)
    data = [target.data for target in targets]
    starts = [target.initial(jax.random.key(i), target.data) for i, target in enumerate(targets)]
    positions, stacked = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *zip(starts, data, strict=True)
    )
    batch, single = jax.jit(jax.vmap(gradient)), jax.jit(gradient)
    with recorded_compilations() as batch_compiled:
        jax.block_until_ready(batch(positions, stacked))
    with recorded_compilations() as single_compiled:
        jax.block_until_ready([single(z, d) for z, d in zip(starts, data, strict=True)])
    singles = [fastest(lambda z=z, d=d: single(z, d)) for z, d in zip(starts, data, strict=True)]
    return {
        "problems": len(data),
        "data": origin,
        "batch_compilations": batch_compiled.count,
        "single_compilations": single_compiled.count,
        "batch_ms": 1e3 * fastest(lambda: batch(positions, stacked)),
        "sum_of_singles_ms": 1e3 * sum(singles),
        "slowest_single_ms": 1e3 * max(singles),
    }


def peak_memory():
    """Return the peak memory (GB) of a fresh process that takes the gradient at n = 10⁵."""
    command = [sys.executable, "-m", __spec__.name, "--peak-memory"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def own_peak_memory():
    """Take one gradient at n = 10⁵ and return this process's peak memory (GB)."""
    time_gradient(*basis_problem(LARGE, plain_model()))
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * 1024 / 1e9


def measure():
    """Measure everything.

    Returns
    -------
    dict
        ``gradients`` (rows), ``ratios`` (rows with goal), ``batch``, ``peak_memory_gb``.
    """
    # First, while this process is small: a child's peak counts its parent's at the fork.
    memory = peak_memory()
    rows = measure_gradients()
    milliseconds = {(row["method"], row["events"]): row["gradient_ms"] for row in rows}
    ratios = []
    for meaning, numerator, denominator, sense, goal in GOALS:
        value = milliseconds[numerator] / milliseconds[denominator]
        met = value >= goal if sense == ">=" else value <= goal
        ratios.append({"ratio": meaning, "value": value, "goal": f"{sense} {goal:g}", "met": met})
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}",
        "gradients": rows,
        "ratios": ratios,
        "batch": measure_batch(),
        "peak_memory_gb": memory,
    }


def show(measured):
    """Print the measurements as tables."""
    print(f"{measured['date']}, {measured['device']}\n")
    print(f"{'method':<18}{'events':>8}{'compile (s)':>14}{'gradient (ms)':>16}")
    for row in measured["gradients"]:
        print(
            f"{row['method']:<18}{row['events']:>8}{row['compile_seconds']:>14.2f}"
            f"{row['gradient_ms']:>16.3f}"
        )
    print(f"\n{'ratio':<48}{'value':>8}{'goal':>8}")
    for row in measured["ratios"]:
        verdict = "" if row["met"] else "  not met"
        print(f"{row['ratio']:<48}{row['value']:>8.1f}{row['goal']:>8}{verdict}")
    batch = measured["batch"]
    print(
        f"\nbatch of {batch['problems']} windows ({batch['data']}): "
        f"{batch['batch_compilations']} compilation, {batch['batch_ms']:.2f} ms; one by one "
        f"{batch['single_compilations']} compilation, {batch['sum_of_singles_ms']:.2f} ms in all, "
        f"slowest {batch['slowest_single_ms']:.2f} ms"
    )
    print(f"peak memory at n = {LARGE}: {measured['peak_memory_gb']:.2f} GB (goal < 1)")


def main(arguments=None):
    """Measure, print, and with ``--out`` save ``aftershock_gradient.json`` in that folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for aftershock_gradient.json")
    parser.add_argument("--peak-memory", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.peak_memory:
        print(own_peak_memory())
        return
    measured = measure()
    show(measured)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        path = given.out / "aftershock_gradient.json"
        path.write_text(json.dumps(measured, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
