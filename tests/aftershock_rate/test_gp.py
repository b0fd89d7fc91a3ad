"""Both backends carry the Matérn-3/2 covariance at the knots, at every amplitude."""

import jax
import numpy as np
import pytest

from bayesquake.errors import OptionError
from bayesquake.model.registry import load_model
from bayesquake.model.simulation import simulate_accepted
from bayesquake.models.aftershock_rate import gp

KNOTS = np.linspace(-4.0, 0.0, 97)
AMPLITUDES = (0.3, 1.0, 2.5)
LENGTHS = (0.2, 0.7, 1.5)
LARGEST_HSGP_ERROR = {0.2: 0.006, 0.7: 0.001, 1.5: 0.06}
"""Error of the covariance, in units of η², of 96 functions on twice the half-width, by ℓ."""

coefficient_root = jax.jit(gp.coefficient_root)


def process(backend, basis_size=96):
    return gp.make_process(backend, KNOTS, basis_size=basis_size, basis_factor=2.0)


def root(process, eta, ell):
    """Return E S, whose product with its transpose is the covariance at the knots."""
    S = np.asarray(coefficient_root(process, eta, ell))
    return process.functions * S if isinstance(process, gp.HilbertProcess) else S


@pytest.mark.parametrize("ell", LENGTHS)
@pytest.mark.parametrize("eta", AMPLITUDES)
def test_state_space_covariance_is_exact(eta, ell):
    ES = root(process("quasisep"), eta, ell)
    np.testing.assert_allclose(ES @ ES.T, gp.matern32(KNOTS, KNOTS, eta, ell), atol=1e-8 * eta**2)


@pytest.mark.parametrize("ell", LENGTHS)
@pytest.mark.parametrize("eta", AMPLITUDES)
def test_basis_covariance_is_within_its_stated_error(eta, ell):
    ES = root(process("hsgp"), eta, ell)
    error = np.abs(ES @ ES.T - gp.matern32(KNOTS, KNOTS, eta, ell)).max() / eta**2
    assert error < LARGEST_HSGP_ERROR[ell]


@pytest.mark.parametrize("backend", ["hsgp", "quasisep"])
def test_covariance_scales_with_the_square_of_the_amplitude(backend):
    one, two = (root(process(backend), eta, 0.7) for eta in (1.0, 2.0))
    np.testing.assert_allclose(two @ two.T, 4 * one @ one.T, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("backend", ["hsgp", "quasisep"])
def test_knot_values_are_the_root_times_white_latents(backend):
    these = process(backend, basis_size=24)
    z = np.random.default_rng(0).standard_normal(gp.size(these))
    g = gp.knot_values(these, 0.6, 0.7, z)
    np.testing.assert_allclose(g, root(these, 0.6, 0.7) @ z, atol=1e-12)


def test_matern_covariance_is_once_differentiable_with_the_stated_length():
    lag = np.array([0.0, 1e-3, 0.7])
    covariance = gp.matern32(np.zeros(1), lag, 2.0, 0.7)[0]
    assert covariance[0] == pytest.approx(4.0)
    assert covariance[1] == pytest.approx(4 * (1 - 1.5 * (1e-3 / 0.7) ** 2), rel=1e-8)
    assert covariance[2] == pytest.approx(4 * (1 + np.sqrt(3)) * np.exp(-np.sqrt(3)))


@pytest.mark.parametrize(
    "options", [{"backend": "fourier"}, {"basis_size": 3}, {"basis_factor": 1.0}]
)
def test_impossible_processes_are_refused(options):
    model = load_model("aftershock_rate")
    _, dataset, _ = simulate_accepted(model, jax.random.key(0), {"maximum_events": 500})
    with pytest.raises(OptionError, match=next(iter(options))):
        model.prepare(dataset, **options)
