"""Simulation of background events, those without a parent, of many catalogues at once."""

from typing import Any, NamedTuple

import jax
import numpy as np

from bayesquake.errors import SimulationError

from .background import DENSITY_Q, Density, Field, basis_at, cells_of, coefficients
from .branching import Population, draw_magnitudes
from .region import is_near

__all__ = ["background_events"]

LOCAL_BOUND = np.exp(0.7)
"""The field within a cell is taken to stay below this multiple of that at its centroid."""


def background_events(
    rng, values, polygon, window, span, *, area, background=None, most_events=None
):
    """Draw background events in a polygon and a window.

    Parameters
    ----------
    rng : numpy.random.Generator
    values : mapping
        ``mu`` and ``beta``, each (catalog,); with a field also ``field_amplitude`` and
        ``field_length`` (catalog,) and ``z`` (catalog, basis).
    polygon : (vertex, 2)
        km.
    window : (start, end)
        Days.
    span : float
        M = m_max - m_ref.
    area : float
        That of the polygon (km²).
    background : background.Density, background.Field or None
    most_events : int, optional

    Returns
    -------
    branching.Population

    Raises
    ------
    SimulationError
        Many more than ``most_events`` events are expected.
    """
    mu, beta = values["mu"], values["beta"]
    field = _field_in_cells(values, polygon) if isinstance(background, Field) else None
    expected = mu * area * (window[1] - window[0]) * (1.0 if field is None else field.mean)
    if most_events is not None and expected.sum() > 2 * most_events + 100:
        raise SimulationError(
            f"about {expected.sum():.3g} background events are expected, more than {most_events}; "
            "lower mu, or raise maximum_events"
        )
    catalog = np.repeat(np.arange(mu.size), rng.poisson(expected))
    if field is not None:
        place = _points_of_field(rng, field, polygon, catalog)
    elif isinstance(background, Density):
        place = _points_of_density(rng, background, polygon, catalog.size)
    else:
        place = _points_in(rng, polygon, catalog.size)
    return Population(
        catalog=catalog,
        time=rng.uniform(*window, catalog.size),
        x=place[:, 0],
        y=place[:, 1],
        dm=draw_magnitudes(rng, beta[catalog], span),
        parent=np.full(catalog.size, -1),
        generation=np.zeros(catalog.size, int),
    )


class FieldInCells(NamedTuple):
    """Fields of many catalogues on the cells of the likelihood's integral.

    Coefficients (catalog, basis), e^f at centroids (catalog, cell), the mean of e^f (catalog,).
    """

    weight: Any
    factor: Any
    mean: Any
    cells: Any


def _field_in_cells(values, polygon):
    basis_size = int(np.sqrt(values["z"].shape[1]))
    weight = np.asarray(jax.vmap(lambda own: coefficients(own, polygon, basis_size))(dict(values)))
    cells = cells_of(polygon)
    factor = np.exp(weight @ basis_at(cells.centroid, polygon, basis_size).T)
    return FieldInCells(weight, factor, factor @ cells.share, cells)


def _points_of_field(rng, field, polygon, catalog):
    """Draw a point of its catalogue's field for every event: its cell, then its place there."""
    basis_size = int(np.sqrt(field.weight.shape[1]))
    below = np.cumsum(field.factor * field.cells.share, axis=1)
    below = below / below[:, -1:] + np.arange(len(below))[:, None]
    level = catalog + rng.uniform(size=catalog.size)
    cell = np.searchsorted(below.ravel(), level, side="right") - catalog * below.shape[1]
    cell = np.minimum(cell, below.shape[1] - 1)
    place, open_places = np.empty((catalog.size, 2)), np.arange(catalog.size)
    while open_places.size:
        which, own = cell[open_places], catalog[open_places]
        points = field.cells.corner[which] + field.cells.side * rng.uniform(size=(which.size, 2))
        f = (basis_at(points, polygon, basis_size) * field.weight[own]).sum(axis=1)
        chance = np.exp(f) / (LOCAL_BOUND * field.factor[own, which])
        taken = rng.uniform(size=which.size) < chance
        taken &= is_near(polygon, points[:, 0], points[:, 1], 0.0)
        place[open_places[taken]] = points[taken]
        open_places = open_places[~taken]
    return place


def _points_in(rng, polygon, n):
    """Draw points uniformly in a polygon, (point, 2)."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return _accepted(n, polygon, lambda missing: rng.uniform(low, high, (2 * missing + 16, 2)))


def _points_of_density(rng, density, polygon, n):
    """Draw points of the kernel density, each from the kernel of an event inside the polygon."""
    weight, D, centres = (np.asarray(x) for x in (density.weight, density.D, density.centres))

    def draw(missing):
        j = rng.choice(weight.size, 2 * missing + 16, p=weight / weight.sum())
        r = np.sqrt(D[j] * np.expm1(-np.log1p(-rng.uniform(size=j.size)) / (DENSITY_Q - 1)))
        angle = rng.uniform(0, 2 * np.pi, j.size)
        return centres[:, j].T + np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)

    return _accepted(n, polygon, draw)


def _accepted(n, polygon, draw):
    """Return the first n of the drawn points that lie in the polygon, (n, 2)."""
    found = np.empty((0, 2))
    while len(found) < n:
        points = draw(n - len(found))
        inside = is_near(polygon, points[:, 0], points[:, 1], 0.0)
        found = np.concatenate([found, points[inside]])
    return found[:n]
