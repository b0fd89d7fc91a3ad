"""Sequential Monte Carlo gives the evidence and weighs modes by their mass."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy import stats

import bayesquake as bq
from bayesquake.errors import DriverError, OptionError
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.inference.nuts import nuts
from bayesquake.inference.smc import smc
from bayesquake.model.capabilities import Coordinates, Folds
from bayesquake.targets.target import Target, target_of_arrays

PRIOR_SD, NOISE, DIM, ROWS = 2.0, 0.5, 3, 12


def target_of(log_likelihood, dim, data=None, prior_sd=PRIOR_SD):
    """Return a target with a normal prior around zero."""

    def log_prior(position, data):
        return -0.5 * (position @ position) / prior_sd**2 - dim * jnp.log(
            prior_sd * jnp.sqrt(2 * jnp.pi)
        )

    def log_density(position, data):
        return log_prior(position, data) + log_likelihood(position, data)

    def prior_position(key, data):
        return prior_sd * jax.random.normal(key, (dim,))

    return Target(
        dim=dim,
        coordinates=tuple(f"x[{i}]" for i in range(dim)),
        log_density=log_density,
        gradient=jax.grad(log_density),
        constrain=lambda position, data: {"x": position},
        unconstrain=lambda values, data: values["x"],
        ravel=lambda sites: sites["x"],
        unravel=lambda position: {"x": position},
        initial=prior_position,
        condition=lambda data: data,
        prior_draw=lambda key, data: {"x": prior_position(key, data)},
        data=data,
        log_prior=log_prior,
        log_likelihood=log_likelihood,
        prior_position=prior_position,
    )


def log_likelihoods(position, data):
    design, observed = data
    residual = (observed - design @ position) / NOISE
    return -0.5 * residual**2 - jnp.log(NOISE * jnp.sqrt(2 * jnp.pi))


def linear_data(seed):
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(ROWS, DIM))
    observed = design @ rng.normal(size=DIM) + NOISE * rng.normal(size=ROWS)
    return jnp.asarray(design), jnp.asarray(observed)


def linear_truth(data):
    """Return the posterior mean and covariance and the log evidence."""
    design, observed = map(np.asarray, data)
    covariance = np.linalg.inv(design.T @ design / NOISE**2 + np.eye(DIM) / PRIOR_SD**2)
    marginal = PRIOR_SD**2 * design @ design.T + NOISE**2 * np.eye(ROWS)
    evidence = stats.multivariate_normal(np.zeros(ROWS), marginal).logpdf(observed)
    return covariance @ design.T @ observed / NOISE**2, covariance, evidence


LINEAR = dataclasses.replace(
    target_of(lambda x, data: log_likelihoods(x, data).sum(), DIM, linear_data(0)),
    fold_terms=lambda x, data: log_likelihoods(x, data).reshape(4, 3).sum(axis=1),
)


@pytest.mark.parametrize("anneal", ["tempered", "data"])
def test_evidence_and_moments_of_a_linear_gaussian_model_are_exact(anneal):
    made = smc(LINEAR, chains=8, draws=1000, anneal=anneal, seed=1)
    mean, covariance, evidence = linear_truth(LINEAR.data)
    error = made.notes["log_evidence_sd"] / np.sqrt(8)
    assert 0 < error < 0.05
    assert abs(made.notes["log_evidence"] - evidence) < 3 * error
    draws = made.positions.reshape(-1, DIM)
    assert np.all(np.abs(draws.mean(0) - mean) < 0.06 * np.sqrt(np.diag(covariance)))
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.allclose(np.cov(draws.T) / scale, covariance / scale, atol=0.06)


def test_the_runs_are_independent_and_of_equal_evidence():
    made = smc(LINEAR, chains=8, draws=1000, seed=1)
    by_run = np.asarray(made.statistics["log_evidence"])[:, 0]
    assert np.unique(by_run).size == 8
    assert np.isclose(by_run.std(ddof=1), made.notes["log_evidence_sd"])
    spread = made.positions.mean(axis=1).std(axis=0) / made.positions.std(axis=(0, 1))
    assert np.all(spread < 3 / np.sqrt(1000))


def test_acceptance_is_brought_to_its_target():
    made = smc(LINEAR, chains=8, draws=1000, seed=1)
    assert abs(made.statistics["acceptance_rate"].mean() - 0.8) < 0.1
    assert np.allclose(made.statistics["lp"], made.log_density)
    expected = jax.vmap(jax.vmap(lambda x: LINEAR.log_density(x, LINEAR.data)))(made.positions)
    assert np.allclose(made.log_density, expected)


def test_same_seed_gives_the_same_draws_and_another_seed_others():
    first, again, other = (smc(LINEAR, chains=8, draws=1000, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.positions, again.positions)
    assert not np.array_equal(first.positions, other.positions)


def test_new_data_of_equal_shape_compile_nothing():
    smc(LINEAR, chains=8, draws=1000, seed=3)
    moved = dataclasses.replace(LINEAR, data=linear_data(5))
    with recorded_compilations() as compiled:
        made = smc(moved, chains=8, draws=1000, seed=5)
    assert compiled.count == 0
    assert made.gradients > 0


def two_modes(position, data):
    apart = jnp.array([6.0, 0.0])
    return jnp.logaddexp(
        jnp.log(0.25) - 0.5 * jnp.sum((position - apart) ** 2) / 0.3**2,
        jnp.log(0.75) - 0.5 * jnp.sum((position + apart) ** 2) / 0.3**2,
    )


def test_two_modes_between_which_nuts_is_stuck_are_weighed_by_their_mass():
    target = target_of(two_modes, 2, prior_sd=5.0)
    stuck = nuts(target, chains=4, warmup=200, draws=200, seed=1).positions[..., 0] > 0
    assert set(stuck.mean(axis=1)) <= {0.0, 1.0}
    made = smc(target, chains=8, draws=1000, seed=1)
    assert abs((made.positions[..., 0] > 0).mean() - 0.25) < 0.03
    variance = 0.3**2 + 5.0**2
    evidence = np.log(2 * np.pi * 0.3**2) - 0.5 * 36 / variance - np.log(2 * np.pi * variance)
    error = made.notes["log_evidence_sd"] / np.sqrt(8)
    assert abs(made.notes["log_evidence"] - evidence) < 3 * error


def test_a_likelihood_that_most_of_the_prior_makes_impossible_is_borne():
    edge = 1.5 * PRIOR_SD

    def beyond_edge(position, data):
        return jnp.where(position[0] > edge, 0.0, -jnp.inf)

    made = smc(target_of(beyond_edge, 1), chains=8, draws=2000, seed=1)
    assert made.positions.min() > edge
    assert abs(made.notes["log_evidence"] - stats.norm.logsf(1.5)) < 0.1
    assert abs(made.positions.mean() - PRIOR_SD * stats.truncnorm(1.5, np.inf).mean()) < 0.1


def test_a_likelihood_that_is_nowhere_finite_is_an_error():
    nowhere = target_of(lambda position, data: -jnp.inf * jnp.sum(position**2), 2)
    with pytest.raises(DriverError, match="none of 50 draws from the prior"):
        smc(nowhere, chains=2, draws=50)


def test_folds_that_do_not_make_the_likelihood_are_an_error():
    short = dataclasses.replace(
        LINEAR, fold_terms=lambda x, data: log_likelihoods(x, data)[:8].reshape(4, 2).sum(axis=1)
    )
    with pytest.raises(DriverError, match="the folds of this model add up"):
        smc(short, chains=2, draws=50, anneal="data")


def test_a_target_without_likelihood_or_folds_is_refused_with_the_reason():
    with pytest.raises(DriverError, match="folds"):
        smc(dataclasses.replace(LINEAR, fold_terms=None), anneal="data")
    with pytest.raises(DriverError, match="likelihood apart from the prior"):
        smc(dataclasses.replace(LINEAR, log_likelihood=None))


@pytest.mark.parametrize("setting", [{"target_ess": 1.0}, {"anneal": "slowly"}, {"mcmc_steps": 0}])
def test_options_that_make_no_sense_are_refused(setting):
    with pytest.raises(OptionError, match=next(iter(setting))):
        smc(LINEAR, **setting)


def test_progress_grows_to_the_number_of_draws():
    seen = []
    smc(LINEAR, chains=8, draws=1000, seed=3, progress=lambda done, *_: seen.append(done))
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == 1000


def regression(data, priors):
    slopes = numpyro.sample("slopes", dist.Normal(0, 2).expand([2]).to_event(1))
    noise = numpyro.sample("noise", dist.HalfNormal(2.0))
    numpyro.sample("y", dist.Normal(data[:, :2] @ slopes, noise), obs=data[:, 2])


def regression_terms(values, data):
    means = data[:, :2] @ values["slopes"]
    terms = dist.Normal(means, values["noise"]).log_prob(data[:, 2])
    return terms.reshape(5, -1).sum(axis=1)


STRETCH = Coordinates(
    condition=lambda base, data, priors: data,
    forward=lambda sites, values, data: (
        {**sites, "slopes": sites["slopes"] / values["noise"]},
        -2 * jnp.log(values["noise"]),
    ),
    inverse=lambda sites, values, data: {**sites, "slopes": sites["slopes"] * values["noise"]},
    initial=lambda key, data: {"slopes": jax.random.normal(key, (2,)), "noise": 0.0},
)
"""Coordinates of the slopes that depend on another site."""


@pytest.fixture(scope="module")
def plain_stretched_and_reference():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 2))
    y = x @ [1.0, -0.5] + 0.7 * rng.normal(size=50)
    model = dataclasses.replace(
        bq.load_model("aftershock_rate"),
        declare=regression,
        priors={},
        coordinates=None,
        folds=Folds(lambda data: 5, lambda data, fold: data, regression_terms),
    )
    stretched = dataclasses.replace(model, coordinates=STRETCH)
    arrays = np.column_stack([x, y])
    plain, stretched = target_of_arrays(model, arrays), target_of_arrays(stretched, arrays)
    made = nuts(plain, warmup=500, draws=2500, seed=2)
    return plain, stretched, made.positions.reshape(-1, 3)


def test_moments_agree_with_nuts_on_a_numpyro_model(plain_stretched_and_reference):
    target, _, reference = plain_stretched_and_reference
    draws = smc(target, seed=2).positions.reshape(-1, 3)
    assert np.all(np.abs(draws.mean(0) - reference.mean(0)) < 0.1 * reference.std(0))
    assert np.allclose(draws.std(0), reference.std(0), rtol=0.08)


def test_the_evidence_depends_neither_on_the_anneal_nor_on_the_coordinates(
    plain_stretched_and_reference,
):
    plain, stretched, _ = plain_stretched_and_reference
    runs = [smc(plain, seed=2), smc(plain, anneal="data", seed=2), smc(stretched, seed=2)]
    first, *others = [
        (made.notes["log_evidence"], made.notes["log_evidence_sd"] / 2) for made in runs
    ]
    for other in others:
        error = np.hypot(first[1], other[1])
        assert 0 < error < 0.15
        assert abs(first[0] - other[0]) < 4 * error
