"""Accuracy, time and memory of the eikonal solver, beside `eikonalfm` where it is installed.

Run as ``python -m bayesquake.experiments.benchmarks.eikonal [--out FOLDER] [--quick]``. The
medium is one in which velocity grows linearly with depth, where times are known exactly.
Compile time is apart; times are of one call, the process pinned to one core by the user.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from bayesquake.io.files import replace_when_complete
from bayesquake.physics.travel_time.eikonal import first_arrival_times

from .measurements import NOT_INSTALLED

__all__ = ["main", "measure"]

SPACING = (0.5, 0.5, 0.5)
FULL, QUICK = (128, 128, 64), (48, 48, 24)
SURFACE_VELOCITY, GRADIENT = 5.0, 0.08
"""km/s, and its increase with depth (1/s)."""

SOURCES = {"on a node": (15.5, 20.0, 10.0), "off the nodes": (15.62, 20.21, 10.13)}
PRECISIONS = {"float64": jnp.float64, "float32": jnp.float32}

ORDER_TWO = "bayesquake, order 2, float64"
GOALS = (
    ("rms (ms), order 2, source on a node", "<=", 0.15),
    ("rms (ms), order 1, source off the nodes", "<=", 0.8),
    ("gradient / value, order 2", "<=", 3.0),
    ("fields of the grid in memory for a gradient, order 2", "<=", 12.0),
    ("float32 / eikonalfm of order 2, time", "<=", 3.0),
)


def positions(shape):
    """Return the coordinates (km) of all nodes, three arrays of the shape of the grid."""
    axes = [np.arange(n) * h for n, h in zip(shape, SPACING, strict=True)]
    return np.meshgrid(*axes, indexing="ij")


def velocity(depth):
    """Return the velocity (km/s) at a depth (km)."""
    return SURFACE_VELOCITY + GRADIENT * depth


def exact_times(shape, source):
    """Return the times (s) of arcs of circles from the source to all nodes."""
    nodes = positions(shape)
    square = sum((x - s) ** 2 for x, s in zip(nodes, source, strict=True))
    product = velocity(nodes[2]) * velocity(source[2])
    return np.arccosh(1 + GRADIENT**2 * square / (2 * product)) / GRADIENT


def errors(times, shape, source):
    """Return the root mean square and the largest error (ms)."""
    error = 1e3 * (np.asarray(times, float) - exact_times(shape, source))
    return {"rms_ms": float(np.sqrt(np.mean(error**2))), "largest_ms": float(np.abs(error).max())}


def timed(function, *arguments):
    """Return the value of a compiled function, and the seconds of compilation and of one call."""
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    compilation = time.perf_counter() - start
    jax.block_until_ready(compiled(*arguments))
    start = time.perf_counter()
    value = jax.block_until_ready(compiled(*arguments))
    return value, compilation, time.perf_counter() - start, compiled


def measure_ours(shape, order, precision, place):
    """Return one row: accuracy, time, and time and memory of a gradient in the slowness."""
    dtype = PRECISIONS[precision]
    slowness = jnp.asarray(1 / velocity(positions(shape)[2]), dtype)
    source = jnp.asarray(SOURCES[place], dtype)

    def solve(slowness):
        return first_arrival_times(slowness, source, SPACING, order=order)

    times, compilation, seconds, _ = timed(solve, slowness)
    total = jax.value_and_grad(lambda slowness: jnp.sum(solve(slowness)))
    *_, gradient_seconds, program = timed(total, slowness)
    memory = program.memory_analysis().temp_size_in_bytes / slowness.nbytes
    return {
        "solver": f"bayesquake, order {order}, {precision}",
        "source": place,
        **errors(times, shape, SOURCES[place]),
        "compile_seconds": compilation,
        "seconds": seconds,
        "gradient_seconds": gradient_seconds,
        "gradient_fields": memory,
    }


def measure_eikonalfm(shape, order):
    """Return one row of factored fast marching, which starts from nodes only."""
    place = "on a node"
    row = {"solver": f"eikonalfm, order {order}", "source": place}
    try:
        import eikonalfm
    except ImportError:
        return row | {"status": NOT_INSTALLED}
    node = tuple(round(x / h) for x, h in zip(SOURCES[place], SPACING, strict=True))
    start = time.perf_counter()
    factor = eikonalfm.factored_fast_marching(velocity(positions(shape)[2]), node, SPACING, order)
    seconds = time.perf_counter() - start
    distance = np.sqrt(
        sum((x - s) ** 2 for x, s in zip(positions(shape), SOURCES[place], strict=True))
    )
    return row | errors(distance * factor, shape, SOURCES[place]) | {"seconds": seconds}


def goals_of(rows):
    """Return each goal with its value, None where a peer is not installed."""
    of = {(row["solver"], row["source"]): row for row in rows}
    on, off = SOURCES
    second = of[ORDER_TWO, on]
    single, peer = of["bayesquake, order 2, float32", on], of["eikonalfm, order 2", on]
    values = (
        second["rms_ms"],
        of["bayesquake, order 1, float64", off]["rms_ms"],
        second["gradient_seconds"] / second["seconds"],
        second["gradient_fields"],
        single["seconds"] / peer["seconds"] if "seconds" in peer else None,
    )
    return [
        {
            "goal": f"{meaning} {sense} {limit:g}",
            "value": value,
            "met": None if value is None else value <= limit,
        }
        for (meaning, sense, limit), value in zip(GOALS, values, strict=True)
    ]


def measure(shape=FULL):
    """Measure everything on a grid of this shape.

    Returns
    -------
    dict
        ``rows``, ``goals``, and when and where they were measured.
    """
    rows = [
        measure_ours(shape, order, precision, place)
        for order, precision in ((1, "float64"), (2, "float64"), (2, "float32"))
        for place in SOURCES
    ]
    rows += [measure_eikonalfm(shape, order) for order in (1, 2)]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": f"{jax.devices()[0].platform}: {jax.devices()[0].device_kind}",
        "shape": shape,
        "rows": rows,
        "goals": goals_of(rows),
    }


COLUMNS = {
    "rms_ms": ("rms (ms)", "{:.3f}"),
    "largest_ms": ("largest (ms)", "{:.2f}"),
    "compile_seconds": ("compile (s)", "{:.1f}"),
    "seconds": ("value (s)", "{:.2f}"),
    "gradient_seconds": ("value and gradient (s)", "{:.2f}"),
    "gradient_fields": ("memory (grids)", "{:.0f}"),
}


def show(measured, console):
    """Print the measurements as tables."""
    shape = " x ".join(map(str, measured["shape"]))
    table = Table(title=f"{shape} nodes, {measured['device']}")
    for heading in ("solver", "source", *(heading for heading, _ in COLUMNS.values())):
        table.add_column(heading, no_wrap=True)
    for row in measured["rows"]:
        cells = [form.format(row[key]) if key in row else "" for key, (_, form) in COLUMNS.items()]
        table.add_row(row["solver"], row.get("status", row["source"]), *cells)
    console.print(table)
    for goal in measured["goals"]:
        verdict = {None: NOT_INSTALLED, True: "met", False: "not met"}[goal["met"]]
        value = "" if goal["value"] is None else f"{goal['value']:.3g}, "
        console.print(f"{goal['goal']}: {value}{verdict}", markup=False)


def main(arguments=None):
    """Measure, print, and with ``--out`` save ``eikonal.json`` in that folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for eikonal.json")
    parser.add_argument("--quick", action="store_true", help="a small grid")
    given = parser.parse_args(arguments)
    measured = measure(QUICK if given.quick else FULL)
    show(measured, Console(width=140))
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(measured, indent=1)
        replace_when_complete(given.out / "eikonal.json", lambda part: Path(part).write_text(text))


if __name__ == "__main__":
    main()
