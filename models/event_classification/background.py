r"""The background rate μ(x): constant, by a kernel density, or a log-Gaussian field.

All are :math:`\mu(x) = \mu\, e^{f(x)}` with f of the events and of the cells of a grid over the
polygon: zero; the log of a kernel density whose mean over the polygon is one, which leaves each
event out of its own density; or a Gaussian process with Matérn-3/2 covariance on Laplacian
eigenfunctions of a box wider than the polygon (Solin & Särkkä 2020,
doi:10.1007/s11222-019-09886-w), whose integral is the sum over the cells.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import shapely
from numpyro.contrib.hsgp.laplacian import eigenfunctions, sqrt_eigenvalues
from numpyro.contrib.hsgp.spectral_densities import spectral_density_matern
from scipy.spatial import cKDTree

from bayesquake.errors import CatalogError

from .inside import mass_inside
from .nearest_neighbour import background_probability

__all__ = [
    "Cells",
    "Density",
    "Field",
    "background_rate",
    "basis_at",
    "cells_of",
    "coefficients",
    "expected_background",
    "log_field",
    "make_density",
    "make_field",
]

NEIGHBOURS = 8
"""The bandwidth of an event is the distance to its neighbour of this rank."""

FEWEST_MEMBERS = 2

NARROWEST_SHARE = 0.005
"""Smallest bandwidth, as a share of the region's half-width."""

MARGIN = 0.5
"""Distance from the polygon's box to the edge of the basis, in half-widths of the region."""

CELLS = 40
"""Cells along the longer side of the polygon's box."""

DENSITY_Q = 2.0
"""Exponent of the kernels of the density: the tail of triggering, with a known mass inside."""

SMALLEST_MASS = 1e-3
"""Padding stands outside the polygon and has no weight; its kernels stay finite."""


class Density(NamedTuple):
    """A kernel density of the background events.

    Attributes
    ----------
    log_ratio : (event,)
        ln of the density at every event, which is left out of it, less that of a uniform one.
    weight : (event,)
        With which every event's kernel enters, over the kernel's mass inside the polygon.
    D : (event,)
        Squared widths of the kernels (km²).
    centres : (2, event)
        km.
    """

    log_ratio: Any
    weight: Any
    D: Any
    centres: Any


class Field(NamedTuple):
    """The basis of the log-Gaussian field.

    Attributes
    ----------
    at_events, at_cells : (event, basis), (cell, basis)
    frequencies : (basis, 2)
        In units of one over the half-width of the region.
    share : (cell,)
        Share of the polygon's area in each cell.
    """

    at_events: Any
    at_cells: Any
    frequencies: Any
    share: Any


def log_field(values, field, where):
    """Return f at ``"events"`` or ``"cells"``, given amplitude, length and white z (basis,)."""
    functions = field.at_events if where == "events" else field.at_cells
    return functions @ _scaled(values, field.frequencies)


def coefficients(values, polygon, basis_size):
    """Return the coefficients of the basis functions, (basis,), that make up f."""
    return _scaled(values, _frequencies(polygon, basis_size))


def _scaled(values, frequencies):
    density = spectral_density_matern(
        dim=2,
        nu=1.5,
        w=frequencies,
        alpha=values["field_amplitude"] ** 2,
        length=values["field_length"],
    )
    return jnp.sqrt(density.reshape(-1)) * values["z"]


def background_rate(values, background, size):
    """Return μ at every event, (event,), in 1/(day km²)."""
    match background:
        case None:
            return jnp.full(size, values["mu"])
        case Density():
            return values["mu"] * jnp.exp(background.log_ratio)
        case Field():
            return values["mu"] * jnp.exp(log_field(values, background, "events"))


def expected_background(values, background, area, duration):
    """Return the integral of μ over the polygon and the window."""
    mean = values["mu"] * area * duration
    if isinstance(background, Field):
        return mean * (background.share * jnp.exp(log_field(values, background, "cells"))).sum()
    return mean


