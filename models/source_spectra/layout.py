"""The variables of the two layouts of spectra: units, meanings, and what stands where masked."""

__all__ = [
    "ATTRIBUTES",
    "EVENTS",
    "FILL",
    "MOMENTS",
    "NOISE_FORM",
    "PAIRS",
    "POWER",
    "dimensions_of",
]

POWER = {"units": "counts2/Hz"}
DEGREES = {"units": "1"}
ATTRIBUTES = {
    "log_power_ratio": {"units": "1", "long_name": "log of power of event 1 over that of event 2"},
    "power1": POWER | {"long_name": "power spectral density of event 1"},
    "power2": POWER | {"long_name": "power spectral density of event 2"},
    "noise1": POWER | {"long_name": "power spectral density of the noise before event 1"},
    "noise2": POWER | {"long_name": "power spectral density of the noise before event 2"},
    "nu1": DEGREES | {"long_name": "degrees of freedom of the power of event 1"},
    "nu2": DEGREES | {"long_name": "degrees of freedom of the power of event 2"},
    "moment1": {"units": "N m", "long_name": "seismic moment of event 1"},
    "moment2": {"units": "N m", "long_name": "seismic moment of event 2"},
    "power": POWER | {"long_name": "power spectral density"},
    "noise_power": POWER | {"long_name": "power spectral density of the noise before the event"},
    "nu": DEGREES | {"long_name": "degrees of freedom of the power"},
    "mask": {"units": "1", "long_name": "1 where the spectrum is used"},
    "sampling_rate": {"units": "Hz", "long_name": "sampling rate of the record"},
    "moment": {"units": "N m", "long_name": "seismic moment"},
    "pair": {"units": "1", "long_name": "names of the two events"},
    "event": {"units": "1", "long_name": "name of the event"},
    "trace": {"units": "1", "long_name": "network.station.location.channel, or another name"},
    "freq": {"units": "Hz", "long_name": "frequency"},
}
FILL = {
    **dict.fromkeys(("power1", "power2", "noise1", "noise2", "power", "noise_power"), 1.0),
    **dict.fromkeys(("nu1", "nu2", "nu"), 2.0),
    "log_power_ratio": 0.0,
}
"""What stands in masked places. Powers come before their ratio: complaints name them first."""
MOMENTS = ("moment1", "moment2", "moment")
NOISE_FORM = ("power1", "power2", "noise1", "noise2")

PAIRS = (("log_power_ratio", "nu1", "nu2", "mask", "freq"), (*NOISE_FORM, "moment1", "moment2"))
EVENTS = (("power", "nu", "mask", "freq"), ("noise_power", "sampling_rate", "moment"))
"""What a layout requires, and what it may have."""


def dimensions_of(name, unit):
    """Return the dimensions of a variable."""
    if name == "freq":
        return ("freq",)
    if name in MOMENTS:
        return (unit,)
    return (unit, "trace") if name == "sampling_rate" else (unit, "trace", "freq")
