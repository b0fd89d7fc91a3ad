"""The drivers sample what they should, reproducibly, and compile once."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayesquake.errors import DriverError, InitialPointError, OptionError
from bayesquake.inference.chees import chees, chees_program
from bayesquake.inference.kernels.adaptation import (
    ADAPT_STEP,
    DRAW,
    FINISH,
    METRICS,
    UPDATE_METRIC,
    warmup_stages,
)
from bayesquake.inference.kernels.compilation import compiled, recorded_compilations
from bayesquake.inference.kernels.mode import find_mode
from bayesquake.inference.laplace import laplace
from bayesquake.inference.mclmc import mclmc, mclmc_program
from bayesquake.inference.nuts import nuts, nuts_program
from bayesquake.targets.target import Target

COVARIANCE = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])
PRECISION = np.linalg.inv(COVARIANCE)
MEAN = np.array([1.0, -2.0, 0.5])


def gaussian(position, data):
    return -0.5 * (position - data) @ PRECISION @ (position - data)


def target_of(log_density, mean=MEAN):
    return Target(
        dim=3,
        coordinates=("x", "y", "z"),
        log_density=log_density,
        gradient=jax.grad(log_density),
        constrain=lambda position, data: {"x": position},
        unconstrain=lambda values, data: values["x"],
        ravel=lambda sites: sites["x"],
        unravel=lambda position: {"x": position},
        initial=gaussian_start,
        condition=lambda data: data,
        prior_draw=lambda key, data: {"x": data},
        data=jnp.asarray(mean),
    )


def gaussian_start(key, data):
    return data + jax.random.normal(key, (3,))


GAUSSIAN = target_of(gaussian)


CHAIN_DRIVERS = {
    "nuts-diagonal": partial(nuts, metric="diagonal", chains=4),
    "nuts-dense": partial(nuts, metric="dense", chains=4),
    "nuts-low_rank": partial(nuts, metric="low_rank", chains=4),
    "chees": partial(chees, chains=8),
    "mclmc": partial(mclmc, chains=4),
}


@pytest.mark.parametrize("driver", CHAIN_DRIVERS)
def test_chains_recover_the_moments_of_a_gaussian(driver):
    made = CHAIN_DRIVERS[driver](GAUSSIAN, warmup=300, draws=1000, seed=1)
    draws = made.positions.reshape(-1, 3)
    sd = np.sqrt(np.diag(COVARIANCE))
    assert np.all(np.abs(draws.mean(0) - MEAN) < 5 * sd / np.sqrt(1000))
    assert np.allclose(np.cov(draws.T), COVARIANCE, atol=0.2)
    assert not made.statistics["diverging"].any()


@pytest.mark.parametrize("driver", CHAIN_DRIVERS)
def test_marginal_is_normal(driver):
    made = CHAIN_DRIVERS[driver](GAUSSIAN, warmup=300, draws=1000, seed=2)
    thinned = made.positions[:, ::10, 0].ravel()
    assert stats.kstest(thinned, stats.norm(MEAN[0], 1.0).cdf).pvalue > 0.01


def test_same_seed_gives_the_same_draws_and_another_seed_others():
    first, again, other = (
        nuts(GAUSSIAN, chains=2, warmup=100, draws=100, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.positions, again.positions)
    assert not np.array_equal(first.positions, other.positions)


@pytest.mark.parametrize("driver", CHAIN_DRIVERS)
def test_new_data_and_other_lengths_compile_nothing(driver):
    run = CHAIN_DRIVERS[driver]
    run(GAUSSIAN, warmup=100, draws=150, seed=3)
    moved = dataclasses.replace(GAUSSIAN, data=jnp.asarray(MEAN + 1))
    with recorded_compilations() as record:
        run(moved, warmup=230, draws=370, seed=5)
    assert record.count == 0


@pytest.mark.parametrize(
    "program", [nuts_program(gaussian), chees_program(gaussian), mclmc_program(gaussian)]
)
def test_a_block_program_compiles_once(program):
    keys = jax.random.split(jax.random.key(0), 8)
    start = jnp.zeros((8, 3)) + jnp.arange(3.0)
    state = compiled(program.start)(keys, start, GAUSSIAN.data)
    block = jax.jit(program.block)
    for stages in (program.stages(100), np.zeros(100, int)):
        state, *_ = block(state, GAUSSIAN.data, stages)
    assert block._cache_size() == 1


@pytest.mark.parametrize("driver", ["nuts-diagonal", "chees"])
def test_energies_vary_as_their_resampling_does(driver):
    made = CHAIN_DRIVERS[driver](GAUSSIAN, warmup=300, draws=1000, seed=4)
    energy = made.statistics["energy"]
    potential = -made.log_density
    assert np.isfinite(energy).all()
    assert (energy >= potential - 1e-9).all()
    assert np.isclose((energy - potential).mean(), 1.5, atol=0.15)


def test_nothing_adapts_after_warmup():
    for run in CHAIN_DRIVERS.values():
        step_size = run(GAUSSIAN, warmup=100, draws=200, seed=4).statistics["step_size"]
        assert np.unique(step_size).size == 1


def test_draws_that_do_not_fill_a_block_are_cut_not_dropped():
    made = nuts(GAUSSIAN, chains=2, warmup=130, draws=45, seed=3)
    longer = nuts(GAUSSIAN, chains=2, warmup=130, draws=70, seed=3)
    assert made.positions.shape == (2, 45, 3)
    assert np.array_equal(made.positions, longer.positions[:, :45])


def test_laplace_is_exact_for_a_gaussian():
    made = laplace(GAUSSIAN, chains=2, draws=5000, seed=1)
    draws = made.positions.reshape(-1, 3)
    residual_gradient, reach = 1e-5, 10.0
    assert np.ptp(made.statistics["log_weight"]) < residual_gradient * reach
    assert np.allclose(draws.mean(0), MEAN, atol=0.06)
    assert np.allclose(np.cov(draws.T), COVARIANCE, atol=0.1)


def test_laplace_refuses_a_density_without_a_mode():
    with pytest.raises(DriverError, match=r"no mode|curvature"):
        laplace(target_of(lambda position, data: position.sum()), draws=10)


def test_a_mode_of_a_curved_valley_is_found():
    def banana(position):
        x, y = position
        return -((1 - x) ** 2) - 100 * (y - x**2) ** 2

    mode = find_mode(banana, jnp.array([-1.2, 1.0]))
    assert np.allclose(mode.position, [1.0, 1.0], atol=1e-5)
    assert mode.gradient_norm < 1e-4


def test_a_start_that_is_not_finite_names_the_coordinates():
    nowhere = target_of(lambda position, data: jnp.nan * position.sum())
    with pytest.raises(InitialPointError, match=r"x = .*y = .*z = "):
        nuts(nowhere, chains=2, warmup=10, draws=10)


def test_a_start_without_a_gradient_is_refused():
    cusp = target_of(lambda position, data: -jnp.sqrt((position**2).sum()))
    flat_start = dataclasses.replace(cusp, initial=lambda key, data: jnp.zeros(3))
    with pytest.raises(InitialPointError, match="gradient"):
        nuts(flat_start, chains=2, warmup=10, draws=10)


def test_chains_may_start_where_pathfinder_ends():
    near = nuts(GAUSSIAN, chains=4, warmup=20, draws=10, seed=1, initial="pathfinder")
    assert np.abs(near.positions - MEAN).max() < 10
    with pytest.raises(OptionError, match="initial"):
        nuts(GAUSSIAN, chains=2, warmup=10, draws=10, initial="zero")


def test_chees_needs_chains_to_learn_from():
    with pytest.raises(DriverError, match="at least 8"):
        chees(GAUSSIAN, chains=4, warmup=10, draws=10)


def test_mclmc_needs_two_dimensions():
    with pytest.raises(DriverError, match="one dimension"):
        mclmc(dataclasses.replace(GAUSSIAN, dim=1), warmup=10, draws=10)


@pytest.mark.parametrize(
    ("driver", "setting"),
    [
        (nuts, {"target_accept": 1.2}),
        (nuts, {"max_tree_depth": 0}),
        (nuts, {"metric": "round"}),
        (chees, {"max_steps": 0}),
        (mclmc, {"max_steps": 2.7}),
    ],
)
def test_settings_that_make_no_sense_are_refused(driver, setting):
    with pytest.raises(OptionError, match=next(iter(setting))):
        driver(GAUSSIAN, **setting)


@pytest.mark.parametrize("setting", [{"chains": 0}, {"draws": -1}, {"warmup": 1.5}])
def test_sizes_that_make_no_sense_are_refused(setting):
    with pytest.raises(OptionError, match=next(iter(setting))):
        nuts(GAUSSIAN, **setting)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("warmup", [1, 10, 50, 200, 1000])
def test_warmup_ends_with_the_step_size_and_windows_grow(metric, warmup):
    stages = warmup_stages(metric, warmup)
    assert stages.shape == (warmup,)
    assert stages[-1] == FINISH
    assert (stages != DRAW).all()
    updates = np.flatnonzero(stages == UPDATE_METRIC)
    if metric == "identity":
        assert updates.size == 0
    elif warmup >= 50:
        assert updates[-1] < warmup - 5
        assert np.diff(updates, prepend=-1).max() <= 0.6 * warmup + 15
        assert (stages[updates[-1] + 1 : -1] == ADAPT_STEP).all()
