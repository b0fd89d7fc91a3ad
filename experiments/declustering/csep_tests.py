"""Tests of forecasts of San Jacinto seismicity by pyCSEP, from files that the model writes.

One month after the fit, catalogues of posterior draws against what happened: numbers, magnitudes,
places, and the pseudo-likelihood of all.
"""

import jax
import numpy as np
import pandas as pd
import xarray as xr

import bayesquake as bq
from bayesquake.experiments.entries import DataAbsentError
from bayesquake.models.event_classification.forecast import forecast_catalogs, write_csep
from bayesquake.models.event_classification.scoring import window_after
from bayesquake.physics.projection import to_geographic

from .sanjac_residuals import draws_at_the_mode, end_of_fit, read_catalogue
from .study import model

__all__ = ["run"]

CELL_DEGREES = 0.1
LARGEST_MAGNITUDE = 6.0
MILLISECONDS = 86_400_000


def run(study, folder):
    """Fit, forecast, write, load and test."""
    try:
        from csep import load_catalog_forecast
        from csep.core import catalog_evaluations as tests
        from csep.core.catalogs import CSEPCatalog
        from csep.core.regions import CartesianGrid2D, create_space_magnitude_region
    except ImportError as reason:
        raise DataAbsentError("pyCSEP is not installed; it is in the extra `peers`") from reason
    settings = study.mode["csep_tests"]
    m_c, days = settings["completeness_magnitude"], settings["days"]
    dataset = read_catalogue(study, m_c)
    start = end_of_fit(dataset)
    fitted = window_after(dataset, dataset.attrs["T0"], start)
    target = bq.target(model(), fitted)
    draws, _ = draws_at_the_mode(target, settings["draws"], study.config["seed"])
    forecast = forecast_catalogs(
        jax.random.key(study.config["seed"]),
        draws,
        fitted,
        target.data,
        days=days,
        catalogs=settings["catalogs"],
    )
    path = folder / "forecast.csv"
    write_csep(xr.DataTree.from_dict({"forecast": forecast}), path)

    corners = np.arange(0.0, 1.0, CELL_DEGREES)
    origins = np.stack(np.meshgrid(-117.0 + corners, 33.0 + corners), axis=-1).reshape(-1, 2)
    grid = CartesianGrid2D.from_origins(origins, dh=CELL_DEGREES)
    magnitudes = np.arange(m_c, LARGEST_MAGNITUDE, 0.1)
    region = create_space_magnitude_region(grid, magnitudes)
    epoch = pd.Timestamp(dataset.attrs["epoch"]).tz_localize(None)
    loaded = load_catalog_forecast(
        str(path),
        type="ascii",
        region=region,
        start_time=(epoch + pd.Timedelta(days=start)).to_pydatetime(),
        end_time=(epoch + pd.Timedelta(days=start + days)).to_pydatetime(),
        n_cat=settings["catalogs"],
        filter_spatial=True,
        apply_filters=True,
        filters=[f"magnitude >= {m_c}"],
    )
    observed = CSEPCatalog(data=rows_between(dataset, start, start + days), region=region)
    observed.filter_spatial(in_place=True)
    loaded.get_expected_rates(verbose=False)
    found = {
        "number": tests.number_test(loaded, observed, verbose=False),
        "magnitude": tests.magnitude_test(loaded, observed, verbose=False),
        "space": tests.spatial_test(loaded, observed, verbose=False),
        "pseudolikelihood": tests.pseudolikelihood_test(loaded, observed, verbose=False),
    }
    quantiles = {name: np.ravel(result.quantile) for name, result in found.items()}
    pd.Series({name: " ".join(f"{q:.3f}" for q in x) for name, x in quantiles.items()}).to_csv(
        folder / "quantiles.csv", index_label="test", header=["quantiles"]
    )
    shown = ", ".join(f"{name} {x[-1]:.3f}" for name, x in quantiles.items())
    return f"{observed.event_count} events in {days} days; quantiles {shown}"


def rows_between(dataset, start, end):
    """Return the events of a window as pyCSEP takes them."""
    time = dataset["time_days"].to_numpy()
    kept = dataset.isel(event=(time >= start) & (time < end))
    centre = (dataset.attrs["centre_longitude"], dataset.attrs["centre_latitude"])
    longitude, latitude = to_geographic(kept["x_km"], kept["y_km"], centre)
    epoch = pd.Timestamp(dataset.attrs["epoch"]).tz_localize(None).timestamp() * 1000
    origin = (epoch + kept["time_days"].to_numpy() * MILLISECONDS).astype(np.int64)
    columns = (longitude, latitude, kept["magnitude"].to_numpy())
    return [
        (str(i), int(t), float(y), float(x), 0.0, float(m))
        for i, (t, x, y, m) in enumerate(zip(origin, *columns, strict=True))
    ]
