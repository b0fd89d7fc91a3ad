"""The experiment on faults: BP1-QD against other codes, and what a twin of slow slip tells."""

import tomllib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from bayesquake.experiments import friction_fields
from bayesquake.experiments.friction_fields.bp1 import first_event, initial_stress, problem
from bayesquake.experiments.friction_fields.filter import in_place_of, updates
from bayesquake.models.fault_friction.physics.trajectory import YEAR

CONFIG = Path(friction_fields.__file__).with_name("config.toml")
BP1 = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["bp1"]


def test_the_initial_stress_is_that_of_the_benchmark():
    assert initial_stress(BP1)[0] == pytest.approx(26.54612e6, rel=1e-6)


def test_the_first_event_comes_when_other_codes_have_it():
    coarse, fine = (first_event(*problem(cells, BP1), BP1) for cells in (256, 512))
    published = BP1["published"]
    onset = published["hbi_onset_years"] * YEAR
    assert fine.onset == pytest.approx(onset, rel=1e-3)
    assert fine.onset > published["tandem_locked_until_years"] * YEAR
    assert fine.slip == pytest.approx(published["slip_of_first_event"], rel=5e-3)
    assert abs(fine.onset - onset) < abs(coarse.onset - onset) / 5


def test_the_experiment_leaves_a_table_and_a_figure(tmp_path):
    summary = friction_fields.reproduce(tmp_path, quick=True, entries=["bp1_convergence"])
    assert "onset at 205.8" in summary["bp1_convergence"]
    assert (tmp_path / "bp1_convergence" / "onsets.csv").is_file()
    assert (tmp_path / "bp1_convergence" / "onsets.png").stat().st_size > 5000


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    out = tmp_path_factory.mktemp("friction_fields")
    friction_fields.reproduce(out, quick=True, entries=["modes", "sd_maps", "window", "design"])
    return out


def test_searches_from_the_prior_end_at_one_mode(twin):
    table = pd.read_csv(twin / "modes" / "searches.csv", index_col="seed")
    assert np.ptp(table["log_density"]) < 0.1
    assert (table["misfit"] < 1.5).all()
    assert (table["gradient_cut"] > 1e6).all()


def test_fields_are_known_best_where_slip_evolves(twin):
    rings = pd.read_csv(twin / "sd_maps" / "rings.csv", index_col="field")
    assert (rings["inside"] < rings["edge"]).all()
    assert (rings["edge"] < rings["beyond"]).all()
    assert (twin / "sd_maps" / "sd_maps.png").stat().st_size > 5000


def test_fields_narrow_once_slip_has_slowed_down(twin):
    table = pd.read_csv(twin / "window" / "window.csv", index_col="last_year")
    peak = table["fastest"].to_numpy().argmax()
    fields = table.drop(columns="fastest")
    assert (fields.diff().iloc[1:] <= 1e-12).all(axis=None)
    assert (fields.iloc[peak] > fields.iloc[-1]).all()


def test_each_station_adds_less_than_the_one_before(twin):
    table = pd.read_csv(twin / "design" / "stations.csv", index_col="order")
    assert (table["gain_nats"].diff().iloc[1:] < 0).all()
    assert table["station"].is_unique


def test_the_filter_of_a_large_ensemble_is_that_of_kalman():
    """Members of a normal state, of which the sum of two parts is seen with two errors."""
    generator = np.random.default_rng(1)
    covariance = np.array([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]])
    state = generator.multivariate_normal([1.0, -1.0, 0.0], covariance, size=200_000)
    h, error, y = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, -1.0]]), np.array([0.5, 1.5]), [2.0, 1.0]
    noise = error * generator.normal(size=(len(state), 2))
    after = state + np.asarray(updates(jnp.asarray(state), state @ h.T, y + noise, error))
    gain = covariance @ h.T @ np.linalg.inv(h @ covariance @ h.T + np.diag(error**2))
    np.testing.assert_allclose(
        after.mean(axis=0), [1, -1, 0] + gain @ (y - h @ [1, -1, 0]), atol=0.02
    )
    np.testing.assert_allclose(np.cov(after.T), covariance - gain @ h @ covariance, atol=0.02)


def test_lost_members_are_replaced_by_others():
    lost = jnp.array([False, True, False, True, True])
    found = in_place_of(lost, jnp.arange(5.0))
    assert found.tolist() == [0, 0, 2, 2, 0]
