"""Whether, and how, the orientation of focal mechanisms depends on depth."""

from bayesquake.model.coordinates import around_mode
from bayesquake.model.model import Model, Trial
from bayesquake.model.priors import Prior

from .data.mechanisms import prepare, read
from .model import QUANTITIES, declare, design_of, draw, slopes
from .physics.statistics import STATISTICS
from .results.derived import complete
from .results.figures import FIGURES

__all__ = ["MODEL"]

UNTESTED = "weakly informative, untested"
MODEL = Model(
    name="orientation_dependence",
    title="Dependence of focal-mechanism orientation on depth",
    references=(
        "Sei & Yano 2024, doi:10.3150/23-BEJ1687",
        "Arnold & Jupp 2013, Biometrika 100, 571-586",
    ),
    declare=declare,
    priors={"theta": Prior("Normal", {"loc": 0, "scale": 3}, "1", "θ", UNTESTED, ("stat",))},
    quantities=QUANTITIES,
    read=read,
    prepare=prepare,
    draw=draw,
    design_of=design_of,
    lengths=lambda design: {"stat": len(STATISTICS[design["statistic"]].terms)},
    # In coordinates around the mode no dense metric is needed.
    recommended=lambda arrays: {"driver": "nuts", "metric": "diagonal", "warmup": 300},
    complete=complete,
    figures=FIGURES,
    coordinates=around_mode(slopes),
    trials=(
        Trial({"events": 16}),
        Trial({"events": 16, "statistic": "von_mises"}, {"statistic": "von_mises"}),
    ),
)
