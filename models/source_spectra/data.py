"""The reader: from waveforms, a table or a file of spectra to one validated data set.

Two layouts. *Pairs* hold ratios of power spectra, (pair, trace, freq), event 1 being the larger
one. *Events* hold the power spectra of a cluster, (event, trace, freq). In both, ``mask`` is 1
where a number is used; where it is 0 powers are 1, log ratios 0 and degrees of freedom 2, so
that masked places are finite and add nothing.
"""

import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayesquake.errors import OptionError
from bayesquake.io.catalog import content_hash, source_of
from bayesquake.io.datasets import (
    load_netcdf,
    nearest_schema,
    require_attributes,
    require_variable,
)
from bayesquake.io.units import is_unit
from bayesquake.model.options import (
    any_of,
    count,
    each,
    flag,
    instance,
    moment,
    number,
    one_of,
    takes,
    text,
)

from .dataset import LAYOUTS, MOMENT
from .errors import SpectraError
from .layout import ATTRIBUTES, FILL, NOISE_FORM, POWER, dimensions_of
from .validation import is_log_stack, validate

__all__ = ["LargerEventWarning", "pairs_of", "read", "validate"]

LOGARITHMIC = re.compile(r"\b(dB|ln|log)", re.IGNORECASE)
KEPT_ATTRIBUTES = ("phase", "window", "tapers", "time_bandwidth")


class LargerEventWarning(UserWarning):
    """An event of a cluster is larger than the first one, to which the priors refer."""


NAMES = any_of(None, text("names joined by commas"), each(text("a name")))
FREQUENCY = any_of(None, number("Hz", above=0, at_most=1e6))


