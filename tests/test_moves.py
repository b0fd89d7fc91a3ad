"""A move of the model's own takes chains where trajectories do not lead."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import stats

import bayesquake as bq
from bayesquake.diagnostics.ranks import RANK_DRAWS
from bayesquake.diagnostics.refit import refit

MODEL = bq.load_model("unsigned_amplitude")
NOISE = 0.5


@pytest.fixture(scope="module")
def dataset():
    return MODEL.simulate(jax.random.key(1), parameters={"amplitude": 6.0})[1]


@pytest.fixture(scope="module")
def result(dataset):
    return bq.fit(MODEL, dataset, seed=1, warmup=300, draws=1000)


def test_both_modes_are_visited_as_often_as_they_weigh(dataset, result):
    assert bq.check(result).passed
    x = result["posterior"]["amplitude"].to_numpy()
    assert abs((x > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(x.size)
    y = dataset["size"].to_numpy()
    precision = 1 / 100 + y.size / NOISE**2
    exact = stats.norm(y.sum() / NOISE**2 / precision, precision**-0.5)
    assert abs(np.abs(x).mean() - exact.mean()) < 0.1 * exact.std()
    assert abs(np.abs(x).std() / exact.std() - 1) < 0.1


def test_without_the_move_chains_stay_where_they_began_and_fail(dataset):
    still = dataclasses.replace(MODEL, moves=None)
    alone = bq.fit(still, dataset, seed=1, warmup=300, draws=500)
    x = alone["posterior"]["amplitude"].to_numpy()
    assert all(np.ptp(np.sign(chain)) == 0 for chain in x)
    assert not bq.check(alone).passed


def test_a_calibration_makes_the_move_too():
    ranks = bq.calibrate(MODEL, 20, seed=1, warmup=150, draws=300)["ranks"]
    share = ranks["rank"].sel(quantity="amplitude").to_numpy() / RANK_DRAWS
    assert ((share > 0) & (share < 1)).mean() > 0.8


def test_a_fit_with_moves_is_reported_saved_resumed_and_made_again(dataset, result, tmp_path):
    bq.report(result, tmp_path / "report.html")
    bq.write_netcdf(result, tmp_path / "result.nc")
    again = refit(bq.open_result(tmp_path / "result.nc"))
    assert np.array_equal(again["posterior"]["amplitude"], result["posterior"]["amplitude"])
