"""What the entries share: settings and the mechanisms."""

import dataclasses
import tomllib
import warnings
from pathlib import Path

from bayesquake.experiments.entries import accompanying_data, require_file
from bayesquake.models.orientation_dependence.arrays import prepare
from bayesquake.models.orientation_dependence.data import ExchangedAxesWarning
from bayesquake.zoo import load_model

__all__ = ["CONFIG", "Study", "mechanism_arrays", "open_study"]

CONFIG = Path(__file__).with_name("config.toml")


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """Settings of one run.

    Attributes
    ----------
    config : dict
        All of ``config.toml``.
    mode : dict
        Its table ``full`` or ``quick``.
    folder : path or None
        Where the data are; None where they are absent.
    """

    config: dict
    mode: dict
    folder: Path | None


def open_study(*, quick=False):
    """Return the settings and the folder of the data."""
    config = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    mode = config["quick" if quick else "full"]
    return Study(config, mode, accompanying_data("pointprocess"))


def mechanism_arrays(study, axes):
    """Return the prepared mechanisms, with P told from T in the given way.

    Raises
    ------
    DataAbsentError
        They are not beside the checkout.
    """
    path = require_file(study.folder, "jma_mechanism_depth_158.csv", "pointprocess")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExchangedAxesWarning)
        return prepare(load_model("orientation_dependence").read(path, axes=axes))
