"""Exact simulation of triggering, generation by generation, of many catalogues at once.

Each event has its offspring by itself: their number is Poisson, their delays and distances come
from inverse distribution functions, their magnitudes from the truncated exponential law. Only
the loop over generations is one; all events of a generation, whatever catalogue they belong to,
are drawn together.
"""

from typing import Any, NamedTuple

import numpy as np

from bayesquake.errors import SimulationError

__all__ = [
    "Population",
    "as_population",
    "descend",
    "draw_magnitudes",
    "joined",
    "magnitudes",
    "selected",
]

DELAY_POINTS = 2000
SHORTEST_DELAY, LONGEST_DELAY = 1e-7, 1e8
"""Days between which the distribution of tapered delays is tabulated."""

MOST_GENERATIONS = 10_000

TRIGGERING = ("k", "alpha", "c", "p", "tau", "d", "gamma", "q", "beta")
"""Natural parameters of offspring, as far as the form has them."""


class Population(NamedTuple):
    """Events of simulated catalogues, each (event,).

    Attributes
    ----------
    catalog : int
        Which catalogue an event belongs to, and which parameters it has.
    time, x, y, dm
        Days; km; magnitude above the reference magnitude.
    parent : int
        Position of the parent in the whole population; -1 for background events.
    generation : int
    """

    catalog: Any
    time: Any
    x: Any
    y: Any
    dm: Any
    parent: Any
    generation: Any


def selected(population, index):
    """Return some of the events, by a mask or positions."""
    return Population(*(values[index] for values in population))


def joined(populations):
    """Return populations one after the other."""
    return Population(*(np.concatenate(values) for values in zip(*populations, strict=True)))


def as_population(dataset, m_ref, catalogs=1):
    """Return the events of a data set, without parents, once for every catalogue."""
    n = dataset.sizes["event"]
    columns = (dataset[name].to_numpy() for name in ("time_days", "x_km", "y_km", "magnitude"))
    time, x, y, magnitude = (np.tile(column, catalogs) for column in columns)
    return Population(
        catalog=np.repeat(np.arange(catalogs), n),
        time=time,
        x=x,
        y=y,
        dm=magnitude - m_ref,
        parent=np.full(n * catalogs, -1),
        generation=np.zeros(n * catalogs, int),
    )


def magnitudes(dm, m_c, step):
    """Return magnitudes of events above the reference, in the catalogue's steps if it has any."""
    if step == 0:
        return m_c + dm
    return np.round(m_c + np.floor(dm / step).clip(0, None) * step, 10)


def draw_magnitudes(rng, beta, span):
    """Return magnitudes above the reference, truncated exponential on [0, span], like ``beta``."""
    u = rng.uniform(size=np.shape(beta))
    return -np.log1p(u * np.expm1(-beta * span)) / beta


def descend(rng, seeds, values, *, start, end, span, inside=None, most_events=None):
    """Return seeds and all their descendants in a window.

    Parameters
    ----------
    rng : numpy.random.Generator
    seeds : Population
        Events present before, and background events.
    values : mapping
        Natural parameters of every catalogue, each (catalog,); those of the background are not
        looked at.
    start, end : float
        Descendants are drawn in this window (day); what seeds triggered before is not.
    span : float
        M = m_max - m_ref.
    inside : callable, optional
        ``(x, y) -> mask``; offspring outside are dropped before they trigger.
    most_events : int, optional

    Returns
    -------
    Population
        In order of generations, the seeds first.

    Raises
    ------
    SimulationError
        More than ``most_events`` events.
    """
    table = _delay_table(values) if "tau" in values else None
    generations, count = [seeds], seeds.time.size
    parents, first = seeds, 0
    for generation in range(1, MOST_GENERATIONS):
        children = _offspring(rng, parents, first, values, start, end, span, table, generation)
        if inside is not None:
            children = selected(children, inside(children.x, children.y))
        if children.time.size == 0:
            break
        first, parents = count, children
        count += children.time.size
        if most_events is not None and count > most_events:
            raise SimulationError(
                f"more than {most_events} events were simulated; lower k or alpha, shorten the "
                "window, or raise maximum_events"
            )
        generations.append(children)
    return joined(generations)


