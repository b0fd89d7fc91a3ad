"""Arrivals of straight rays in a half-space, simulated with NumPy alone."""

import numpy as np
import pandas as pd

__all__ = ["VELOCITY", "arrivals_read", "straight_rays"]

VELOCITY = {"P": 6.0, "S": 6.0 / 1.73}
ERROR_S = {"P": 0.05, "S": 0.1}
LATE_S = (1.0, 3.0)
"""By how much a wrong P pick is late."""

NETWORK_RADIUS_KM = 40.0
LOW, HIGH = (-15.0, -15.0, 3.0), (15.0, 15.0, 18.0)
"""Corners of the box of the sources, km."""

PRELIMINARY_DEPTH_KM = 8.0


def straight_rays(seed, events, stations=16, wrong=0.0, faster_in_the_east=1.0):
    """Return sources (event, 3), stations (station, 3) and a table of arrivals, errors normal.

    Parameters
    ----------
    seed : int
    events, stations : int
    wrong : float
        Share of the P picks that are late.
    faster_in_the_east : float
        Velocity toward stations east of the middle of the network, over that toward the others.
    """
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, stations)
    radius = NETWORK_RADIUS_KM * np.sqrt(rng.uniform(size=stations))
    station = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(stations)], 1)
    source = rng.uniform(LOW, HIGH, (events, 3))
    origin_time = rng.uniform(0, 2, events)
    distance = np.linalg.norm(source[:, None] - station, axis=-1)
    speed = np.where(station[:, 0] > station[:, 0].mean(), faster_in_the_east, 1.0)
    of_phase = []
    for phase, velocity in VELOCITY.items():
        time = origin_time[:, None] + distance / (velocity * speed)
        time += rng.normal(0, ERROR_S[phase], time.shape)
        late = rng.uniform(*LATE_S, time.shape) * (rng.uniform(size=time.shape) < wrong)
        event, place = np.indices(time.shape).reshape(2, -1)
        names = [f"S{j}" for j in place]
        columns = {"event": event, "station": names, "phase": phase}
        of_phase.append(pd.DataFrame({**columns, "time_s": (time + late * (phase == "P")).ravel()}))
    return source, station, pd.concat(of_phase, ignore_index=True)


def arrivals_read(model, folder, station, arrivals, source, off=2.0):
    """Write arrivals, stations, layers and preliminary hypocentres, and read them as a user does.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    folder : path
    station, arrivals, source
        From `straight_rays`.
    off : float
        Standard deviation of the preliminary epicentres, km.
    """
    rng = np.random.default_rng(len(source))
    arrivals.to_csv(folder / "picks.csv", index=False)
    names = [f"S{j}" for j in range(len(station))]
    table = pd.DataFrame(station, columns=["x_km", "y_km", "z_km"]).assign(station=names)
    table.to_csv(folder / "stations.csv", index=False)
    (folder / "layers.csv").write_text(f"top_km,vp_km_s\n0,{VELOCITY['P']}\n")
    places = source[:, :2] + rng.normal(0, off, (len(source), 2))
    events = pd.DataFrame(places, columns=["x_km", "y_km"]).assign(
        event=np.arange(len(source)), depth_km=PRELIMINARY_DEPTH_KM, t0_s=0.0
    )
    events.to_csv(folder / "events.csv", index=False)
    return model.read(
        folder / "picks.csv",
        **{name: folder / f"{name}.csv" for name in ("stations", "layers", "events")},
    )
