"""Times agree with those that another program simulated, through layers, jumps and checkers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from bayesquake.io.arrivals.dataset import read_arrivals
from bayesquake.io.stations import read_stations
from bayesquake.physics.travel_time.eikonal import time_factor
from bayesquake.physics.travel_time.spline import spline_coefficients, spline_value

SPACING = (0.5, 1.0, 0.5)


@jax.jit
def section_times(slowness, stations, x, z, station_of_pick):
    """Return the times (s) from events at x, z (pick,) to stations (station, axis)."""
    tau, at_station = jax.lax.map(partial(time_factor, slowness, spacing=SPACING), stations)
    coefficients = jax.vmap(spline_coefficients)(tau[:, :, 0, :])
    values = jax.vmap(spline_value)(coefficients[station_of_pick], (x / SPACING[0], z / SPACING[2]))
    there = stations[station_of_pick]
    distance = jnp.hypot(x - there[:, 0], z - there[:, 2])
    return at_station[station_of_pick] * distance * values


@pytest.mark.parametrize("section", ["grad_51", "jump6_52", "lvz_53", "checker_54"])
def test_simulated_picks_scatter_by_their_noise_around_the_times(shared_data, section):
    begin = str(shared_data / "tomography" / "simulated" / f"section_{section}_")
    truth = xr.load_dataset(begin + "truth.nc")
    picks = read_arrivals(begin + "picks.csv", events=begin + "events.csv")
    stations = read_stations(begin + "stations.csv").sel(station=picks["station"])
    event = np.array([int(name[1:]) for name in picks["event"].to_numpy()])
    event = event[picks["event_index"].to_numpy()]
    times = section_times(
        jnp.asarray(1 / truth["velocity"].to_numpy().astype(float)[:, None, :]),
        jnp.stack([stations["x"].to_numpy(), jnp.zeros(15), stations["z"].to_numpy()], axis=1),
        truth["event_x"].to_numpy()[event],
        truth["event_z"].to_numpy()[event],
        picks["station_index"].to_numpy(),
    )
    residual = picks["time"].to_numpy() - truth["event_t0"].to_numpy()[event] - np.asarray(times)
    assert abs(np.median(residual)) < 0.004
    spread = 1.4826 * np.median(np.abs(residual - np.median(residual)))
    assert spread == pytest.approx(0.05, abs=0.006)
