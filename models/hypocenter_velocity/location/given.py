"""What a joint posterior found, held for the location of events, of others too."""

import json

import numpy as np

from bayesquake.errors import OptionError

from ..physics.arrivals import station_delays

__all__ = ["held_at"]


def held_at(result, dataset):
    """Return data and options with which `locate` holds a joint posterior's means.

    Parameters
    ----------
    result : xarray.DataTree
        Of the joint model.
    dataset : xarray.Dataset
        Events to be located. Stations that the joint model has not seen have no delay.

    Returns
    -------
    dataset : xarray.Dataset
        With the layers and the mean velocities of the posterior.
    options : dict
        ``station_term``, ``sigma``, ``errors`` and ``pick_errors`` of `locate`.

    Raises
    ------
    OptionError
        The result has two velocity profiles.
    """
    posterior = result["posterior"].to_dataset()
    if "profile_vp" in posterior:
        raise OptionError(
            "locate takes one velocity profile and this result has two; fit with profiles=1"
        )
    names = ["vp", "vs", "station_term", "mean_s_delay", "sigma"]
    mean = posterior[[name for name in names if name in posterior]].mean(("chain", "draw"))
    known = result["constant_data"].to_dataset()
    layers = {name: known[name].copy(data=mean[name].to_numpy()) for name in ("vp", "vs")}
    held = dataset.drop_dims("layer").assign({"top": known["top"], **layers})
    delays = station_delays({name: values.to_numpy() for name, values in mean.items()})
    terms = mean["station_term"].copy(data=np.asarray(delays))
    terms = terms.reindex(station=dataset["station"].to_numpy(), fill_value=0.0)
    given = json.loads(result.attrs["configuration"])["options"]
    options = {name: given[name] for name in ("errors", "pick_errors") if name in given}
    return held, options | {
        "station_term": terms.transpose("phase", "station").to_numpy().tolist(),
        "sigma": mean["sigma"].to_numpy().tolist(),
    }
