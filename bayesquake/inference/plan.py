"""A fit settled before any sampling: driver, settings, arrays, provenance."""

from collections.abc import Callable
from typing import Any, NamedTuple

from bayesquake.errors import OptionError, with_nearest
from bayesquake.inference.drivers import driver_named
from bayesquake.inference.kernels.settings import SEED
from bayesquake.model.options import accepted_by, checked_options, one_of, options_of
from bayesquake.model.priors import resolve_priors
from bayesquake.results.configuration import described_priors
from bayesquake.results.identity import arrays_hash
from bayesquake.results.posteriors import Found
from bayesquake.results.provenance import provenance

__all__ = ["Plan", "planned", "split_options"]


FIELDS = one_of("moments", "draws")
"""What is kept of fields."""


class Plan(NamedTuple):
    """A fit, settled before any sampling.

    Attributes
    ----------
    run : callable
        The driver.
    settings : dict
        Its settings.
    arrays : pytree of arrays
        The prepared data.
    completion : callable
        From ``model.complete``.
    attributes : dict
        The provenance.
    """

    run: Callable[..., Found]
    settings: dict[str, Any]
    arrays: Any
    completion: Callable
    attributes: dict[str, Any]


def planned(
    model, dataset, *, driver, chains, warmup, draws, seed, priors, fields="moments", **options
):
    """Return the `Plan` of a fit with these arguments, which are those of `fit`."""
    seed = SEED.checked("seed", seed)
    fields = FIELDS.checked("fields", fields)
    arrays = model.prepare(dataset, **accepted_by(model.prepare, options))
    recommended = dict(model.recommended(arrays))
    recommended_driver = recommended.pop("driver")
    driver_name = recommended_driver if driver is None else driver
    if driver_name != recommended_driver:
        recommended = {}
    run = driver_named(driver_name, model)
    split = split_options(model, run, options)
    sizes = {"chains": chains, "warmup": warmup, "draws": draws}
    given = {name: size for name, size in sizes.items() if size is not None}
    given = checked_options(run, accepted_by(run, given))
    settings = accepted_by(run, recommended) | given | split["driver"]

    resolved = resolve_priors(model, priors)
    judged = {"priors": resolved} if "priors" in options_of(model.complete) else {}
    completion = model.complete(dataset, **split["complete"], **judged)
    configuration = {
        "writer": "fit",
        "model": model.name,
        "driver": driver_name,
        "settings": settings,
        "options": {**split["prepare"], **split["complete"]},
        "fields": fields,
        "priors": described_priors(resolved),
    }
    attributes = provenance(model, dataset, configuration, seed)
    attributes["arrays_hash"] = arrays_hash(arrays)
    return Plan(run, settings, arrays, completion, attributes)


def split_options(model, driver, options):
    """Assign options to the driver, ``model.prepare`` and ``model.complete``, checked.

    Raises
    ------
    OptionError
        An option belongs to none of them, or its value makes no sense.
    """
    homes = {
        "driver": options_of(driver) - {"progress", "seed", "checkpoint"},
        "prepare": options_of(model.prepare),
        "complete": options_of(model.complete) - {"priors"},
    }
    known = set().union(*homes.values())
    unknown = sorted(set(options) - known)
    if unknown:
        read = options_of(model.read)
        raise OptionError(
            f"unknown option {with_nearest(unknown, known | read)}; the reader of {model.name} "
            f"takes {', '.join(sorted(read))}, its fit {', '.join(sorted(known))}"
        )
    functions = {"driver": driver, "prepare": model.prepare, "complete": model.complete}
    return {
        home: checked_options(
            functions[home], {name: value for name, value in options.items() if name in names}
        )
        for home, names in homes.items()
    }
