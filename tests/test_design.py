"""Sites chosen for what they tell."""

import itertools

import numpy as np
import pytest

from bayesquake.design.greedy import greedy, information
from bayesquake.errors import OptionError


@pytest.fixture
def factors():
    return np.random.default_rng(3).normal(size=(9, 2, 6)) * np.linspace(0.2, 1.5, 9)[:, None, None]


def test_gains_add_up_to_the_information_of_all_chosen(factors):
    choice = greedy(factors, 5)
    assert np.isclose(choice.gain.sum(), information(factors[choice.site]), rtol=1e-10)
    assert (np.diff(choice.gain) <= 0).all()
    np.testing.assert_allclose(choice.alone, [information(site[None]) for site in factors])
    rows = factors[choice.site].reshape(-1, 6)
    together = 0.5 * np.linalg.slogdet(np.eye(len(rows)) + rows @ rows.T)[1]
    assert np.isclose(choice.gain.sum(), together, rtol=1e-10)
    np.testing.assert_allclose(
        choice.covariance, np.linalg.inv(np.eye(6) + rows.T @ rows), atol=1e-10
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_choice_is_nearly_the_best_of_all(seed):
    factors = np.random.default_rng(seed).normal(size=(9, 2, 5))
    best = max(information(factors[list(some)]) for some in itertools.combinations(range(9), 3))
    found = greedy(factors, 3).gain.sum()
    assert (1 - 1 / np.e) * best < found <= best * (1 + 1e-12)


def test_a_site_that_another_repeats_is_left_for_last(factors):
    twins = np.concatenate([factors, factors[-1:] * 1e3, factors[-1:] * 1e3])
    assert set(greedy(twins, 2).site) != {9, 10}
    assert greedy(twins, 11).gain[-1] < 1.5


def test_impossible_choices_are_refused(factors):
    with pytest.raises(OptionError, match="10 of 9 sites"):
        greedy(factors, 10)
    factors[4] = np.nan
    with pytest.raises(OptionError, match="site 4"):
        greedy(factors, 2)
