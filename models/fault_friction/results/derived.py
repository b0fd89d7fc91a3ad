"""What is derived from the draws: motion, past and to come, and how much fields have narrowed."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.model.options import count, number, takes
from bayesquake.results.posteriors import some_draws

from ..data.dataset import DATA
from ..friction import names_of
from ..motion import path_of
from ..physics.trajectory import YEAR

__all__ = ["complete"]

FUTURE_TIMES = 60
"""Times at which a forecast is given."""

FIELDS = ("ln A", "B - A", "ln L")

QUANTILES = (0.05, 0.5, 0.95)

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
        _, flat = some_draws({n: posterior[n] for n in names_of(arrays)}, motion_draws)
        unknowns = np.stack([flat[name] for name in names_of(arrays)], axis=1)
        motion, quality = motions(unknowns, arrays._replace(times=jnp.asarray(times)))
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
def _followed(unknowns, data):
    def of_one(unknowns):
        motion = path_of(unknowns, data).motion
        return motion.log_slip_rate, motion.slip

    return jax.lax.map(of_one, unknowns)


def motions(unknowns, data):
    """Return the motion of draws, and whether each can be followed.

    Parameters
    ----------
    unknowns : (sample, unknown, ...)
    data : data.arrays.FaultArrays

    Returns
    -------
    motion, quality : xarray.Dataset
    """
    q, slip = (np.asarray(values) for values in _followed(jnp.asarray(unknowns), data))
    good = np.isfinite(q).all(axis=(1, 2)) & np.isfinite(slip).all(axis=(1, 2))
    by_cell = ("quantile", "time", "cell")
    rates, slips = (quantiles(draws) for draws in (q[good], slip[good]))
    found = {
        "seconds": (("time",), np.asarray(data.times), "s", "time after the start"),
        "log_slip_rate": (by_cell, rates, "1", "ln of slip rate over plate rate"),
        "slip": (by_cell, slips, "m", "slip beyond that of the plates"),
        "fastest": (
            ("sample", "time"),
            q[good].max(axis=2),
            "1",
            "ln of the largest slip rate of any cell over plate rate",
        ),
    }
    motion = xr.Dataset(
        {name: (dims, x, described(unit, what)) for name, (dims, x, unit, what) in found.items()},
        coords={"quantile": list(QUANTILES)},
    )
    told = described("1", "draws whose motion cannot be followed") | {"largest_share": LARGEST_LOST}
    return motion, xr.Dataset({"lost_motion": (("sample_of_all",), ~good, told)})


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
