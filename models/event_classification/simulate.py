r"""Simulation of space-time ETAS catalogues with their true parents.

``exact`` catalogues follow the likelihood to the letter: background events in the polygon and
the window only, and offspring outside the polygon are lost before they trigger. Others are as
in nature: background events live in a wider box and before the window too, and the catalogue
holds what falls into the polygon, with history before the window, so that parents may be missing.
"""

import jax
import numpy as np

from bayesquake.errors import OptionError, SimulationError
from bayesquake.io.magnitudes import MAGNITUDE, ROUNDING
from bayesquake.model.options import any_of, count, flag, number
from bayesquake.model.priors import resolved
from bayesquake.model.simulation import checked_design, given_values, require_event_limits
from bayesquake.physics.projection import to_geographic

from .arrays import prepare, reference_magnitude, sources_in_time
from .background import make_field
from .branching import as_population, descend, joined, magnitudes
from .classification import roots
from .dataset import event_dataset
from .errors import SupercriticalError
from .immigrants import background_events
from .model import log_subcritical
from .parameters import NATURAL, SIMULATED, natural_values, scalar_sites, sites_of_natural
from .quantities import PRIORS
from .region import is_near

__all__ = [
    "DESIGN",
    "draw_parameters",
    "replicate",
    "simulate",
]

DESIGN = {
    "side_km": 100.0,
    "T": 1000.0,
    "history_days": 0.0,
    "burn_in_days": 0.0,
    "buffer_km": 0.0,
    "exact": True,
    "m_c": 3.0,
    "delta_m": 0.0,
    "m_max": 7.5,
    "taper": False,
    "space": True,
    "field": False,
    "basis_size": 12,
    "minimum_events": 10,
    "maximum_events": 20_000,
}
"""Design of a simulated catalogue: a square of that side and a window of T days; history kept
and burn-in before it (day) and the buffer around it (km), if not ``exact``; completeness,
rounding and largest magnitude; the form; the numbers of events outside which it is refused."""

DESIGN_OPTIONS = {
    "side_km": number("km", above=0, at_most=20_000),
    "T": number("d", above=0, at_most=1e5),
    "history_days": number("d", at_least=0, at_most=1e5),
    "burn_in_days": number("d", at_least=0, at_most=1e5),
    "buffer_km": number("km", at_least=0, at_most=20_000),
    "exact": flag(),
    "m_c": MAGNITUDE,
    "delta_m": ROUNDING,
    "m_max": MAGNITUDE,
    "taper": flag(),
    "space": flag(),
    "field": flag(),
    "basis_size": count(at_least=2, at_most=100),
    "minimum_events": count(at_least=0),
    "maximum_events": any_of(None, count()),
}

MOST_REPLICATED = 10
"""A replicate may have so many times the events of its data set, and never less than 10,000."""

SETTINGS = ("T0", "T1", "m_c", "delta_m", "epoch", "polygon_origin", "earth_radius_km", "area_km2")
"""What a replicate takes over as it is."""

TRUTH = {
    "parent": {"units": "1", "long_name": "position of the parent, -1 background, -2 not kept"},
    "root": {"units": "1", "long_name": "label of the cluster"},
    "generation": {"units": "1", "long_name": "generation after the background event"},
}

ATTEMPTS = 1000
"""Draws of parameters until one passes the weight against branching ratios above one."""


