"""The arrays of the model: picks, the paths that they share, and what is known before."""

from typing import Any, NamedTuple

import numpy as np

from bayesquake.batch.pad import padded
from bayesquake.io.datasets import prepared
from bayesquake.model.options import count, one_of, takes

from ..errors import ModelError
from ..physics.arrivals import SHALLOWEST_KM, TYPICAL_ERROR_S, depth_coordinate
from ..velocities import bends_between
from .dataset import DATA

__all__ = ["OPTIONS", "PickArrays", "indices", "order_of", "prepare"]

PADDED_PICKS = 128
"""Picks and paths are padded to a multiple of this."""

DEGREES_OF_FREEDOM = 5.0
"""Of Student's t of the errors."""

USUAL_WIDTH_KM = 5.0
"""Standard deviation of each coordinate around a preliminary hypocentre that is held to it."""

USUAL_WIDTH_S = 3.0
"""That of the origin time, as its prior has it."""

FEWEST_LAYERS_OF_BENDS = 3

NETWORK_DEPTH_KM = 10.0
"""Depth below the top of the layers around which sources are sought without a hypocentre."""

NETWORK_SPEED_KM_S = 5.0
"""By which the radius of a network becomes an error of origin times without a hypocentre."""


class PickArrays(NamedTuple):
    """Picks, padded, and the paths of which some have a pick of P and one of S.

    Of two velocity profiles there is a copy of every pick for each, those of the first one first.

    Attributes
    ----------
    time : (pick,)
        Arrival after the event's reference time, s.
    variance : (pick,)
        What adds to the variance of the errors of the phase, s².
    relative : (pick,)
        Scale of the error of the pick in that of its phase.
    weight : (pick,)
        Share of a pick in the mean arrival of its event; they sum to 1.
    phase : (pick,)
        0 for P, 1 for S.
    path : (pick,)
    mask : (pick,)
        False for padding.
    place : (pick,)
        Place of the pick in the data set, those of padding after them.
    profile : (pick,)
        Velocity profile of the copy.
    path_event, path_station : (path,)
    station_x, station_y, station_depth : (station,)
        km.
    tops : (layer,)
        km.
    log_vp, log_vs : (layer,)
        ln of the reference velocities in km/s; ``log_vs`` is None where Vp/Vs gives S.
    centre : (4, event)
        x, y (km), depth coordinate ζ and origin time (s) from which offsets and shifts count.
    width : (4,)
        Their units.
    start : (4, event)
        Those of the preliminary hypocentres, in these units.
    population : scalar or None
        1 where the middle and the spread of the sources are unknown.
    sign : (profile,)
        Of the contrast of each profile: 0 for a single one, else -1 and 1.
    order : (layer,)
        Shares of the layers in the mean of ln v, above the preliminary hypocentres, by which two
        profiles are ordered.
    member : (profile, station)
        Share of each profile at a station, where labels are not summed out.
    known : scalar or None
        1 where ``member`` says what the profile of each station is; None where it is unknown.
    bends : velocities.Bends or None
        None where each layer has a velocity by itself.
    s_delay : scalar or None
        1 where the mean delay of S at the stations is unknown.
    degrees_of_freedom : scalar or None
        Of Student's t; None for normal errors.
    depth_move : (4, event)
        Step of one standard deviation in x, y, ζ and the mean arrival along the trade-off of
        depth; zero until the coordinates of the chains are known.
    velocity_move : dict of (direction, ...)
        Steps likewise in principal directions of the velocities, the hypocentres following, of
        unconstrained sites; empty until then.
    """

    time: Any
    variance: Any
    relative: Any
    weight: Any
    phase: Any
    path: Any
    mask: Any
    place: Any
    profile: Any
    path_event: Any
    path_station: Any
    station_x: Any
    station_y: Any
    station_depth: Any
    tops: Any
    log_vp: Any
    log_vs: Any
    centre: Any
    width: Any
    start: Any
    population: Any
    sign: Any
    order: Any
    member: Any
    known: Any
    bends: Any
    s_delay: Any
    degrees_of_freedom: Any
    depth_move: Any
    velocity_move: Any

    @property
    def picks(self):
        """Number of picks with their padding, without copies."""
        return len(self.time) // len(self.sign)

    @property
    def event(self):
        """Event of every pick, (pick,)."""
        return self.path_event[self.path]

    @property
    def station(self):
        """Station of every pick, (pick,)."""
        return self.path_station[self.path]

    @property
    def counted(self):
        """Share of every copy that counts, (pick,): of its profile at the station, 0 of padding."""
        return self.mask * self.member[self.profile, self.station]


