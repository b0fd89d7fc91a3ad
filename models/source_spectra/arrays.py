"""Datasets as the padded arrays of the model, and the options that choose its form.

Two forms take data apart differently. *Pairs* compare two events each, and every array has a
leading pair axis, so that a slice of it is a problem of one pair. A *cluster* is one problem
of K events recorded by the same traces. Whatever an option leaves out is None.
"""

from typing import Any, NamedTuple

import numpy as np

from bayesquake.errors import OptionError
from bayesquake.io.datasets import prepared
from bayesquake.model.options import any_of, each, flag, number, one_of, takes

from .data import pairs_of
from .dataset import LAYOUTS, MOMENT
from .errors import SpectraError
from .likelihood import FConstants, f_constants
from .noise import Box, box_of, hermite_applies, trapezoid_nodes
from .spectrum import RUPTURE_MODELS, SHAPES

__all__ = [
    "FORMS",
    "STRESS_DROP_OPTIONS",
    "ClusterArrays",
    "Noise",
    "PairArrays",
    "StressDrop",
    "in_form",
    "prepare",
    "stress_drop_options",
]

BUCKET = 8
"""Frequencies are padded to a multiple of this."""

FORMS = ("auto", "pair", "cluster")
STRESS_DROP_OPTIONS = {
    "moment": any_of(None, MOMENT),
    "shear_velocity": any_of(None, number("m/s", at_least=50, at_most=10_000)),
    "rupture_models": any_of(
        one_of("all", "p", "s", *RUPTURE_MODELS), each(one_of(*RUPTURE_MODELS))
    ),
}
"""Soft mud has a shear velocity of 50 m/s: a smaller number is one in km/s."""


class Noise(NamedTuple):
    """Powers and noise of the events of a problem, (..., event, trace, freq), and the box of ln G.

    ``nodes`` is an array of as many zeros as the trapezoid rule has nodes, or None for the
    Gauss-Hermite rule: a length is part of a compiled program's shape, a number is not.
    """

    log_power: Any
    log_noise: Any
    box: Box
    nodes: Any


class StressDrop(NamedTuple):
    """What the hierarchical prior needs: ln M0 of event 1 (ln N m), ln β (ln m/s), ln k."""

    log_moment: Any
    log_shear_velocity: Any
    log_k: Any


class PairArrays(NamedTuple):
    """Spectral ratios of pairs.

    Attributes
    ----------
    log_f : (pair, freq)
        Natural log of frequency (Hz).
    y : (pair, trace, freq)
        ln(P1 / P2), 0 where masked.
    nu1, nu2, mask : (pair, trace, freq)
        Degrees of freedom; 1 where there are data, less where frequencies are correlated.
    f_constants : FConstants of (pair, trace, freq), or None
        Those of ``nu1`` and ``nu2``, if these are no parameters.
    g, falloff : (pair,)
        Sharpness and fall-off of the spectra; no ``falloff`` if it is a parameter.
    nu_max : (pair,) or None
        Largest degrees of freedom, if they are a parameter.
    trace_mask : (pair, trace) or None
        1 for every trace with a level of its own, if levels are parameters.
    noise : Noise or None
    stress_drop : StressDrop or None
        If stress drops have a common prior, which couples the pairs.
    """

    log_f: Any
    y: Any
    nu1: Any
    nu2: Any
    mask: Any
    f_constants: FConstants | None
    g: Any
    falloff: Any
    nu_max: Any
    trace_mask: Any
    noise: Noise | None
    stress_drop: StressDrop | None


class ClusterArrays(NamedTuple):
    """Spectra of K events on common traces; as `PairArrays`, with these differences.

    Attributes
    ----------
    log_power, nu, mask : (event, trace, freq)
    smallest : (event,)
        1 for the smallest event, whose moment is the unit of the noise form, else 0.
    """

    log_f: Any
    log_power: Any
    nu: Any
    mask: Any
    g: Any
    falloff: Any
    nu_max: Any
    smallest: Any
    noise: Noise | None
    stress_drop: StressDrop | None


