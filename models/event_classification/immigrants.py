"""Simulation of background events, those without a parent, of many catalogues at once."""

import jax
import numpy as np

from bayesquake.errors import SimulationError

from .background import DENSITY_Q, Density, Field, basis_at, cells_of, coefficients
from .branching import Population, draw_magnitudes
from .region import is_near

__all__ = ["background_events"]

FIELD_MARGIN = 1.5
"""The field's highest value is taken to be below this multiple of that at the cells' centroids."""


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
        By which μ is multiplied: that of the polygon (km²), or 1 without space.
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
    thinning = _thinning(values, polygon) if isinstance(background, Field) else None
    highest = 1.0 if thinning is None else thinning[1]
    expected = mu * area * (window[1] - window[0]) * highest
    if most_events is not None and expected.sum() > 2 * most_events + 100:
        raise SimulationError(
            f"about {expected.sum():.3g} background events are expected, more than {most_events}; "
            "lower mu, or raise maximum_events"
        )
    catalog = np.repeat(np.arange(mu.size), rng.poisson(expected))
    if isinstance(background, Density):
        place = _points_of_density(rng, background, polygon, catalog.size)
    else:
        place = _points_in(rng, polygon, catalog.size)
    if thinning is not None:
        weight, highest, basis_size = thinning
        functions = basis_at(place, polygon, basis_size)
        share = np.exp((functions * weight[catalog]).sum(axis=1)) / highest[catalog]
        kept = rng.uniform(size=catalog.size) < share
        catalog, place = catalog[kept], place[kept]
    return Population(
        catalog=catalog,
        time=rng.uniform(*window, catalog.size),
        x=place[:, 0],
        y=place[:, 1],
        dm=draw_magnitudes(rng, beta[catalog], span),
        parent=np.full(catalog.size, -1),
        generation=np.zeros(catalog.size, int),
    )


def _thinning(values, polygon):
    """Return coefficients (catalog, basis), a bound of e^f (catalog,) and the basis size."""
    basis_size = int(np.sqrt(values["z"].shape[1]))
    weight = np.asarray(jax.vmap(lambda own: coefficients(own, polygon, basis_size))(dict(values)))
    at_cells = basis_at(cells_of(polygon)[0], polygon, basis_size)
    return weight, FIELD_MARGIN * np.exp((weight @ at_cells.T).max(axis=1)), basis_size


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
