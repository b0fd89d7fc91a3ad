"""Bayesian space-time ETAS: which events are background, and which triggered which."""

from bayesquake.model.capabilities import Coordinates
from bayesquake.model.model import Model, Trial

from . import answers, arrays, data, figures, outputs, simulate, whitening
from .model import event_classification
from .quantities import PRIORS, QUANTITIES, calibrated

__all__ = ["MODEL"]


def recommended(prepared):
    """Return the driver and settings: whitened coordinates need little adaptation."""
    return {"driver": "nuts", "metric": "diagonal", "warmup": 200, "draws": 500}


SMALL_DESIGN = {"minimum_events": 20, "maximum_events": 64, "side_km": 50.0}
TRIALS = (
    Trial(SMALL_DESIGN),
    Trial(SMALL_DESIGN | {"taper": True, "space": False}, {"taper": True, "space": False}),
    Trial(SMALL_DESIGN, {"background": "field", "basis_size": 3}),
)

MODEL = Model(
    name="event_classification",
    title="Background and triggered earthquakes by a space-time point process",
    references=(
        "Ogata 1998, doi:10.1023/A:1003403601725",
        "Zhuang, Ogata & Vere-Jones 2002, doi:10.1198/016214502760046925",
    ),
    declare=event_classification,
    priors=PRIORS,
    simulator=simulate.simulate,
    read=data.read,
    prepare=arrays.prepare,
    quantities=QUANTITIES,
    calibrated=calibrated,
    recommended=recommended,
    complete=outputs.complete,
    figures=figures.FIGURES,
    answers=answers.answers,
    design=simulate.DESIGN,
    coordinates=Coordinates(
        whitening.condition, whitening.forward, whitening.inverse, whitening.initial, needs=()
    ),
    replicator=simulate.replicate,
    trials=TRIALS,
)
