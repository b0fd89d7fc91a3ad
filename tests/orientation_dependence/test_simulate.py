import itertools

import jax
import numpy as np
import pytest

from bayesquake.errors import OptionError
from bayesquake.model.registry import load_model
from bayesquake.models.orientation_dependence.data.mechanisms import prepare
from bayesquake.models.orientation_dependence.physics.pairing import random_frames, swap
from bayesquake.models.orientation_dependence.results.estimation import maximum_likelihood

MODEL = load_model("orientation_dependence")


def test_swaps_draw_pairings_by_their_probability():
    u, z = np.array([0.0, 1.0, -0.5, 0.7]), np.array([1.0, -1.0, 0.3, 2.0])
    pairings = list(itertools.permutations(range(4)))
    weight = np.exp([u @ z[list(sigma)] for sigma in pairings])
    keys = jax.random.split(jax.random.key(0), 10_000)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: swap(key, u, z, 30)))(keys))
    code = drawn @ 4 ** np.arange(4)
    share = np.array([(code == np.array(s) @ 4 ** np.arange(4)).mean() for s in pairings])
    expected = weight / weight.sum()
    assert (np.abs(share - expected) < 5 * np.sqrt(expected / len(keys)) + 1e-3).all()


def test_random_frames_are_orthonormal_and_isotropic():
    frame = np.asarray(random_frames(jax.random.key(1), 4000))
    assert np.allclose(frame @ frame.swapaxes(1, 2), np.eye(2), atol=1e-12)
    assert np.allclose(np.einsum("nai,naj->aij", frame, frame) / 4000, np.eye(3) / 3, atol=0.03)


def test_the_maximum_recovers_theta_within_its_errors():
    theta = np.array([2.0, -1.0, 1.5, -0.5, -2.0, 0.5, -0.5, 1.0, 0.0, 1.0])
    _, dataset = MODEL.simulate(jax.random.key(2), {"events": 150}, {"theta": theta})
    best = maximum_likelihood(prepare(dataset))
    score = (best.theta - theta) @ np.linalg.solve(best.covariance, best.theta - theta)
    assert score < 29.6  # the 99.9 % point of chi-square with 10 degrees of freedom


def test_the_seed_decides_the_data():
    first, again = (MODEL.simulate(jax.random.key(3), {"events": 150})[1] for _ in range(2))
    assert first.equals(again)
    assert first.attrs["content_hash"] == again.attrs["content_hash"]


@pytest.mark.parametrize("given", [({"magnitude": 3}, None), (None, {"phi": 1.0})])
def test_unknown_entries_are_refused(given):
    with pytest.raises(OptionError, match=r"magnitude|phi"):
        MODEL.simulate(jax.random.key(0), *given)
