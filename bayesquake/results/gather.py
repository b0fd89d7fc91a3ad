"""Many data sets as one, padded along a problem axis, and each of them back as it was."""

import json

import numpy as np
import xarray as xr

__all__ = ["dataset_of", "gathered"]

SIZE = "size_of_"
ATTRIBUTES = "attributes"
PADDING = {"f": np.nan, "c": np.nan, "i": 0, "u": 0, "b": False}
"""What stands in the padding by kind of number; text is padded with nothing."""


def gathered(datasets, names):
    """Return data sets side by side, so that a result holds all that was observed.

    Parameters
    ----------
    datasets : sequence of xarray.Dataset
        Of equal variables; sizes and attributes may differ.
    names : sequence of str

    Returns
    -------
    xarray.Dataset
        Every variable with a leading axis ``problem``, padded to the largest; the sizes and, as
        JSON, the attributes of each data set.
    """
    flat = [dataset.reset_index(list(dataset.indexes)).reset_coords() for dataset in datasets]
    largest = {dim: max(part.sizes[dim] for part in flat) for dim in flat[0].sizes}
    variables = {
        name: (("problem", *first.dims), _stacked([part[name] for part in flat], largest))
        for name, first in flat[0].data_vars.items()
    }
    together = xr.Dataset(variables, coords={"problem": list(names)})
    for name, first in flat[0].data_vars.items():
        together[name].attrs = {"units": "1"} | first.attrs
        together[name].attrs["is_coordinate"] = int(name in datasets[0].coords)
    for dim in largest:
        sizes = [part.sizes[dim] for part in flat]
        meaning = {"units": "1", "long_name": f"length of {dim} before padding"}
        together[SIZE + str(dim)] = ("problem", sizes, meaning)
    stored = [json.dumps(dataset.attrs, default=_plain) for dataset in datasets]
    meaning = {"units": "1", "long_name": "attributes of the data set, as JSON"}
    together[ATTRIBUTES] = ("problem", stored, meaning)
    return together


def dataset_of(result, problem):
    """Return one of the data sets that a result of `bayesquake.fit_many` was made from.

    Parameters
    ----------
    result : xarray.DataTree
    problem : str
        Its name.

    Returns
    -------
    xarray.Dataset
    """
    padded = result["observed_data"].to_dataset().sel(problem=str(problem)).drop_vars("problem")
    sizes = {
        str(name).removeprefix(SIZE): int(padded[name])
        for name in padded.data_vars
        if str(name).startswith(SIZE)
    }
    attributes = json.loads(padded[ATTRIBUTES].item())
    dataset = padded.drop_vars([ATTRIBUTES, *(SIZE + dim for dim in sizes)])
    dataset = dataset.isel({dim: slice(size) for dim, size in sizes.items()})
    coordinates = [name for name, values in dataset.items() if values.attrs.pop("is_coordinate")]
    return dataset.set_coords(coordinates).assign_attrs(attributes)


def _stacked(parts, largest):
    """Return arrays with a leading axis, each padded at its ends to the largest sizes."""
    filled = []
    for part in parts:
        values = part.to_numpy()
        if values.dtype.kind == "O":
            values = values.astype(str)
        margin = [(0, largest[dim] - size) for dim, size in part.sizes.items()]
        fill = PADDING.get(values.dtype.kind, "")
        filled.append(np.pad(values, margin, constant_values=fill) if margin else values)
    return np.stack(filled)


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
