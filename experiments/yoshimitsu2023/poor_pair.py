"""A poor pair of real records: two events of the Corinth Rift, 5.3 km apart.

The paths of the two do not cancel, so that their spectral ratios scatter more than those of one
place would. Nothing is said of corner frequencies here: the entry asks whether the
result says that nothing can be said.
"""

import warnings

import numpy as np
import pandas as pd

import bayesquake as bq
from bayesquake.model.registry import load_model
from bayesquake.models.source_spectra.outputs import PoorPairWarning

from . import figures

__all__ = ["FITS", "run"]

FITS = {
    "fixed ν": {},
    "estimated ν": {"degrees_of_freedom": "estimated"},
}


def run(study, folder):
    """Read the records and fit them with fixed and with estimated degrees of freedom.

    Returns
    -------
    str
        Traces read, p-values of the scatter and flags, in one line.
    """
    dataset = read_pair(study)
    model = load_model("source_spectra")
    rows, results = {}, {}
    for label in study.mode["poor_pair"]["fits"]:
        options = FITS[label]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PoorPairWarning)
            results[label] = bq.fit(
                model, dataset, seed=study.config["seed"], **study.mode["sampling"], **options
            )
        quality, posterior = results[label]["quality"], results[label]["posterior"]
        rows[label] = {name: value.item() for name, value in quality.data_vars.items()} | {
            "traces": dataset.sizes["trace"],
            "bins": int(results[label]["constant_data"]["mask"].sum()),
            "nu_mean": float(posterior["nu"].mean()) if "nu" in posterior else np.nan,
            "nu_sd": float(posterior["nu"].std()) if "nu" in posterior else np.nan,
            "nu_given": float(dataset.attrs["nu_max"]),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("fit")
    table.to_csv(folder / "quality.csv", float_format="%.4g")
    figures.replicated_ratios(results).savefig(folder / "replicated_ratios.png", dpi=150)
    return f"{dataset.sizes['trace']} traces; " + "; ".join(
        f"{label}: p of the scatter {row['dispersion_p_value']:.2g}, "
        f"{'overdispersed' if row['overdispersed'] else 'not flagged as overdispersed'}"
        for label, row in table.iterrows()
    )


def read_pair(study):
    """Return the spectra of the two events.

    Raises
    ------
    DataAbsentError
        The records are not there.
    """
    settings = study.config["poor_pair"]
    waveforms, picks = (
        [study.path(file) for file in settings[name]] for name in ("waveforms", "picks")
    )
    return load_model("source_spectra").read(
        waveforms, picks=picks, origin_times=settings["origin_times"], vp_vs=settings["vp_vs"]
    )
