"""What happens if missing events are ignored: plain maximum likelihood."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesquake.results.netcdf import write_netcdf

from . import figures
from .estimators import b_aki, expected_count, fit_omori
from .study import count_events, read_window

__all__ = ["naive_forecast", "run"]


def run(study, folder):
    """Fit the Omori-Utsu rate to the events above thresholds and forecast the next day.

    Returns
    -------
    str
        Number of forecasts below the observed count by threshold, in one line.
    """
    settings = study.config["no_detection"]
    table = pd.DataFrame(
        naive_forecast(study, sequence, end, above, settings["forecast_days"])
        for above in settings["magnitudes_above"]
        for sequence in settings["sequences"]
        for end in settings["end_days"]
    )
    table.to_csv(folder / "forecasts.csv", index=False)
    write_netcdf(_as_dataset(table), folder / "no_detection.nc")
    lines = []
    for above, part in table.groupby("magnitude_above"):
        path = folder / f"forecasts_above_{above:g}.png"
        figures.naive_counts(part).savefig(path, dpi=150)
        lines.append(
            f"M>{above:g}: {int((part['expected'] < part['observed']).sum())} of {len(part)} "
            f"next-day counts are forecast below the observed, and p exceeds 2 or c a day in "
            f"{int(part['degenerate'].sum())}"
        )
    return "; ".join(lines)


def naive_forecast(study, sequence, end, above, days):
    """Return the maximum-likelihood fit without detection model and its forecast.

    Parameters
    ----------
    study : study.Study
    sequence : str
    end, days : float
        End of the window, and length of the forecast (day).
    above : float
        Magnitude threshold of fit and forecast.

    Returns
    -------
    dict
        ``p``, ``c`` (day), Aki's ``b_value``, expected and observed counts of the days after
        the window, and whether the decay is degenerate.
    """
    catalogue = read_window(study, sequence, end)
    magnitude = catalogue["mag"].to_numpy()
    omori = fit_omori(catalogue["t"].to_numpy()[magnitude > above], end)
    c = float(np.exp(omori["log_c"]))
    return {
        "sequence": sequence,
        "end_days": end,
        "magnitude_above": above,
        "events": int((magnitude > above).sum()),
        "p": omori["p"],
        "c_days": c,
        "b_value": b_aki(magnitude, above),
        "degenerate": omori["p"] > 2 or c > 1,
        "expected": expected_count(omori, end, end + days),
        "observed": count_events(study, sequence, end, end + days, above),
    }


def _as_dataset(table):
    units = {"end_days": "d", "magnitude_above": "mag", "c_days": "d", "b_value": "mag-1"}
    return xr.Dataset(
        {
            name: ("pair", column.to_numpy(), {"units": units.get(name, "1")})
            for name, column in table.items()
            if name != "sequence"
        },
        coords={"sequence": ("pair", table["sequence"].tolist())},
    )
