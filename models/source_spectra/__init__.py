"""Corner frequencies, moment ratios and stress drops from ratios of source spectra."""

import math

import jax.numpy as jnp

from bayesquake.model.capabilities import Problems
from bayesquake.model.model import Model, Trial
from bayesquake.model.priors import Prior

from . import arrays, data, figures, outputs, quadrature, simulate, slopes
from .model import pair_location, source_spectra
from .quantities import QUANTITIES, calibrated

__all__ = ["MODEL"]

_WEAK = "weakly informative"


def _normal(unit, symbol, loc, scale):
    return Prior("Normal", (("loc", loc), ("scale", scale)), unit, symbol, _WEAK)


def recommended(prepared):
    """Return the driver and settings: pairs are many posteriors, a cluster is one."""
    if independent(prepared):
        levels = {} if prepared.trace_mask is None else {"target_accept": CAREFUL}
        steps = {} if slopes.applies(prepared) else {"iterations": 60}
        return {"driver": "triage", "draws": 250} | TRIAGE | levels | steps
    scales = {} if prepared.stress_drop is None else {"target_accept": CAREFUL}
    return {"driver": "nuts", "metric": "dense"} | scales


def independent(prepared):
    """Return whether the arrays are pairs without a common prior of stress drops."""
    return isinstance(prepared, arrays.PairArrays) and prepared.stress_drop is None


def exact(prepared):
    """Return the samplers by quadrature, where the unknowns of a pair are few enough."""
    if not quadrature.applies(prepared):
        return ()
    # Of a grid of three axes the finest would fill the memory.
    return quadrature.FINER_AND_FINER[: 3 if prepared.nu_max is None else 2]


def levelled(values, prepared):
    """Return values of a pair with the moment ratio that lets the ratios average to the data."""
    loc, _, _ = pair_location(values | {"ln_moment_ratio": jnp.zeros(1)}, prepared)
    total = (prepared.mask * (prepared.y - loc)).sum() / prepared.mask.sum()
    return values | {"ln_moment_ratio": 0.5 * total[None]}


CAREFUL = 0.98
"""Acceptance aimed at where an unknown scale makes the posterior a funnel."""


def formulas(prepared):
    """Return the slopes of the log posterior, where the unknowns of a pair are few enough."""
    return slopes.posterior_slopes if slopes.applies(prepared) else None


TRIAGE = {
    "rhat_limit": 1.02,
    "ess_limit": 200,
    "searches": 12,
    "iterations": 12,
    "pilot": 50,
    "common_leapfrogs": (2, 6),
}
"""Settings of the triage of pairs; what misses these limits is drawn by quadrature."""

TRIAGE_OF_CLUSTERS = TRIAGE | {"iterations": 60, "sequential": True}
"""Settings for `bayesquake.fit_many` of clusters, whose corners may all lie below the band or all
above it, two modes that chains do not join."""

MODEL = Model(
    name="source_spectra",
    title="Corner frequency, moment ratio and stress drop from spectral ratios",
    references=("Yoshimitsu et al. 2023, doi:10.1186/s40623-023-01770-2",),
    declare=source_spectra,
    priors={
        "ln_fc1": _normal("ln(Hz)", "ln f1", math.log(5.0), 1.2),
        "dln_fc": _normal("1", "d", math.log(4.0), 0.8),
        "ln_moment_ratio": _normal("1", "m", math.log(30.0), 2.0),
        "logit_nu": _normal("1", "logit ν", 0.0, 1.5),
        "falloff": Prior("LogNormal", (("loc", math.log(2.0)), ("scale", 0.1)), "1", "n", _WEAK),
        "level_scale": Prior("HalfNormal", (("scale", 0.5),), "1", "τ_c", _WEAK),
        "mu_dsigma": _normal("ln(Pa)", "μ", math.log(3e6), 2.0),
        "tau_dsigma": Prior("HalfNormal", (("scale", 1.0),), "1", "τ", _WEAK),
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
    simulate_arrays=simulate.simulate_arrays,
    replicator=simulate.replicate,
    problems=Problems("pair", independent, exact, formulas, levelled),
    trials=(
        Trial({"pairs": 2, "frequencies": 20}),
        Trial({"events": 3, "frequencies": 20}),
    ),
)
