"""The configuration that a result carries, written and read back to fit its data again."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import xarray as xr

from bayesquake.model.model import Model
from bayesquake.model.options import accepted_by
from bayesquake.model.priors import Prior
from bayesquake.model.registry import load_model

__all__ = ["Configuration", "configuration_of", "described_priors", "stored_priors"]


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """What a result was made from.

    Attributes
    ----------
    model : Model
    dataset : xarray.Dataset
    driver : str
    settings : mapping
        Of the driver.
    prepare_options : mapping
        Of ``model.prepare``.
    priors : mapping of str to Prior
    """

    model: Model
    dataset: xr.Dataset
    driver: str
    settings: Mapping[str, Any]
    prepare_options: Mapping[str, Any]
    priors: Mapping[str, Prior]


def configuration_of(result, model=None):
    """Return the configuration of a result, its data set read from the result itself.

    Parameters
    ----------
    result : xarray.DataTree
    model : Model, optional
        The registered model of the result's name by default.
    """
    model = load_model(result.attrs["model"]) if model is None else model
    stored = json.loads(result.attrs["configuration"])
    return Configuration(
        model=model,
        dataset=model.read(dataset_behind(result)),
        driver=stored["driver"],
        settings=stored["settings"],
        prepare_options=accepted_by(model.prepare, stored["options"]),
        priors=stored_priors(stored),
    )


def dataset_behind(result):
    """Return the data set that a result was made from, out of its observed and constant data."""
    observed = result["observed_data"].to_dataset()
    if "data_variables" not in result.attrs:
        return observed
    names = json.loads(result.attrs["data_variables"])
    constants = [name for name in names if name not in observed.variables]
    if constants:
        observed = observed.merge(result["constant_data"].to_dataset()[constants])
    return observed.drop_vars([name for name in observed.variables if name not in names])


def stored_priors(stored):
    """Return the priors that `described_priors` put into a configuration."""
    return {
        site: Prior(table["distribution"], {k: v for k, v in table.items() if k != "distribution"})
        for site, table in stored["priors"].items()
    }


def described_priors(priors):
    """Return priors as plain tables: the distribution and its parameters by site."""
    return {
        site: {"distribution": prior.family, **dict(prior.parameters)}
        for site, prior in priors.items()
    }