def simulate(key, design=None, parameters=None, *, priors=None):
    """Simulate a catalogue, from the prior or at given parameters.

    Parameters
    ----------
    key : jax.random.key
    design : mapping, optional
        Changes to `DESIGN`.
    parameters : mapping, optional
        Sampled sites (``log_mu``, ``alpha``, ...) or natural values (``mu``, ``p``, ...);
        whatever is absent is drawn from the prior.
    priors : mapping or path, optional

    Returns
    -------
    parameters : dict
    dataset : xarray.Dataset
        As from `data.read`, with the true ``parent`` (position, -1 for background, -2 for a
        parent that is not in the catalogue), ``root`` and ``generation``.

    Raises
    ------
    SimulationError
        The number of events is outside the design's limits.
    SupercriticalError
        The branching ratio is at least one and ``maximum_events`` is None.
    OptionError
        The design or the parameters have an unknown entry or an impossible value.
    """
    design = checked_design(DESIGN, DESIGN_OPTIONS, design)
    require_event_limits(design)
    if not design["m_max"] > design["m_c"]:
        raise OptionError(
            f"m_max = {design['m_max']:g} must be above m_c = {design['m_c']:g}; raise it"
        )
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    values = draw_parameters(rng, design, priors, parameters or {})
    side, T = float(design["side_km"]), float(design["T"])
    polygon = np.array([[0.0, 0.0], [side, 0.0], [side, side], [0.0, side]])
    exact, most = design["exact"], design["maximum_events"]
    if most is None and values["branching_ratio"] >= 1:
        raise SupercriticalError(
            f"the branching ratio is {values['branching_ratio']:.3g}, so that a catalogue may "
            "never end; lower k or alpha, or set maximum_events"
        )
    start = 0.0 if exact else -float(design["history_days"] + design["burn_in_days"])
    margin = 0.0 if exact else float(design["buffer_km"])
    box = polygon + margin * np.sign(polygon - side / 2)
    span = design["m_max"] - design["m_c"] + 0.5 * design["delta_m"]
    area = (side + 2 * margin) ** 2
    many = {name: np.asarray(value)[None] for name, value in values.items()}
    field = make_field(box.T, box, int(design["basis_size"])) if design["field"] else None
    seeds = background_events(
        rng, many, box, (start, T), span, area=area, background=field, most_events=most
    )
    events = descend(
        rng,
        seeds,
        many,
        start=start,
        end=T,
        span=span,
        inside=(lambda x, y: is_near(polygon, x, y, 0.0)) if exact else None,
        most_events=most,
    )
    kept = (events.time >= -design["history_days"]) & is_near(polygon, events.x, events.y, 0.0)
    n = int(kept.sum())
    if n < design["minimum_events"] or (most or np.inf) < n:
        raise SimulationError(
            f"{n} simulated events lie outside [{design['minimum_events']}, {most}]; "
            "try another seed or change the design"
        )
    settings = {"T0": 0.0, "T1": T, "m_c": design["m_c"], "delta_m": design["delta_m"]}
    settings |= {"polygon_km": polygon}
    return values, _dataset(events, kept, events.time >= 0, design["m_max"], settings)


