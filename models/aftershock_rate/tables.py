"""The tables of this model; each takes a result and returns cells as text.

The second paragraph of each docstring is the caption in the report.
"""

import numpy as np
import pandas as pd

__all__ = ["TABLES", "forecast"]

LEVEL = 0.95


def forecast(result):
    """Tabulate the forecast counts by window and smallest magnitude.

    Counts of events, mixed over the posterior: parameter uncertainty and the chance of the
    count itself are both in the interval.
    """
    predictive = result["posterior_predictive"].to_dataset()
    counts = predictive["forecast_count"].transpose("chain", "draw", "window", "mag_threshold")
    observed = predictive.get(
        "forecast_observed", result["observed_data"].to_dataset().get("forecast_observed")
    )
    tail = (1 - LEVEL) / 2
    rows = []
    for window in range(counts.sizes["window"]):
        for threshold in range(counts.sizes["mag_threshold"]):
            cell = counts.isel(window=window, mag_threshold=threshold)
            low, median, high = np.quantile(cell, [tail, 0.5, 1 - tail], method="inverted_cdf")
            row = {
                "window (d)": f"{float(cell.window_start):g} to {float(cell.window_end):g}",
                "magnitude from": f"{float(cell.mag_threshold):g}",
                "mean": f"{float(cell.mean()):.4g}",
                "median": f"{median:.0f}",
                f"{LEVEL:.0%} interval": f"{low:.0f} to {high:.0f}",
                "P(any)": f"{float((cell > 0).mean()):.3f}",
            }
            if observed is not None:
                count = observed.isel(window=window, mag_threshold=threshold)
                row["observed"] = f"{float(count):.0f}"
            rows.append(row)
    return pd.DataFrame(rows).set_index("window (d)")


TABLES = {"Forecast": forecast}