OPTIONS = {
    "errors": one_of("student_t", "normal"),
    "event_prior": one_of("population", "preliminary"),
    "velocity_prior": one_of("layers", "kink"),
    "s_velocity": one_of("ratio", "own"),
    "s_delay": one_of("zero_mean", "free_mean"),
    "profiles": count(at_most=2),
    "pick_errors": one_of("scale", "add", "ignore"),
}


@prepared(DATA)
@takes(**OPTIONS)
def prepare(
    dataset,
    *,
    errors="student_t",
    event_prior="population",
    velocity_prior="layers",
    s_velocity="ratio",
    s_delay="zero_mean",
    profiles=1,
    pick_errors="scale",
):
    """Return the `PickArrays` of a data set.

    Parameters
    ----------
    dataset : xarray.Dataset
        Of `DATA`.
    errors : {"student_t", "normal"}
        Distribution of the errors: Student's t with 5 degrees of freedom, or normal.
    event_prior : {"population", "preliminary"}
        Whether sources come from one population, whose middle and spread are unknown and in
        proportion to the network, or lie each within 5 km of its preliminary hypocentre, which
        must then come from other data than these.
    velocity_prior : {"layers", "kink"}
        Whether every layer has a velocity by itself around the one given, or ln Vp is straight in
        depth but for some bends at the tops of layers, around those given for the first and the
        last; about twelve layers then do.
    s_velocity : {"ratio", "own"}
        Whether S has one ratio Vp/Vs, or velocities of its own around those given.
    s_delay : {"zero_mean", "free_mean"}
        Whether S is delayed at the stations as much as P in the mean, or by an unknown more.
    profiles : {1, 2}
        Velocity profiles, each station being seen through one that is unknown; the second one is
        faster in the mean of ln v above the preliminary hypocentres.
    pick_errors : {"scale", "add", "ignore"}
        How standard errors of picks enter, where they are known: only their ratios count, σ being
        the error of a pick whose stated one is the median of its phase, as befits classes of
        quality; or their squares add to that of σ, as befits measured errors; or not at all.

    Raises
    ------
    DatasetError
    ModelError
        S velocities of their own are asked for, and some layer has none; or bends, and there are
        fewer than three layers.
    """
    vs = dataset["vs"].to_numpy()
    if s_velocity == "own" and np.isnan(vs).any():
        raise ModelError(
            f"layer {int(np.argmax(np.isnan(vs)))} has no S velocity; give vs, or use "
            "s_velocity='ratio'"
        )
    tops = values(dataset, "top")
    if velocity_prior == "kink" and len(tops) < FEWEST_LAYERS_OF_BENDS:
        raise ModelError(
            f"{len(tops)} layers have no top between the first and the last at which to bend; give "
            f"{FEWEST_LAYERS_OF_BENDS} or more, or use velocity_prior='layers'"
        )
    picks = copied(picks_of(dataset, pick_errors), profiles)
    centre, width = around(dataset, event_prior)
    preliminary = np.stack([*preliminary_places(dataset), values(dataset, "origin_time")])
    return PickArrays(
        **picks,
        **{name: values(dataset, name) for name in ("station_x", "station_y", "station_depth")},
        tops=tops,
        log_vp=np.log(values(dataset, "vp")),
        log_vs=np.log(vs) if s_velocity == "own" else None,
        centre=centre,
        width=width,
        start=(preliminary - centre) / width[:, None],
        population=np.asarray(1.0) if event_prior == "population" else None,
        sign=np.zeros(1) if profiles == 1 else np.array([-1.0, 1.0]),
        order=order_of(dataset),
        member=np.full((profiles, dataset.sizes["station"]), 1 / profiles),
        known=None,
        bends=bends_between(tops) if velocity_prior == "kink" else None,
        s_delay=np.asarray(1.0) if s_delay == "free_mean" else None,
        degrees_of_freedom=np.asarray(DEGREES_OF_FREEDOM) if errors == "student_t" else None,
        depth_move=np.zeros((4, dataset.sizes["event"])),
        velocity_move={},
    )


