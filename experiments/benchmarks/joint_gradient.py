"""Gradient time of the joint posterior of `hypocenter_velocity` against its number of events.

Run as ``python -m bayesquake.experiments.benchmarks.joint_gradient``. Arrivals are simulated at 30
stations. The coordinates are those of the chains, around preliminary hypocentres in place of the
mode, which has the same cost. Compile time is apart.
"""

import dataclasses

import jax

from bayesquake.model.coordinates import Around
from bayesquake.model.registry import load_model
from bayesquake.models.hypocenter_velocity.coordinates import COORDINATES
from bayesquake.models.hypocenter_velocity.physics.arrow import rooted
from bayesquake.models.hypocenter_velocity.physics.precision import precision
from bayesquake.models.hypocenter_velocity.search import start
from bayesquake.targets.target import target_of_arrays

from .aftershock_gradient import time_gradient

__all__ = ["main", "measure"]

STATIONS = 30
EVENTS = (625, 1250, 2500, 5000, 10_000)


def around_start(base, data, priors):
    """Return the data with the factors of the precision at preliminary hypocentres."""
    position = start(base, data.start, data, priors)
    arrow = precision(base, position, data, priors)
    return Around(data, base.unravel(position), rooted(arrow))


def measure(counts=EVENTS):
    """Return rows of events, picks, compile seconds and gradient milliseconds."""
    model = load_model("hypocenter_velocity")
    model = dataclasses.replace(
        model, coordinates=dataclasses.replace(COORDINATES, condition=around_start), moves=None
    )
    rows = []
    for events in counts:
        design = {"events": events, "stations": STATIONS, "p_share": 0.9}
        _, dataset = model.simulate(jax.random.key(1), design, {"spread": [0.4] * 3})
        target = target_of_arrays(model, model.prepare(dataset))
        position = target.initial(jax.random.key(2), target.data)
        compile_seconds, milliseconds = time_gradient(target.log_density, position, target.data)
        rows.append(
            {
                "events": events,
                "picks": dataset.sizes["pick"],
                "compile_seconds": compile_seconds,
                "gradient_ms": milliseconds,
            }
        )
    return rows


def main():
    """Measure and print."""
    print(f"{'events':>8}{'picks':>10}{'compile (s)':>14}{'gradient (ms)':>16}{'ratio':>8}")
    before = None
    for row in measure():
        ratio = "" if before is None else f"{row['gradient_ms'] / before:.2f}"
        before = row["gradient_ms"]
        print(
            f"{row['events']:>8}{row['picks']:>10}{row['compile_seconds']:>14.1f}"
            f"{row['gradient_ms']:>16.1f}{ratio:>8}",
            flush=True,
        )


if __name__ == "__main__":
    main()
