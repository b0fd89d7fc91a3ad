"""Time and memory of the value and gradient of the log likelihood against catalogue size.

Tiles and the sweep along time against automatic differentiation of the plain sums. Times are CPU
seconds of the fastest of several calls, compiled beforehand; sizes ascend, so that the growth of
the process' largest memory is a bound of what a larger catalogue takes.
"""

import resource
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from bayesquake.models.event_classification.pairs import (
    Events,
    pair_rates,
    tile_size,
    triggered_rate,
)
from bayesquake.models.event_classification.temporal import triggered_rate_in_time
from bayesquake.models.event_classification.triggering import triggering_kernel
from bayesquake.reporting.figures import COLOURS, new_figure, styled

__all__ = ["run"]

VALUES = {"k": 0.24, "alpha": 1.5, "c": 0.01, "p": 1.15, "d": 0.5, "gamma": 1.0, "q": 1.6}
MU = {True: 3.5e-5, False: 0.35}
"""1/(day km²) with space, 1/day without."""

CALLS = 3


def run(study, folder):
    """Measure every path at its sizes."""
    rows = []
    for name, sizes in study.mode["scaling"].items():
        space, rate = PATHS[name]
        for size in sizes:
            rows.append({"path": name, "events": size} | measure(rate, size, space))
            pd.DataFrame(rows).to_csv(folder / "times.csv", index=False)
    table = pd.DataFrame(rows)
    figure(table).savefig(folder / "scaling.png", dpi=150)
    notes = []
    for name, measured in table.groupby("path", sort=False):
        if len(measured) > 1:
            slope = np.polyfit(np.log(measured["events"]), np.log(measured["seconds"]), 1)[0]
            growth = measured["megabytes"].iloc[-1] - measured["megabytes"].iloc[0]
            notes.append(f"{name}: slope {slope:.2f}, memory growth {growth:.0f} MB")
    for ours, plain in (("tiles", "row blocks"), ("sweep", "plain in time")):
        found = table.pivot(index="events", columns="path", values="seconds")
        if {ours, plain} <= set(found):
            both = found[[ours, plain]].dropna()
            notes += [
                f"{plain} / {ours} at {n}: {row[plain] / row[ours]:.1f}"
                for n, row in both.iterrows()
            ]
    return "; ".join(notes)


def rows_of_all(kernel, events):
    """Return G by blocks of rows, each recomputed when its derivative is taken."""
    side = tile_size(events.time.size)

    @jax.checkpoint
    def block(targets):
        return pair_rates(kernel, targets, events).sum(axis=1)

    def cut(values):
        blocks = values.reshape(*values.shape[:-1], -1, side)
        return jnp.moveaxis(blocks, -2, 0)

    return jax.lax.map(block, jax.tree.map(cut, events)).reshape(-1)


PATHS = {
    "tiles": (True, triggered_rate),
    "row blocks": (True, rows_of_all),
    "sweep": (False, triggered_rate_in_time),
    "plain in time": (False, rows_of_all),
}


def measure(rate, size, space):
    """Return compile time and time per value and gradient (s), and the largest memory (MB)."""
    padded = -(-size // 128) * 128
    events = random_events(padded, space)

    @jax.jit
    def value_and_gradient(values, events):
        def log_rates(values):
            kernel = triggering_kernel(values, space=space)
            return jnp.log(MU[space] + rate(kernel, events)).sum()

        return jax.value_and_grad(log_rates)(values)

    began = time.perf_counter()
    jax.block_until_ready(value_and_gradient(VALUES, events))
    first = time.perf_counter() - began
    seconds = []
    for _ in range(CALLS):
        began = time.process_time()
        jax.block_until_ready(value_and_gradient(VALUES, events))
        seconds.append(time.process_time() - began)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"first_call": first, "seconds": min(seconds), "megabytes": largest}


def random_events(size, space):
    """Return events at about one per day, with pauses of all lengths."""
    rng = np.random.default_rng(0)
    delay = rng.exponential(1.0, size) * 10.0 ** rng.uniform(-3, 0.5, size)
    position = rng.uniform(0, 100.0, (2, size)) if space else None
    return Events(np.cumsum(delay), position, None, rng.exponential(1 / 2.3, size))


@styled
def figure(table):
    """Draw time and memory against size, per path."""
    drawn, (times, memory) = new_figure(1, 2, (8.0, 3.4))
    for colour, (name, measured) in zip(COLOURS, table.groupby("path", sort=False), strict=False):
        times.loglog(measured["events"], measured["seconds"], "o-", color=colour, label=name)
        memory.semilogx(measured["events"], measured["megabytes"], "o-", color=colour)
    times.set(xlabel="events", ylabel="value and gradient (s)")
    memory.set(xlabel="events", ylabel="largest memory so far (MB)")
    times.legend()
    return drawn