def values(dataset, name):
    """Return a variable as numbers."""
    return dataset[name].to_numpy().astype(float)


def indices(dataset):
    """Return event, station and phase of every pick, as whole numbers."""
    kinds = ("event", "station", "phase")
    return tuple(dataset[f"{kind}_index"].to_numpy().astype(int) for kind in kinds)


def picks_of(dataset, pick_errors):
    """Return picks by event, station and phase, and paths, padded, with picks on the first path."""
    order = np.lexsort(indices(dataset)[::-1])
    event, station, phase = (index[order] for index in indices(dataset))
    paths, path = np.unique(event * dataset.sizes["station"] + station, return_inverse=True)
    variance, relative = scaled(values(dataset, "pick_error")[order], phase, pick_errors)
    weight = 1 / ((np.array(TYPICAL_ERROR_S)[phase] * relative) ** 2 + variance)
    weight /= np.bincount(event, weight)[event]
    of_picks = padded(
        PADDED_PICKS,
        time=values(dataset, "time")[order],
        variance=variance,
        relative=relative,
        weight=weight,
        phase=phase,
        path=path,
    )
    of_picks["relative"] = np.where(of_picks["mask"], of_picks["relative"], 1.0)
    of_picks["place"] = np.append(order, np.arange(len(order), len(of_picks["mask"])))
    path_event, path_station = np.divmod(paths, dataset.sizes["station"])
    of_paths = padded(PADDED_PICKS, path_event=path_event, path_station=path_station)
    of_paths.pop("mask")
    return of_picks | of_paths


def copied(picks, profiles):
    """Return picks with a copy for each profile, which have equal shares in mean arrivals."""
    of_paths = {name: picks.pop(name) for name in ("path_event", "path_station")}
    profile = np.repeat(np.arange(profiles), len(picks["mask"]))
    copies = {name: np.tile(x, profiles) for name, x in picks.items()}
    copies["weight"] = copies["weight"] / profiles
    return {**copies, **of_paths, "profile": profile}


def order_of(dataset):
    """Return the share of each layer, (layer,), in what lies above preliminary hypocentres."""
    tops, depth = values(dataset, "top"), values(dataset, "depth")
    thickness = np.append(np.diff(tops), np.inf)
    deep = np.maximum(depth, tops[0] + SHALLOWEST_KM)[:, None]
    above = np.clip(deep - tops, 0.0, thickness).sum(axis=0)
    return above / above.sum()


def scaled(pick_error, phase, pick_errors):
    """Return the variance (s²) that adds to that of each pick, and its scale in σ of its phase."""
    known = np.isfinite(pick_error)
    nothing, one = np.zeros(len(phase)), np.ones(len(phase))
    if pick_errors == "ignore" or not known.any():
        return nothing, one
    if pick_errors == "add":
        return np.where(known, pick_error, 0.0) ** 2, one
    median = one.copy()
    for k in np.unique(phase[known]):
        median[phase == k] = np.median(pick_error[known & (phase == k)])
    return nothing, np.where(known, pick_error / median, 1.0)


def preliminary_places(dataset):
    """Return x, y (km) and depth coordinate of the preliminary hypocentres, three of (event,)."""
    depth = depth_coordinate(values(dataset, "depth"), float(dataset["top"][0]))
    return values(dataset, "x"), values(dataset, "y"), depth


def around(dataset, event_prior):
    """Return centre (4, event) and width (4,) of the priors of hypocentres."""
    origin_time = values(dataset, "origin_time")
    if event_prior == "preliminary":
        centre = np.stack([*preliminary_places(dataset), origin_time])
        return centre, np.array([USUAL_WIDTH_KM] * 3 + [1.0])
    network = [values(dataset, f"station_{axis}") for axis in ("x", "y")]
    middle = [np.mean(axis) for axis in network]
    radius = np.hypot(*(axis - mean for axis, mean in zip(network, middle, strict=True))).max()
    unknown = 1.0
    if dataset.attrs.get("preliminary", "given") != "given":
        unknown = max(1.0, radius / NETWORK_SPEED_KM_S / USUAL_WIDTH_S)
    depth = float(depth_coordinate(NETWORK_DEPTH_KM, 0.0))
    places = [np.full(len(origin_time), place) for place in (*middle, depth)]
    return np.stack([*places, origin_time]), np.array([radius, radius, NETWORK_DEPTH_KM, unknown])
