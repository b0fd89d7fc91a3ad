"""A result made again from its file alone."""

import json

import xarray as xr

from bayesquake.batch.many import fit_many
from bayesquake.diagnostics.calibration import REPLICATED, calibrate
from bayesquake.diagnostics.reference import make_reference
from bayesquake.inference.fit import fit
from bayesquake.model.registry import load_model
from bayesquake.results.configuration import configuration_of, stored_priors
from bayesquake.results.gather import dataset_of

__all__ = ["refit"]


def refit(result, model=None, *, progress=None):
    """Make a result again from the data and the configuration that it carries.

    With the same versions and processor the numbers are the same.

    Parameters
    ----------
    result : xarray.DataTree
        Of any writer: `bayesquake.fit`, `fit_many`, `calibrate`, a reference, or a function of the
        model's own.
    model : Model, optional
        The registered model of the result's name by default.
    progress : callable, optional
        As its writer calls it.

    Returns
    -------
    xarray.DataTree
    """
    model = load_model(result.attrs["model"]) if model is None else model
    stored = json.loads(result.attrs["configuration"])
    common = {"seed": int(result.attrs["seed"]), "progress": progress}
    if stored["writer"] in model.writers:
        return model.writers[stored["writer"]](result, **common)
    return WRITERS[stored["writer"]](model, result, stored, common)


def _fit(model, result, stored, common):
    return fit(
        model,
        configuration_of(result, model).dataset,
        driver=stored["driver"],
        priors=stored_priors(stored),
        fields=stored["fields"],
        **stored["settings"],
        **stored["options"],
        **common,
    )


def _fit_many(model, result, stored, common):
    names = result["posterior"]["problem"].to_numpy().tolist()
    return fit_many(
        model,
        [dataset_of(result, name) for name in names],
        names=names,
        priors=stored_priors(stored),
        **stored["settings"],
        **stored["options"],
        **common,
    )


def _calibrate(model, result, stored, common):
    if "posterior" not in result.children:
        source = {"priors": stored_priors(stored), "design": stored["design"]}
    else:
        names = [name for name in REPLICATED if name in result.children]
        posterior = xr.DataTree.from_dict({name: result[name].to_dataset() for name in names})
        posterior.attrs = {
            "model": result.attrs["model"],
            "configuration": result.attrs["posterior_configuration"],
            "data_variables": result.attrs["data_variables"],
        }
        source = {"posterior": posterior}
    return calibrate(
        model,
        driver=stored["driver"],
        **source,
        **stored["settings"],
        **stored["options"],
        **common,
    )


def _reference(model, result, stored, common):
    settings = {name: stored["settings"][name] for name in ("warmup", "thinning")}
    dataset = configuration_of(result, model).dataset
    return make_reference(
        model, dataset, priors=stored_priors(stored), **settings, **stored["options"], **common
    )


WRITERS = {
    "fit": _fit,
    "fit_many": _fit_many,
    "calibrate": _calibrate,
    "reference": _reference,
}
