"""The time grid that carries μ(t), and the arrays that a catalogue becomes.

Convention: x = log10(max(t, 1e-4 day)). The 50 % detection magnitude μ **is** the
linear interpolant of its values at uniform knots in x, for events and for the
integral of the rate alike, so that likelihood and simulator agree exactly.
Options that change the program (rounded or continuous magnitudes, a completeness
cut, the Gaussian-process backend) live in the *structure* of the arrays: one
compiled program serves every catalogue of the same structure and padded length.
"""

import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bayesquake.errors import OptionError
from bayesquake.io.datasets import prepared
from bayesquake.model.options import any_of, count, number, one_of, takes
from bayesquake.physics.detection_function import rounding_quadrature

from . import gp
from .dataset import DATA, EARLIEST_DAYS

__all__ = [
    "ROUNDING_MATTERS",
    "CatalogueArrays",
    "RoundedMagnitudesWarning",
    "interpolate",
    "padded_length",
    "prepare",
    "quadrature_points",
    "time_bins",
]

ROUNDING_MATTERS = 0.05
"""Magnitude step from which the density is averaged over the rounding bin."""

PADDING_TIME, PADDING_MAGNITUDE = 0.5, 3.0
SMALLEST_PADDED_LENGTH = 64
HELMSTETTER_INTERCEPT, HELMSTETTER_SLOPE = -4.5, -0.75


class RoundedMagnitudesWarning(UserWarning):
    """Rounded magnitudes were asked to be treated as continuous."""


class CatalogueArrays(NamedTuple):
    """One padded catalogue on its time grid.

    Attributes
    ----------
    t, magnitude : (event,)
        Days after the main shock; catalogue magnitude. Padding holds harmless values.
    mask : (event,)
        1 for events, 0 for padding.
    cell, weight : (event,)
        Left knot of the cell an event falls in, and the share of the right knot in μ.
    knots : (knot,)
        x = log10(days), uniform from -4 to log10(T).
    M0, T : scalars
        Main-shock magnitude; end of the window (day).
    cell_weight : (knot - 1,)
        1 for cells that enter the likelihood, 0 for cells left out (cross-validation).
    process : gp.HilbertProcess or gp.QuasisepProcess
        The Gaussian-process backend of μ(t).
    rounding : (offsets, log_weights) or None
        Quadrature over the rounding bin of a magnitude, each (node,).
    lower_magnitude : scalar or None
        Completeness cut, as the lower edge of its rounding bin.
    mean_line : (intercept, slope) or None
        Fixed mean of μ in x; None where the line is inferred.
    whitening : conditional-whitening arrays or None
        Filled in by `whitening.condition`.
    """

    t: Any
    magnitude: Any
    mask: Any
    cell: Any
    weight: Any
    knots: Any
    M0: Any
    T: Any
    cell_weight: Any
    process: Any
    rounding: Any = None
    lower_magnitude: Any = None
    mean_line: Any = None
    whitening: Any = None


def padded_length(events):
    """Return the bucket length for a number of events: powers of two from 64."""
    return max(SMALLEST_PADDED_LENGTH, 1 << int(events - 1).bit_length())


