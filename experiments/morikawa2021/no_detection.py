"""What happens if missing events are ignored: plain maximum likelihood."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.io.results import write_netcdf

from . import figures
from .estimators import b_aki, expected_count, fit_omori
from .study import count_events, read_window

__all__ = ["naive_forecast", "run"]


def run(study, folder):
    """Fit the Omori-Utsu rate to the events above a threshold and forecast the next day.

    Returns
    -------
    str
        Number of forecasts below the observed count, in one line.
    """
    settings = study.config["no_detection"]
    table = pd.DataFrame(
        naive_forecast(study, sequence, end, settings)
        for sequence in settings["sequences"]
        for end in settings["end_days"]
    )
    table.to_csv(folder / "forecasts.csv", index=False)
    write_netcdf(_as_dataset(table), folder / "no_detection.nc")
    figures.naive_counts(table).savefig(folder / "forecasts.png", dpi=150)
    below = int((table["expected"] < table["observed"]).sum())
    return (
        f"{below} of {len(table)} next-day counts M>{settings['magnitude_above']:g} are forecast "
        f"below the observed; p exceeds 2 or c a day in {int(table['degenerate'].sum())}"
    )


def naive_forecast(study, sequence, end, settings):
    """Return the maximum-likelihood fit without detection model and its forecast.

    Returns
    -------
    dict
        ``p``, ``c`` (day), Aki's ``b_value``, expected and observed counts of the days after
        the window, and whether the decay is degenerate.
    """
    catalogue = read_window(study, sequence, end)
    above, days = settings["magnitude_above"], settings["forecast_days"]
    magnitude = catalogue["mag"].to_numpy()
    omori = fit_omori(catalogue["t"].to_numpy()[magnitude > above], end)
    c = float(np.exp(omori["log_c"]))
    return {
        "sequence": sequence,
        "end_days": end,
        "events": int((magnitude > above).sum()),
        "p": omori["p"],
        "c_days": c,
        "b_value": b_aki(magnitude, above),
        "degenerate": omori["p"] > 2 or c > 1,
        "expected": expected_count(omori, end, end + days),
        "observed": count_events(study, sequence, end, end + days, above),
    }


def _as_dataset(table):
    units = {"end_days": "d", "c_days": "d", "b_value": "mag-1"}
    return xr.Dataset(
        {
            name: ("pair", column.to_numpy(), {"units": units.get(name, "1")})
            for name, column in table.items()
            if name != "sequence"
        },
        coords={"sequence": ("pair", table["sequence"].tolist())},
    )
