"""Named priors: a distribution with its unit, symbol and source.

A model states its priors by site; a user overrides them, in Python with a `Prior`, a NumPyro
distribution or a number, which fixes the parameter, on the command line with a TOML file::

    beta = 2.0

    [p]
    distribution = "Normal"
    loc = 1.12
    scale = 0.11

A `Prior` is plain data, hence hashable: compiled programs are cached on it.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayesquake.errors import PriorError, with_nearest

__all__ = [
    "LARGEST_VALUE",
    "Prior",
    "fixed_sites",
    "log_priors",
    "read_priors",
    "resolve_priors",
    "resolved",
]


@dataclasses.dataclass(frozen=True)
class Prior:
    """A prior distribution with its meaning.

    Attributes
    ----------
    family : str
        Name of a class or function in `numpyro.distributions`; ``"Delta"`` fixes the parameter.
    parameters : mapping of str to float, or tuple of (str, float)
        Its keyword arguments, kept as a sorted tuple. An array with a shape may have one number
        for every element.
    unit, symbol, source : str
        Unit ("1" if dimensionless), symbol on paper, and where the numbers come from.
    shape : tuple of int or str
        Lengths of an array of independent elements, or the names under which `Model.lengths`
        knows them; empty for a scalar.
    """

    family: str
    parameters: Any
    unit: str = "1"
    symbol: str = ""
    source: str = ""
    shape: tuple[int | str, ...] = ()

    def __post_init__(self):
        items = dict(self.parameters).items()
        plain = sorted((name, _plain(value)) for name, value in items)
        object.__setattr__(self, "parameters", tuple(plain))

    @property
    def fixes(self):
        """Whether the parameter has one value and is not sampled."""
        return self.family == POINT

    def distribution(self):
        """Return the NumPyro distribution of one element, or of as many as have parameters."""
        import numpyro.distributions as dist

        numbers = {
            name: np.asarray(value) if isinstance(value, tuple) else value
            for name, value in self.parameters
        }
        return getattr(dist, self.family)(**numbers)

    def lengths(self, named):
        """Return the shape as numbers, given the lengths that it names."""
        return tuple(named[size] if isinstance(size, str) else size for size in self.shape)

    def draw(self, key, named):
        """Return a draw of the whole array, given the lengths that its shape names."""
        distribution = self.distribution()
        return distribution.expand(self.lengths(named)).sample(key)

    def __str__(self):
        arguments = ", ".join(f"{name}={_written(value)}" for name, value in self.parameters)
        return f"{self.family}({arguments})"


def _plain(value):
    """Return a parameter as a float, or as a tuple of floats."""
    if np.ndim(value) == 1:
        return tuple(float(x) for x in value)
    return float(value)


def _written(value):
    if isinstance(value, tuple):
        return f"({', '.join(f'{x:.6g}' for x in value)})"
    return f"{value:.6g}"


POINT = "Delta"
"""The family of priors that fix a parameter."""

LARGEST_VALUE = 1e100
"""Of a parameter: the square of a larger one has no double-precision number."""

SUPPORT_DRAWS = 1000
"""Draws by which the positivity of a prior is judged."""


def resolve_priors(model, overrides=None):
    """Return the priors of a model with the user's in place of the defaults, see `resolved`."""
    return resolved(model.priors, overrides, model.name)


def resolved(defaults, overrides=None, owner="the model"):
    """Return priors with the user's in place of the defaults.

    Parameters
    ----------
    defaults : mapping of str to Prior
    overrides : mapping or path, optional
        Site name to `Prior`, NumPyro distribution or number, or a TOML file.
    owner : str
        Whose priors they are, for messages.

    Returns
    -------
    dict of Prior

    Raises
    ------
    PriorError
        A name is not a prior of the model, or a distribution cannot be used.
    """
    priors = dict(defaults)
    if overrides is None:
        return priors
    if not isinstance(overrides, Mapping):
        overrides = read_priors(overrides)
    for site, prior in overrides.items():
        if site not in priors:
            raise PriorError(
                f"{owner} has no prior named {with_nearest([site], priors)}; choose from "
                f"{', '.join(priors)}"
            )
        given = _given(site, prior)
        default = priors[site]
        priors[site] = dataclasses.replace(
            given,
            unit=default.unit,
            symbol=default.symbol,
            source=given.source or "given by the user",
            shape=default.shape,
        )
        _check(site, priors[site], default)
    if priors and all(prior.fixes for prior in priors.values()):
        raise PriorError(f"every parameter of {owner} is fixed; leave at least one free")
    return priors


def fixed_sites(priors):
    """Return the names of the parameters that their priors fix."""
    return tuple(site for site, prior in priors.items() if prior.fixes)


