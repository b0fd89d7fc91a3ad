"""The conditions that spectra must meet, each with one sentence on where and what to do."""

import numpy as np
from scipy.sparse.csgraph import connected_components

from .errors import SpectraError
from .layout import FILL, MOMENTS

__all__ = ["RELATIVE_ROUNDING", "is_log_stack", "validate"]

FEWEST_FREQUENCIES = 5
"""A spectrum has three parameters per pair; fewer frequencies than this cannot test them."""

RELATIVE_ROUNDING = 1e-6
"""Frequencies and degrees of freedom written to a table carry at least six digits."""


def validate(dataset):
    """Require spectra that the model can be fitted to.

    Parameters
    ----------
    dataset : xarray.Dataset
        In one of the two layouts.

    Raises
    ------
    SpectraError
        A used power is not positive or a used number not finite; degrees of freedom lie
        outside (0, nu_max]; a pair or event has fewer than five usable frequencies or shares
        no trace; events fall into groups without a common trace; frequencies are closer than 2W
        and not tempered; the ratio is a log stack or contradicts the powers; a moment is not
        positive, or event 1 is given the smaller one.
    """
    check_log_stack(dataset)
    for name in FILL:
        if name in dataset:
            check_values(dataset, name)
    check_degrees(dataset)
    check_ratio(dataset)
    check_moments(dataset)
    check_usable(dataset)
    check_connected(dataset)
    check_spacing(dataset)


def is_log_stack(dataset):
    """Whether an attribute ``log_stacked`` of the data set or of a variable says so."""
    marks = [dataset.attrs, *(variable.attrs for variable in dataset.variables.values())]
    no = ("", "0", "0.0", "false", "no", "none")
    return any(str(mark.get("log_stacked", "")).lower() not in no for mark in marks)


def check_log_stack(dataset):
    """Require ratios of powers, or of arithmetic means of powers."""
    if is_log_stack(dataset):
        raise SpectraError(
            "the spectral ratios are log stacks (attribute log_stacked), and a mean of logarithms "
            "does not follow the F distribution; give the traces singly, or average powers and "
            "multiply nu by their number"
        )


def place_of(dataset, index):
    """Say where a number stands, as in ``pair a/b, trace CL.TRIZ..SHN, 3.5 Hz``."""
    unit, trace, freq = (
        dataset[dimension].to_numpy()[i]
        for dimension, i in zip(dataset["mask"].dims, index, strict=True)
    )
    return f"{dataset['mask'].dims[0]} {unit}, trace {trace}, {freq:g} Hz"


def check_values(dataset, name):
    """Require finite numbers, and powers above zero, wherever the mask is 1."""
    values, used = dataset[name].to_numpy(), dataset["mask"].to_numpy() == 1
    bad, requirement = ~np.isfinite(values), "finite"
    if FILL[name] == 1.0:  # A power.
        bad, requirement = bad | (values <= 0), "finite and positive"
    bad &= used
    if bad.any():
        first = np.unravel_index(np.argmax(bad), bad.shape)
        raise SpectraError(
            f"{place_of(dataset, first)}: {name} is {values[first]} ({np.count_nonzero(bad)} such "
            f"places), but must be {requirement}; mask the places (mask = 0, or no row in a "
            "table), or leave out a dead trace"
        )


def check_degrees(dataset):
    """Require degrees of freedom in (0, nu_max]."""
    nu_max, used = dataset.attrs["nu_max"], dataset["mask"].to_numpy() == 1
    for name in ("nu", "nu1", "nu2"):
        if name not in dataset:
            continue
        nu = dataset[name].to_numpy()
        bad = used & ~((nu > 0) & (nu <= nu_max * (1 + RELATIVE_ROUNDING)))
        if bad.any():
            first = np.unravel_index(np.argmax(bad), bad.shape)
            raise SpectraError(
                f"{place_of(dataset, first)}: {name} = {nu[first]:g} lies outside 0 < nu <= nu_max "
                f"= {nu_max:g} ({np.count_nonzero(bad)} such places); correct the degrees of "
                "freedom, or give nu_max = twice the number of tapers"
            )


def check_ratio(dataset):
    """Require that log ratios are those of the powers, where both are given."""
    if not {"log_power_ratio", "power1", "power2"} <= set(dataset):
        return
    ratio = np.log(dataset["power1"].to_numpy()) - np.log(dataset["power2"].to_numpy())
    given = dataset["log_power_ratio"].to_numpy()
    bad = np.abs(given - ratio) > RELATIVE_ROUNDING * np.maximum(1.0, np.abs(ratio))
    bad &= dataset["mask"].to_numpy() == 1
    if bad.any():
        first = np.unravel_index(np.argmax(bad), bad.shape)
        raise SpectraError(
            f"{place_of(dataset, first)}: log_power_ratio = {given[first]:g}, but ln(power1 / "
            f"power2) = {ratio[first]:g} ({np.count_nonzero(bad)} such places); correct or leave "
            "out one of them"
        )


