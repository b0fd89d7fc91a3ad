"""The formulas of the slopes of the log posterior are its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.inference.kernels.newton import automatic_slopes, newton_mode
from bayesquake.model.priors import resolve_priors
from bayesquake.models.source_spectra.likelihood import log_f_slopes
from bayesquake.models.source_spectra.slopes import posterior_slopes
from bayesquake.targets.target import target_of_arrays

MODEL = bq.load_model("source_spectra")
PRIORS = {name: prior.distribution() for name, prior in resolve_priors(MODEL).items()}


def one_pair(**design):
    arrays = MODEL.prepare(MODEL.simulate(jax.random.key(2), {"pairs": 1} | design)[1])
    return arrays, target_of_arrays(MODEL, arrays)


@pytest.mark.parametrize("spectrum", ["brune", "boatwright"])
def test_value_gradient_and_hessian_equal_automatic_derivatives(spectrum):
    dataset = MODEL.simulate(jax.random.key(3), {"pairs": 1, "nu2": 2.0, "traces": 2})[1]
    arrays = MODEL.prepare(dataset, spectrum=spectrum)
    target = target_of_arrays(MODEL, arrays)
    automatic = automatic_slopes(lambda x: target.log_density(x, target.data))
    for seed in range(20):
        position = jnp.array([1.4, 1.6, 3.4]) + jax.random.normal(jax.random.key(seed), (3,))
        value, gradient, precision = posterior_slopes(position, arrays, PRIORS)
        theirs = automatic(position)
        assert np.isclose(value, theirs[0], rtol=1e-12)
        assert np.allclose(gradient, theirs[1], rtol=1e-10, atol=1e-9)
        if np.linalg.eigvalsh(theirs[2])[0] > 0:
            assert np.allclose(precision, theirs[2], rtol=1e-10, atol=1e-9)
        assert np.linalg.eigvalsh(precision)[0] > 0


def test_expected_curvature_is_the_mean_of_the_observed():
    arrays, _ = one_pair(nu1=4.0, nu2=6.0)
    rng = np.random.default_rng(0)
    shape = (4000, *arrays.y.shape)
    y = np.log(rng.f(4.0, 6.0, shape))
    _, second = log_f_slopes(y + np.log(4.0 / 6.0), 4.0, 6.0)
    assert np.isclose(-second.mean(), 4.0 * 6.0 / (2 * (4.0 + 6.0 + 2.0)), rtol=0.01)


def test_newton_steps_by_formula_reach_the_mode():
    arrays, target = one_pair()
    mode, _, precision = newton_mode(
        lambda x: posterior_slopes(x, arrays, PRIORS), jnp.array([1.0, 1.6, 3.0]), tolerance=1e-4
    )
    assert np.abs(target.gradient(mode.position, target.data)).max() < 1e-5
    hessian = jax.hessian(target.log_density)(mode.position, target.data)
    assert np.allclose(precision, -hessian, rtol=1e-8)
