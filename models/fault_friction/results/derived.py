"""What is derived from the draws: motion, past and to come, and how much fields have narrowed."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.model.options import count, number, takes
from bayesquake.results.posteriors import some_draws

from ..data.dataset import DATA
from ..friction import names_of, unknowns_of
from ..motion import ground_of, path_of
from ..observation import errors_of, offset_of
from ..physics.trajectory import YEAR

__all__ = ["complete"]

FUTURE_TIMES = 60
"""Times at which a forecast is given."""

FIELDS = ("ln A", "B - A", "ln L")

QUANTILES = (0.05, 0.5, 0.95)

OF_DISPLACEMENTS = ("displacement_offset_white", "displacement_error_scale")

FAR = 4.0
"""Standard errors from the posterior's median at which an observation is not explained."""

LARGEST_UNEXPLAINED = 0.01
"""Share of such observations above which `check` objects."""

LARGEST_LOST = 0.01
"""Share of draws whose motion cannot be followed, above which `check` objects."""


@takes(
    forecast_years=number("yr", at_least=0, at_most=1e5),
    motion_draws=count(at_least=10, at_most=1_000_000),
)
def complete(dataset, *, forecast_years=0.0, motion_draws=100):
    """Plan the model's own result groups.

    They are ``motion``, ``narrowing`` (of fields), ``quality``, ``observed_data`` and
    ``constant_data``.

    Parameters
    ----------
    dataset : xarray.Dataset
    forecast_years : float
        Years beyond the last observation through which the motion is followed.
    motion_draws : int
        Draws, of all chains together, whose motion is followed.
    """
    seen = [name for name in DATA.variables if name in dataset and "epoch" in dataset[name].dims]

    def groups(posterior, arrays, key):
        times = times_of(dataset, forecast_years)
        names = (*names_of(arrays), *OF_DISPLACEMENTS)
        _, drawn = some_draws({n: posterior[n] for n in names if n in posterior}, motion_draws)
        motion, quality = motions(drawn, arrays._replace(times=jnp.asarray(times)))
        held = [name for name in DATA.variables if name in dataset and name not in seen]
        made = {
            "motion": motion.assign_attrs(
                observed_until=float(dataset["time"][-1]), plate_rate=float(arrays.plate_rate)
            ),
            "quality": quality,
            "observed_data": dataset[seen],
            "constant_data": dataset[held],
        }
        if arrays.fields is not None:
            made["narrowing"] = narrowing(posterior, arrays.fields)
        return made

    return groups


def times_of(dataset, forecast_years):
    """Return the observed times and those of a forecast (s)."""
    seen = dataset["time"].to_numpy().astype(float)
    later = seen[-1] + forecast_years * YEAR * np.arange(1, FUTURE_TIMES + 1) / FUTURE_TIMES
    return np.append(seen, later) if forecast_years else seen


@jax.jit
def _followed(drawn, data):
    def of_one(values):
        motion = path_of(unknowns_of(values, data), data).motion
        return motion.log_slip_rate, motion.slip

    return jax.lax.map(of_one, drawn)


def motions(drawn, data):
    """Return the motion of draws, and whether each can be followed.

    Parameters
    ----------
    drawn : mapping of str to (sample, ...) array
        What is unknown of friction, and offsets of displacements.
    data : data.arrays.FaultArrays

    Returns
    -------
    motion, quality : xarray.Dataset
    """
    q, slip = (np.asarray(values) for values in _followed(drawn, data))
    good = np.isfinite(q).all(axis=(1, 2)) & np.isfinite(slip).all(axis=(1, 2))
    by_cell = ("quantile", "time", "cell")
    found = {
        "seconds": (("time",), np.asarray(data.times), "s", "time after the start"),
        "log_slip_rate": (by_cell, quantiles(q[good]), "1", "ln of slip rate over plate rate"),
        "slip": (by_cell, quantiles(slip[good]), "m", "slip beyond that of the plates"),
        "fastest": (
            ("sample", "time"),
            q[good].max(axis=2),
            "1",
            "ln of the largest slip rate of any cell over plate rate",
        ),
    }
    if "displacement" in data.observed:
        offset = np.asarray(offset_of(drawn, data))[good, None]
        moved = np.asarray(ground_of(slip[good], data)) + offset
        found["displacement"] = (
            ("quantile", "time", "station", "component"),
            quantiles(moved),
            "m",
            "displacement of the ground beyond that of steady loading",
        )
    motion = xr.Dataset(
        {name: (dims, x, described(unit, what)) for name, (dims, x, unit, what) in found.items()},
        coords={"quantile": list(QUANTILES)},
    )
    lost = described("1", "draws whose motion cannot be followed")
    far = described("1", f"observations {FAR:g} errors or more from the median of the posterior")
    quality = {
        "lost_motion": (("sample_of_all",), ~good, lost | {"largest_share": LARGEST_LOST}),
        "unexplained": (
            ("observation",),
            unexplained(motion, drawn, data),
            far | {"largest_share": LARGEST_UNEXPLAINED},
        ),
    }
    return motion, xr.Dataset(quality)


def unexplained(motion, drawn, data):
    """Return whether each observation is far from the median of the posterior."""
    middle = {"displacement_error_scale": np.median(drawn.get("displacement_error_scale", 1.0))}
    errors = errors_of(middle, data)

    def of(name, series):
        value, seen, _ = series
        expected = motion[name].sel(quantile=0.5).to_numpy()[: len(value)]
        return (np.abs(expected - value) > FAR * errors[name])[seen]

    return np.concatenate([of(name, series) for name, series in data.observed.items()])


def quantiles(draws):
    """Return quantiles of draws, (quantile, ...), NaN of none."""
    if not len(draws):
        return np.full((len(QUANTILES), *draws.shape[1:]), np.nan)
    return np.quantile(draws, QUANTILES, axis=0)


def narrowing(posterior, fields):
    """Return the standard deviation of every field over that of the prior, (field, cell)."""
    drawn = (
        np.log(posterior["a_field"]),
        posterior["b_minus_a_field"],
        np.log(posterior["characteristic_slip_field"]),
    )
    ratio = [
        np.std(np.asarray(x), axis=(0, 1)) / float(spread)
        for x, spread in zip(drawn, fields.spread, strict=True)
    ]
    told = described("1", "standard deviation of the posterior over that of the prior")
    return xr.Dataset(
        {"sd_ratio": (("field", "cell"), ratio, told)}, coords={"field": list(FIELDS)}
    )


def described(unit, meaning):
    """Return the attributes of a variable."""
    return {"units": unit, "long_name": meaning}
