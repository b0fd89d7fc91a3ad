"""Events located one by one at given velocities: against other programs, limits and truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayesquake as bq
from bayesquake.batch.importance import adapted, around_ends, moments, resampled, weighted
from bayesquake.batch.lanes import problem_keys
from bayesquake.batch.pad import stacked
from bayesquake.errors import DatasetError
from bayesquake.experiments.joint_location.straight_rays import arrivals_read, straight_rays
from bayesquake.models.hypocenter_velocity import locate
from bayesquake.models.hypocenter_velocity.errors import DomainError
from bayesquake.models.hypocenter_velocity.location.events import (
    Box,
    EventPicks,
    log_density,
    residuals,
    slopes,
)
from bayesquake.models.hypocenter_velocity.location.sequential import LIMITS, settled
from bayesquake.models.hypocenter_velocity.location.tables import tabulated
from bayesquake.physics.travel_time.layered import first_arrival_time

MODEL = bq.load_model("hypocenter_velocity")
TOPS, VELOCITIES = np.array([0.0, 3.0, 8.0]), np.array([[4.8, 5.6, 6.2], [2.8, 3.2, 3.6]])
STATION_DEPTHS = np.array([-1.2, 0.0, 0.4])


@pytest.fixture(scope="module")
def tables():
    return tabulated(VELOCITIES, STATION_DEPTHS, TOPS, 80.0, 20.0)


def test_tables_hold_the_travel_times_of_every_profile_and_station_depth(tables):
    rng = np.random.default_rng(1)
    distance, depth = rng.uniform(1, 80, 2000), rng.uniform(0.5, 20, 2000)
    for k, velocity in enumerate(VELOCITIES):
        for j, station in enumerate(STATION_DEPTHS):
            table = np.full(2000, k * len(STATION_DEPTHS) + j)
            exact = first_arrival_time(distance, depth, station, TOPS, jnp.asarray(velocity))
            arrivals = EventPicks(*[None] * len(EventPicks._fields))
            at_zero = arrivals._replace(station_x=0.0, station_y=0.0, table=table)
            error = np.abs(tables.travel_time((distance, 0.0, depth), at_zero) - exact)
            assert np.median(error) < 1e-5
            assert np.quantile(error, 0.99) < 3e-3
            assert error.max() < 0.015


def picks(tables, errors=None, place=(3.0, -4.0, 9.3), seed=2):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-30, 30, (2, 12))
    made = EventPicks(
        time=np.zeros(12),
        station_x=x,
        station_y=y,
        table=rng.integers(0, 6, 12),
        ratio=np.ones(12),
        scale=rng.uniform(0.05, 0.2, 12),
        mask=np.arange(12) < 11,
        start=np.array([0.0, 0.0]),
        degrees_of_freedom=errors,
    )
    arrival = 1.7 - np.asarray(residuals(jnp.array(place), made, tables))
    return made._replace(time=arrival + made.scale * rng.normal(size=12))


BOX = Box(np.array([-40.0, -40.0, 0.0]), np.array([40.0, 40.0, 20.0]))


@pytest.mark.parametrize("errors", [None, 5.0])
def test_the_slopes_are_those_of_the_density(tables, errors):
    of_event = picks(tables, errors)
    position = jnp.array([4.0, -3.0, 8.7, 1.6])
    gradient, precision = slopes(position, of_event, tables, BOX)
    by_differentiation = jax.grad(log_density)(position, of_event, tables, BOX)
    assert np.allclose(gradient, by_differentiation, rtol=1e-9)
    assert np.linalg.eigvalsh(precision).min() > 0
    assert log_density(position.at[2].set(-0.1), of_event, tables, BOX) == -np.inf


def mixture_of(*centres, scale=1.0):
    count = len(centres)
    return around_ends(
        jnp.array(centres), jnp.broadcast_to(jnp.eye(2) / scale**2, (count, 2, 2)), jnp.zeros(count)
    )[0]


def test_weighted_draws_have_the_moments_of_a_posterior_cut_off_at_a_bound():
    """A half normal along the second coordinate: mean (2/pi)^1/2, variance 1 - 2/pi."""

    def density(position):
        inside = position[1] >= 0
        return jnp.where(inside, -0.5 * (position**2).sum(), -jnp.inf)

    found = weighted(jax.random.key(1), density, mixture_of((0.1, 0.2)), 20_000, 1, 0.0, 50.0)
    mean, covariance = moments(found)
    assert found.ess > 15_000
    assert found.pareto_k < 0.3
    assert np.allclose(mean, [0, np.sqrt(2 / np.pi)], atol=0.03)
    assert np.allclose(covariance, np.diag([1, 1 - 2 / np.pi]), atol=0.03)
    kept = resampled(jax.random.key(2), found, 5000)
    assert np.allclose(kept.mean(axis=0), mean, atol=0.05)
    assert (kept[:, 1] >= 0).all()


def test_two_modes_get_the_draws_of_both():
    def density(position):
        apart = jnp.array([position, position - jnp.array([6.0, 0.0])])
        return jax.nn.logsumexp(-0.5 * (apart**2).sum(axis=1) + jnp.log(jnp.array([0.3, 0.7])))

    both = mixture_of((0.0, 0.0), (6.0, 0.0))
    found = weighted(jax.random.key(3), density, both, 20_000, 1, -50.0, 50.0)
    assert np.isclose(moments(found)[0][0], 4.2, atol=0.1)


def test_a_mixture_that_missed_follows_its_draws_to_the_posterior():
    def density(position):
        return -0.5 * ((position - 4.0) ** 2).sum()

    mixture = mixture_of((0.0, 0.0))
    found = weighted(jax.random.key(4), density, mixture, 2000, 1, -50.0, 50.0)
    assert found.ess < 300
    for k in range(2):
        mixture = adapted(mixture, found, 1)
        found = weighted(jax.random.key(5 + k), density, mixture, 2000, 1, -50.0, 50.0)
    assert found.ess > 1000
    assert np.allclose(moments(found)[0], 4.0, atol=0.15)


def read(folder, station, arrivals, source, off=2.0):
    return arrivals_read(MODEL, folder, station, arrivals, source, off)


def test_ninety_percent_of_the_truth_of_another_simulator_lies_in_ninety_percent(tmp_path):
    source, station, arrivals = straight_rays(3, events=120)
    found = locate(read(tmp_path, station, arrivals, source), errors="normal", seed=1)
    assert bq.check(found).passed
    names = found["locations"]["event"].to_numpy().astype(int)
    draws = np.stack([found["posterior"][name][0] for name in ("x", "y", "depth")], axis=-1)
    rank = (draws < source[names]).mean(axis=0)
    covered = ((rank > 0.05) & (rank < 0.95)).mean(axis=0)
    assert (np.abs(covered - 0.9) < 0.1).all()
    assert (found["locations"]["modes"] == 1).all()


def test_late_picks_move_locations_little_unless_errors_are_normal(tmp_path):
    error = {}
    for wrong in (0.0, 0.05):
        source, station, arrivals = straight_rays(4, events=40, wrong=wrong)
        dataset = read(tmp_path, station, arrivals, source)
        for errors in ("student_t", "normal"):
            mean = locate(dataset, errors=errors, seed=1)["locations"]["mean"]
            order = mean["event"].to_numpy().astype(int)
            error[errors, wrong] = np.sqrt(((mean.to_numpy() - source[order]) ** 2).mean())
    assert error["student_t", 0.05] < 1.25 * error["student_t", 0.0]
    assert error["normal", 0.05] > 1.5 * error["normal", 0.0]


def test_an_event_far_from_its_preliminary_epicentre_is_found(tmp_path):
    source, station, arrivals = straight_rays(5, events=10)
    near = locate(read(tmp_path, station, arrivals, source, off=0.0), seed=1)
    far = locate(read(tmp_path, station, arrivals, source, off=15.0), seed=1)
    assert np.allclose(near["locations"]["mean"], far["locations"]["mean"], atol=0.1)


def test_station_terms_are_taken_off(tmp_path):
    source, station, arrivals = straight_rays(6, events=6)
    terms = np.random.default_rng(1).normal(0, 0.3, (2, len(station)))
    before = locate(read(tmp_path, station, arrivals, source), seed=1)
    number = arrivals["station"].str[1:].astype(int)
    arrivals["time_s"] += terms[(arrivals["phase"] == "S").astype(int), number]
    dataset = read(tmp_path, station, arrivals, source)
    order = [int(name[1:]) for name in dataset["station"].to_numpy()]
    after = locate(dataset, station_term=terms[:, order].tolist(), seed=1)
    assert np.allclose(before["locations"]["mean"], after["locations"]["mean"])


def test_an_event_has_the_same_draws_however_many_are_with_it(tmp_path):
    source, station, arrivals = straight_rays(7, events=5)
    dataset = read(tmp_path, station, arrivals, source)
    whole, by_two = locate(dataset, seed=3), locate(dataset, seed=3, chunk=2)
    assert np.allclose(whole["posterior"]["depth"], by_two["posterior"]["depth"], atol=1e-9)


def test_what_cannot_be_located_is_refused_by_name(tmp_path):
    source, station, arrivals = straight_rays(8, events=5)
    dataset = read(tmp_path, station, arrivals, source)
    with pytest.raises(DomainError, match=r"event \d: its preliminary epicentre"):
        locate(dataset, bounds=((0, 5), (0, 5)))
    with pytest.raises(DatasetError, match="station_term has the shape"):
        locate(dataset, station_term=[[0.1], [0.2]])


def test_locations_of_calaveras_are_those_of_an_independent_program(shared_data, tmp_path):
    """NonLinLoc on the same picks, layers and plane, half of the events."""
    folder = shared_data / "tomography" / "calaveras"
    if not (folder / "nlloc_reference_half.csv").is_file():
        pytest.skip("calaveras is absent from shared/data/tomography")
    stations, events = (pd.read_csv(folder / f"{name}.csv") for name in ("stations", "events"))
    for table, vertical in ((stations, "z_km"), (events, None)):
        table["x_km"] = (table["lon"] + 121.66) * 111.1111 * np.cos(np.deg2rad(37.30))
        table["y_km"] = (table["lat"] - 37.30) * 111.1111
        if vertical:
            table[vertical] = -table["elevation_km"]
    stations.drop(columns=["lat", "lon", "elevation_km"]).to_csv(
        tmp_path / "stations.csv", index=False
    )
    events.drop(columns=["lat", "lon"]).to_csv(tmp_path / "events.csv", index=False)
    dataset = MODEL.read(
        folder / "picks.csv",
        stations=tmp_path / "stations.csv",
        layers=folder / "velocity_layers.csv",
        events=tmp_path / "events.csv",
    )
    found = locate(
        dataset,
        errors="normal",
        pick_errors="add",
        sigma=(0.1, 0.1),
        bounds=((-20, 20), (-20, 20)),
        deepest=20.0,
    )["locations"].to_dataset()
    reference = pd.read_csv(folder / "nlloc_reference_half.csv")
    ours = found.assign_coords(event=found["event"].astype(str)).sel(
        event=reference["event_id"].astype(str).to_numpy()
    )
    mean = reference[["expect_x_km", "expect_y_km", "expect_z_km"]].to_numpy()
    sd = np.sqrt(reference[["cov_xx", "cov_yy", "cov_zz"]].to_numpy())
    shift = np.abs(ours["mean"].to_numpy() - mean) / sd
    ratio = np.sqrt(np.diagonal(ours["covariance"].to_numpy(), axis1=1, axis2=2)) / sd
    assert (np.median(shift, axis=0) < (0.10, 0.15, 0.20)).all()
    assert (np.quantile(shift, 0.95, axis=0) < (0.30, 0.55, 0.45)).all()
    assert (np.quantile(ratio, 0.05, axis=0) > (0.93, 0.92, 0.87)).all()
    assert (np.quantile(ratio, 0.95, axis=0) < (1.07, 1.08, 1.10)).all()
    first = found["effective_draws"].to_numpy()[found["rounds"] == 1]
    assert np.median(first) >= 300
    assert np.quantile(first, 0.05) >= 150
    assert (found["pareto_k"] < 0.7).all()


def test_particles_share_two_mirrored_places_of_stations_in_a_line(tables):
    """Places on either side of the line are alike: the mean lies on it, far from both."""
    rng = np.random.default_rng(4)
    along = {"station_x": rng.uniform(-30, 30, 12), "station_y": np.zeros(12)}
    on_line = picks(tables)._replace(time=np.zeros(12), **along)
    arrival = 1.7 - np.asarray(residuals(jnp.array([3.0, 9.0, 9.3]), on_line, tables))
    of_event = on_line._replace(time=arrival + on_line.scale * rng.normal(size=12))
    found = settled(problem_keys(1, np.arange(1), 0), stacked([of_event]), tables, BOX, 1)
    assert LIMITS.certify(found.evidence).all()
    y, depth, origin_time = found.positions[0, ..., 1:].reshape(-1, 3).T
    assert 0.4 < (y > 0).mean() < 0.6
    assert abs(np.abs(y).mean() - 9.0) < 3 * np.abs(y).std()
    assert abs(y.mean()) < y.std() / 4
    assert abs(depth.mean() - 9.3) < 3 * depth.std()
    assert abs(origin_time.mean() - 1.7) < 3 * origin_time.std()