@prepared(DATA)
@takes(
    backend=one_of("hsgp", "quasisep"),
    basis_size=count(at_least=4, at_most=1000),
    basis_factor=number(above=1, at_most=10),
    knots=count(at_least=8, at_most=10_000),
    likelihood=one_of("auto", "binned", "continuous"),
    mean=one_of("linear", "helmstetter"),
    length=any_of(None, count(at_most=10_000_000)),
)
def prepare(
    dataset,
    *,
    backend="hsgp",
    basis_size=96,
    basis_factor=2.0,
    knots=97,
    likelihood="auto",
    mean="linear",
    length=None,
):
    """Turn a catalogue data set into padded arrays.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `read` or `simulate`: variables ``t`` (day) and ``mag`` on dim ``event``;
        attributes ``M0``, ``T`` (day), ``Mc``, ``delta_m``.
    backend : {"hsgp", "quasisep"}
        Hilbert-space basis, or the exact Matérn-3/2 process on the knots.
    basis_size : int
        Number of basis functions of the ``hsgp`` backend.
    basis_factor : float
        Half-width of the basis domain over the half-width of the time grid, above 1.
    knots : int
        Number of knots of the time grid.
    likelihood : {"auto", "binned", "continuous"}
        Whether the magnitude density is averaged over the rounding bin; ``auto`` does
        so where ``delta_m`` is 0.05 or more, and so does ``continuous``, with a warning.
    mean : {"linear", "helmstetter"}
        Infer the line a + b_μ x, or hold it at M0 - 4.5 - 0.75 x (Helmstetter et al.
        2006, doi:10.1785/0120050067).
    length : int, optional
        Padded number of events; the next power of two by default.

    Returns
    -------
    CatalogueArrays

    Raises
    ------
    OptionError
        An option has an impossible value, or the events do not fit into ``length``.
    CatalogError
        The data set is not one of the model's, or breaks its conditions.
    """
    t, magnitude = np.asarray(dataset["t"], float), np.asarray(dataset["mag"], float)
    M0, T = float(dataset.attrs["M0"]), float(dataset.attrs["T"])
    delta, cut = float(dataset.attrs["delta_m"]), float(dataset.attrs["Mc"])
    length = padded_length(t.size) if length is None else length
    if t.size > length:
        raise OptionError(
            f"{t.size} events do not fit into arrays of length {length}; ask for a larger length"
        )
    binned = _bin_the_magnitudes(likelihood, delta)
    x = np.linspace(np.log10(EARLIEST_DAYS), np.log10(T), knots)
    position = (np.log10(np.maximum(t, EARLIEST_DAYS)) - x[0]) / (x[1] - x[0])
    cell = np.clip(position.astype(int), 0, knots - 2)
    padding = (0, length - t.size)

    def pad(values, fill):
        return np.pad(values, padding, constant_values=fill)

    middle = (knots - 1) // 2
    return CatalogueArrays(
        t=pad(t, PADDING_TIME * min(1.0, T)),
        magnitude=pad(magnitude, PADDING_MAGNITUDE),
        mask=pad(np.ones(t.size), 0.0),
        cell=pad(cell, middle),
        weight=pad(position - cell, 0.5),
        knots=x,
        M0=np.float64(M0),
        T=np.float64(T),
        cell_weight=np.ones(knots - 1),
        process=gp.make_process(backend, x, basis_size=basis_size, basis_factor=basis_factor),
        rounding=rounding_quadrature(delta) if binned else None,
        lower_magnitude=None if np.isnan(cut) else _lower_edge(cut, delta),
        mean_line=_mean_line(mean, M0),
    )


def _bin_the_magnitudes(likelihood, delta):
    if likelihood == "binned" and delta == 0:
        raise OptionError(
            "likelihood = 'binned' needs rounded magnitudes, but magnitude_rounding is 0; "
            "give the rounding step as magnitude_rounding"
        )
    if likelihood == "continuous" and delta >= ROUNDING_MATTERS:
        warnings.warn(
            f"magnitudes are rounded to {delta:g}: the likelihood averages over the rounding bin; "
            "to treat them as continuous all the same, read them with magnitude_rounding=0",
            RoundedMagnitudesWarning,
            stacklevel=5,
        )
    return likelihood == "binned" or delta >= ROUNDING_MATTERS


def _lower_edge(cut, delta):
    """Return the lower edge of the bin of the smallest magnitude that passes the cut."""
    if delta == 0:
        return np.float64(cut)
    return np.float64(delta * np.ceil(cut / delta - 1e-6) - 0.5 * delta)


def _mean_line(mean, M0):
    if mean == "linear":
        return None
    return (np.float64(M0 + HELMSTETTER_INTERCEPT), np.float64(HELMSTETTER_SLOPE))


def interpolate(mu, cell, weight):
    """Return μ between the knots: (1 - w) μ[cell] + w μ[cell + 1]."""
    return (1 - weight) * mu[cell] + weight * mu[cell + 1]


def quadrature_points(left, right):
    """Return the two Gauss-Legendre points of every interval in x = log10(days).

    Parameters
    ----------
    left, right : (interval,)
        Interval limits in x.

    Returns
    -------
    t : (2, interval)
        Times (day).
    share : (2, interval)
        Position within the interval, from 0 (left) to 1 (right).
    log_measure : (2, interval)
        Log of the quadrature weight times dt/dx (day).
    """
    width = right - left
    share = jnp.array([0.5 - 0.5 / np.sqrt(3), 0.5 + 0.5 / np.sqrt(3)])[:, None]
    x = left + share * width
    log_measure = x * np.log(10) + np.log(np.log(10) / 2) + jnp.log(width)
    return 10.0**x, jnp.broadcast_to(share, x.shape), log_measure


def time_bins(knots, cells_per_bin=4):
    """Return the first cell of every time bin, so that bin edges fall on knots."""
    return np.arange(0, knots.shape[0] - 1, cells_per_bin)