def make_density(events, plane, target, count, polygon, area):
    """Return the kernel density of the background events in the polygon.

    Events enter with the probability of being background by nearest-neighbour distances
    (module `nearest_neighbour`), so that clusters do not count as background.

    Parameters
    ----------
    events : pairs.Events
    plane : (2, event)
        km.
    target : (event,)
        1 for the events of window and polygon, of which the density is made.
    count : int
        Number of events without padding.
    polygon : (vertex, 2)
        km.
    area : float
        km².

    Raises
    ------
    CatalogError
        There are fewer than two targets.
    """
    members = plane[:, target > 0].T
    if len(members) < FEWEST_MEMBERS:
        raise CatalogError(
            f"a density of the background needs {FEWEST_MEMBERS} targets, of which there are "
            f"{len(members)}; take background='constant'"
        )
    weight = target * background_probability(events, count)
    rank = min(NEIGHBOURS + 1, len(members))
    bandwidth = cKDTree(members).query(plane.T, rank)[0][:, -1]
    narrowest = NARROWEST_SHARE * 0.5 * np.ptp(polygon, axis=0).max()
    D = np.maximum(bandwidth, narrowest) ** 2
    mass = _mass_in_chunks(plane, np.log(D), polygon)
    height = (DENSITY_Q - 1) / (np.pi * D * mass)

    position = jnp.asarray(plane)

    def at_row(row):
        r2 = ((position[:, row, None] - position) ** 2).sum(axis=0)
        others = weight * (jnp.arange(weight.size) != row)
        return (others * height * (1 + r2 / D) ** -DENSITY_Q).sum() / others.sum()

    density = jax.lax.map(jax.jit(at_row), jnp.arange(weight.size), batch_size=64)
    return Density(np.log(np.asarray(density) * area), weight / mass, D, plane)


def _mass_in_chunks(plane, log_D, polygon):
    def of_event(event):
        position, log_D = event
        return mass_inside(position[:, None], log_D[None], DENSITY_Q, polygon)[0]

    mass = jax.lax.map(of_event, (jnp.asarray(plane.T), jnp.asarray(log_D)), batch_size=64)
    return np.asarray(mass).clip(SMALLEST_MASS)


def make_field(position, polygon, basis_size):
    """Return the basis of the field at events and cells.

    Parameters
    ----------
    position : (2, event)
        km.
    polygon : (vertex, 2)
        km.
    basis_size : int
        Functions along each axis.
    """
    cells = cells_of(polygon)
    return Field(
        basis_at(position.T, polygon, basis_size),
        basis_at(cells.centroid, polygon, basis_size),
        _frequencies(polygon, basis_size),
        cells.share,
    )


def basis_at(points, polygon, basis_size):
    """Return the basis functions of the field at points (point, 2) in km, (point, basis)."""
    centre, half_width, domain = _domain(polygon)
    scaled = np.clip((points - centre) / half_width, -domain, domain)
    return np.asarray(eigenfunctions(scaled, list(domain), [basis_size, basis_size]))


def _frequencies(polygon, basis_size):
    domain = list(_domain(polygon)[2])
    return np.asarray(sqrt_eigenvalues(domain, [basis_size, basis_size], 2)).T


def _domain(polygon):
    """Return the centre and half-width (km) of a polygon's box, and the basis' in half-widths."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    half_width = 0.5 * (high - low).max()
    return 0.5 * (low + high), half_width, 0.5 * (high - low) / half_width + MARGIN


class Cells(NamedTuple):
    """Cells of a square grid, cut to a polygon.

    Attributes
    ----------
    centroid, corner : (cell, 2)
        Centroid of the part in the polygon, and lower left corner of the whole cell (km).
    share : (cell,)
        Share of the polygon's area.
    side : float
        km.
    """

    centroid: Any
    corner: Any
    share: Any
    side: float


def cells_of(polygon):
    """Return the cells of the grid over a polygon (vertex, 2) in km."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    side = (high - low).max() / CELLS
    counts = np.ceil((high - low) / side - 1e-9).astype(int)
    x, y = (low[i] + side * np.arange(counts[i]) for i in range(2))
    corner_x, corner_y = (grid.ravel() for grid in np.meshgrid(x, y, indexing="ij"))
    boxes = shapely.box(corner_x, corner_y, corner_x + side, corner_y + side)
    pieces = shapely.intersection(boxes, shapely.Polygon(polygon))
    areas = shapely.area(pieces)
    kept = areas > 0
    centroids = shapely.centroid(pieces[kept])
    centroid = np.stack([shapely.get_x(centroids), shapely.get_y(centroids)], axis=1)
    corner = np.stack([corner_x, corner_y], axis=1)[kept]
    return Cells(centroid, corner, areas[kept] / areas.sum(), side)