@takes(
    picks=any_of(
        None,
        text("paths joined by commas"),
        each(instance(str, os.PathLike, what="the path of a hypo71 phase file")),
    ),
    events=NAMES,
    origin_times=any_of(None, text("times joined by commas"), each(moment(days=False))),
    vp_vs=any_of(None, number(above=1, at_most=10)),
    phase=one_of("S", "P"),
    window=each(number("s", at_least=-1e4, at_most=1e4), length=2),
    stations=NAMES,
    exclude=NAMES,
    components=text("auto, or last letters of channel codes, as EN"),
    time_bandwidth=number(at_least=1, at_most=100),
    tapers=count(at_least=2, at_most=200),
    minimum_frequency=FREQUENCY,
    maximum_frequency=FREQUENCY,
    moments=any_of(None, text("numbers in N m joined by commas"), each(MOMENT)),
    nu_max=any_of(None, number(above=0, at_most=1e9)),
    half_bandwidth_hz=any_of(None, number("Hz", at_least=0, at_most=1e4)),
    tempered=flag(),
)
def read(
    source,
    *,
    picks=None,
    events=None,
    origin_times=None,
    vp_vs=None,
    phase="S",
    window=(-0.3, 3.7),
    stations=None,
    exclude=None,
    components="auto",
    time_bandwidth=3.0,
    tapers=5,
    minimum_frequency=None,
    maximum_frequency=None,
    moments=None,
    nu_max=None,
    half_bandwidth_hz=None,
    tempered=False,
):
    """Read and validate spectra of event pairs or of a cluster of events.

    Parameters
    ----------
    source : path, xarray.Dataset, or sequence of path or obspy.Stream
        A CSV table of pairs (see `table.read_table`); a data set in one of the two layouts,
        in memory or as a NetCDF file; or, with ``picks``, the waveforms of two or more events
        (see `waveforms.read_waveforms`, also for the options up to ``tapers``, which apply to
        waveforms only). Lists may also be given as one string joined by commas.
    picks : sequence of path, optional
        One hypo71 phase file per event.
    events : sequence of str, optional
        Names of the events.
    origin_times : sequence of str or obspy.UTCDateTime, optional
        One per event.
    vp_vs : float, optional
        Ratio of P and S velocities.
    phase : "S" or "P"
        The wave whose spectrum is taken.
    window : (float, float)
        Begin and end of the signal window in seconds after the pick.
    stations, exclude : sequence of str, optional
        The only stations to use, and stations to leave out.
    components : str
        Last letters of the channels to use, or "auto".
    time_bandwidth : float
        Time-bandwidth product of the tapers.
    tapers : int
        Number of tapers.
    minimum_frequency, maximum_frequency : float, optional
        The band to use, in Hz.
    moments : sequence of float, optional
        Seismic moments of the events of a cluster, in N m.
    nu_max : float, optional
        Largest possible degrees of freedom, twice the number of tapers. By default what the
        source says, else the largest that it holds.
    half_bandwidth_hz : float, optional
        Half bandwidth W of the estimates in Hz, 0 if frequencies are independent. By default
        what the source says, else 0.
    tempered : bool
        Accept frequencies closer than 2W, whose likelihood the model then tempers.

    Returns
    -------
    xarray.Dataset
        *Pairs*: ``log_power_ratio`` = ln(P1/P2), ``nu1``, ``nu2``, ``mask`` (pair, trace, freq);
        if all four are known ``power1``, ``power2``, ``noise1``, ``noise2`` (counts²/Hz); if
        known ``moment1``, ``moment2`` (pair,) in N m. *Events*: ``power``, ``nu``, ``mask``
        (event, trace, freq); if known ``noise_power``, ``sampling_rate`` (event, trace) in Hz
        and ``moment`` (event,) in N m. Attributes ``nu_max``, ``half_bandwidth_hz`` (W),
        ``tempered`` (0 or 1), ``source``, ``content_hash``; of waveforms also ``phase``,
        ``window`` (s), ``time_bandwidth`` and ``tapers``; ``cautions``, the warnings given.

    Raises
    ------
    SpectraError
        The source cannot be read or breaks a condition of the model, see `validate`.
    OptionError
        The value of an option makes no sense.

    Warns
    -----
    LargerEventWarning
        The first of three or more events is not the largest one.
    """
    waveform_options = {
        "picks": split(picks),
        "events": split(events),
        "origin_times": split(origin_times),
        "vp_vs": vp_vs,
        "stations": split(stations),
        "exclude": split(exclude),
    }
    check_band(minimum_frequency, maximum_frequency)
    if picks is not None:
        # ObsPy and multitaper take a second to load.
        from .waveforms import read_waveforms

        sources = split(source)
        for name, value in {"the source": sources, "picks": waveform_options["picks"]}.items():
            if not isinstance(value, list | tuple):
                raise SpectraError(
                    f"{name} is one {name_of(value)}; waveforms and picks are lists, one of each "
                    "per event"
                )
        dataset = read_waveforms(
            sources,
            **waveform_options,
            phase=phase,
            window=window,
            components=components,
            time_bandwidth=time_bandwidth,
            tapers=tapers,
        )
        dataset.attrs["source"] = ", ".join(map(name_of, sources))
    else:
        idle = [name for name, value in waveform_options.items() if value is not None]
        if idle:
            raise OptionError(f"{', '.join(idle)} apply to waveforms only; give picks as well")
        dataset = open_source(source)

    for name, value in {"nu_max": nu_max, "half_bandwidth_hz": half_bandwidth_hz}.items():
        if value is not None:
            dataset = dataset.assign_attrs({name: value})
    if tempered:
        dataset = dataset.assign_attrs(tempered=1)
    dataset = complete(dataset)
    if moments is not None:
        dataset = with_moments(dataset, moments)
    freq = dataset["freq"].to_numpy()
    low = -np.inf if minimum_frequency is None else minimum_frequency
    high = np.inf if maximum_frequency is None else maximum_frequency
    dataset = dataset.isel(freq=(freq >= low) & (freq <= high))
    if not dataset.sizes["freq"]:
        raise SpectraError(
            f"no frequency of the spectra, {freq[0]:g} to {freq[-1]:g} Hz, lies between "
            f"minimum_frequency and maximum_frequency for traces "
            f"{', '.join(dataset['trace'].to_numpy())}; widen the band"
        )
    validate(dataset)
    schema = nearest_schema(LAYOUTS, dataset)
    for name in schema.variables:
        if name in dataset:
            require_variable(schema, dataset, name, dataset.attrs["source"])
    if not set(NOISE_FORM) <= set(dataset):
        dataset = dataset.drop_vars(NOISE_FORM, errors="ignore")
    values = [dataset[name] for name in ATTRIBUTES if name in dataset.data_vars]
    limits = [dataset.attrs[name] for name in ("nu_max", "half_bandwidth_hz", "tempered")]
    dataset = dataset.assign_attrs(content_hash=content_hash(dataset["freq"], *values, limits))
    return with_larger_events_named(dataset)


