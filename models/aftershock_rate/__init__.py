"""Aftershock rate, b-value and time-varying detection of an early catalogue, jointly."""

from bayesquake.model.capabilities import Coordinates
from bayesquake.model.model import Model, Trial

from . import data, figures, grid, outputs, simulate, whitening
from .model import aftershock_rate
from .priors import PRIORS
from .quantities import QUANTITIES, calibrated
from .tables import TABLES

__all__ = ["MODEL"]


def recommended(prepared):
    """Return the driver and settings: whitened coordinates need no dense metric."""
    return {"driver": "nuts", "metric": "diagonal", "warmup": 500}


SMALL_DESIGN = {"maximum_events": 60, "knots": 33}
TRIALS = tuple(
    Trial(SMALL_DESIGN, {"knots": 33} | options)
    for options in (
        {"basis_size": 12},
        {"backend": "quasisep"},
        {"basis_size": 12, "mean": "helmstetter"},
    )
)

MODEL = Model(
    name="aftershock_rate",
    title="Omori-Utsu rate, b-value and time-varying detection of aftershocks",
    references=(
        "Morikawa et al. 2021, doi:10.48550/arXiv.2006.07949",
        "Omi et al. 2013, doi:10.1038/srep02218",
    ),
    declare=aftershock_rate,
    priors=PRIORS,
    simulator=simulate.simulate,
    read=data.read,
    prepare=grid.prepare,
    quantities=QUANTITIES,
    calibrated=calibrated,
    recommended=recommended,
    complete=outputs.complete,
    figures=figures.FIGURES,
    tables=TABLES,
    design=simulate.DESIGN,
    coordinates=Coordinates(
        whitening.condition,
        whitening.forward,
        whitening.inverse,
        whitening.initial,
        start=whitening.start,
        held=whitening.HELD,
        needs=("mu_1d", "mu_slope"),
    ),
    folds=outputs.FOLDS,
    replicator=simulate.replicate,
    trials=TRIALS,
)
