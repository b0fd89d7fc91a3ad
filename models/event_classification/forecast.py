"""Forecast catalogues from the posterior, and their files in the form that pyCSEP loads.

Every catalogue continues the observed one from the end of the window with the parameters of
one posterior draw: offspring of all its events, and background events with theirs. So the
spread of the catalogues holds the uncertainty of the parameters as well as that of the process.
"""

import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.errors import OptionError, ResultError
from bayesquake.io.catalog import utc_times
from bayesquake.io.files import replace_when_complete
from bayesquake.physics.projection import to_geographic

from .arrays import reference_magnitude, sources_in_time
from .branching import as_population, descend, joined, magnitudes, selected
from .immigrants import background_events
from .parameters import SIMULATED
from .region import is_near

__all__ = ["forecast_catalogs", "write_csep"]

CHUNK = 1_000_000
"""Observed events, counted once for every catalogue, that are held at once."""

MOST_EVENTS = 5_000_000
"""Forecast events held at once."""


def forecast_catalogs(key, values, dataset, arrays, *, days, catalogs):
    """Simulate catalogues after the window.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        Constrained posterior draws, each (draw, ...).
    dataset : xarray.Dataset
    arrays : arrays.Catalogue
        The same, prepared.
    days : float
        Length of the forecast.
    catalogs : int
        Draws are used in turn, evenly spaced.

    Returns
    -------
    xarray.Dataset
        ``count`` (catalog,) and the events of all catalogues, (forecast_event,):
        ``catalog_id``, ``time_days``, ``x_km``, ``y_km``, ``magnitude``. Only those in the
        polygon are kept.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    draws = np.linspace(0, len(values["k"]) - 1, catalogs).astype(int)
    natural = {name: np.asarray(values[name])[draws] for name in SIMULATED if name in values}
    span = float(arrays.magnitudes.span)
    start = float(dataset.attrs["T1"])

    chunks = np.array_split(
        np.arange(catalogs), min(catalogs, 1 + catalogs * dataset.sizes["event"] // CHUNK)
    )
    parts = []
    for chunk in chunks:
        own = {name: draws[chunk] for name, draws in natural.items()}
        part = _continued(rng, own, dataset, arrays, (start, start + days), span)
        parts.append(part._replace(catalog=part.catalog + chunk[0]))
    events = joined(parts)
    events = selected(events, np.lexsort((events.time, events.catalog)))
    return _as_dataset(events, dataset, catalogs, days)


def _continued(rng, natural, dataset, arrays, window, span):
    """Return the events in the polygon of as many catalogues as there are parameters.

    Without space offspring stay at the place of their parent, in the polygon.
    """
    polygon = dataset["polygon"].to_numpy()
    if "d" not in natural:
        dataset = dataset.isel(event=sources_in_time(dataset))
    observed = as_population(dataset, reference_magnitude(dataset), len(natural["mu"]))
    fresh = background_events(
        rng,
        natural,
        polygon,
        window,
        span,
        area=float(arrays.area),
        background=arrays.background,
        most_events=MOST_EVENTS,
    )
    events = descend(
        rng,
        joined([observed, fresh]),
        natural,
        start=window[0],
        end=window[1],
        span=span,
        most_events=observed.time.size + MOST_EVENTS,
    )
    new = selected(events, np.s_[observed.time.size :])
    return selected(new, is_near(polygon, new.x, new.y, 0.0))


def _as_dataset(events, dataset, catalogs, days):
    magnitude = magnitudes(events.dm, dataset.attrs["m_c"], dataset.attrs["delta_m"])
    variables = {
        "count": ("catalog", np.bincount(events.catalog, minlength=catalogs), "1", "events"),
        "catalog_id": ("forecast_event", events.catalog.astype(np.int32), "1", "catalogue"),
        "time_days": ("forecast_event", events.time, "d", "origin time"),
        "x_km": ("forecast_event", events.x, "km", "plane coordinate x"),
        "y_km": ("forecast_event", events.y, "km", "plane coordinate y"),
        "magnitude": ("forecast_event", magnitude, "1", "magnitude"),
    }
    names = ("epoch", "projection", "centre_longitude", "centre_latitude", "source")
    return xr.Dataset(
        {
            name: (dim, values, {"units": unit, "long_name": meaning})
            for name, (dim, values, unit, meaning) in variables.items()
        },
        coords={"catalog": np.arange(catalogs)},
        attrs={name: dataset.attrs[name] for name in names} | {"forecast_days": float(days)},
    )


def write_csep(result, path):
    """Write the forecast of a result as the catalogue file that pyCSEP loads.

    Columns ``lon, lat, magnitude, time_string, depth, catalog_id, event_id`` without a
    header; a catalogue without events is a row with only its ``catalog_id``. Load it with
    ``csep.load_catalog_forecast(path, type="ascii")``.

    Parameters
    ----------
    result : xarray.DataTree
        With a group ``forecast``, of a catalogue with longitudes and absolute times.
    path : path
        Written to a temporary file and renamed.

    Raises
    ------
    ResultError
        The result has no forecast, or the file cannot be written.
    OptionError
        Its catalogue is on a plane of its own or has no absolute times.
    """
    if "forecast" not in result.children:
        raise ResultError("the result has no group 'forecast'; fit with forecast_days above 0")
    forecast = result["forecast"].to_dataset()
    if forecast.attrs["projection"] == "plane" or not forecast.attrs["epoch"]:
        raise OptionError(
            "the catalogue has no longitudes or no absolute times, which a forecast file needs; "
            "read one that has both"
        )
    centre = (forecast.attrs["centre_longitude"], forecast.attrs["centre_latitude"])
    longitude, latitude = to_geographic(forecast["x_km"], forecast["y_km"], centre)
    catalog = forecast["catalog_id"].to_numpy()
    first = np.searchsorted(catalog, catalog)
    table = pd.DataFrame(
        {
            "lon": longitude,
            "lat": latitude,
            "magnitude": forecast["magnitude"].to_numpy(),
            "time_string": np.datetime_as_string(
                utc_times(forecast.attrs["epoch"], forecast["time_days"]), unit="us"
            ),
            "depth": 0.0,
            "catalog_id": catalog,
            "event_id": np.arange(catalog.size) - first,
        }
    )
    empty = np.flatnonzero(forecast["count"].to_numpy() == 0)
    table = pd.concat([table, pd.DataFrame({"catalog_id": empty})]).sort_values(
        "catalog_id", kind="stable"
    )
    table["event_id"] = table["event_id"].astype("Int64")
    replace_when_complete(
        path, lambda temporary: table.to_csv(temporary, index=False, header=False)
    )
