"""Corner frequencies, moment ratios and stress drops from ratios of source spectra."""

from bayesquake.model.capabilities import Problems
from bayesquake.model.model import Model, Trial

from . import arrays, data, figures, outputs, simulate
from .model import source_spectra
from .priors import PRIORS
from .problems import TRIAGE_OF_CLUSTERS, exact, formulas, independent, levelled, recommended
from .quantities import QUANTITIES, calibrated

__all__ = ["MODEL", "TRIAGE_OF_CLUSTERS"]

MODEL = Model(
    name="source_spectra",
    title="Corner frequency, moment ratio and stress drop from spectral ratios",
    references=("Yoshimitsu et al. 2023, doi:10.1186/s40623-023-01770-2",),
    declare=source_spectra,
    priors=PRIORS,
    simulator=simulate.simulate,
    read=data.read,
    prepare=arrays.prepare,
    quantities=QUANTITIES,
    calibrated=calibrated,
    recommended=recommended,
    complete=outputs.complete,
    figures=figures.FIGURES,
    design=simulate.DESIGN,
    simulate_arrays=simulate.simulate_arrays,
    replicator=simulate.replicate,
    problems=Problems("pair", independent, exact, formulas, levelled),
    trials=(
        Trial({"pairs": 2, "frequencies": 20}),
        Trial({"events": 3, "frequencies": 20}),
    ),
)
