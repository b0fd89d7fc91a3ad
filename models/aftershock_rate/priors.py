"""The default priors, with their sources."""

import math

from bayesquake.model.priors import Prior

__all__ = ["PRIORS"]

_OMI = "generic prior of Omi et al. 2013, doi:10.1038/srep02218"
_WEAK = "weakly informative"

PRIORS = {
    "log_K": Prior("Normal", {"loc": -4.0, "scale": 3.0}, "ln(day^(p-1))", "ln K", _WEAK),
    "p": Prior("Normal", {"loc": 1.05, "scale": 0.13}, "1", "p", _OMI),
    "log_c": Prior("Normal", {"loc": -4.02, "scale": 1.42}, "ln(day)", "ln c", _OMI),
    "beta": Prior(
        "TruncatedNormal", {"loc": 1.957, "scale": 0.345, "low": 0.3}, "1/mag", "β", _OMI
    ),
    "log_sigma": Prior("Normal", {"loc": math.log(0.2), "scale": 1.0}, "ln(mag)", "ln σ", _OMI),
    "mu_1d": Prior("Normal", {"loc": 2.5, "scale": 1.5}, "mag", "a", _WEAK),
    "mu_slope": Prior("Normal", {"loc": -0.5, "scale": 0.5}, "mag/decade", "b_μ", _WEAK),
    "eta": Prior("HalfNormal", {"scale": 0.5}, "mag", "η", _WEAK),
    "ell": Prior("LogNormal", {"loc": math.log(0.7), "scale": 0.5}, "decade", "ℓ", _WEAK),
}
