"""The figures of the experiment."""

import numpy as np
from matplotlib.figure import Figure

__all__ = ["depths", "depths_beside_another", "sections", "two_velocities"]


def depths_beside_another(ours, others, name):
    """Draw depths with standard deviations beside those of another program.

    Parameters
    ----------
    ours, others : (mean, sd) of (event,)
        km.
    name : str
        Of the other program.
    """
    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.errorbar(others[0], ours[0], ours[1], others[1], fmt=".", ms=3, lw=0.5, alpha=0.6)
    both = [min(ours[0].min(), others[0].min()), max(ours[0].max(), others[0].max())]
    axis.plot(both, both, color="k", lw=0.8)
    axis.set(xlabel=f"depth, {name} (km)", ylabel="depth, importance sampling (km)")
    return figure


def depths(catalogue, joint, alone):
    """Draw depths of the catalogue against those of the joint posterior and of single locations.

    Parameters
    ----------
    catalogue : (event,)
    joint : (low, median, high) of (event,)
        90 % intervals.
    alone : (event,)
        Located without station terms, at the velocities given.
    """
    figure = Figure(figsize=(8.5, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    low, middle, high = joint
    reach = [middle - low, high - middle]
    left.errorbar(catalogue, middle, reach, fmt=".", ms=3, lw=0.5, alpha=0.6, label="joint, 90 %")
    left.plot(catalogue, alone, "x", ms=3, alpha=0.6, label="given velocities, no station terms")
    both = [0.0, max(middle.max(), alone.max(), catalogue.max())]
    left.plot(both, both, color="k", lw=0.8)
    left.set(xlabel="depth in the catalogue (km)", ylabel="depth (km)")
    left.legend(fontsize=8)
    bins = np.linspace(0, both[1], 40)
    for values, name in ((catalogue, "catalogue"), (middle, "joint"), (alone, "no station terms")):
        right.hist(values, bins, histtype="step", label=f"{name}, mean {values.mean():.1f} km")
    right.set(xlabel="depth (km)", ylabel="events")
    right.legend(fontsize=8)
    return figure


def sections(places):
    """Draw sections across a fault, one for each kind of places.

    Parameters
    ----------
    places : dict of (event, 3)
        Across and along the fault, and depth, km.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(places), sharex=True, sharey=True)
    for axis, (name, place) in zip(panels, places.items(), strict=True):
        axis.plot(place[:, 0], place[:, 2], ".", ms=3, alpha=0.6)
        axis.set(title=name, xlabel="across the fault (km)", aspect="equal")
    panels[0].set_ylabel("depth (km)")
    panels[0].invert_yaxis()
    return figure


def two_velocities(draws, true):
    """Draw the velocities of two profiles, and the true ones.

    Parameters
    ----------
    draws : (chain, draw, profile)
        km/s.
    true : (profile,)
    """
    figure = Figure(figsize=(4.5, 3.2), layout="constrained")
    axis = figure.subplots()
    for profile, name in enumerate(("slower", "faster")):
        colour = f"C{profile}"
        axis.hist(draws[..., profile].ravel(), 40, histtype="step", color=colour, label=name)
        axis.axvline(true[profile], color=colour, lw=0.8, ls="--")
    axis.set(xlabel="velocity of P (km/s)", yticks=[])
    axis.legend(title="profile", fontsize=8)
    return figure
