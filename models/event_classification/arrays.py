"""A data set as the padded arrays of the model, and the options that choose its form."""

from typing import Any, NamedTuple

import numpy as np

from bayesquake.errors import CatalogError, OptionError
from bayesquake.io.datasets import prepared
from bayesquake.io.magnitudes import MAGNITUDE
from bayesquake.model.options import any_of, count, flag, one_of, takes

from .background import make_density, make_field
from .dataset import DATA
from .pairs import Events, tile_size
from .region import is_near
from .triggering import Tapered

__all__ = [
    "Catalogue",
    "Magnitudes",
    "mark_units",
    "prepare",
    "reference_magnitude",
    "sources_in_time",
]

SMALLEST_BUCKET = 64
STEPS_PER_DOUBLING = 16
"""Sizes of padded catalogues between a power of two and the next: at most 6 % is padding."""

MAGNITUDE_MARGIN = 0.5
"""The largest possible magnitude, unless given, lies this far above the largest observed one."""


class Magnitudes(NamedTuple):
    """Statistics of the target events' magnitudes.

    Number; sum of Δm; span M = m_max - m_ref; rounding step δ (0 if continuous).
    """

    count: Any
    total: Any
    span: Any
    step: Any


class Catalogue(NamedTuple):
    """A padded catalogue in its window and polygon.

    Attributes
    ----------
    events : Events
    target, present : (event,)
        1 for events whose rate enters the likelihood; 1 for those that trigger: all but padding
        and, without space, those outside the polygon.
    gap_start, gap_end : (event,)
        Days from every event to the window's start (not below 0) and end.
    duration, area : scalars
        Length of the window (day); area of the polygon (km²).
    plane : (2, event) or None
        Plane coordinates (km) for the share of offspring inside the polygon.
    polygon : (vertex, 2) or None
        km, counter-clockwise; None takes all offspring to lie inside.
    form : Tapered or None
        Form A or B.
    background : Density, Field or None
    magnitudes : Magnitudes
    classes : (class,) or None
        Zeros, as many as there are background classes of marks.
    whitening : whitening.Whitened or None
    """

    events: Events
    target: Any
    present: Any
    gap_start: Any
    gap_end: Any
    duration: Any
    area: Any
    plane: Any
    polygon: Any
    form: Any
    background: Any
    magnitudes: Any
    classes: Any
    whitening: Any = None


@prepared(DATA)
@takes(
    taper=flag(),
    space=flag(),
    edge_correction=flag(),
    background=one_of("constant", "density", "field"),
    basis_size=count(at_least=2, at_most=100),
    maximum_magnitude=any_of(None, MAGNITUDE),
    classes=count(at_least=0, at_most=20),
)
def prepare(
    dataset,
    *,
    taper=False,
    space=True,
    edge_correction=True,
    background="constant",
    basis_size=12,
    maximum_magnitude=None,
    classes=0,
):
    """Return the arrays of a data set.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `data.read` or the simulator.
    taper : bool
        Form A: an exponential taper, and a decay of any exponent, instead of form B.
    space : bool
        Whether places are modelled. Without them the rate is that in the polygon, events
        outside it are left out, and one pass along the catalogue does.
    edge_correction : bool
        Whether offspring outside the polygon are discounted. Without it all of them are
        taken to lie inside, which biases k where events are near the edge.
    background : {"constant", "density", "field"}
        μ(x): one number, a kernel density, or a log-Gaussian field.
    basis_size : int
        Functions of the field along each axis.
    maximum_magnitude : float, optional
        m_max, by default that of the data set, else 0.5 above the largest observed.
    classes : int
        Classes of background events that marks tell apart; 0 leaves marks out.

    Returns
    -------
    Catalogue

    Raises
    ------
    OptionError
        An option has an impossible value, or contradicts another.
    CatalogError
        The data set is not one of the model's, or breaks its conditions; the largest magnitude is
        not below ``maximum_magnitude``.
    """
    if background != "constant" and not space:
        raise OptionError(f"background = {background!r} is a function of place; it needs space")
    if classes and not dataset.attrs.get("marks"):
        raise OptionError(
            f"classes = {classes} needs marks, which the data set lacks; read it with marks=..."
        )
    attrs = dataset.attrs
    n = dataset.sizes["event"]
    size = bucket(n)
    time = dataset["time_days"].to_numpy()
    T0, T1 = float(attrs["T0"]), float(attrs["T1"])
    dm = dataset["magnitude"].to_numpy() - reference_magnitude(dataset)
    target = dataset["target"].to_numpy().astype(float)
    plane = np.stack([dataset["x_km"].to_numpy(), dataset["y_km"].to_numpy()])
    polygon = dataset["polygon"].to_numpy()
    position, curvature = positions(dataset, plane) if space else (None, None)
    marks = standard_marks(dataset) if classes else None
    triggers = np.ones(n) if space else sources_in_time(dataset).astype(float)
    events = Events(time, position, curvature, dm, marks, None if space else triggers)
    padded = events._replace(
        time=pad(time, size, max(T1, time[-1])),
        position=None if position is None else pad(position, size, 0.0),
        dm=pad(dm, size, 0.0),
        marks=None if marks is None else pad(marks, size, 0.0),
        triggers=None if space else pad(triggers, size, 0.0),
    )
    area = float(attrs["area_km2"])
    return Catalogue(
        events=padded,
        target=pad(target, size, 0.0),
        present=pad(triggers, size, 0.0),
        gap_start=pad(np.maximum(T0 - time, 0.0), size, 0.0),
        gap_end=pad(T1 - time, size, 0.0),
        duration=np.float64(T1 - T0),
        area=np.float64(area),
        plane=pad(plane, size, 0.0) if space and edge_correction else None,
        polygon=polygon if space and edge_correction else None,
        form=Tapered() if taper else None,
        background=_background(background, padded, plane, polygon, area, target, basis_size, n),
        magnitudes=_magnitudes(dataset, dm, target, maximum_magnitude),
        classes=np.zeros(classes) if classes else None,
    )