@prepared(*LAYOUTS)
@takes(
    form=one_of(*FORMS),
    spectrum=one_of(*SHAPES),
    falloff=one_of("fixed", "free"),
    degrees_of_freedom=one_of("fixed", "estimated"),
    levels=flag(),
    noise=flag(),
    hierarchical=flag(),
    **STRESS_DROP_OPTIONS,
)
def prepare(
    dataset,
    *,
    form="auto",
    spectrum="boatwright",
    falloff="fixed",
    degrees_of_freedom="fixed",
    levels=False,
    noise=False,
    hierarchical=False,
    moment=None,
    shear_velocity=None,
    rupture_models="all",
):
    """Return the padded arrays of a data set.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `data.read` or the simulator.
    form : "auto", "pair" or "cluster"
        Events are a cluster, two of them a pair, unless said otherwise.
    spectrum : "boatwright" or "brune"
    falloff : "fixed" or "free"
        Whether n is 2 or a parameter of every pair or cluster.
    degrees_of_freedom : "fixed" or "estimated"
        Whether ν is that of the data set or a parameter of every pair or cluster.
    levels : bool
        Whether the traces of a pair have levels of their own.
    noise : bool
        Whether the powers contain the noise that the data set holds.
    hierarchical : bool
        Whether the stress drops of all events have a common prior with unknown mean and spread.
    moment : float, optional
        M0 of event 1 (N m), where the data set has none.
    shear_velocity : float, optional
        β at the source (m/s).
    rupture_models : str or sequence of str
        Rows of `spectrum.RUPTURE_MODELS`, ``"all"``, or those of a phase, ``"p"`` or ``"s"``.

    Returns
    -------
    PairArrays or ClusterArrays

    Raises
    ------
    OptionError
        An option has an impossible value.
    SpectraError
        The data set is not one of the model's, breaks its conditions, or lacks what an option
        needs.
    """
    if hierarchical and form == "pair" and dataset.sizes.get("event", 2) > 2:
        raise OptionError(
            "hierarchical = True with form = 'pair' would count an event once for every pair it is "
            "in; take form = 'cluster'"
        )
    dataset = in_form(dataset, form)
    cluster = "pair" not in dataset.dims
    if cluster and levels:
        raise OptionError(
            "levels = True needs the form 'pair'; in a cluster the path of every trace is "
            "integrated out"
        )
    stress_drop = (
        stress_drop_options(dataset, moment, shear_velocity, rupture_models)
        if hierarchical
        else None
    )
    if dataset.attrs.get("tempered") and (cluster or noise):
        raise SpectraError(
            "tempered spectra, closer than twice the half-bandwidth W, can be fitted as pairs "
            "without noise only; take frequencies 2W apart, or form = 'pair' and noise = False"
        )
    shape = SHAPES[spectrum]
    make = _cluster_arrays if cluster else _pair_arrays
    nu_max = float(dataset.attrs["nu_max"]) if degrees_of_freedom == "estimated" else None
    if nu_max is not None and nu_max <= 1:
        raise SpectraError(
            f"degrees of freedom between 1 and nu_max = {nu_max:g} cannot be estimated; give "
            "nu_max = twice the number of tapers, or degrees_of_freedom = 'fixed'"
        )
    arrays = make(dataset, shape[1], noise, nu_max)
    count = arrays.g.shape
    return arrays._replace(
        falloff=np.full(count, shape[0]) if falloff == "fixed" else None,
        nu_max=None if nu_max is None else np.full(count, nu_max),
        stress_drop=stress_drop,
        **({"trace_mask": _trace_mask(arrays.mask)} if levels else {}),
    )


def in_form(dataset, form="auto"):
    """Return a data set as pairs or as a cluster, see the option ``form`` of `prepare`.

    Raises
    ------
    OptionError
        Ratios of pairs are asked to be a cluster.
    """
    if "pair" in dataset.dims:
        if form == "cluster":
            raise OptionError("form = 'cluster' needs the spectra of events, not ratios of pairs")
        return dataset
    if form == "cluster" or (form == "auto" and dataset.sizes["event"] > 2):
        return dataset
    return pairs_of(dataset)


def stress_drop_options(dataset, moment=None, shear_velocity=None, rupture_models="all"):
    """Return what turns corner frequencies into stress drops.

    Returns
    -------
    StressDrop
        With ln M0 of event 1, (pair,) or a scalar for a cluster.

    Raises
    ------
    SpectraError
        The moment or the shear velocity is missing.
    OptionError
        There are two moments of event 1.
    """
    name = "moment1" if "pair" in dataset.dims else "moment"
    if moment is not None and name in dataset:
        raise OptionError(
            f"moment = {moment:g} N m is given, but the data hold {name}; leave out one of them"
        )
    missing = []
    if name not in dataset and moment is None:
        missing.append(f"the seismic moment of event 1 (variable {name!r} or moment=, N m)")
    if shear_velocity is None:
        missing.append("the shear velocity at the source (shear_velocity=, m/s)")
    if missing:
        raise SpectraError(
            f"a stress drop needs {' and '.join(missing)}; without them only the ratio "
            "ln_dsigma_ratio is known"
        )
    moments = dataset[name].to_numpy() if name in dataset else np.asarray(float(moment))
    if "pair" not in dataset.dims and moments.ndim:
        moments = moments[0]
    elif "pair" in dataset.dims:
        moments = np.broadcast_to(moments, dataset.sizes["pair"])
    rows = _rupture_models(rupture_models)
    return StressDrop(
        np.log(moments),
        np.log(float(shear_velocity)),
        np.log([RUPTURE_MODELS[row] for row in rows]),
    )


def _rupture_models(chosen):
    if chosen == "all":
        return tuple(RUPTURE_MODELS)
    if chosen in ("p", "s"):
        return tuple(name for name in RUPTURE_MODELS if name.endswith(f"_{chosen}"))
    return (chosen,) if isinstance(chosen, str) else chosen


