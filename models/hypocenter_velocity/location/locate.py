"""Location of many events at given velocities: the function that people call, and its result."""

import json
import time
from math import ceil, log2

import jax
import numpy as np
import xarray as xr

from bayesquake.batch.pad import buckets, padded, stacked
from bayesquake.errors import DatasetError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.settings import SEED
from bayesquake.inference.smc import evidence_checks
from bayesquake.io.catalog import source_of
from bayesquake.io.datasets import checked
from bayesquake.io.velocity_models import GRID
from bayesquake.model.options import any_of, count, each, instance, number, takes
from bayesquake.model.registry import load_model
from bayesquake.results.checks import Check
from bayesquake.results.evidence import PARETO_LIMIT, rhat_check
from bayesquake.results.provenance import provenance
from bayesquake.results.schema import assemble, labelled

from ..data.arrays import DEGREES_OF_FREEDOM, OPTIONS, indices, scaled
from ..data.dataset import DATA
from ..errors import DomainError
from ..model import DIRECTIONS
from ..physics.arrivals import TYPICAL_ERROR_S
from ..results.derived import described, hypocentres
from .events import Box, EventPicks
from .field import field_tables
from .importance import FEWEST_EFFECTIVE, located
from .tables import layer_tables, s_ratio

__all__ = ["locate", "located_again"]

FEWEST_PADDED = 16
"""Picks of an event are padded to this, or to the next of its doubles: few programs serve all."""

START_DEPTHS_KM = (2.0, 8.0, 16.0)
"""Below the top of the layers."""
DEEPEST_KM = 40.0

MARGIN = 0.5
"""Part of the extent of stations and preliminary epicentres by which the box is wider."""

RANGE = each(number("km", at_least=-1e4, at_most=1e4), length=2)

MEANINGS = {
    "mode": ("km", "most probable place"),
    "origin_time": ("s", "mean origin time after the event's reference time"),
    "origin_time_sd": ("s", "standard deviation of the origin time"),
    "pareto_k": ("1", "Pareto k-hat of the weights of the draws"),
    "effective_draws": ("1", "effective number of weighted draws"),
    "modes": ("1", "modes that hold a hundredth of the best one's mass"),
    "rounds": ("1", "rounds of weighted draws, several where the first failed; 0 for particles"),
}


