"""The default priors."""

import math

from bayesquake.model.priors import Prior

__all__ = ["PRIORS"]

_WEAK = "weakly informative"


def _normal(unit, symbol, loc, scale):
    return Prior("Normal", {"loc": loc, "scale": scale}, unit, symbol, _WEAK)


PRIORS = {
    "ln_fc1": _normal("ln(Hz)", "ln f1", math.log(5.0), 1.2),
    "dln_fc": _normal("1", "d", math.log(4.0), 0.8),
    "ln_moment_ratio": _normal("1", "m", math.log(30.0), 2.0),
    "logit_nu": _normal("1", "logit ν", 0.0, 1.5),
    "falloff": Prior("LogNormal", {"loc": math.log(2.0), "scale": 0.1}, "1", "n", _WEAK),
    "level_scale": Prior("HalfNormal", {"scale": 0.5}, "1", "τ_c", _WEAK),
    "mu_dsigma": _normal("ln(Pa)", "μ", math.log(3e6), 2.0),
    "tau_dsigma": Prior("HalfNormal", {"scale": 1.0}, "1", "τ", _WEAK),
}
