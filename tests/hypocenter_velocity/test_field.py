"""Events located at velocities on a grid: where these change linearly, rays are arcs of circles."""

import jax.numpy as jnp
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.errors import DatasetError
from bayesquake.experiments.joint_location.straight_rays import (
    ERROR_S,
    arrivals_read,
    straight_rays,
)
from bayesquake.io.datasets import labelled
from bayesquake.io.velocity_models import GRID
from bayesquake.models.hypocenter_velocity import locate
from bayesquake.models.hypocenter_velocity.errors import DomainError
from bayesquake.models.hypocenter_velocity.location.events import Box, residuals
from bayesquake.models.hypocenter_velocity.location.field import field_tables
from bayesquake.models.hypocenter_velocity.location.locate import picks_of

MODEL = bq.load_model("hypocenter_velocity")
ROTATION = 35.0
GRADIENT = np.array([0.03, -0.02, 0.04])
"""Of Vp along the axes of the grid, (km/s)/km."""
VPVS = 1.7
REACH = 60.0


def speed(place):
    return 5.0 + place @ GRADIENT


def turned(place):
    """Return places (..., 3) on the plane along the axes of the grid."""
    c, s = np.cos(np.deg2rad(ROTATION)), np.sin(np.deg2rad(ROTATION))
    x, y, depth = np.moveaxis(place, -1, 0)
    return np.stack([c * x + s * y, c * y - s * x, depth], axis=-1)


def arc_time(source, station):
    """Return the time of P between places along the axes of the grid, s."""
    squared = ((source - station) ** 2).sum(axis=-1) * (GRADIENT @ GRADIENT)
    ends = speed(source) * speed(station)
    return np.arccosh(1 + squared / (2 * ends)) / np.linalg.norm(GRADIENT)


def grid(reach=REACH):
    nodes = {"x": np.linspace(-reach, reach, 7), "y": np.linspace(-reach, reach, 5)}
    nodes["z"] = np.array([-1.0, 4.0, 12.0, 25.0])
    vp = speed(np.stack(np.meshgrid(*nodes.values(), indexing="ij"), axis=-1))
    return labelled(GRID, {**nodes, "vp": vp, "vs": vp / VPVS}, rotation=ROTATION)


def simulated(folder, events, seed=1):
    """Return sources and the data set of arrivals along the arcs."""
    source, station, arrivals = straight_rays(seed, events, stations=10)
    station[:, 2] = np.linspace(-0.8, 0.1, len(station))
    event = arrivals["event"].to_numpy()
    of_station = arrivals["station"].str[1:].astype(int).to_numpy()
    rng = np.random.default_rng(seed)
    time = arc_time(turned(source)[event], turned(station)[of_station])
    of_s = (arrivals["phase"] == "S").to_numpy()
    error = np.where(of_s, ERROR_S["S"], ERROR_S["P"])
    arrivals["time_s"] = time * np.where(of_s, VPVS, 1.0) + error * rng.normal(size=len(time))
    return source, arrivals_read(MODEL, folder, station, arrivals, source)


def test_times_are_those_of_arcs_through_a_turned_grid(tmp_path):
    source, dataset = simulated(tmp_path, 5)
    box = Box(np.array([-25.0, -25.0, 0.0]), np.array([25.0, 25.0, 22.0]))
    tables, table = field_tables(dataset, grid(), box, None, 2.0)
    picks = picks_of(dataset, table, np.zeros(dataset.sizes["pick"]), (0.1, 0.1), "normal", "scale")
    station = np.stack([dataset[f"station_{axis}"].to_numpy() for axis in ("x", "y", "depth")], -1)
    order = np.argsort(dataset["event_index"].to_numpy(), kind="stable")
    which = dataset["station_index"].to_numpy().astype(int)[order]
    of_s = dataset["phase_index"].to_numpy()[order] == 1
    event = dataset["event_index"].to_numpy().astype(int)[order]
    for i, own in enumerate(picks):
        known = own.mask
        found = own.time[known] - residuals(jnp.array(source[i]), own, tables)[known]
        mine = event == i
        exact = arc_time(turned(source[i]), turned(station[which[mine]]))
        error = np.abs(found - exact * np.where(of_s[mine], VPVS, 1.0))
        assert np.median(error) < 3e-4
        assert error.max() < 2e-3


def test_ninety_percent_of_the_truth_lies_in_ninety_percent_and_not_in_flat_layers(tmp_path):
    source, dataset = simulated(tmp_path, 60)
    found = {
        "grid": locate(dataset, grid=grid(), spacing=3.0, errors="normal", seed=1),
        "layers": locate(dataset, errors="normal", seed=1, deepest=25.0),
    }
    assert bq.check(found["grid"]).passed
    assert float(found["grid"]["posterior"]["depth"].max()) <= 25.0
    order = dataset["event"].to_numpy().astype(int)
    covered = {}
    for name, result in found.items():
        draws = np.stack([result["posterior"][axis][0] for axis in ("x", "y", "depth")], axis=-1)
        rank = (draws < source[order]).mean(axis=0)
        covered[name] = ((rank > 0.05) & (rank < 0.95)).mean(axis=0)
    assert (np.abs(covered["grid"] - 0.9) < 0.1).all()
    assert covered["layers"].mean() < 0.6


def test_what_lies_beyond_the_grid_is_refused_by_name(tmp_path):
    _, dataset = simulated(tmp_path, 5)
    with pytest.raises(DomainError, match=r"station S\d+ lies at .* leave it out"):
        locate(dataset, grid=grid(reach=10.0))
    with pytest.raises(DomainError, match="below the lowest node"):
        locate(dataset, grid=grid(), deepest=30.0)
    with pytest.raises(DatasetError, match="centre in degrees"):
        locate(dataset, grid=grid().assign_attrs(centre_longitude=140.0, centre_latitude=36.0))
    by_degrees = dataset.assign_attrs(centre_longitude=140.0, centre_latitude=36.0)
    with pytest.raises(DatasetError, match="no centre in degrees"):
        locate(by_degrees, grid=grid())
    with pytest.raises(DatasetError, match="no variable"):
        locate(dataset, grid=grid().drop_vars("vp"))