@takes(
    station_term=any_of(None, each(each(number("s", at_least=-100, at_most=100)))),
    sigma=each(number("s", at_least=0, at_most=100), length=2),
    vpvs=any_of(None, number(at_least=1, at_most=10)),
    errors=OPTIONS["errors"],
    pick_errors=OPTIONS["pick_errors"],
    bounds=any_of(None, each(RANGE, length=2)),
    deepest=any_of(None, number("km", at_least=1, at_most=800)),
    grid=any_of(None, instance(xr.Dataset, what="a data set of velocities on a grid")),
    spacing=number("km", at_least=0.05, at_most=20),
    importance_draws=count(at_least=100, at_most=1_000_000),
    draws=count(at_least=20, at_most=100_000),
    seed=SEED,
    chunk=count(at_most=1_000_000),
    progress=None,
)
def locate(
    dataset,
    *,
    station_term=None,
    sigma=TYPICAL_ERROR_S,
    vpvs=None,
    errors="student_t",
    pick_errors="scale",
    bounds=None,
    deepest=None,
    grid=None,
    spacing=1.0,
    importance_draws=512,
    draws=200,
    seed=0,
    chunk=1024,
    progress=None,
):
    """Locate every event of a data set at the velocities of its layers, or at those of a grid.

    A place is as probable as any other in a box, and so is any origin time. Events are independent
    of one another: work and memory for each are the same however many there are.

    Parameters
    ----------
    dataset : xarray.Dataset
        From ``model.read``.
    station_term : (phase, station), optional
        Delays, s, that arrivals are taken to have, such as the posterior means of the joint model.
    sigma : (float, float)
        Scale of the errors of P and S, s.
    vpvs : float, optional
        Ratio of velocities that gives those of S; by default the layers' own, or 1.73 where they
        have none.
    errors, pick_errors
        As ``model.prepare`` takes them.
    bounds : ((float, float), (float, float)), optional
        Western and eastern, southern and northern side of the box, km from the centre; by default
        it holds all stations and preliminary epicentres with room around them.
    deepest : float, optional
        Depth, km, to which sources are sought from the top of the layers; by default 40 km or the
        lowest node of the grid.
    grid : xarray.Dataset, optional
        Velocities in three dimensions, from `bayesquake.io.velocity_models.read_velocity_grid`, in
        place of those of the layers. The eikonal equation is solved once for every station and
        phase, which takes some seconds each.
    spacing : float
        Of the nodes at which it is solved, km; in depth they are twice as close. Where velocities
        double within 2 km, times are right within 7 ms for 1 km and 40 ms for 2 km.
    importance_draws, draws : int
        Weighted draws of an event, and draws of equal weight that are kept.
    seed : int
        An event's draws depend on it and on the event's place.
    chunk : int
        Events worked on together.
    progress : callable, optional
        Called as ``progress(done, stations)`` while the times of a grid are found, then as
        ``progress(done, events)`` after every chunk.

    Returns
    -------
    xarray.DataTree
        With ``locations`` (most probable place, mean, covariance, k-hat, effective draws and modes
        of every event), ``posterior`` of the kept draws, ``checks`` and the data. An event whose
        weights fail throughout is drawn by sequential Monte Carlo: it has no k-hat, and ``checks``
        judges its runs; those fail too where its k-hat stands.

    Raises
    ------
    DatasetError
        Station terms are not of these stations, or the grid is none.
    DomainError
        A preliminary epicentre lies outside the box, or the deepest place above the layers; a
        station, an epicentre or the box lies beyond the grid.
    OptionError
    """
    checked(DATA, dataset, source_of(dataset))
    if grid is not None:
        grid = checked(GRID, grid, source_of(grid))
    settings = {
        "station_term": station_term,
        "sigma": sigma,
        "vpvs": vpvs,
        "errors": errors,
        "pick_errors": pick_errors,
        "bounds": bounds,
        "deepest": deepest,
        "spacing": spacing,
        "importance_draws": importance_draws,
        "draws": draws,
        "chunk": chunk,
    }
    began = time.perf_counter()
    with recorded_compilations() as compiled:
        box = box_of(dataset, bounds, deepest_of(deepest, grid))
        if grid is None:
            tables, table = layer_tables(dataset, box, s_ratio(dataset, vpvs))
        else:
            tables, table = field_tables(dataset, grid, box, s_ratio(grid, vpvs), spacing, progress)
        delay = delays(dataset, station_term)
        events = picks_of(dataset, table, delay, sigma, errors, pick_errors)
        parts, places = [], []
        top = float(dataset["top"][0])
        for bucket in buckets(events):
            for first in range(0, len(bucket), chunk):
                part = np.array(bucket[first : first + chunk])
                found = located(
                    stacked([events[i] for i in part]),
                    tables,
                    box,
                    part,
                    depths=tuple(top + depth for depth in START_DEPTHS_KM),
                    importance_draws=importance_draws,
                    draws=draws,
                    seed=seed,
                )
                parts.append(found)
                places.append(part)
                if progress is not None:
                    progress(sum(map(len, places)), len(events))
    order = np.argsort(np.concatenate(places))
    found = jax.tree.map(lambda *values: np.concatenate(values)[order], *parts)
    model = load_model("hypocenter_velocity")
    configuration = {
        "writer": "locate",
        "model": model.name,
        "driver": "importance",
        "settings": settings,
        "options": {},
        "priors": {},
    }
    groups = {
        "locations": locations(found, dataset),
        "posterior": posterior(found, dataset, model.quantities),
        "observed_data": dataset,
        **({} if grid is None else {"velocity_grid": grid}),
    }
    return assemble(
        groups,
        checks(found),
        provenance(model, dataset, configuration, seed)
        | {
            "compile_seconds": compiled.seconds,
            "run_seconds": time.perf_counter() - began - compiled.seconds,
        },
    )


def located_again(result, *, seed, progress=None):
    """Return the result of `locate` made again from its own data and settings."""
    model = load_model(result.attrs["model"])
    dataset = model.read(result["observed_data"].to_dataset())
    settings = json.loads(result.attrs["configuration"])["settings"]
    grid = result["velocity_grid"].to_dataset() if "velocity_grid" in result else None
    return locate(dataset, grid=grid, **settings, seed=seed, progress=progress)


def deepest_of(deepest, grid):
    """Return the depth, km, to which sources are sought."""
    if deepest is not None:
        return deepest
    return DEEPEST_KM if grid is None else min(DEEPEST_KM, float(grid["z"][-1]))


