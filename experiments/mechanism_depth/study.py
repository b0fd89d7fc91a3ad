"""What the entries share: settings and the mechanisms."""

import warnings
from pathlib import Path

from bayesquake.experiments import entries
from bayesquake.model.registry import load_model
from bayesquake.models.orientation_dependence.data.mechanisms import ExchangedAxesWarning, prepare

__all__ = ["CONFIG", "mechanism_arrays", "open_study"]

CONFIG = Path(__file__).with_name("config.toml")


def open_study(*, quick=False):
    """Return the settings and the folder of the data."""
    return entries.open_study(CONFIG, "pointprocess", quick=quick)


def mechanism_arrays(study, axes):
    """Return the prepared mechanisms, with P told from T in the given way.

    Raises
    ------
    DataAbsentError
        They are not beside the checkout.
    """
    path = study.path("jma_mechanism_depth_158.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExchangedAxesWarning)
        return prepare(load_model("orientation_dependence").read(path, axes=axes))
