"""Above noise the path term is integrated numerically, and without noise nothing changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from bayesquake.models.source_spectra.likelihood import log_power_density
from bayesquake.models.source_spectra.noise import (
    Box,
    box_of,
    draw_log_expected,
    hermite_applies,
    log_noisy_density,
    trapezoid_nodes,
)

EVENTS, BINS = 2, 12


@pytest.fixture
def spectra():
    rng = np.random.default_rng(3)
    log_f = np.log(np.geomspace(0.5, 40, BINS))
    log_s2 = np.stack([6.0 - 2 * np.logaddexp(0, log_f - 1), -2 * np.logaddexp(0, log_f - 2)])
    nu = np.full((EVENTS, BINS), 10.0)
    power = np.exp(log_s2) * rng.gamma(nu / 2) / (nu / 2)
    return {
        "log_power": jnp.log(power),
        "log_s2": jnp.asarray(log_s2),
        "nu": jnp.asarray(nu),
        "mask": jnp.ones((EVENTS, BINS)),
        "box": box_of(np.log(power[1]), log_f),
    }


def density(spectra, log_noise, nodes):
    return log_noisy_density(
        spectra["log_power"],
        jnp.broadcast_to(log_noise, spectra["nu"].shape),
        spectra["log_s2"],
        spectra["nu"],
        spectra["mask"],
        spectra["box"],
        nodes,
    )


def nodes_of(spectra):
    nu, mask = (np.asarray(spectra[name])[:, None] for name in ("nu", "mask"))
    return trapezoid_nodes(spectra["box"], nu, mask)


@pytest.mark.parametrize("rule", ["trapezoid", "hermite"])
def test_vanishing_noise_leaves_the_density_without_noise_over_the_box(spectra, rule):
    nodes = nodes_of(spectra) if rule == "trapezoid" else None
    noisy = density(spectra, spectra["log_power"] + np.log(1e-8), nodes)
    silent = log_power_density(
        spectra["log_power"], spectra["log_s2"], spectra["nu"], spectra["mask"]
    )
    width = spectra["box"].high - spectra["box"].low
    assert np.allclose(noisy, silent - np.log(width), atol=1e-6)


def test_trapezoid_rule_equals_adaptive_integration(spectra):
    log_noise = spectra["log_power"] - 0.5
    ours = density(spectra, log_noise, nodes_of(spectra))
    low, high = (np.asarray(end) for end in spectra["box"])
    for j in (0, BINS - 1):
        power, noise, s2, nu = (
            np.exp(np.asarray(spectra["log_power"])[:, j]),
            np.exp(np.asarray(log_noise)[:, j]),
            np.exp(np.asarray(spectra["log_s2"])[:, j]),
            np.asarray(spectra["nu"])[:, j],
        )

        def integrand(log_G, power=power, noise=noise, s2=s2, nu=nu):
            expected = np.exp(log_G) * s2 + noise
            return stats.gamma.pdf(power, nu / 2, scale=2 * expected / nu).prod()

        integral = integrate.quad(integrand, low[j], high[j], limit=500, epsrel=1e-11)[0]
        assert np.isclose(ours[j], np.log(integral / (high[j] - low[j])), atol=1e-6)


def test_hermite_rule_equals_the_trapezoid_rule_where_it_applies(spectra):
    log_noise = jnp.full((EVENTS, BINS), spectra["log_power"].min() - np.log(4.0))
    assert hermite_applies(
        np.exp(spectra["log_power"]), np.exp(log_noise), spectra["nu"], spectra["mask"]
    )
    by_trapezoid = density(spectra, log_noise, nodes_of(spectra))
    assert np.allclose(density(spectra, log_noise, None), by_trapezoid, atol=1e-3)


def test_hermite_rule_is_refused_for_few_degrees_or_much_noise(spectra):
    power, mask = np.exp(spectra["log_power"]), spectra["mask"]
    assert not hermite_applies(power, power / 10, np.full((EVENTS, BINS), 2.0), mask)
    assert not hermite_applies(power, power / 2, spectra["nu"], mask)


def test_masked_bins_add_nothing_and_have_finite_gradients(spectra):
    nothing = spectra | {"mask": jnp.zeros((EVENTS, BINS))}
    for nodes in (nodes_of(spectra), None):
        log_noise = spectra["log_power"] - 2.0
        assert (density(nothing, log_noise, nodes) == 0.0).all()

        def total(log_s2, log_noise=log_noise, nodes=nodes):
            return density(nothing | {"log_s2": log_s2}, log_noise, nodes).sum()

        assert np.isfinite(jax.grad(total)(spectra["log_s2"])).all()


def test_drawn_path_term_meets_its_posterior_without_noise():
    log_power, log_s2, nu = jnp.array([[1.0], [0.2]]), jnp.array([[0.5], [0.0]]), 8.0
    box = Box(jnp.array([-8.0]), jnp.array([8.0]))
    shape = (2, 1)
    keys = jax.random.split(jax.random.key(1), 4000)
    log_E = jax.vmap(
        lambda key: draw_log_expected(
            key,
            log_power,
            jnp.full(shape, -40.0),
            log_s2,
            jnp.full(shape, nu),
            jnp.ones(shape),
            box,
            2000,
        )
    )(keys)
    log_G = np.asarray(log_E[:, 1, 0])
    # 1/G of A = 8 degrees of shape: C / G is a gamma variable of shape A.
    C = 4.0 * (np.exp(0.5) + np.exp(0.2))
    assert stats.kstest(C / np.exp(log_G), stats.gamma(8.0).cdf).pvalue > 1e-3
