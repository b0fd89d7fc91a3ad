"""Simulated data sets: parameters from the priors, data from the model, within its own limits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from bayesquake.errors import OptionError, SimulationError, with_nearest
from bayesquake.model.options import accepted, accepted_by, checked_options
from bayesquake.model.priors import LARGEST_VALUE, resolve_priors

__all__ = [
    "ATTEMPTS",
    "calibrated_by",
    "checked_design",
    "given_values",
    "replicated",
    "require_event_limits",
    "simulate_accepted",
    "simulated",
]

ATTEMPTS = 200
"""Simulations tried before a design is given up."""

MOST_ELEMENTS = 50
"""Arrays of more elements are not calibrated unless a model says how."""

OF_THE_DATA = ("content_hash", "source")
"""Attributes that tell data sets apart, which no replicate shares with the original."""


def simulated(model, key, design=None, parameters=None, priors=None):
    """Simulate a data set by the model's ``draw``.

    Every parameter is drawn from its prior, independently of the others, unless it is given.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    key : jax.random.key
    design, parameters : mapping, optional
        Changes to the design; values in place of draws, broadcast to the shape of the prior.
    priors : mapping or path, optional

    Returns
    -------
    parameters : dict of arrays
    dataset : xarray.Dataset

    Raises
    ------
    SimulationError
        The model does not simulate.
    OptionError
        The design or the parameters have an unknown entry or an impossible value.
    """
    if model.draw is None:
        raise SimulationError(f"{model.name} does not simulate data")
    resolved = resolve_priors(model, priors)
    given = dict(parameters or {})
    unknown = [*(set(design or {}) - set(model.design)), *(set(given) - set(resolved))]
    if unknown:
        known = [*model.design, *resolved]
        raise OptionError(
            f"there is no {with_nearest(sorted(unknown), known)} in the design or the parameters "
            f"of {model.name}; choose from {', '.join(known)}"
        )
    design = {**model.design, **checked_options(model.draw, design or {})}
    lengths = model.lengths(design)
    key_parameters, key_data = jax.random.split(key)
    keys = jax.random.split(key_parameters, len(resolved))
    values = {
        site: given_values(site, given[site], prior.lengths(lengths), prior)
        if site in given
        else np.asarray(prior.draw(key_site, lengths))
        for key_site, (site, prior) in zip(keys, resolved.items(), strict=True)
    }
    return values, model.draw(key_data, values, **design)


def given_values(site, value, shape, prior=None):
    """Return given values of a parameter as an array of that shape.

    Raises
    ------
    OptionError
        They are no numbers, too large, do not fit, or are negative where the prior is positive.
    """
    try:
        values = np.asarray(value, float)
        broadcast = np.broadcast_to(values, shape)
    except (ValueError, TypeError):
        raise OptionError(
            f"parameter {site} = {value!r:.80} must be numbers of shape {shape}"
        ) from None
    if not (np.abs(values) <= LARGEST_VALUE).all():
        raise OptionError(
            f"parameter {site} = {value!r:.80} must be numbers from -{LARGEST_VALUE:g} to "
            f"{LARGEST_VALUE:g}"
        )
    lowest = None if prior is None else getattr(prior.distribution().support, "lower_bound", None)
    if lowest == 0 and not (values > 0).all():
        raise OptionError(f"parameter {site} = {value!r:.80} must be positive")
    return broadcast


def checked_design(defaults, declared, changes):
    """Return a design with changes, each of the declared type and range.

    Raises
    ------
    OptionError
        A change is to an unknown entry, or impossible.
    """
    return {**defaults, **accepted("the design", declared, set(), changes or {})}


def require_event_limits(design):
    """Require a design whose largest number of events is not below the smallest.

    Raises
    ------
    OptionError
    """
    fewest, most = design["minimum_events"], design["maximum_events"]
    if most is not None and most < fewest:
        raise OptionError(
            f"maximum_events = {most} must not be below minimum_events = {fewest}; raise it"
        )


def replicated(model, key, values, dataset, options):
    """Draw data as they could have been by the model's ``draw``, on the design of a data set."""
    design = model.design_of(dataset, **accepted_by(model.design_of, options))
    replica = model.draw(key, values, **design)
    kept = {
        name: dataset.attrs[name]
        for name in replica.attrs
        if name in dataset.attrs and name not in OF_THE_DATA
    }
    return replica.assign_attrs(kept)


def simulate_accepted(model, key, design=None, parameters=None, priors=None):
    """Simulate until the model's own limits on a data set are met.

    Returns
    -------
    parameters : dict
    dataset : xarray.Dataset
    refused : int
        Data sets refused before this one.

    Raises
    ------
    SimulationError
        Every attempt was refused.
    """
    for refused, attempt in enumerate(jax.random.split(key, ATTEMPTS)):
        try:
            return *model.simulate(attempt, design, parameters, priors=priors), refused
        except SimulationError as problem:
            reason = problem
    raise SimulationError(f"{ATTEMPTS} simulations in a row were refused; the last: {reason}")


@functools.cache
def calibrated_by(model):
    """Return ``(values, arrays) -> dict`` of the scalars whose ranks and coverage are checked.

    Values that only name the parameters are completed by what the model derives from them.
    """
    if model.calibrated is not None:
        return model.calibrated
    answers = [name for name, quantity in model.quantities.items() if quantity.role == "answer"]

    # Compiled, so that of the whole density only what is derived is computed.
    @jax.jit
    def elements(values, arrays):
        derived = {} if set(answers) <= set(values) else _derived(model, values, arrays)
        whole = {**derived, **values}
        return {
            label: element
            for name in answers
            if name in whole and jnp.size(whole[name]) <= MOST_ELEMENTS
            for label, element in _elements(name, jnp.asarray(whole[name]))
        }

    return elements


def _derived(model, values, arrays):
    """Return the deterministic quantities at given values of the parameters."""
    from numpyro.handlers import seed, substitute, trace

    priors = {site: prior.distribution() for site, prior in resolve_priors(model).items()}
    declared = substitute(seed(model.declare, 0), data=values)
    recorded = trace(declared).get_trace(arrays, priors)
    return {
        name: site["value"] for name, site in recorded.items() if site["type"] == "deterministic"
    }


def _elements(name, array):
    """Yield the name and value of every element of an array."""
    if array.ndim == 0:
        yield name, array
    else:
        for place in np.ndindex(array.shape):
            yield f"{name}[{','.join(map(str, place))}]", array[place]