def reference_magnitude(dataset):
    """Return m_ref = m_c - δ/2, the lower edge of the smallest magnitude's bin."""
    return float(dataset.attrs["m_c"]) - 0.5 * float(dataset.attrs["delta_m"])


def sources_in_time(dataset):
    """Return which events trigger in the form without space, (event,): those in the polygon."""
    x, y = dataset["x_km"].to_numpy(), dataset["y_km"].to_numpy()
    return (dataset["target"].to_numpy() == 1) | is_near(dataset["polygon"].to_numpy(), x, y, 0.0)


def bucket(n):
    """Return the padded size of a catalogue of n events, a multiple of its tile."""
    if n <= SMALLEST_BUCKET:
        return SMALLEST_BUCKET
    power = 2 ** int(np.floor(np.log2(n)))
    side = tile_size(n + tile_size(n) - 1)
    step = max(side, power // STEPS_PER_DOUBLING)
    return int(np.ceil(n / step)) * step


def pad(values, size, filling):
    """Return an array with its last axis filled up to a size."""
    widths = [(0, 0)] * (values.ndim - 1) + [(0, size - values.shape[-1])]
    return np.pad(values.astype(float), widths, constant_values=filling)


def positions(dataset, plane):
    """Return coordinates (axis, event) and 1/(4 R²) or None, for distances as the data set asks."""
    if dataset.attrs["distance"] == "plane":
        return plane, None
    R = float(dataset.attrs["earth_radius_km"])
    longitude, latitude = (np.radians(dataset[x].to_numpy()) for x in ("longitude", "latitude"))
    point = [
        np.cos(latitude) * np.cos(longitude),
        np.cos(latitude) * np.sin(longitude),
        np.sin(latitude),
    ]
    return R * np.stack(point), np.float64(1 / (4 * R**2))


def standard_marks(dataset):
    """Return the marks in units of their standard deviation around their mean, (mark, event).

    A data set that is part of another has the mean and the standard deviation of the whole in
    its attributes, see `scoring.window_after`.
    """
    names, centre, scale = mark_units(dataset)
    values = np.stack([dataset[name].to_numpy() for name in names])
    return (values - centre[:, None]) / scale[:, None]


def mark_units(dataset):
    """Return the names of the marks, their means and their standard deviations, (mark,).

    Raises
    ------
    CatalogError
        A mark is the same for all events.
    """
    names = [name for name in dataset.attrs["marks"].split(",") if name]
    values = np.stack([dataset[name].to_numpy() for name in names])
    centre = np.atleast_1d(dataset.attrs.get("mark_means", values.mean(axis=1)))
    scale = np.atleast_1d(dataset.attrs.get("mark_sds", values.std(axis=1)))
    if not (scale > 0).all():
        constant = names[int(np.argmin(scale))]
        raise CatalogError(
            f"{dataset.attrs['source']}: the mark {constant!r} is the same for all events and "
            "tells no classes apart; leave it out of marks"
        )
    return names, centre, scale


def _background(kind, events, plane, polygon, area, target, basis_size, n):
    size = events.time.size
    if kind == "density":
        plane, target = pad(plane, size, 0.0), pad(target, size, 0.0)
        return make_density(events, plane, target, n, polygon, area)
    if kind == "field":
        return make_field(pad(plane, size, 0.0), polygon, basis_size)
    return None


def _largest_magnitude(dataset):
    """Return m_max of a data set: its own, else 0.5 above the largest observed."""
    return float(dataset.attrs.get("m_max", dataset["magnitude"].max() + MAGNITUDE_MARGIN))


def _magnitudes(dataset, dm, target, maximum_magnitude):
    largest = float(dataset["magnitude"].max())
    if maximum_magnitude is None:
        maximum_magnitude = _largest_magnitude(dataset)
    if not maximum_magnitude > largest - 0.5 * dataset.attrs["delta_m"]:
        raise CatalogError(
            f"{dataset.attrs['source']}: the largest magnitude, {largest:g}, is not below "
            f"maximum_magnitude = {maximum_magnitude:g}; raise it"
        )
    return Magnitudes(
        count=np.float64(target.sum()),
        total=np.float64((target * dm).sum()),
        span=np.float64(maximum_magnitude - reference_magnitude(dataset)),
        step=np.float64(dataset.attrs["delta_m"]),
    )
