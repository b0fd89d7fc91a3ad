"""Named priors: a distribution with its unit, symbol and source.

A model names its priors here; a user overrides them by site, in Python with a
`Prior` or a NumPyro distribution, on the command line with a TOML file::

    [p]
    distribution = "Normal"
    loc = 1.12
    scale = 0.11

A `Prior` is plain data, hence hashable: compiled programs are cached on it.
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path

from bayesquake.errors import PriorError

__all__ = ["PRIORS", "Prior", "log_priors", "read_priors", "resolve_priors"]


@dataclasses.dataclass(frozen=True)
class Prior:
    """A prior distribution with its meaning.

    Attributes
    ----------
    family : str
        Name of a class or function in `numpyro.distributions`.
    parameters : tuple of (str, float)
        Its keyword arguments.
    unit, symbol, source : str
        Unit ("1" if dimensionless), symbol on paper, and where the numbers come from.
    """

    family: str
    parameters: tuple[tuple[str, float], ...]
    unit: str = "1"
    symbol: str = ""
    source: str = ""

    def distribution(self):
        """Return the NumPyro distribution."""
        import numpyro.distributions as dist

        return getattr(dist, self.family)(**dict(self.parameters))

    def __str__(self):
        arguments = ", ".join(f"{name}={value:.6g}" for name, value in self.parameters)
        return f"{self.family}({arguments})"


def _prior(family, unit, symbol, source, **parameters):
    return Prior(family, tuple(sorted(parameters.items())), unit, symbol, source)


SUPPORT_DRAWS = 1000
"""Draws by which the positivity of a prior is judged."""

_OMI = "generic prior of Omi et al. 2013, doi:10.1038/srep02218"
_WEAK = "weakly informative"

PRIORS: dict[str, Prior] = {
    "log_productivity": _prior("Normal", "ln(day^(p-1))", "ln K", _WEAK, loc=-4.0, scale=3.0),
    "omori_exponent": _prior("Normal", "1", "p", _OMI, loc=1.05, scale=0.13),
    "log_omori_c": _prior("Normal", "ln(day)", "ln c", _OMI, loc=-4.02, scale=1.42),
    "gutenberg_richter_beta": _prior(
        "TruncatedNormal", "1/mag", "β", _OMI, loc=1.957, scale=0.345, low=0.3
    ),
    "log_detection_width": _prior("Normal", "ln(mag)", "ln σ", _OMI, loc=math.log(0.2), scale=1.0),
    "detection_magnitude_at_one_day": _prior("Normal", "mag", "a", _WEAK, loc=2.5, scale=1.5),
    "detection_magnitude_slope": _prior("Normal", "mag/decade", "b_μ", _WEAK, loc=-0.5, scale=0.5),
    "detection_process_amplitude": _prior("HalfNormal", "mag", "η", _WEAK, scale=0.5),
    "detection_process_length": _prior(
        "LogNormal", "decade", "ℓ", _WEAK, loc=math.log(0.7), scale=0.5
    ),
}


def resolve_priors(model, overrides=None):
    """Return the priors of a model with the user's in place of the defaults.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    overrides : mapping or path, optional
        Site name to `Prior` or NumPyro distribution, or a TOML file.

    Returns
    -------
    dict of Prior

    Raises
    ------
    PriorError
        A name is not a prior of the model, or a distribution cannot be used.
    """
    priors = {
        site: prior if isinstance(prior, Prior) else PRIORS[prior]
        for site, prior in model.priors.items()
    }
    if overrides is None:
        return priors
    if not isinstance(overrides, Mapping):
        overrides = read_priors(overrides)
    for site, prior in overrides.items():
        if site not in priors:
            raise PriorError(
                f"{model.name} has no prior named {site!r}; choose from {', '.join(priors)}"
            )
        given = prior if isinstance(prior, Prior) else _from_distribution(site, prior)
        default = priors[site]
        priors[site] = dataclasses.replace(
            given,
            unit=default.unit,
            symbol=default.symbol,
            source=given.source or "given by the user",
        )
        _check(site, priors[site], default)
    return priors


def read_priors(path):
    """Read priors from a TOML file with one table per parameter.

    Raises
    ------
    PriorError
        The file is missing, is not TOML, or a table is malformed.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise PriorError(f"{path}: cannot read priors: {problem}") from problem
    priors = {}
    for site, table in tables.items():
        if not isinstance(table, dict) or "distribution" not in table:
            raise PriorError(
                f"{path}: [{site}] needs a key 'distribution', the name of a NumPyro distribution"
            )
        arguments = {name: value for name, value in table.items() if name != "distribution"}
        for name, value in arguments.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise PriorError(f"{path}: [{site}] {name} = {value!r} must be a number")
        family = str(table["distribution"])
        priors[site] = Prior(family, tuple(sorted(arguments.items())), source=str(path))
    return priors


def log_priors(priors, values):
    """Return the log density of every prior at draws of its parameter.

    Parameters
    ----------
    priors : mapping of str to Prior
    values : mapping of str to (chain, draw, ...)
        Constrained draws; a prior whose parameter is not among them is left out.

    Returns
    -------
    dict of (chain, draw)
    """
    found = {}
    for site, prior in priors.items():
        if site in values:
            log_density = prior.distribution().log_prob(values[site])
            found[site] = log_density.reshape(*log_density.shape[:2], -1).sum(axis=2)
    return found


def _from_distribution(site, distribution):
    """Describe a scalar NumPyro distribution as data."""
    names = getattr(distribution, "arg_constraints", None)
    if names is None:
        raise PriorError(
            f"the prior of {site!r} is a {type(distribution).__name__}; "
            "give a bayesquake.model.priors.Prior or a NumPyro distribution"
        )
    if "Truncated" in type(distribution).__name__:
        raise PriorError(
            f"the prior of {site!r} is a truncated distribution; write it as "
            'bayesquake.model.priors.Prior("TruncatedNormal", (("loc", 2.0), ("scale", 0.3), ...))'
        )
    try:
        values = tuple((name, float(getattr(distribution, name))) for name in sorted(names))
    except (AttributeError, TypeError) as problem:
        raise PriorError(
            f"the prior of {site!r} cannot be written as numbers; "
            "give a bayesquake.model.priors.Prior(family, parameters) instead"
        ) from problem
    return Prior(type(distribution).__name__, values)


def _check(site, prior, default):
    """Raise unless the distribution exists, is valid and has the default's support."""
    import jax
    import numpyro.distributions as dist

    if not hasattr(dist, prior.family):
        raise PriorError(f"the prior of {site!r} names {prior.family!r}, unknown to NumPyro")
    try:
        given = getattr(dist, prior.family)(**dict(prior.parameters), validate_args=True)
    except (TypeError, ValueError) as problem:
        raise PriorError(f"the prior of {site!r}, {prior}, is invalid: {problem}") from problem
    real = dist.constraints.real
    if default.distribution().support is real:
        if given.support is not real:
            raise PriorError(
                f"the prior of {site!r} must be a distribution on the whole real line, "
                f"not {prior.family}"
            )
        if not (math.isfinite(given.mean) and math.isfinite(given.variance)):
            raise PriorError(
                f"the prior of {site!r}, {prior}, needs a finite mean and variance; "
                "a StudentT with df above 2 has heavy tails and both"
            )
        return
    lowest = default.distribution().support.lower_bound
    if not (given.sample(jax.random.key(0), (SUPPORT_DRAWS,)) > lowest).all():
        values = "positive values" if lowest == 0 else f"values above {lowest:.6g}"
        raise PriorError(
            f"the prior of {site!r} must be a distribution of {values}; {prior} is not"
        )
