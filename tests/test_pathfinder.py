"""Pathfinder finds Gaussians exactly, weighs modes by their mass, and says where it is poor."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesquake as bq
from bayesquake.errors import DriverError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.kernels.starts import pathfinder_starts
from bayesquake.inference.nuts import nuts
from bayesquake.inference.pathfinder import pathfinder
from bayesquake.targets.target import Target, target_of_arrays

COVARIANCE = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])
PRECISION = np.linalg.inv(COVARIANCE)
MEAN = np.array([1.0, -2.0, 0.5])


def target_of(log_density, dim, initial, data=()):
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


def far_start(key, data):
    return 5 + 5 * jax.random.normal(key, (3,))


def row_of(made, name):
    return next(row.value for row in made.checks(None) if row.name == name)


def k_hat(made):
    return row_of(made, "Pareto k-hat")


GAUSSIAN = target_of(gaussian, 3, far_start, MEAN)


def test_a_correlated_gaussian_is_recovered():
    made = pathfinder(GAUSSIAN, draws=2500, seed=1)
    draws = made.positions.reshape(-1, 3)
    assert np.all(np.abs(draws.mean(0) - MEAN) < 5 * np.sqrt(np.diag(COVARIANCE) / 5000))
    assert np.allclose(np.cov(draws.T), COVARIANCE, atol=0.12)
    assert k_hat(made) < 0.5
    assert made.notes["approximate"] == 1
    assert made.gradients > 0


def test_the_log_density_is_that_of_the_positions():
    made = pathfinder(GAUSSIAN, draws=50, seed=1)
    expected = jax.vmap(jax.vmap(lambda x: gaussian(x, MEAN)))(made.positions)
    assert np.allclose(made.log_density, expected)


def test_same_seed_gives_the_same_draws_and_another_seed_others():
    first, again, other = (pathfinder(GAUSSIAN, draws=50, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.positions, again.positions)
    assert not np.array_equal(first.positions, other.positions)


def test_new_data_of_equal_shape_compile_nothing():
    pathfinder(GAUSSIAN, draws=50, seed=3)
    moved = dataclasses.replace(GAUSSIAN, data=jnp.asarray(MEAN + 1))
    with recorded_compilations() as compiled:
        pathfinder(moved, draws=50, seed=5)
    assert compiled.count == 0


def test_two_modes_are_weighed_by_their_mass_not_by_the_paths_that_found_them():
    share = 0.2

    def two_modes(position, data):
        return jnp.logaddexp(
            jnp.log(share) - 0.5 * jnp.sum((position - 6) ** 2),
            jnp.log1p(-share) - 0.5 * jnp.sum((position + 6) ** 2),
        )

    target = target_of(two_modes, 2, lambda key, data: 8 * jax.random.normal(key, (2,)))
    made = pathfinder(target, draws=2500, paths=16, seed=1)
    found = (made.positions[..., 0] > 0).mean()
    assert abs(found - share) < 0.03


def test_a_funnel_is_reported_as_poorly_approximated():
    def funnel(position, data):
        log_scale, rest = position[0], position[1:]
        return (
            -0.5 * (log_scale / 3) ** 2
            - 0.5 * jnp.exp(-2 * log_scale) * (rest @ rest)
            - rest.size * log_scale
        )

    target = target_of(funnel, 10, lambda key, data: jax.random.normal(key, (10,)))
    assert k_hat(pathfinder(target, seed=1)) > 0.7


def test_failed_paths_are_counted_and_left_out():
    def gaussian_and_a_sliver(position, data):
        in_sliver = jnp.abs(position[0] - 100) < 1e-4
        inside = jnp.where(in_sliver, 0.0, -jnp.inf)
        return jnp.where(position[0] > 50, inside, -0.5 * jnp.sum(position**2))

    def either(key, data):
        key_which, key_where = jax.random.split(key)
        near = jax.random.normal(key_where, (2,))
        sliver = jnp.array([100.0, 0.0])
        return jnp.where(jax.random.bernoulli(key_which), near, sliver)

    made = pathfinder(target_of(gaussian_and_a_sliver, 2, either), paths=8, seed=0)
    assert 0 < row_of(made, "failed paths") < 8
    assert np.allclose(np.cov(made.positions.reshape(-1, 2).T), np.eye(2), atol=0.12)


def test_no_path_at_all_is_an_error():
    def sliver(position, data):
        return jnp.where(jnp.abs(position[0]) < 1e-4, 0.0, -jnp.inf)

    target = target_of(sliver, 2, lambda key, data: jnp.zeros(2))
    with pytest.raises(DriverError, match="all 4 optimisation paths failed"):
        pathfinder(target, paths=4, draws=10)


def test_starts_for_chains_are_as_dispersed_as_the_posterior():
    starts = pathfinder_starts(GAUSSIAN, jax.random.key(1), 200)
    assert starts.shape == (200, 3)
    sd = np.sqrt(np.diag(COVARIANCE))
    assert np.all(np.abs(starts.mean(0) - MEAN) < 5 * sd / np.sqrt(200))
    assert np.all(np.abs(starts.std(0) / sd - 1) < 0.25)


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
    made = pathfinder(target, draws=2500, seed=2)
    reference = nuts(target, warmup=500, draws=2500, seed=2).positions.reshape(-1, 3)
    draws = made.positions.reshape(-1, 3)
    assert k_hat(made) < 0.5
    assert np.all(np.abs(draws.mean(0) - reference.mean(0)) < 0.1 * reference.std(0))
    assert np.allclose(draws.std(0), reference.std(0), rtol=0.06)