def _tempering(dataset):
    """Return the weight of every used frequency: its distance to the next over 2W, at most 1."""
    resolved = 2 * float(dataset.attrs.get("half_bandwidth_hz", 0.0))
    if not dataset.attrs.get("tempered") or not resolved:
        return 1.0
    used, frequency = dataset["mask"].to_numpy() == 1, dataset["freq"].to_numpy()
    outside = np.full((*used.shape[:-1], 1), np.inf)
    below = np.maximum.accumulate(np.where(used, frequency, -np.inf), axis=-1)
    above = np.minimum.accumulate(np.where(used, frequency, np.inf)[..., ::-1], axis=-1)[..., ::-1]
    left = frequency - np.concatenate([-outside, below[..., :-1]], axis=-1)
    right = np.concatenate([above[..., 1:], outside], axis=-1) - frequency
    at_end = np.isinf(left) | np.isinf(right)
    spacing = np.where(at_end, np.minimum(left, right), 0.5 * (left + right))
    return np.minimum(1.0, spacing / resolved)


def _padded(values, fill):
    """Pad the frequencies, the last axis of a float array."""
    values = np.asarray(values, float)
    widths = [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % BUCKET)]
    return np.pad(values, widths, constant_values=fill)


def _log_f(dataset):
    log_f = np.log(dataset["freq"].to_numpy())
    return np.pad(log_f, (0, -len(log_f) % BUCKET), mode="edge")


def _pair_arrays(dataset, g, with_noise, nu_max):
    pairs = dataset.sizes["pair"]
    mask = _padded(dataset["mask"] * _tempering(dataset), 0.0)
    log_f = _log_f(dataset)
    arrays = PairArrays(
        log_f=np.broadcast_to(log_f, (pairs, len(log_f))),
        y=_padded(dataset["log_power_ratio"], 0.0) * (mask > 0),
        nu1=_padded(dataset["nu1"], 2.0),
        nu2=_padded(dataset["nu2"], 2.0),
        mask=mask,
        f_constants=None,
        g=np.full(pairs, g),
        falloff=None,
        nu_max=None,
        trace_mask=None,
        noise=None,
        stress_drop=None,
    )
    if nu_max is None:
        constants = f_constants(arrays.nu1, arrays.nu2)
        arrays = arrays._replace(f_constants=FConstants(*map(np.asarray, constants)))
    if not with_noise:
        return arrays
    _require(dataset, ("power1", "power2", "noise1", "noise2"))
    power, noise = (
        np.stack([_padded(dataset[f"{name}{i}"], 1.0) for i in (1, 2)], axis=1)
        for name in ("power", "noise")
    )
    nu = np.stack([arrays.nu1, arrays.nu2], axis=1)
    both = np.broadcast_to(mask[:, None], nu.shape)
    box = box_of(np.log(power[:, 1]), log_f)
    nodes = _nodes(power, noise, nu, both, box, nu_max)
    return arrays._replace(
        noise=Noise(
            np.log(power),
            np.log(noise),
            box,
            None if nodes is None else np.broadcast_to(nodes, (pairs, *nodes.shape)),
        )
    )


def _cluster_arrays(dataset, g, with_noise, nu_max):
    mask = _padded(dataset["mask"], 0.0)
    power = np.where(mask > 0, _padded(dataset["power"], 1.0), 1.0)
    nu = np.where(mask > 0, _padded(dataset["nu"], 2.0), 2.0)
    log_f = _log_f(dataset)
    level = np.array([np.median(np.log(p[m > 0])) for p, m in zip(power, mask, strict=True)])
    smallest = np.arange(len(level)) == np.argmin(level)
    arrays = ClusterArrays(
        log_f=log_f,
        log_power=np.log(power),
        nu=nu,
        mask=mask,
        g=np.asarray(g),
        falloff=None,
        nu_max=None,
        smallest=smallest.astype(float),
        noise=None,
        stress_drop=None,
    )
    if not with_noise:
        return arrays
    _require(dataset, ("noise_power",))
    noise = np.where(mask > 0, _padded(dataset["noise_power"], 1.0), 1.0)
    box = box_of(_log_power_of(int(np.argmin(level)), np.log(power), mask, level), log_f)
    return arrays._replace(
        noise=Noise(np.log(power), np.log(noise), box, _nodes(power, noise, nu, mask, box, nu_max))
    )


def _log_power_of(event, log_power, mask, level):
    """Return ln P of an event, from the other events where it has no data, (trace, freq)."""
    shifted = log_power - (level - level[event])[:, None, None]
    others = (mask * shifted).sum(axis=0) / np.maximum(mask.sum(axis=0), 1.0)
    return np.where(mask[event] > 0, log_power[event], others)


def _nodes(power, noise, nu, mask, box, nu_max):
    """Return an array of as many zeros as the trapezoid rule needs nodes, None for Hermite's."""
    if nu_max is None and hermite_applies(power, noise, nu, mask):
        return None
    return np.zeros(trapezoid_nodes(box, nu if nu_max is None else np.full_like(nu, nu_max), mask))


def _trace_mask(mask):
    return (mask.sum(axis=-1) > 0).astype(float)


def _require(dataset, names):
    missing = [name for name in names if name not in dataset]
    if missing:
        raise SpectraError(
            f"noise = True needs {', '.join(missing)}; read waveforms, or a table with the columns "
            "noise1 and noise2"
        )