def _given(site, prior):
    """Return what a user gives as a `Prior`."""
    if isinstance(prior, Prior):
        return prior
    if hasattr(prior, "arg_constraints"):
        return _from_distribution(site, prior)
    try:
        if isinstance(prior, str | bool) or not np.size(prior):
            raise TypeError
        return Prior(POINT, {"v": prior})
    except (TypeError, ValueError):
        raise PriorError(
            f"the prior of {site!r} is {prior!r:.80}; give a number to fix it, a "
            "bayesquake.model.priors.Prior or a NumPyro distribution"
        ) from None


def read_priors(path):
    """Read priors from a TOML file: a number that fixes a parameter, or a table of its prior.

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
        if not isinstance(table, dict):
            _require_number(path, site, table)
            priors[site] = Prior(POINT, {"v": table}, source=str(path))
            continue
        if "distribution" not in table:
            raise PriorError(
                f"{path}: [{site}] needs a key 'distribution', the name of a NumPyro distribution"
            )
        arguments = {name: value for name, value in table.items() if name != "distribution"}
        for name, value in arguments.items():
            _require_number(path, f"[{site}] {name}", value)
        priors[site] = Prior(str(table["distribution"]), arguments, source=str(path))
    return priors


def _require_number(path, name, value):
    numbers = value if isinstance(value, list) and value else [value]
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in numbers):
        raise PriorError(f"{path}: {name} = {value!r} must be a number")


def log_priors(priors, values):
    """Return the log density of every prior at draws of its parameter.

    Parameters
    ----------
    priors : mapping of str to Prior
    values : mapping of str to (chain, draw, ...)
        Constrained draws; a prior whose parameter is not among them, or fixed, is left out.

    Returns
    -------
    dict of (chain, draw)
    """
    found = {}
    for site, prior in priors.items():
        if site in values and not prior.fixes:
            log_density = prior.distribution().log_prob(values[site])
            found[site] = log_density.reshape(*log_density.shape[:2], -1).sum(axis=2)
    return found


def _from_distribution(site, distribution):
    """Describe a NumPyro distribution as data."""
    names = distribution.arg_constraints
    if "Truncated" in type(distribution).__name__:
        raise PriorError(
            f"the prior of {site!r} is a truncated distribution; write it as "
            'bayesquake.model.priors.Prior("TruncatedNormal", {"loc": 2.0, "scale": 0.3, ...})'
        )
    if type(distribution).__name__ == POINT:
        names = ("v",)
    try:
        values = {name: _plain(getattr(distribution, name)) for name in names}
    except (AttributeError, TypeError) as problem:
        raise PriorError(
            f"the prior of {site!r} cannot be written as numbers; "
            "give a bayesquake.model.priors.Prior(family, parameters) instead"
        ) from problem
    return Prior(type(distribution).__name__, values)


def _check(site, prior, default):
    """Raise unless the distribution exists, is valid and lies in the default's support."""
    import jax
    import numpyro.distributions as dist

    if not hasattr(dist, prior.family):
        raise PriorError(f"the prior of {site!r} names {prior.family!r}, unknown to NumPyro")
    numbers = {name: np.asarray(value) for name, value in prior.parameters}
    try:
        given = getattr(dist, prior.family)(**numbers, validate_args=True)
        draws = np.asarray(given.sample(jax.random.key(0), (SUPPORT_DRAWS,)), float)
        inside = (np.abs(draws) <= LARGEST_VALUE).all() and np.asarray(given.support(draws)).all()
        possible = inside and np.isfinite(given.log_prob(draws)).all()
    except (TypeError, ValueError, NotImplementedError) as problem:
        raise PriorError(f"the prior of {site!r}, {prior}, is invalid: {problem}") from problem
    if np.ndim(draws) > 1 + len(default.shape):
        raise PriorError(
            f"the prior of {site!r}, {prior}, is of an array; give one number for each"
        )
    if not possible:
        raise PriorError(
            f"the prior of {site!r}, {prior}, has an empty support, no density or "
            f"values above {LARGEST_VALUE:g}"
        )
    support = default.distribution().support
    if support is dist.constraints.real and not prior.fixes:
        if given.support is not support:
            raise PriorError(
                f"the prior of {site!r} must be a distribution on the whole real line, "
                f"not {prior.family}"
            )
        if not (np.isfinite(given.mean).all() and np.isfinite(given.variance).all()):
            raise PriorError(
                f"the prior of {site!r}, {prior}, needs a finite mean and variance; "
                "a StudentT with df above 2 has heavy tails and both"
            )
    if not np.asarray(support(draws)).all():
        raise PriorError(
            f"the prior of {site!r} must be a distribution of {_values_of(support)}; {prior} is not"
        )


def _values_of(support):
    """Say which values lie in a support."""
    lowest = getattr(support, "lower_bound", None)
    highest = getattr(support, "upper_bound", None)
    if lowest is not None and highest is not None:
        return f"values from {float(lowest):.6g} to {float(highest):.6g}"
    if lowest is not None:
        return "positive values" if lowest == 0 else f"values above {float(lowest):.6g}"
    return f"{support} values"