def replicate(
    key,
    values,
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
    """Simulate the target window as it could have been, given its history, at one draw.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        Natural parameters, and those of the field, of the form that the options tell.
    dataset : xarray.Dataset
        Whose history, window, polygon, completeness and rounding are taken over.

    Raises
    ------
    SimulationError
        More than ten times the events of the data set, and of those of `DESIGN`.
    OptionError
        Marks cannot be replicated.
    """
    if classes:
        raise OptionError(f"classes = {classes}: marks are not simulated, so no data set with them")
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    attrs = dataset.attrs
    polygon = dataset["polygon"].to_numpy()
    m_ref = reference_magnitude(dataset)
    T0, T1 = float(attrs["T0"]), float(attrs["T1"])
    arrays = prepare(
        dataset,
        taper=taper,
        space=space,
        edge_correction=edge_correction,
        background=background,
        basis_size=basis_size,
        maximum_magnitude=maximum_magnitude,
    )
    span = float(arrays.magnitudes.span)
    natural = {name: np.asarray(values[name])[None] for name in SIMULATED if name in values}
    limit = MOST_REPLICATED * max(dataset.sizes["event"], 1000)
    fresh = background_events(
        rng,
        natural,
        polygon,
        (T0, T1),
        span,
        area=float(arrays.area),
        background=arrays.background,
        most_events=limit,
    )
    given = dataset["target"].to_numpy() == 0
    if not space:
        given &= sources_in_time(dataset)
    past = as_population(dataset.isel(event=given), m_ref)
    seeds = joined([past, fresh])
    events = descend(
        rng,
        seeds,
        natural,
        start=T0,
        end=T1,
        span=span,
        inside=(lambda x, y: is_near(polygon, x, y, 0.0)) if edge_correction else None,
        most_events=limit,
    )
    everything = np.ones(events.time.size, bool)
    target = np.arange(events.time.size) >= past.time.size
    settings = {name: attrs[name] for name in SETTINGS} | {"polygon_km": polygon}
    if attrs["projection"] != "plane":
        settings |= {"centre": (attrs["centre_longitude"], attrs["centre_latitude"])}
        settings |= {"projection": attrs["projection"], "distance": attrs["distance"]}
    replica = _dataset(events, everything, target, m_ref + span, settings)
    return replica if "parent" in dataset else replica.drop_vars(list(TRUTH))


def draw_parameters(rng, design, priors=None, given=None):
    """Draw parameters from the prior, the weight against branching ratios above one included.

    Raises
    ------
    OptionError
        A given name is not a parameter of the form.
    """
    names = scalar_sites(**{name: design[name] for name in ("taper", "space", "field")})
    known = (set(names) | set(NATURAL)) - {"branching_ratio"}
    given = dict(given or {})
    size = design["basis_size"] ** 2
    z = given_values("z", given.pop("z"), (size,)) if "z" in given else None
    if set(given) - known:
        raise OptionError(
            f"there is no parameter {', '.join(sorted(set(given) - known))}; choose from "
            f"{', '.join(sorted(known))}"
        )
    chosen = resolved(PRIORS, priors, "event_classification")
    given = {name: float(given_values(name, x, (), chosen.get(name))) for name, x in given.items()}
    given = sites_of_natural(given, taper=design["taper"])
    span = design["m_max"] - design["m_c"] + 0.5 * design["delta_m"]
    for _ in range(ATTEMPTS):
        key = jax.random.key(int(rng.integers(2**63)))
        keys = jax.random.split(key, len(names))
        drawn = {
            name: float(chosen[name].distribution().sample(own))
            for name, own in zip(names, keys, strict=True)
        }
        values = natural_values(drawn | given, span)
        values = {name: float(value) for name, value in values.items()}
        chance = np.exp(float(log_subcritical(values["branching_ratio"])))
        if rng.uniform() < chance or set(names) <= set(given):
            break
    else:
        raise SimulationError(
            f"{ATTEMPTS} draws from the priors had branching ratios above one; "
            "lower those of log_k and alpha"
        )
    if design["field"]:
        values["z"] = rng.standard_normal(size) if z is None else np.asarray(z)
    return values


def _dataset(events, kept, target, m_max, settings):
    """Return the kept events of a population in order of time, with their true parents."""
    root = roots(events.parent[None])[0]
    order = np.flatnonzero(kept)[np.argsort(events.time[kept], kind="stable")]
    place = np.full(events.time.size + 1, -2)
    place[order], place[-1] = np.arange(order.size), -1
    if "centre" in settings:
        geographic = to_geographic(events.x[order], events.y[order], settings["centre"])
        settings = settings | dict(zip(("longitude", "latitude"), geographic, strict=True))
    dataset = event_dataset(
        time_days=events.time[order],
        x_km=events.x[order],
        y_km=events.y[order],
        magnitude=magnitudes(events.dm[order], settings["m_c"], settings["delta_m"]),
        target=target[order],
        **settings,
    )
    dataset.attrs["m_max"] = float(m_max)
    return dataset.assign(
        parent=("event", place[events.parent[order]], TRUTH["parent"]),
        root=("event", root[order], TRUTH["root"]),
        generation=("event", events.generation[order], TRUTH["generation"]),
    )