def with_larger_events_named(dataset):
    """Return a data set after warning of events of a cluster that are larger than the first."""
    if dataset.sizes.get("event", 0) < 3:
        return dataset
    first = np.zeros(dataset.sizes["event"], int)
    larger = larger_of(dataset, first, np.arange(len(first)))
    if not larger.any():
        return dataset
    names = dataset["event"].to_numpy()
    caution = (
        f"{', '.join(names[larger])} seem larger than {names[0]}, the first event, to which the "
        "priors of corner frequencies and moments refer; put the largest first"
    )
    warnings.warn(caution, LargerEventWarning, stacklevel=4)
    return dataset.assign_attrs(cautions=caution)


def pairs_of(dataset, pairs=None):
    """Return the spectral ratios of the pairs of a cluster.

    Event 1 of a pair is the one of the greater moment. Without moments it is the one whose
    power is greater in the median over common traces and the lowest quarter of common
    frequencies, each compared with the other event's power there.

    Parameters
    ----------
    dataset : xarray.Dataset
        Spectra of a cluster, from `read`.
    pairs : sequence of (str, str), optional
        Names of the two events, in any order; all pairs by default.

    Returns
    -------
    xarray.Dataset
        The layout of pairs. A pair is called "E1/E2" after its events, the larger one first.

    Raises
    ------
    SpectraError
        The data set holds no events, or a pair shares fewer than five frequencies.
    OptionError
        A pair names an unknown event, or one event twice.
    """
    if "power" not in dataset:
        raise SpectraError("the data set holds no power spectra of events; it may be pairs already")
    names = dataset["event"].to_numpy()
    first, second = pair_indices(names, pairs)
    mask = dataset["mask"].to_numpy() == 1
    common = mask[first] & mask[second]
    swap = larger_of(dataset, first, second)
    first, second = np.where(swap, second, first), np.where(swap, first, second)

    dimensions = ("pair", "trace", "freq")
    variables: dict[str, Any] = {"mask": (dimensions, common.astype(np.int8))}
    for place, index in {"1": first, "2": second}.items():
        for name, of_events in {"power": "power", "noise": "noise_power", "nu": "nu"}.items():
            if of_events in dataset:
                variables[name + place] = (dimensions, dataset[of_events].to_numpy()[index])
        if "moment" in dataset:
            variables["moment" + place] = ("pair", dataset["moment"].to_numpy()[index])
    labels = [f"{names[i]}/{names[j]}" for i, j in zip(first, second, strict=True)]
    coordinates = {"pair": labels, "trace": dataset["trace"], "freq": dataset["freq"]}
    return read(xr.Dataset(variables, coordinates, dataset.attrs))


def split(value):
    """Return the items of a string joined by commas; anything else as it is."""
    return [item.strip() for item in value.split(",")] if isinstance(value, str) else value


def name_of(source):
    """Return the path of a source, or the kind of object it is."""
    return str(source) if isinstance(source, str | os.PathLike) else type(source).__name__


def check_band(minimum_frequency, maximum_frequency):
    """Require a band that is not empty."""
    band = (minimum_frequency, maximum_frequency)
    if None not in band and minimum_frequency >= maximum_frequency:
        raise OptionError(
            f"minimum_frequency = {minimum_frequency:g} Hz must be below maximum_frequency = "
            f"{maximum_frequency:g} Hz"
        )


