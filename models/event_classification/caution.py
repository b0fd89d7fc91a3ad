"""Warnings about catalogues that can be read, but hardly mean what the options say."""

import warnings

import numpy as np

from .region import is_near

__all__ = ["SuspectCatalogueWarning", "warn_of_suspect"]

FEWEST_IN_GAP = 6.0
"""Events missed in a gap above m_c, in units of 1/n mag, that chance does not explain."""

SMALLEST_GAP = 0.1
QUIET_INTERVALS, QUIET_SHARE = 20.0, 0.1
"""A quiet end of the window longer than so many mean intervals and that share of it is suspect."""

SMALLEST_SHARE = 0.01
"""Share of events that a column ``target`` may take out of the window before it is suspect."""

OFF_GRID, OFF_GRID_SHARE = 0.01, 0.01
"""A magnitude off the grid by more than that share of the step; share of them that is suspect."""


class SuspectCatalogueWarning(UserWarning):
    """The completeness, the window or the rounding does not fit the events."""


def warn_of_suspect(dataset):
    """Warn where completeness, window or rounding of a data set do not fit its events.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `dataset.event_dataset`.

    Returns
    -------
    xarray.Dataset
        With the warnings as its attribute ``cautions``, which reports repeat.
    """
    name, magnitude = dataset.attrs["source"], dataset["magnitude"].to_numpy()
    found = (
        _gap(dataset, magnitude),
        _silence(dataset),
        _grid(dataset, magnitude),
        _between_steps(dataset, magnitude),
        _history_inside(dataset),
    )
    messages = [message for message in found if message]
    for message in messages:
        warnings.warn(f"{name}: {message}", SuspectCatalogueWarning, stacklevel=4)
    return dataset.assign_attrs(cautions="; ".join(messages))


def _gap(dataset, magnitude):
    m_c, step = dataset.attrs["m_c"], dataset.attrs["delta_m"]
    gap = magnitude.min() - m_c
    if gap <= max(SMALLEST_GAP, step + FEWEST_IN_GAP / magnitude.size):
        return None
    return (
        f"the smallest of {magnitude.size} magnitudes is {magnitude.min():g}, far above the "
        f"completeness magnitude {m_c:g}, which lowers the b-value; pass "
        f"completeness_magnitude={magnitude.min():g} if smaller events were left out"
    )


def _silence(dataset):
    time, T0, T1 = dataset["time_days"].to_numpy(), dataset.attrs["T0"], dataset.attrs["T1"]
    interval = (time[-1] - time[0]) / max(time.size - 1, 1)
    quiet = {"first": time[0] - T0, "last": T1 - time[-1]}
    longest = max(quiet, key=lambda end: quiet[end])
    if quiet[longest] <= max(QUIET_INTERVALS * interval, QUIET_SHARE * (T1 - T0)):
        return None
    option = "start" if longest == "first" else "end"
    return (
        f"the {longest} {quiet[longest]:.4g} of the {T1 - T0:.4g} days of the window have no event "
        f"and lower the background rate; set {option} to where the catalogue "
        f"{'begins' if option == 'start' else 'ends'}"
    )


def _between_steps(dataset, magnitude):
    m_c, step = dataset.attrs["m_c"], dataset.attrs["delta_m"]
    least = magnitude.min()
    steps = (least - m_c) / step if step else 0.0
    if abs(steps - round(steps)) <= OFF_GRID:
        return None
    return (
        f"the completeness magnitude {m_c:g} lies between two steps of the magnitudes, such as "
        f"{least:g} and {least - step:g}, which lowers the b-value; it is the smallest complete "
        f"magnitude itself, not the edge of its bin: pass completeness_magnitude={least:g}"
    )


def _history_inside(dataset):
    inside = is_near(dataset["polygon"].to_numpy(), dataset["x_km"], dataset["y_km"], 0.0)
    passed = (dataset["time_days"].to_numpy() >= dataset.attrs["T0"]) & inside
    passed &= dataset["target"].to_numpy() == 0
    if passed.mean() <= SMALLEST_SHARE:
        return None
    return (
        f"{passed.sum()} events in the window and the polygon are marked as history by the column "
        "target, so that the rate without them is fitted; remove the column, or start the window "
        "after them"
    )


def _grid(dataset, magnitude):
    step = dataset.attrs["delta_m"]
    if not step:
        return None
    steps = (magnitude - magnitude.min()) / step
    off = np.abs(steps - np.round(steps)) > OFF_GRID
    if off.mean() <= OFF_GRID_SHARE:
        return None
    return (
        f"{off.sum()} of {magnitude.size} magnitudes, such as {magnitude[off.argmax()]:g}, are no "
        f"multiples of magnitude_rounding = {step:g} apart; state the step of the file, or 0"
    )
