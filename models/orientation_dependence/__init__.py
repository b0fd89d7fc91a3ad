"""Whether, and how, the orientation of focal mechanisms depends on depth."""

from bayesquake.model.capabilities import Coordinates
from bayesquake.model.model import Model, Trial
from bayesquake.model.priors import Prior

from . import arrays, data, figures, outputs, simulate, whitening
from .model import orientation_dependence
from .quantities import QUANTITIES, calibrated

__all__ = ["MODEL"]


def recommended(prepared):
    """Return the driver and settings: whitened coordinates need no dense metric."""
    return {"driver": "nuts", "metric": "diagonal", "warmup": 300}


MODEL = Model(
    name="orientation_dependence",
    title="Dependence of focal-mechanism orientation on depth",
    references=(
        "Sei & Yano 2024, doi:10.3150/23-BEJ1687",
        "Arnold & Jupp 2013, Biometrika 100, 571-586",
    ),
    declare=orientation_dependence,
    priors={
        "theta": Prior(
            "Normal", (("loc", 0.0), ("scale", 3.0)), "1", "θ", "weakly informative, untested"
        )
    },
    simulator=simulate.simulate,
    read=data.read,
    prepare=arrays.prepare,
    quantities=QUANTITIES,
    calibrated=calibrated,
    recommended=recommended,
    complete=outputs.complete,
    figures=figures.FIGURES,
    design=simulate.DESIGN,
    coordinates=Coordinates(
        whitening.condition, whitening.forward, whitening.inverse, whitening.initial
    ),
    replicator=simulate.replicate,
    trials=(
        Trial({"events": 16}),
        Trial(
            {"events": 16, "statistic": "von_mises"},
            {"statistic": "von_mises"},
        ),
    ),
)