def open_source(source):
    """Return the spectra of a table, file or data set as they are."""
    if isinstance(source, xr.Dataset):
        return source.assign_attrs(source=source_of(source, otherwise=name_of(source)))
    if not isinstance(source, str | os.PathLike):
        raise SpectraError(
            f"spectra cannot be read from {type(source).__name__}; give a CSV or NetCDF file, an "
            "xarray.Dataset, or a list of waveforms together with picks"
        )
    path = Path(source)
    if path.suffix.lower() == ".csv":
        from .table import read_table

        return read_table(path)
    if path.suffix.lower() != ".nc":
        raise SpectraError(
            f"{source} is neither a .csv nor a .nc file; waveforms need picks, one phase file per "
            "event"
        )
    if not os.path.isfile(path):
        raise SpectraError(f"{path} does not exist; give the path of a file of spectra")
    dataset = load_netcdf(path, SpectraError)
    return dataset.assign_attrs(source=source_of(dataset, otherwise=str(path)))


def complete(dataset):
    """Return the data set in its layout: all dimensions, a mask, masked places filled."""
    unit, required = layout_of(dataset)
    require_attributes(nearest_schema(LAYOUTS, dataset), dataset, dataset.attrs["source"])
    require_units(dataset)
    freq, order = frequencies(dataset)
    traces = labels(dataset, "trace") if "trace" in dataset.dims else ["1"]
    units = labels(dataset, unit)
    sizes = {unit: len(units), "trace": len(traces), "freq": len(freq)}
    if 0 in sizes.values():
        empty = next(name for name, size in sizes.items() if size == 0)
        raise SpectraError(f"the data set has no {empty}; give at least one")

    columns = {
        name: on_grid(dataset, name, dimensions_of(name, unit), sizes)
        for name in ATTRIBUTES
        if name in dataset.data_vars
    }
    if "log_power_ratio" not in columns and unit == "pair":
        with np.errstate(all="ignore"):  # Powers that have no logarithm are reported later.
            columns["log_power_ratio"] = np.log(columns["power1"]) - np.log(columns["power2"])
    mask = columns.get("mask", np.ones(tuple(sizes.values())))
    if not np.isin(mask, (0, 1)).all():
        raise SpectraError("mask has values other than 0 and 1; set it to 1 where data are used")
    for name, fill in FILL.items():
        if name in columns:
            columns[name] = np.where(mask == 1, columns[name], fill)
    columns["mask"] = mask.astype(np.int8)

    variables = {
        name: (dimensions_of(name, unit), columns[name], ATTRIBUTES[name])
        for name in ATTRIBUTES
        if name in columns
    }
    coordinates = {
        name: (name, np.asarray(values), ATTRIBUTES[name])
        for name, values in {unit: units, "trace": traces, "freq": freq}.items()
    }
    largest = max(float(columns[name].max()) for name in required if name.startswith("nu"))
    attributes = {
        "nu_max": float(dataset.attrs.get("nu_max", largest)),
        "half_bandwidth_hz": float(dataset.attrs.get("half_bandwidth_hz", 0.0)),
        "tempered": int(dataset.attrs.get("tempered", 0)),
        "source": dataset.attrs["source"],
        **{name: dataset.attrs[name] for name in KEPT_ATTRIBUTES if name in dataset.attrs},
    }
    if is_log_stack(dataset):
        attributes["log_stacked"] = 1
    return xr.Dataset(variables, coordinates, attributes).isel(freq=order)


def require_units(dataset):
    """Require the units of the model; those of powers may be any, but not logarithmic."""
    for name in (name for name in ATTRIBUTES if name in dataset.variables):
        unit = ATTRIBUTES[name]["units"]
        given = str(dataset[name].attrs.get("units", unit))
        linear = unit == POWER["units"] and not LOGARITHMIC.search(given)
        if not (linear or is_unit(given, unit)):
            raise SpectraError(f"{name} is given in {given!r}; convert it to {unit!r}")


def layout_of(dataset):
    """Return "event" or "pair", and the variables that this layout requires."""
    if "power" in dataset:
        unit, required = "event", ("power", "nu")
    elif "log_power_ratio" in dataset or {"power1", "power2"} <= set(dataset):
        unit, required = "pair", ("nu1", "nu2")
    else:
        raise SpectraError(
            "the data set holds neither power (event, trace, freq) nor log_power_ratio "
            "(pair, trace, freq); give one of them"
        )
    missing = [name for name in required if name not in dataset]
    if missing:
        raise SpectraError(
            f"the data set has no {' and no '.join(missing)}; the F distribution of spectral "
            "ratios needs the degrees of freedom of every power, twice the number of tapers"
        )
    return unit, required


