"""Whether, and how, the orientation of focal mechanisms depends on depth."""

from bayesquake.model.model import Model, SmallProblem, Whitening
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
    generative=orientation_dependence,
    priors={
        "theta": Prior(
            "Normal", (("loc", 0.0), ("scale", 3.0)), "1", "θ", "weakly informative, untested"
        )
    },
    simulate=simulate.simulate,
    read=data.read,
    prepare=arrays.prepare,
    quantities=QUANTITIES,
    calibrated=calibrated,
    recommended=recommended,
    complete=outputs.complete,
    figures=figures.FIGURES,
    design=simulate.DESIGN,
    whitening=Whitening(
        whitening.condition, whitening.forward, whitening.inverse, whitening.initial
    ),
    replicate=simulate.replicate,
    small_problems=(
        SmallProblem({"events": 16}),
        SmallProblem(
            {"events": 16, "statistic": "von_mises"},
            {"statistic": "von_mises"},
        ),
    ),
)
