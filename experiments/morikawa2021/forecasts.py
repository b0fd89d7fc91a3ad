"""Forecast scores: next-day counts of twelve pairs of sequence and window."""

import json

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import poisson

from bayesquake.models.aftershock_rate.forecast import interval, log_score
from bayesquake.results.netcdf import write_netcdf

from . import figures
from .no_detection import naive_forecast
from .study import catalogue_path, fit_window, log_expected

__all__ = ["run"]


def run(study, folder):
    """Score the posterior Poisson mixture, the peer's forecasts and those without detection.

    Returns
    -------
    str
        Pooled log scores and coverage, in one line.
    """
    settings = study.config["forecasts"]
    peer = json.loads(catalogue_path(study, settings["peer"]).read_text(encoding="utf-8"))
    pairs = [(name, end) for name in settings["sequences"] for end in settings["end_days"]]
    rows, draws = [], []
    for sequence, end in pairs:
        posterior = fit_window(study, sequence, end)
        last = end + settings["forecast_days"]
        log_mean = log_expected(posterior, end, last, settings["magnitude_above"])
        naive = naive_forecast(
            study, sequence, end, settings["magnitude_above"], settings["forecast_days"]
        )
        rows.append(forecast_row(sequence, end, settings, log_mean, naive, peer))
        draws.append(log_mean)
    table = pd.DataFrame(rows)
    table.to_csv(folder / "forecasts.csv", index=False)
    write_netcdf(_as_dataset(table, draws), folder / "forecasts.nc")
    figures.forecast_intervals(table).savefig(folder / "forecasts.png", dpi=150)
    level = settings["interval"]
    return (
        f"pooled log score {table['log_score'].sum():.2f} (AftFore MAP "
        f"{table['peer_log_score'].sum():.2f}, no detection model "
        f"{table['naive_log_score'].sum():.2f}); {level:.0%} intervals hold "
        f"{int(table['covered'].sum())} of {len(table)} counts (AftFore MAP "
        f"{int(table['peer_covered'].sum())})"
    )


def forecast_row(sequence, end, settings, log_mean, naive, peer):
    """Return the forecast of one pair by each method with its log score.

    Parameters
    ----------
    sequence, end, settings
        Of the pair; the window ends at ``end`` (day).
    log_mean : (draw,)
        Log expected counts of the posterior draws.
    naive : dict
        From `no_detection.naive_forecast`.
    peer : dict
        Expected counts of the peer by window.
    """
    level, observed = settings["interval"], naive["observed"]
    low, high = interval(log_mean, level)
    last = end + settings["forecast_days"]
    window = f"[{end:g},{last:g}]M>{settings['magnitude_above']:g}"
    peer_expected = peer[f"{sequence}_T{end:g}"][window][0]
    peer_low, peer_high = poisson.interval(level, peer_expected)
    return {
        "sequence": sequence,
        "end_days": end,
        "observed": observed,
        "expected": float(np.exp(log_mean).mean()),
        "median": interval(log_mean, 0.0)[0],
        "interval_low": low,
        "interval_high": high,
        "covered": low <= observed <= high,
        "log_score": log_score(observed, log_mean),
        "peer_expected": peer_expected,
        "peer_covered": bool(peer_low <= observed <= peer_high),
        "peer_log_score": poisson.logpmf(observed, peer_expected),
        "naive_expected": naive["expected"],
        "naive_log_score": poisson.logpmf(observed, naive["expected"]),
    }


def _as_dataset(table, draws):
    dataset = xr.Dataset(
        {
            name: ("pair", column.to_numpy(), {"units": "d" if name == "end_days" else "1"})
            for name, column in table.items()
            if name != "sequence"
        },
        coords={"sequence": ("pair", table["sequence"].tolist())},
    )
    return dataset.assign(
        log_expected_count=(
            ("pair", "draw"),
            np.stack(draws),
            {"units": "1", "long_name": "log of the expected count, by posterior draw"},
        )
    )