def frequencies(dataset):
    """Return the frequencies (Hz), and the order that sorts them."""
    given = dataset["freq"] if "freq" in dataset.coords else None
    if given is None or given.dims != ("freq",) or given.dtype.kind not in "iuf":
        raise SpectraError("the data set has no coordinate freq (freq,); give frequencies in Hz")
    freq = given.to_numpy().astype(np.float64)
    bad = ~(np.isfinite(freq) & (freq > 0))
    if bad.any():
        raise SpectraError(
            f"frequency {int(np.argmax(bad))} is {freq[bad][0]} Hz ({np.count_nonzero(bad)} such); "
            "frequencies are positive, drop the others"
        )
    if len(np.unique(freq)) < len(freq):
        raise SpectraError("the data set has a frequency twice; keep one of them")
    return freq, np.argsort(freq)


def labels(dataset, dimension):
    """Return the names along a dimension, by default its indices."""
    if dimension not in dataset.dims:
        raise SpectraError(f"the data set has no dimension {dimension}; name the dimensions so")
    if dimension not in dataset.coords:
        return [str(index) for index in range(dataset.sizes[dimension])]
    values = dataset[dimension].to_numpy()
    names = [
        value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        for value in values
    ]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SpectraError(f"{dimension} {twice} occurs twice; give every {dimension} its own name")
    return names


def on_grid(dataset, name, dimensions, sizes):
    """Return the values of a variable, repeated along the dimensions that it lacks."""
    variable = dataset[name].variable
    if not set(variable.dims) <= set(dimensions) or variable.dtype.kind not in "biuf":
        raise SpectraError(
            f"{name} must be numbers on ({', '.join(dimensions)}), not {variable.dtype} on "
            f"({', '.join(map(str, variable.dims))}); transform it"
        )
    sizes = {dimension: sizes[dimension] for dimension in dimensions}
    return variable.set_dims(sizes).transpose(*dimensions).to_numpy().astype(np.float64)


def with_moments(dataset, moments):
    """Return a cluster with the moments of its events."""
    if "event" not in dataset.dims:
        raise OptionError(
            "moments are those of the events of a cluster; give moment1 and moment2 of pairs in "
            "the data set or table"
        )
    try:
        values = np.asarray(split(moments), np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"moments = {moments!r} must be numbers in N m") from error
    if values.shape != (dataset.sizes["event"],):
        raise OptionError(
            f"moments has {values.size} numbers for {dataset.sizes['event']} events; give one each"
        )
    return dataset.assign(moment=("event", values, ATTRIBUTES["moment"]))


def pair_indices(names, pairs):
    """Return the indices of the first and of the second event of all pairs."""
    if pairs is None:
        return np.triu_indices(len(names), 1)
    if not len(pairs):
        raise OptionError("pairs is empty; name at least one pair of events")
    index = {str(name): i for i, name in enumerate(names)}
    for pair in pairs:
        if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(index):
            raise OptionError(f"pairs: {pair!r} does not name two of the events {', '.join(index)}")
    return np.array([[index[name] for name in pair] for pair in pairs]).T


def larger_of(dataset, first, second):
    """Return whether the second event of each pair of indices is larger than the first."""
    if "moment" in dataset:
        moment = dataset["moment"].to_numpy()
        return moment[first] < moment[second]
    mask, log_power = dataset["mask"].to_numpy() == 1, np.log(dataset["power"].to_numpy())
    log_ratio = log_power[first] - log_power[second]
    return low_frequency_ratio(log_ratio, mask[first] & mask[second]) < 0


def low_frequency_ratio(log_ratio, common):
    """Return each pair's median log ratio over the lowest quarter of its frequencies."""
    rank = common.any(axis=1).cumsum(axis=1)
    lowest = common & (rank <= np.ceil(rank[:, -1:] / 4))[:, None, :]
    # A pair without any common place gets 0 here and is refused by its validation.
    kept = np.where(lowest, log_ratio, np.where(lowest.any(axis=(1, 2), keepdims=True), np.nan, 0))
    return np.nanmedian(kept, axis=(1, 2))
