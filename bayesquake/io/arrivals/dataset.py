"""Arrival times as one data set, whatever file they come from."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from bayesquake.errors import DatasetError
from bayesquake.io.arrivals.formats import FORMATS
from bayesquake.io.datasets import Schema, Variable, labelled, reader
from bayesquake.io.tables import csv_cells, table_of_lines
from bayesquake.model.options import any_of, instance, number, one_of, takes, text

__all__ = ["ARRIVALS", "PHASES", "DuplicatePickWarning", "read_arrivals"]

PHASES = ("P", "S")
OF_FIRST_ARRIVALS = {
    "P": "P",
    "PG": "P",
    "PN": "P",
    "PB": "P",
    "S": "S",
    "SG": "S",
    "SN": "S",
    "SB": "S",
}
"""Names, in capitals, of direct, refracted and head waves of the crust."""

EPOCH = pd.Timestamp("1970-01-01", tz="UTC")


class DuplicatePickWarning(UserWarning):
    """Stations have several picks of one phase of an event, of which one is used."""


def of_event(unit, meaning, low=-np.inf, high=np.inf, also=()):
    """Return the declaration of what a preliminary location gives."""
    return Variable(unit, meaning, ("event",), low, high, optional=True, also=also)


def of_pick(unit, meaning, low=-np.inf, high=np.inf, missing=False, also=()):
    """Return the declaration of what every pick has."""
    return Variable(unit, meaning, ("pick",), low, high, missing, also=also)


def require_indices(dataset, name):
    """Require that picks point to events and stations, and no two are of one phase."""
    lengths = {"event": dataset.sizes["event"], "station": dataset.sizes["station"], "phase": 2}
    index = {kind: dataset[f"{kind}_index"].to_numpy() for kind in lengths}
    for kind, length in lengths.items():
        wrong = (index[kind] >= length) | (index[kind] != np.floor(index[kind]))
        if wrong.any():
            raise DatasetError(
                f"{name}, pick {int(np.argmax(wrong))}: {kind}_index is no whole number below "
                f"{length}; read the source again"
            )
    triples = pd.DataFrame(index)
    if triples.duplicated().any():
        raise duplicate(dataset, triples, name)


def duplicate(dataset, triples, name):
    """Return the error of two picks of one phase of an event at a station."""
    place = int(np.argmax(triples.duplicated()))
    event, station, phase = (int(n) for n in triples.iloc[place])
    return DatasetError(
        f"{name}, pick {place}: event {dataset['event'].to_numpy()[event]}, station "
        f"{dataset['station'].to_numpy()[station]} has a second {PHASES[phase]} pick; remove one, "
        "or read with duplicates='best'"
    )


ARRIVALS = Schema(
    {
        "time": of_pick(
            "s",
            "arrival after the event's reference time",
            also=("time_s", "traveltime_s", "travel_time_s"),
        ),
        "pick_error": of_pick(
            "s",
            "standard error of the arrival, NaN where it is not known",
            1e-6,
            1e3,
            missing=True,
            also=("pick_error_s", "sigma_s"),
        ),
        "event_index": of_pick("1", "event of the pick", 0),
        "station_index": of_pick("1", "station of the pick", 0),
        "phase_index": of_pick("1", "0 for P, 1 for S", 0, 1),
        "reference_time": Variable(
            "s", "reference time of the event after 1970-01-01T00:00:00 UTC", ("event",)
        ),
        "latitude": of_event("degrees_north", "preliminary latitude", -90, 90, ("lat",)),
        "longitude": of_event("degrees_east", "preliminary longitude", -180, 360, ("lon",)),
        "x": of_event("km", "preliminary distance east", also=("x_km",)),
        "y": of_event("km", "preliminary distance north", also=("y_km",)),
        "depth": of_event("km", "preliminary depth", -10, 1000, ("depth_km", "z_km")),
        "origin_time": of_event(
            "s",
            "preliminary origin time after the reference time",
            also=("origin_time_s", "t0_s"),
        ),
    },
    require=require_indices,
)


def cells_of_event(event):
    """Return a row of cells for every P and S pick of an ObsPy event."""
    if not event.picks:
        return []
    origin = event.preferred_origin() or next(iter(event.origins), None)
    named = {str(arrival.pick_id): arrival.phase for arrival in getattr(origin, "arrivals", [])}
    reference = getattr(origin, "time", None) or min(pick.time for pick in event.picks)
    metres = getattr(origin, "depth", None)
    place = {
        "latitude": getattr(origin, "latitude", None),
        "longitude": getattr(origin, "longitude", None),
        "depth": None if metres is None else metres / 1000,
    }
    rows = []
    for pick in event.picks:
        phase = named.get(str(pick.resource_id)) or pick.phase_hint or ""
        if phase.upper() in OF_FIRST_ARRIVALS:
            rows.append(
                {
                    "event": str(event.resource_id),
                    "reference_time": reference.datetime,
                    "station": getattr(pick.waveform_id, "station_code", None),
                    "phase": phase,
                    "time": pick.time - reference,
                    "pick_error": error_of(pick.time_errors),
                    **{name: value for name, value in place.items() if value is not None},
                }
            )
    return rows


def error_of(errors):
    """Return the standard error of an ObsPy time, None where it is not known."""
    if errors.uncertainty is not None:
        return errors.uncertainty
    sides = [errors.lower_uncertainty, errors.upper_uncertainty]
    return None if None in sides else sum(sides) / 2


@reader(ARRIVALS, event=cells_of_event, formats=FORMATS)
@takes(
    events=any_of(None, text("the path of a CSV file"), instance(os.PathLike, what="a path")),
    best_error=number("s", above=0, at_most=1e3),
    duplicates=one_of("refuse", "best"),
)
def read_arrivals(table, *, events=None, best_error=0.05, duplicates="refuse"):
    """Read arrival times of P and S.

    Parameters
    ----------
    source : path, obspy.Catalog or xarray.Dataset
        A CSV file with the columns ``event``, ``station``, ``phase``, ``time_s`` and, where known,
        ``sigma_s``; a file of ph2dt, VELEST or NonLinLoc (`bayesquake.io.arrivals.formats`); an
        event file that ObsPy reads, or its catalogue, with picks; a data set of `ARRIVALS`.
    events : path, optional
        A CSV file with a row for every event: ``event`` (or ``event_id``), and what is known of
        ``reference_time`` (ISO 8601), ``latitude``, ``longitude`` or ``x_km``, ``y_km``, and
        ``depth_km`` and ``t0_s`` of a preliminary location.
    best_error : float
        Standard error (s) of the picks that a file of ph2dt or VELEST gives the highest weight; the
        others have two, four and eight times as much.
    duplicates : str
        ``"best"`` keeps of several picks of one phase of an event at a station the one of the
        smallest error, of equal ones the earliest, with a `DuplicatePickWarning`.

    Returns
    -------
    xarray.Dataset
        Of `ARRIVALS`, with the names of events and stations as coordinates.

    Raises
    ------
    DatasetError
        The file cannot be read; a pick has no time, event, station or known phase; there are two
        picks of one phase.
    """
    columns = set(table.cells)
    event_index, names = pd.factorize(table.texts("event", also=("event_id",)))
    station_index, stations = pd.factorize(table.texts("station", also=("sta", "code")))
    values = {
        "time": table.numbers("time"),
        "pick_error": pick_errors(table, columns, best_error),
        "event_index": event_index,
        "station_index": station_index,
        "phase_index": phases_of(table),
    }
    first = np.unique(event_index, return_index=True)[1]
    of_events = table if events is None else events_table(Path(events))
    rows = first if events is None else rows_of(of_events, names, table.name)
    values |= of_rows(of_events, rows)
    dataset = labelled(ARRIVALS, values).assign_coords(event=names, station=stations)
    return dataset if duplicates == "refuse" else without_duplicates(dataset, table.name)


def pick_errors(table, columns, best_error):
    """Return the standard errors (s), NaN where the table does not tell."""
    if "quality" in columns:
        return best_error * table.numbers("quality")
    if columns & {"pick_error", *ARRIVALS.variables["pick_error"].also}:
        return table.numbers("pick_error", missing=True)
    return np.full(len(table.cells), np.nan)


def phases_of(table):
    """Return 0 for P and 1 for S."""
    phases = table.texts("phase")
    known = [OF_FIRST_ARRIVALS.get(phase.upper()) for phase in phases]
    if None in known:
        row = known.index(None)
        raise DatasetError(
            f"{table.where(row)}: phase {phases[row]!r} is not known as a first arrival of P or S "
            f"({', '.join(OF_FIRST_ARRIVALS)}); remove the row"
        )
    return np.array([PHASES.index(phase) for phase in known])


def events_table(path):
    """Return the table of a CSV file of events."""
    if not os.path.isfile(path):
        raise DatasetError(f"{path} does not exist; give the path of a CSV file of events")
    return table_of_lines(ARRIVALS, csv_cells(path, DatasetError), path)


def rows_of(table, names, picks):
    """Return the row of each event in a table of events."""
    listed = pd.Index(table.texts("event", also=("event_id",)))
    if listed.has_duplicates:
        row = int(np.argmax(listed.duplicated()))
        raise DatasetError(f"{table.where(row)}: event {listed[row]} stands there twice; keep one")
    rows = listed.get_indexer(names)
    if (rows < 0).any():
        missing = names[int(np.argmax(rows < 0))]
        raise DatasetError(
            f"{table.name} lacks event {missing}, of which {picks} has picks; add it or remove them"
        )
    return rows


def of_rows(table, rows):
    """Return what the rows of a table tell of events."""
    columns = set(table.cells)
    values = {
        name: table.numbers(name)[rows]
        for name, variable in ARRIVALS.variables.items()
        if variable.optional and columns & {name, *variable.also}
    }
    if "reference_time" not in columns:
        return values | {"reference_time": np.zeros(len(rows))}
    texts = table.texts("reference_time")
    moments = pd.to_datetime(pd.Series(texts), utc=True, format="ISO8601", errors="coerce")
    if moments.isna().any():
        row = int(np.argmax(moments.isna()))
        raise DatasetError(
            f"{table.where(row)}: reference_time {texts[row]!r} is no time in ISO 8601; correct it"
        )
    seconds = (moments - EPOCH) / pd.Timedelta(seconds=1)
    return values | {"reference_time": seconds.to_numpy()[rows]}


def without_duplicates(dataset, name):
    """Keep the best of several picks of one phase of an event at a station."""
    index = [f"{kind}_index" for kind in ("event", "station", "phase")]
    picks = dataset[["pick_error", "time", *index]].to_dataframe().reset_index(drop=True)
    best = picks.sort_values(["pick_error", "time"], na_position="last").drop_duplicates(index)
    kept = np.sort(best.index.to_numpy())
    if len(kept) < len(picks):
        warnings.warn(
            f"{name}: {len(picks) - len(kept)} of {len(picks)} picks are further ones of the same "
            "phase at the same station; the best is used",
            DuplicatePickWarning,
            stacklevel=4,
        )
    values = {
        variable: array.to_numpy()[kept] if array.dims == ("pick",) else array.to_numpy()
        for variable, array in dataset.data_vars.items()
    }
    return labelled(ARRIVALS, values).assign_coords(
        event=dataset["event"].to_numpy(), station=dataset["station"].to_numpy()
    )