def _offspring(rng, parents, first, values, start, end, span, table, generation):
    """Draw the children of one generation, whose first member stands at ``first``."""
    own = {name: np.asarray(values[name])[parents.catalog] for name in TRIGGERING if name in values}
    low, high = np.maximum(start - parents.time, 0.0), end - parents.time
    productivity = own["k"] * np.exp(own["alpha"] * parents.dm)
    if table is None:
        q = 1 - own["p"]
        below, above = (np.exp(q * np.log1p(gap / own["c"])) for gap in (low, high))
    else:
        below, above = (1 - table.share(parents.catalog, gap) for gap in (low, high))
    number = rng.poisson(productivity * (below - above))
    source = np.repeat(np.arange(number.size), number)
    # The survival function of a delay is uniform between its values at the window's limits.
    survival = below[source] - (below - above)[source] * rng.uniform(size=source.size)
    of = {name: draws[source] for name, draws in own.items()}
    catalog = parents.catalog[source]
    if table is None:
        delay = of["c"] * np.expm1(-np.log(survival) / (of["p"] - 1))
    else:
        delay = table.delay(catalog, 1 - survival)
    x, y = parents.x[source], parents.y[source]
    if "d" in of:
        D = of["d"] * np.exp(of["gamma"] * parents.dm[source])
        u = rng.uniform(size=source.size)
        r = np.sqrt(D * np.expm1(-np.log1p(-u) / (of["q"] - 1)))
        angle = rng.uniform(0, 2 * np.pi, source.size)
        x, y = x + r * np.cos(angle), y + r * np.sin(angle)
    return Population(
        catalog,
        parents.time[source] + delay,
        x,
        y,
        draw_magnitudes(rng, of["beta"], span),
        first + source,
        np.full(source.size, generation),
    )


class DelayTable(NamedTuple):
    """Shares of offspring before each delay, (catalog, point), rising to 1."""

    log_delay: Any
    cumulative: Any

    def share(self, catalog, delay):
        """Return the share of offspring before a delay."""
        points = self.log_delay
        step = points[1] - points[0]
        place = (np.log(np.maximum(delay, SHORTEST_DELAY)) - points[0]) / step
        left = np.clip(place.astype(int), 0, points.size - 2)
        weight = np.clip(place - left, 0.0, 1.0)
        table = self.cumulative
        found = (1 - weight) * table[catalog, left] + weight * table[catalog, left + 1]
        soon = table[catalog, 0] * delay / SHORTEST_DELAY
        return np.where(delay < SHORTEST_DELAY, soon, found)

    def delay(self, catalog, share):
        """Return the delay before which a share of the offspring comes."""
        flat = (self.cumulative + np.arange(len(self.cumulative))[:, None]).ravel()
        size = self.log_delay.size
        right = np.searchsorted(flat, share + catalog, side="right")
        right = np.clip(right - catalog * size, 1, size - 1)
        low, high = self.cumulative[catalog, right - 1], self.cumulative[catalog, right]
        weight = np.clip((share - low) / np.maximum(high - low, 1e-300), 0.0, 1.0)
        left = self.log_delay[right - 1]
        return np.exp(left + weight * (self.log_delay[right] - left))


def _delay_table(values):
    """Tabulate the distribution of tapered delays, by Simpson's rule in their logarithm."""
    points = np.linspace(np.log(SHORTEST_DELAY), np.log(LONGEST_DELAY), DELAY_POINTS)
    step = points[1] - points[0]
    c, p, tau = (np.asarray(values[name])[:, None] for name in ("c", "p", "tau"))

    def density(log_delay):
        t = np.exp(log_delay)
        return t * np.exp(-t / tau) * (t + c) ** -p

    at_points, between = density(points), density(points[:-1] + 0.5 * step)
    parts = step / 6 * (at_points[:, :-1] + 4 * between + at_points[:, 1:])
    earlier = SHORTEST_DELAY * c**-p
    cumulative = np.cumsum(np.concatenate([earlier, parts], axis=1), axis=1)
    return DelayTable(points, cumulative / cumulative[:, -1:])
