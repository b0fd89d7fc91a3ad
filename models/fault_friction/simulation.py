"""Simulated slip rates of a block on a spring, at given friction."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesquake.errors import SimulationError
from bayesquake.io.datasets import labelled
from bayesquake.model.options import any_of, count, instance, number, takes

from .data.arrays import OPTIONS, prepare
from .data.dataset import DATA
from .model import PRIORS, expected_log_slip_rate
from .physics.trajectory import YEAR

__all__ = ["design_of", "draw"]


@takes(
    **OPTIONS,
    epochs=count(at_most=100_000),
    years=number("yr", above=0, at_most=1e5),
    log_slip_rate_error=number(at_least=1e-6, at_most=100),
    start_log_slip_rate=number(at_least=-100, at_most=60),
    start_log_state=number(at_least=-100, at_most=100),
    observed=any_of(None, instance(xr.Dataset, what="a data set")),
)
def draw(
    key,
    values,
    *,
    epochs=72,
    years=6.0,
    log_slip_rate_error=0.1,
    start_log_slip_rate=1.0,
    start_log_state=-0.5,
    observed=None,
    law="aging",
    tolerance=1e-7,
):
    """Draw slip rates at equal times, or at those of a data set.

    Parameters
    ----------
    key : jax.random.key
    values : mapping
        ``log_a`` (ln Pa), ``b_minus_a`` (Pa), ``log_characteristic_slip`` (ln m) and
        ``log_stiffness`` (ln(Pa/m)).
    epochs : int
    years : float
        Length of the series, which begins one step after time zero.
    log_slip_rate_error : float
        Standard deviation of the errors of ln V.
    start_log_slip_rate, start_log_state : float
        ln(V / Vpl) and ln(θ Vpl / L) at time zero.
    observed : xarray.Dataset, optional
        A data set whose times, errors and gaps are taken in place of these.
    law, tolerance
        As `data.arrays.prepare` takes them.

    Raises
    ------
    SimulationError
        The block cannot be followed through all times.
    """
    if observed is None:
        observed = labelled(
            DATA,
            {
                "time": years * YEAR * np.arange(1, epochs + 1) / epochs,
                "log_slip_rate": np.zeros((epochs, 1)),
                "log_slip_rate_error": log_slip_rate_error,
                "start_log_slip_rate": [start_log_slip_rate],
                "start_log_state": [start_log_state],
            },
        )
    data = prepare(observed, law=law, tolerance=tolerance)
    unknowns = jnp.stack([values[name] for name in PRIORS])
    expected = np.asarray(_expected(unknowns, data))[:, None]
    if not np.isfinite(expected).all():
        epoch = int(np.argmax(~np.isfinite(expected)[:, 0]))
        raise SimulationError(
            f"the block cannot be followed to epoch {epoch} ({data.times[epoch] / YEAR:.3g} yr); "
            "draw again, or give friction nearer to the prior's middle"
        )
    noise = np.asarray(jax.random.normal(key, expected.shape)) * float(data.error)
    seen = {"log_slip_rate": np.where(data.seen, expected + noise, np.nan)}
    others = {n: observed[n].to_numpy() for n in DATA.variables if n not in seen and n in observed}
    given = {name: observed.attrs[name] for name in DATA.attributes}
    return labelled(DATA, {**seen, **others}, **given, source="simulated")


_expected = jax.jit(expected_log_slip_rate)


def design_of(dataset, *, law="aging", tolerance=1e-7):
    """Return the design of a data set: its own times, errors and start."""
    return {"observed": dataset, "law": law, "tolerance": tolerance}
