"""Draws by quadrature are draws from the posterior of a pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.model.priors import resolve_priors
from bayesquake.models.source_spectra.quadrature import (
    FINER_AND_FINER,
    applies,
    exact_draws,
    grid_moments,
    pair_grid,
)
from bayesquake.results.evidence import LARGEST_CHANGE
from bayesquake.targets.target import target_of_arrays

MODEL = bq.load_model("source_spectra")
PRIORS = {name: prior.distribution() for name, prior in resolve_priors(MODEL).items()}
PAIRS = 6


def simulated(design=None, **options):
    truth, dataset = MODEL.simulate(jax.random.key(11), {"pairs": PAIRS} | (design or {}))
    return truth, MODEL.prepare(dataset, **options)


def one_by_one(function, arrays):
    """Apply a function of one pair to each pair, in one program."""
    return jax.jit(
        lambda arrays: jax.lax.map(
            lambda one: function(jax.tree.map(lambda x: x[None], one)), arrays
        )
    )(arrays)


def moments(arrays, refine):
    """Return mean and standard deviation of ln f1, d and m, (pair, 3, 2)."""

    def of_pair(one):
        return grid_moments(pair_grid(one, PRIORS, refine))

    return np.asarray(one_by_one(of_pair, arrays))


@pytest.mark.parametrize("nu", [(2.0, 2.0), (10.0, 2.0)])
def test_doubled_nodes_change_nothing_that_matters(nu):
    _, arrays = simulated({"nu1": nu[0], "nu2": nu[1]})
    once, twice = moments(arrays, 1), moments(arrays, 2)
    assert np.abs((once - twice)[..., 0] / twice[..., 1]).max() < 0.005
    assert np.abs(once[..., 1] / twice[..., 1] - 1).max() < 0.01


def test_draws_have_the_moments_of_the_grid():
    _, arrays = simulated()
    truth = moments(arrays, 2)
    count = 4000

    def draw(one):
        return exact_draws(jax.random.key(0), one, PRIORS, count, refine=2)[0]

    draws = one_by_one(draw, arrays)
    for i, name in enumerate(("ln_fc1", "dln_fc", "ln_moment_ratio")):
        values = np.asarray(draws[name])[..., 0]
        error = (values.mean(axis=1) - truth[:, i, 0]) / truth[:, i, 1]
        assert np.abs(error).max() < 5 / np.sqrt(count)
        assert np.abs(values.std(axis=1) / truth[:, i, 1] - 1).max() < 0.1


@pytest.mark.parametrize("spectrum", ["boatwright", "brune"])
def test_conditional_moments_of_the_moment_ratio_are_exact(spectrum):
    design = {"nu1": 10.0, "nu2": 2.0, "frequencies": 12}
    _, arrays = simulated(design, spectrum=spectrum)
    one = jax.tree.map(lambda x: x[:1], arrays)
    grid = pair_grid(one, PRIORS)
    i, j = np.unravel_index(np.argmax(grid.log_density), grid.log_density.shape)
    m = grid.m_mean[i, j] + grid.m_sd[i, j] * np.linspace(-9, 9, 4001)
    target = target_of_arrays(MODEL, one)
    node = {
        "ln_fc1": grid.axes[0][i][None],
        "dln_fc": grid.axes[1][j][None],
        "ln_moment_ratio": jnp.zeros(1),
    }
    position = target.unconstrain(node, target.data)
    place = target.coordinates.index("ln_moment_ratio[0]")
    positions = jnp.tile(position, (len(m), 1)).at[:, place].set(m)
    log_density = jax.vmap(target.log_density, (0, None))(positions, target.data)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    mean = (weight * m).sum()
    sd = np.sqrt((weight * (m - mean) ** 2).sum())
    skew = (weight * (m - mean) ** 3).sum() / sd**3
    assert abs(mean - grid.m_mean[i, j]) < 1e-3 * sd
    assert abs(sd / grid.m_sd[i, j] - 1) < 1e-3
    assert abs(skew - grid.m_skew[i, j]) < 0.05
    integral = np.log(np.exp(log_density - log_density.max()).sum() * (m[1] - m[0]))
    assert np.isclose(integral + log_density.max(), grid.log_density[i, j], atol=1e-4)


def test_quadrature_is_offered_only_for_the_unknowns_of_its_grid():
    assert applies(simulated()[1])
    assert applies(simulated(degrees_of_freedom="estimated")[1])
    assert not applies(simulated(falloff="free")[1])
    assert not applies(simulated({"traces": 2}, levels=True)[1])


def test_strong_data_stay_on_the_grid():
    _, dataset = MODEL.simulate(jax.random.key(27), {"pairs": 24, "traces": 27})
    arrays = MODEL.prepare(dataset)

    def outermost(one):
        grid = pair_grid(one, PRIORS)
        weight = jnp.exp(grid.log_density - grid.log_density.max())
        weight = weight / weight.sum()
        rows = [weight.sum(axis=1 - i)[jnp.array([0, -1])] for i in range(2)]
        changes = [draw(jax.random.key(0), one, PRIORS, 50)[1] for draw in FINER_AND_FINER]
        return jnp.stack(rows).max(), jnp.stack(changes)

    edge, changes = one_by_one(outermost, arrays)
    assert edge.max() < 1e-4
    assert (changes.min(axis=1) < LARGEST_CHANGE).all()


def test_a_grid_that_a_finer_one_would_move_is_refused():
    """Corners close together: a thin ridge at d = 0, with broad and far tails."""
    close = {"ln_fc1": np.log(4.0), "dln_fc": 0.1, "ln_moment_ratio": 3.4}
    _, dataset = MODEL.simulate(jax.random.key(3), {"pairs": 6, "nu1": 40.0, "nu2": 40.0}, close)
    arrays = MODEL.prepare(dataset)
    change = one_by_one(lambda one: exact_draws(jax.random.key(0), one, PRIORS, 4)[1], arrays)
    held = np.asarray(change) < LARGEST_CHANGE
    once, finest = moments(arrays, 1), moments(arrays, 4)
    error = np.abs(once - finest)[..., 0] / finest[..., 1]
    error = np.maximum(error, np.abs(once[..., 1] / finest[..., 1] - 1)).max(axis=1)
    assert (error[held] < 0.02).all()
    assert error[~held].max(initial=0.0) > 0.1
