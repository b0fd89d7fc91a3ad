"""Problems of equal padded shapes, side by side.

A compiled program serves arrays of one structure and shape. Prepared data sets are sorted
into buckets of equal shapes, in their order, and stacked; results of different shapes are
padded with NaN to stand in one array.
"""

import jax
import numpy as np
import xarray as xr

__all__ = ["buckets", "joined", "padded", "stacked"]


def padded(step=16, **arrays):
    """Return arrays padded with zeros to a multiple of a length, and a mask of what is real.

    Data sets of similar sizes then share one compiled program.

    Parameters
    ----------
    step : int
    **arrays
        Of equal length, numbers or flags.

    Returns
    -------
    dict of arrays
        The arrays, and ``mask``, True where they are not padding.
    """
    length = len(next(iter(arrays.values())))
    padding = -length % step

    def pad(values):
        return np.pad(values, [(0, padding)] + [(0, 0)] * (np.ndim(values) - 1))

    mask = np.arange(length + padding) < length
    return {name: pad(values) for name, values in arrays.items()} | {"mask": mask}


def buckets(prepared):
    """Return the places of the data sets of each structure and shape.

    Parameters
    ----------
    prepared : sequence of pytrees of arrays

    Returns
    -------
    list of list of int
        In order of first appearance, each in order.
    """
    places: dict = {}
    for place, arrays in enumerate(prepared):
        leaves, structure = jax.tree.flatten(arrays)
        shapes = tuple((np.shape(leaf), np.asarray(leaf).dtype.str) for leaf in leaves)
        places.setdefault((structure, shapes), []).append(place)
    return list(places.values())


def stacked(prepared):
    """Return data sets of equal shapes with a leading problem axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *prepared)


def joined(parts, dim):
    """Return data sets one after the other, padded with NaN where their sizes differ.

    Parameters
    ----------
    parts : sequence of xarray.Dataset
    dim : str
        The dimension along which they follow each other.
    """
    sizes: dict = {}
    for part in parts:
        for name, size in part.sizes.items():
            if name != dim:
                sizes[name] = max(size, sizes.get(name, 0))
    padded = [
        part.pad(
            {name: (0, sizes[name] - size) for name, size in part.sizes.items() if name != dim}
        )
        if any(size < sizes[name] for name, size in part.sizes.items() if name != dim)
        else part
        for part in parts
    ]
    return xr.concat(
        padded, dim, data_vars="all", coords="minimal", compat="override", join="override"
    )
