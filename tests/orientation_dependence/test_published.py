"""The figures published for 158 mechanisms of Japan, doi:10.3150/23-BEJ1687."""

import jax
import numpy as np
import pytest

from bayesquake.models.orientation_dependence.data.mechanisms import prepare
from bayesquake.models.orientation_dependence.physics.statistics import (
    STATISTICS,
    eigen_axes,
    eigenvalues,
)
from bayesquake.models.orientation_dependence.results.estimation import (
    bootstrap,
    independence_tests,
    maximum_likelihood,
)

PUBLISHED = np.array([[3.915, -1.018], [1.002, -1.178]])


@pytest.fixture(scope="module")
def arrays(mechanisms):
    return prepare(mechanisms)


@pytest.fixture(scope="module")
def maximum(arrays):
    return maximum_likelihood(arrays)


def test_eigenvalues_and_leading_axes_are_those_of_an_independent_optimiser(arrays, maximum):
    values = eigenvalues(maximum.theta, arrays.forms)
    assert np.allclose(values, [[3.98, -1.02], [1.03, -1.21]], atol=0.02)
    leading = np.asarray(eigen_axes(maximum.theta, arrays.forms))[:, 0]
    expected = np.array([[0.071, -0.275, 0.959], [0.164, -0.590, 0.791]])
    assert (np.abs((leading * expected).sum(axis=1)) > 0.999).all()


def test_eigenvalues_are_within_five_percent_of_the_published_ones(arrays, maximum):
    values = np.asarray(eigenvalues(maximum.theta, arrays.forms))
    assert (np.abs(values / PUBLISHED - 1) < 0.05).all()


def test_likelihood_ratios(arrays):
    names, lrt, df, p_value = independence_tests(arrays, STATISTICS["frame_bingham"].parts)
    assert names == ["all", "P", "T"]
    assert np.allclose(lrt, [35.4, 31.9, 15.7], atol=0.2)
    assert df.tolist() == [10, 5, 5]
    assert p_value[1] < p_value[2] < 0.01


def test_the_bootstrap_spreads_about_the_maximum(arrays, maximum):
    theta = bootstrap(jax.random.key(1), arrays, 50)
    assert np.isfinite(theta).all()
    ratio = theta.std(axis=0) / np.sqrt(np.diagonal(maximum.covariance))
    assert ((ratio > 0.7) & (ratio < 3.0)).all()
