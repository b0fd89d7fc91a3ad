"""Arrival times written for other programs."""

from pathlib import Path

import numpy as np
import pandas as pd

from bayesquake.errors import DatasetError
from bayesquake.io.arrivals.dataset import ARRIVALS, EPOCH, PHASES
from bayesquake.io.files import replace_when_complete

__all__ = ["write_arrivals"]

SLOWEST_WEIGHT = 3
"""Weight in a CNV file of the least certain picks that are still used."""


def write_arrivals(arrivals, path, format="CSV", best_error=0.05):
    """Write arrival times, so that `read_arrivals` gives them back.

    Parameters
    ----------
    arrivals : xarray.Dataset
        Of `ARRIVALS`.
    path : path
    format : {"CSV", "CNV"}
        CNV has no names of events, four letters for a station, hundredths of seconds, and errors of
        one, two, four and eight times the best.
    best_error : float
        Standard error (s) that has the highest weight in a CNV file.

    Raises
    ------
    DatasetError
        The format is another one, or the data do not fit into it.
    ResultError
        The file cannot be written.
    """
    if format not in ("CSV", "CNV"):
        raise DatasetError(f"{format!r} is no format of arrivals; give CSV or CNV")
    written = csv_of(arrivals) if format == "CSV" else cnv_of(arrivals, best_error)
    replace_when_complete(path, lambda part: Path(part).write_text(written, encoding="utf-8"))


def moments_of(arrivals):
    """Return the reference times as timestamps."""
    return [EPOCH + pd.Timedelta(seconds=s) for s in arrivals["reference_time"].to_numpy()]


def csv_of(arrivals):
    """Return the text of a CSV file with a row for every pick."""
    event = arrivals["event_index"].to_numpy()
    moments = [moment.isoformat().replace("+00:00", "Z") for moment in moments_of(arrivals)]
    columns = {
        "event": arrivals["event"].to_numpy()[event],
        "reference_time": np.array(moments)[event],
        "station": arrivals["station"].to_numpy()[arrivals["station_index"].to_numpy()],
        "phase": np.array(PHASES)[arrivals["phase_index"].to_numpy()],
        "time": arrivals["time"].to_numpy(),
        "pick_error": arrivals["pick_error"].to_numpy(),
    }
    for name, variable in ARRIVALS.variables.items():
        if variable.optional and name in arrivals:
            columns[name] = arrivals[name].to_numpy()[event]
    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")


def cnv_of(arrivals, best_error):
    """Return the text of a file for VELEST."""
    if not {"latitude", "longitude", "depth"} <= set(arrivals):
        raise DatasetError(
            "a CNV file needs preliminary latitudes, longitudes and depths; add them"
        )
    stations = arrivals["station"].to_numpy().astype(str)
    long = [name for name in stations if len(name) > 4]
    if long:
        raise DatasetError(
            f"station {long[0]} has more than the 4 letters of a CNV file; rename it there and in "
            "the file of stations"
        )
    error = arrivals["pick_error"].fillna(best_error).to_numpy()
    weight = np.clip(np.round(np.log2(error / best_error)), 0, SLOWEST_WEIGHT).astype(int)
    picks = [
        f"{stations[j]:<4}{PHASES[c]}{w}{t:6.2f}"
        for j, c, w, t in zip(
            arrivals["station_index"].to_numpy(),
            arrivals["phase_index"].to_numpy(),
            weight,
            arrivals["time"].to_numpy(),
            strict=True,
        )
    ]
    too_long = [pick for pick in picks if len(pick) > 12]
    if too_long:
        raise DatasetError(
            f"the time of {too_long[0]!r} does not fit into a CNV file; leave it out"
        )
    lines = []
    of_picks = arrivals["event_index"].to_numpy()
    order = np.argsort(of_picks, kind="stable")
    picks_of = np.split(order, np.searchsorted(of_picks[order], range(1, arrivals.sizes["event"])))
    for event, moment in enumerate(moments_of(arrivals)):
        latitude, longitude, depth = (
            float(arrivals[name][event]) for name in ("latitude", "longitude", "depth")
        )
        longitude = (longitude + 180) % 360 - 180
        moment = moment.round("10ms")
        second = moment.second + moment.microsecond / 1e6
        lines.append(
            f"{moment:%y%m%d %H%M} {second:5.2f} {abs(latitude):7.4f}{'NS'[latitude < 0]} "
            f"{abs(longitude):8.4f}{'EW'[longitude < 0]}{depth:7.2f}{0:7.2f} 0"
        )
        own = [picks[i] for i in picks_of[event]]
        lines += ["".join(own[i : i + 6]) for i in range(0, len(own), 6)]
        lines.append("")
    return "\n".join(lines) + "\n"
