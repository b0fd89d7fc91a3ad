"""Power scaling tells a posterior that the data decide from one that the prior decides."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayesquake as bq
from bayesquake.diagnostics.sensitivity import prior_sensitivity
from bayesquake.errors import ResultError
from bayesquake.experiments.benchmarks.eight_groups import EIGHT_GROUPS, SCHOOLS

OBSERVED = 3.0


def normal_posterior(prior_sd):
    """Draws of θ ~ N(0, prior_sd), y ~ N(θ, 1) given y, with their log densities."""
    precision = 1 + prior_sd**-2
    rng = np.random.default_rng(1)
    theta = rng.normal(OBSERVED / precision, precision**-0.5, (4, 1000))
    dims = ("chain", "draw")
    log_prior = stats.norm(0, prior_sd).logpdf(theta)
    log_likelihood = stats.norm(theta, 1).logpdf(OBSERVED)
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"theta": (dims, theta)}),
            "log_prior": xr.Dataset({"theta": (dims, log_prior)}),
            "log_likelihood": xr.Dataset({"y": (dims, log_likelihood)}),
        }
    )


@pytest.mark.parametrize(
    ("prior_sd", "diagnosis"), [(100.0, ""), (1.0, "potential prior-data conflict")]
)
def test_a_prior_that_pulls_is_told_from_one_that_does_not(prior_sd, diagnosis):
    row = prior_sensitivity(normal_posterior(prior_sd)).loc["theta"]
    assert row["diagnosis"] == diagnosis
    assert row["likelihood"] > 0.05


def test_a_fit_holds_the_density_of_every_prior():
    result = bq.fit(EIGHT_GROUPS, SCHOOLS, warmup=100, draws=100, seed=1)
    mu = result["posterior"]["mu"].to_numpy()
    expected = stats.norm(0, 5).logpdf(mu)
    assert np.allclose(result["log_prior"]["mu"], expected, rtol=1e-10)
    assert set(result["log_prior"].data_vars) == {"mu", "tau"}


def test_a_result_without_densities_says_what_is_missing():
    result = normal_posterior(1.0)
    del result["log_prior"]
    with pytest.raises(ResultError, match="log_prior"):
        prior_sensitivity(result)