def check_moments(dataset):
    """Require positive moments, that of event 1 of a pair not being the smaller one."""
    for name in MOMENTS:
        if name in dataset:
            moment = dataset[name].to_numpy()
            bad = ~(np.isfinite(moment) & (moment > 0))
            if bad.any():
                unit, first = dataset[name].dims[0], int(np.argmax(bad))
                raise SpectraError(
                    f"{unit} {dataset[unit].to_numpy()[first]}: {name} = {moment[first]} N m; "
                    f"moments are positive, correct it or leave out {name}"
                )
    if "moment1" in dataset and "moment2" in dataset:
        moment1, moment2 = dataset["moment1"].to_numpy(), dataset["moment2"].to_numpy()
        bad = moment1 < moment2
        if bad.any():
            first = int(np.argmax(bad))
            raise SpectraError(
                f"pair {dataset['pair'].to_numpy()[first]}: moment1 = {moment1[first]:g} N m is "
                f"less than moment2 = {moment2[first]:g} N m ({np.count_nonzero(bad)} such pairs); "
                "event 1 is the larger one, swap events"
            )


def check_usable(dataset):
    """Require that a pair, or an event with any other, shares a trace and enough frequencies."""
    used = dataset["mask"].to_numpy() == 1
    unit = dataset["mask"].dims[0]
    if unit == "event":
        if dataset.sizes["event"] < 2:
            raise SpectraError(
                f"event {dataset['event'].to_numpy()[0]} is alone; spectral ratios need two"
            )
        shared = used & (used.sum(axis=0) > 1)
    else:
        shared = used
    count = shared.any(axis=1).sum(axis=1)
    name = dataset[unit].to_numpy()[int(np.argmin(count))]
    if count.min() == 0:
        traces = dataset["trace"].to_numpy()
        if unit == "event":
            own = traces[used[int(np.argmin(count))].any(axis=1)]
            lack = f"no other event has data on its traces {', '.join(own) or '(none)'}"
        else:
            lack = f"none of the traces {', '.join(traces)} has data of both events"
        raise SpectraError(
            f"{unit} {name} has no common trace: {lack}; remove it or add records of the same "
            "stations"
        )
    if count.min() < FEWEST_FREQUENCIES:
        raise SpectraError(
            f"{unit} {name} has {count.min()} usable frequencies, fewer than {FEWEST_FREQUENCIES}; "
            "widen the band, lengthen the window or remove it"
        )


def check_connected(dataset):
    """Require that common traces join all events of a cluster."""
    if "event" not in dataset["mask"].dims:
        return
    used = (dataset["mask"].to_numpy() == 1).reshape(dataset.sizes["event"], -1).astype(float)
    groups, group = connected_components(used @ used.T, directed=False)
    if groups > 1:
        names = dataset["event"].to_numpy()
        apart = "; ".join(", ".join(map(str, names[group == i])) for i in range(groups))
        raise SpectraError(
            f"the events fall into {groups} groups without a common trace, {apart}: nothing "
            "relates their spectra; read each group by itself"
        )


def check_spacing(dataset):
    """Require frequencies at least 2W apart within each spectrum, unless tempered."""
    bandwidth = 2 * dataset.attrs["half_bandwidth_hz"]
    if bandwidth == 0 or dataset.attrs.get("tempered", 0):
        return
    freq = np.where(dataset["mask"].to_numpy() == 1, dataset["freq"].to_numpy(), -np.inf)
    below = np.maximum.accumulate(freq, axis=2)[..., :-1]
    with np.errstate(invalid="ignore"):  # Two masked places.
        spacing = freq[..., 1:] - below
    spacing = np.where(np.isfinite(spacing), spacing, np.inf)
    if spacing.min(initial=np.inf) < bandwidth * (1 - RELATIVE_ROUNDING):
        place = np.unravel_index(np.argmin(spacing), spacing.shape)
        raise SpectraError(
            f"{place_of(dataset, place)}: the spacing of {spacing.min():g} Hz to the next "
            f"frequency is less than 2W = {bandwidth:g} Hz, so neighbours are correlated; keep "
            "frequencies 2W apart, or pass tempered=True"
        )
