"""Variational inference finds Gaussians exactly, says where a guide is poor, and stops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesquake as bq
from bayesquake.errors import DriverError, OptionError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.nuts import nuts
from bayesquake.inference.svi import svi
from bayesquake.targets.target import Target, target_of_arrays

COVARIANCE = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])
PRECISION = np.linalg.inv(COVARIANCE)
MEAN = np.array([1.0, -2.0, 0.5])
LOG_EVIDENCE = 0.5 * np.linalg.slogdet(2 * np.pi * COVARIANCE)[1]


def target_of(log_density, dim, data=()):
    def initial(key, data):
        return 3 * jax.random.normal(key, (dim,))

    return Target(
        dim=dim,
        coordinates=tuple(f"x[{i}]" for i in range(dim)),
        log_density=log_density,
        gradient=jax.grad(log_density),
        constrain=lambda position, data: {"x": position},
        unconstrain=lambda values, data: values["x"],
        ravel=lambda sites: sites["x"],
        unravel=lambda position: {"x": position},
        initial=initial,
        condition=lambda data: data,
        prior_draw=lambda key, data: {"x": initial(key, data)},
        data=jnp.asarray(data),
    )


def gaussian(position, mean):
    return -0.5 * (position - mean) @ PRECISION @ (position - mean)


def banana(position, data):
    x, y = position
    return -0.5 * x**2 - 0.5 * ((y - x**2) / 0.3) ** 2


def k_hat(made):
    return next(row.value for row in made.checks(None) if row.name == "Pareto k-hat")


GAUSSIAN = target_of(gaussian, 3, MEAN)
BANANA = target_of(banana, 2)
FAST = {"draws": 1000, "learning_rate": 0.05}


@pytest.mark.parametrize("guide", ["multivariate_normal", "low_rank_multivariate_normal"])
def test_a_correlated_gaussian_is_recovered(guide):
    made = svi(GAUSSIAN, guide=guide, seed=1, **FAST)
    draws = made.positions.reshape(-1, 3)
    assert np.allclose(draws.mean(0), MEAN, atol=0.1)
    assert np.allclose(np.cov(draws.T), COVARIANCE, atol=0.15)
    assert abs(made.notes["elbo"] - LOG_EVIDENCE) < 0.01
    assert k_hat(made) < 0.5
    assert (made.notes["approximate"], made.notes["converged"]) == (1, 1)
    assert made.gradients > 0


def test_independent_normals_have_the_conditional_variances_of_a_gaussian():
    made = svi(GAUSSIAN, guide="normal", seed=1, **FAST)
    assert np.allclose(made.positions.var(axis=(0, 1)), 1 / np.diag(PRECISION), rtol=0.1)
    loss = 0.5 * (np.log(np.diag(PRECISION)).sum() - np.linalg.slogdet(PRECISION)[1])
    assert abs(made.notes["elbo"] - (LOG_EVIDENCE - loss)) < 0.03


def test_a_flow_bends_where_a_normal_cannot():
    normal, flow = (svi(BANANA, guide=guide, seed=1) for guide in ("multivariate_normal", "bnaf"))
    log_evidence = np.log(2 * np.pi * 0.3)
    assert k_hat(normal) > 0.7
    assert normal.notes["elbo"] < flow.notes["elbo"] < log_evidence
    assert log_evidence - flow.notes["elbo"] < 0.25 * (log_evidence - normal.notes["elbo"])


def test_log_weight_is_target_over_guide():
    made = svi(GAUSSIAN, seed=1, **FAST)
    assert np.isclose(np.mean(made.statistics["log_weight"]), made.notes["elbo"])
    expected = jax.vmap(jax.vmap(lambda x: gaussian(x, MEAN)))(made.positions)
    assert np.allclose(made.log_density, expected)
    evidence = np.log(np.mean(np.exp(made.statistics["log_weight"])))
    assert abs(evidence - LOG_EVIDENCE) < 0.01


def test_a_fit_cut_short_says_that_it_has_not_converged():
    made = svi(GAUSSIAN, steps=200, seed=1, **FAST)
    assert (made.notes["converged"], made.notes["steps"]) == (0, 200)


def test_an_interrupted_fit_keeps_what_it_has():
    def stop(done, total, statistics):
        if done == 300:
            raise KeyboardInterrupt

    made = svi(GAUSSIAN, progress=stop, seed=1, **FAST)
    assert (made.notes["interrupted"], made.notes["steps"]) == (1, 300)
    assert np.isfinite(made.positions).all()


def test_same_seed_gives_the_same_draws_and_another_seed_others():
    first, again, other = (svi(GAUSSIAN, seed=seed, **FAST) for seed in (3, 3, 4))
    assert np.array_equal(first.positions, again.positions)
    assert not np.array_equal(first.positions, other.positions)


def test_new_data_of_equal_shape_compile_nothing():
    svi(GAUSSIAN, seed=3, **FAST)
    moved = dataclasses.replace(GAUSSIAN, data=jnp.asarray(MEAN + 1))
    with recorded_compilations() as compiled:
        made = svi(moved, seed=5, **FAST)
    assert compiled.count == 0
    assert np.allclose(made.positions.mean((0, 1)), MEAN + 1, atol=0.1)


def test_a_guide_that_reaches_out_of_the_support_is_refused():
    def half(position, data):
        return jnp.where(position[0] > 0, -jnp.sum(position**2), -jnp.inf)

    with pytest.raises(DriverError, match=r"not finite|evidence lower bound"):
        svi(target_of(half, 1), guide="normal", steps=500)


def test_a_flow_in_one_dimension_is_refused():
    with pytest.raises(DriverError, match="two coordinates"):
        svi(target_of(lambda position, data: -jnp.sum(position**2), 1), guide="bnaf")


@pytest.mark.parametrize("setting", [{"guide": "delta"}, {"learning_rate": 0.0}, {"steps": 0}])
def test_options_that_make_no_sense_are_refused(setting):
    with pytest.raises(OptionError, match=next(iter(setting))):
        svi(GAUSSIAN, **setting)


def regression(data, priors):
    slopes = numpyro.sample("slopes", dist.Normal(0, 2).expand([2]).to_event(1))
    noise = numpyro.sample("noise", dist.HalfNormal(2.0))
    numpyro.sample("y", dist.Normal(data[:, :2] @ slopes, noise), obs=data[:, 2])


def test_moments_agree_with_nuts_on_a_numpyro_model():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 2))
    y = x @ [1.0, -0.5] + 0.7 * rng.normal(size=50)
    model = dataclasses.replace(
        bq.load_model("aftershock_rate"),
        declare=regression,
        priors={},
        coordinates=None,
        folds=None,
    )
    target = target_of_arrays(model, np.column_stack([x, y]))
    made = svi(target, draws=2500, seed=2)
    reference = nuts(target, warmup=500, draws=2500, seed=2).positions.reshape(-1, 3)
    draws = made.positions.reshape(-1, 3)
    assert np.all(np.abs(draws.mean(0) - reference.mean(0)) < 0.1 * reference.std(0))
    assert np.allclose(draws.std(0), reference.std(0), rtol=0.08)