def box_of(dataset, bounds, deepest):
    """Return the box, which must hold all preliminary epicentres."""
    places = [dataset["x"].to_numpy(), dataset["y"].to_numpy()]
    if bounds is None:
        stations = [dataset[f"station_{axis}"].to_numpy() for axis in ("x", "y")]
        both = [np.concatenate(pair) for pair in zip(places, stations, strict=True)]
        room = MARGIN * max(np.ptp(values) for values in both)
        bounds = [(values.min() - room, values.max() + room) for values in both]
    top = float(dataset["top"][0])
    if deepest <= top:
        raise DomainError(
            f"deepest = {deepest:g} km lies above the top of the layers, {top:g} km; give more"
        )
    low, high = np.array([*bounds, (top, deepest)], float).T
    place = np.stack(places)
    outside = ((place < low[:2, None]) | (place > high[:2, None])).any(axis=0)
    if outside.any():
        event = int(np.argmax(outside))
        raise DomainError(
            f"event {dataset['event'].to_numpy()[event]}: its preliminary epicentre, "
            f"x = {place[0, event]:.1f} and y = {place[1, event]:.1f} km, lies outside the bounds "
            f"{low[0]:g} to {high[0]:g} and {low[1]:g} to {high[1]:g} km "
            f"({np.count_nonzero(outside)} such); widen them or leave it out"
        )
    return Box(low, high)


def delays(dataset, station_term):
    """Return the delay of every pick, s."""
    _, station, phase = indices(dataset)
    if station_term is None:
        return np.zeros(len(phase))
    terms = np.array(station_term, float)
    if terms.shape != (2, dataset.sizes["station"]):
        raise DatasetError(
            f"station_term has the shape {terms.shape}; these data have P and S and "
            f"{dataset.sizes['station']} stations: give (2, {dataset.sizes['station']})"
        )
    return terms[phase, station]


def picks_of(dataset, table, delay, sigma, errors, pick_errors):
    """Return the `EventPicks` of every event."""
    event, station, phase = indices(dataset)
    number_of_table, ratio = table
    pick_error = dataset["pick_error"].to_numpy().astype(float)
    variance, relative = scaled(pick_error, phase, pick_errors)
    columns = {
        "time": dataset["time"].to_numpy() - delay,
        "station_x": dataset["station_x"].to_numpy()[station],
        "station_y": dataset["station_y"].to_numpy()[station],
        "table": number_of_table,
        "ratio": ratio,
        "scale": np.sqrt((np.array(sigma)[phase] * relative) ** 2 + variance),
    }
    order = np.argsort(event, kind="stable")
    ends = np.cumsum(np.bincount(event, minlength=dataset.sizes["event"]))[:-1]
    split = {name: np.split(values[order], ends) for name, values in columns.items()}
    x, y = dataset["x"].to_numpy(), dataset["y"].to_numpy()
    nu = np.asarray(DEGREES_OF_FREEDOM) if errors == "student_t" else None
    made = []
    for i in range(dataset.sizes["event"]):
        picked = {name: values[i] for name, values in split.items()}
        length = FEWEST_PADDED * 2 ** max(0, ceil(log2(len(picked["time"]) / FEWEST_PADDED)))
        own = padded(length, **picked)
        own["scale"] = np.where(own["mask"], own["scale"], 1.0)
        made.append(EventPicks(**own, start=np.array([x[i], y[i]]), degrees_of_freedom=nu))
    return made


def locations(found, dataset):
    """Return the places of all events and what speaks for them."""
    values = {
        "mode": found.mode[:, :3],
        "origin_time": found.drawn.mean[:, 3],
        "origin_time_sd": np.sqrt(found.drawn.covariance[:, 3, 3]),
        "pareto_k": found.drawn.pareto_k,
        "effective_draws": found.drawn.ess,
        "modes": found.modes,
        "rounds": found.rounds,
    }
    dims = ("event", "axis")
    return hypocentres(found.drawn.mean[:, :3], found.drawn.covariance[:, :3, :3], dataset).assign(
        {name: (dims[: np.ndim(x)], x, described(*MEANINGS[name])) for name, x in values.items()}
    )


def posterior(found, dataset, quantities):
    """Return draws of equal weight, as those of one chain."""
    values = dict(
        zip(
            (*DIRECTIONS, "origin_time"),
            np.moveaxis(found.drawn.draws, (2, 1), (0, 1)),
            strict=True,
        )
    )
    leading = {"chain": np.arange(1), "draw": np.arange(found.drawn.draws.shape[1])}
    made = labelled({name: x[None] for name, x in values.items()}, quantities, leading)
    return made.assign_coords(event=dataset["event"].to_numpy())


def checks(found):
    """Return the rows of what speaks for the draws of all events."""
    rows = (
        Check(
            "Pareto k-hat",
            found.drawn.pareto_k,
            PARETO_LIMIT,
            "below",
            "adequacy",
            "event",
            "tail of the weights of the draws",
        ),
        Check(
            "effective draws",
            found.drawn.ess,
            FEWEST_EFFECTIVE,
            "above",
            "precision",
            "event",
            "weighted draws, as so many of equal weight",
        ),
        rhat_check(found.r_hat, over="event"),
        *evidence_checks(found.smallest_ess, found.drift, found.spread, "event"),
    )
    return tuple(row for row in rows if not np.isnan(row.value).all())
