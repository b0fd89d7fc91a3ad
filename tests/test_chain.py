"""One model's posterior is another's data, with nothing counted twice and no spread lost."""

import jax
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.diagnostics.refit import refit
from bayesquake.errors import ResultError

FIRST, SECOND = bq.load_model("attenuation"), bq.load_model("site_and_path")
SIGMA = 0.6


@pytest.fixture(scope="module")
def records():
    truth = {"a": -2.2, "b": 1.1, "c": 1.4, "sigma": SIGMA}
    return FIRST.simulate(jax.random.key(1), {"records": 40}, truth)[1]


@pytest.fixture(scope="module")
def first(records):
    """With the scatter held, the posterior of (a, b, c) is Gaussian."""
    return bq.fit(FIRST, records, priors={"sigma": SIGMA}, seed=1, draws=2500)


@pytest.fixture(scope="module")
def second(first):
    return bq.fit(SECOND, bq.chain(first, SECOND), seed=2, draws=2500)


def regression(records):
    """Return the precision and information of (a, b, c) by the records alone."""
    distance, magnitude = records["distance"].to_numpy(), records["magnitude"].to_numpy()
    design = np.stack([np.ones_like(magnitude), magnitude - 6, -np.log(distance / 100)], axis=1)
    y = np.log(records["acceleration"].to_numpy())
    return design.T @ design / SIGMA**2, design.T @ y / SIGMA**2


def test_what_is_handed_on_is_the_likelihood_of_the_first_data(records, first):
    precision, information = regression(records)
    handed = bq.chain(first, SECOND)
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    assert np.allclose(
        handed["estimate"], np.linalg.solve(precision, information), atol=0.1 * sd.min()
    )
    found = handed["covariance"].to_numpy() / np.outer(sd, sd)
    assert np.allclose(found, np.linalg.inv(precision) / np.outer(sd, sd), atol=0.1)


def test_the_second_posterior_is_the_joint_one(records, second):
    """Both models at once: a linear regression under the second model's priors."""
    precision, information = regression(records)
    loc, scale = np.array([-2.5, 1.2, 1.3]), np.array([0.3, 0.2, 0.2])
    joint = np.linalg.inv(precision + np.diag(scale**-2.0))
    mean = joint @ (information + loc / scale**2) - np.array([0, 0, 1.0])
    assert bq.check(second).passed
    for place, name in enumerate(("level", "growth", "decay")):
        draws = second["posterior"][name].to_numpy()
        sd = np.sqrt(joint[place, place])
        assert abs(draws.mean() - mean[place]) < 0.1 * sd
        assert abs(draws.std() / sd - 1) < 0.06


def test_where_it_came_from_is_kept_and_it_is_made_again(first, second, tmp_path):
    assert "attenuation" in second["observed_data"].attrs["chained_from"]
    assert second["observed_data"].attrs["chained_how"] == "likelihood"
    assert second.attrs["data_source"].startswith("attenuation: ")
    bq.report(second, tmp_path / "report.html")
    bq.write_netcdf(second, tmp_path / "second.nc")
    again = refit(bq.open_result(tmp_path / "second.nc"))
    assert np.array_equal(again["posterior"]["decay"], second["posterior"]["decay"])


def test_models_that_do_not_fit_together_are_named(first, second):
    with pytest.raises(ResultError, match="attenuation takes no posterior of another model"):
        bq.chain(second, FIRST)
    with pytest.raises(ResultError, match="site_and_path has no a, b, c"):
        bq.chain(second, SECOND)


def test_data_that_tell_nothing_of_a_direction_are_refused(first):
    broad = {"a": -2.2, "b": 1.0, "c": 1.4, "sigma": SIGMA}
    _, few = FIRST.simulate(jax.random.key(2), {"records": 3}, broad)
    same = few.assign(magnitude=few["magnitude"] * 0 + 6.0)
    result = bq.fit(FIRST, same, priors={"sigma": SIGMA}, seed=1, draws=500)
    with pytest.raises(ResultError, match="tell nothing of some direction of a, b, c"):
        bq.chain(result, SECOND)
