import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import logsumexp
from scipy.stats import chi2, kstest

from bayesquake.io.datasets import labelled
from bayesquake.model.registry import load_model
from bayesquake.models.orientation_dependence.data.mechanisms import DATA, prepare
from bayesquake.models.orientation_dependence.errors import (
    SinkhornError,
)
from bayesquake.models.orientation_dependence.model import (
    log_kernel,
    log_likelihood,
    slopes,
)
from bayesquake.models.orientation_dependence.physics.sinkhorn import (
    log_dual,
    potentials,
    require_converged,
)
from bayesquake.models.orientation_dependence.physics.statistics import eigenvalues
from bayesquake.models.orientation_dependence.results.estimation import maximum, maximum_likelihood

THETA = np.array([1.0, -1.0, 1.5, -0.5, -2.0, 0.5, -0.5, 1.0, 0.0, 1.0])
EVENTS = 150
NULL_SETS = 150

value = jax.jit(log_likelihood)
gradient = jax.jit(jax.grad(log_likelihood))


def mechanisms_of(frame, depth):
    """Return frames and depths as a data set of the model."""
    return labelled(DATA, {"frame": frame, "depth": depth})


@pytest.fixture(scope="module")
def dataset():
    design = {"events": EVENTS}
    return load_model("orientation_dependence").simulate(
        jax.random.key(1), design, {"theta": THETA}
    )[1]


@pytest.fixture(scope="module")
def arrays(dataset):
    return prepare(dataset)


def test_the_gradient_equals_differences(arrays):
    step = 1e-5
    central = np.array(
        [
            (value(THETA + step * e, arrays) - value(THETA - step * e, arrays)) / (2 * step)
            for e in np.eye(10)
        ]
    )
    found = np.asarray(gradient(THETA, arrays))
    assert np.abs(found - central).max() < 1e-6 * max(1.0, np.abs(found).max())


def test_the_hessian_equals_differences_of_the_gradient_and_the_formula(arrays):
    hessian = np.asarray(jax.jit(jax.hessian(log_likelihood))(THETA, arrays))
    step = 1e-5
    central = np.array(
        [
            (gradient(THETA + step * e, arrays) - gradient(THETA - step * e, arrays)) / (2 * step)
            for e in np.eye(10)
        ]
    )
    assert np.allclose(hessian, central, atol=1e-5)
    level, slope, precision = jax.jit(slopes)(THETA, arrays)
    assert np.isclose(level, value(THETA, arrays), rtol=1e-12)
    assert np.allclose(slope, gradient(THETA, arrays), atol=1e-10)
    assert np.allclose(precision, -hessian, atol=1e-8)
    assert (np.linalg.eigvalsh(hessian) < 0).all()


def test_the_derivative_of_the_dual_in_the_kernel_equals_differences():
    K = np.random.default_rng(3).normal(size=(4, 4))
    w = np.full(4, 0.25)
    found = np.asarray(jax.grad(log_dual)(K, w))
    differences = approx_fprime(K.ravel(), jax.jit(lambda k: log_dual(k.reshape(4, 4), w)), 1e-7)
    assert np.allclose(found.ravel(), differences, atol=1e-6)


def test_the_coupling_has_both_marginals(arrays):
    K = log_kernel(3 * THETA, arrays)
    w = np.asarray(arrays.weights)
    f, g, error = jax.jit(potentials)(K, w)
    coupling = w[:, None] * w * np.exp(K + f[:, None] + g)
    assert error < 1e-10
    assert np.abs(coupling.sum(axis=0) - w).max() < 1e-10 / EVENTS
    assert np.abs(coupling.sum(axis=1) - w).max() < 1e-10 / EVENTS


def test_functions_of_one_variable_do_not_change_the_likelihood(arrays):
    K, w = log_kernel(THETA, arrays), jnp.asarray(arrays.weights)
    shifted = K + jnp.sin(jnp.arange(len(w)))[:, None] + jnp.arange(len(w)) / 10
    dual = jax.jit(log_dual)
    assert np.isclose(dual(K, w), dual(shifted, w), atol=1e-9)


def test_independence_has_the_likelihood_zero(arrays):
    assert value(np.zeros(10), arrays) == pytest.approx(0.0, abs=1e-12)


def test_padding_changes_nothing(arrays):
    kept = slice(0, EVENTS)
    bare = arrays._replace(s=arrays.s[kept], z=arrays.z[kept], weights=arrays.weights[kept])
    assert len(arrays.z) > EVENTS
    assert np.isclose(value(THETA, arrays), value(THETA, bare), rtol=1e-10)


def test_the_order_of_rows_does_not_matter(dataset, arrays):
    order = np.random.default_rng(2).permutation(EVENTS)
    assert np.isclose(
        value(THETA, prepare(dataset.isel(event=order))), value(THETA, arrays), rtol=1e-10
    )


def test_eigenvalues_do_not_change_when_all_mechanisms_are_rotated(dataset, arrays):
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    turned = prepare(
        mechanisms_of(dataset["frame"].to_numpy() @ rotation.T, dataset["depth"].to_numpy())
    )
    before, after = maximum_likelihood(arrays), maximum_likelihood(turned)
    assert np.allclose(
        eigenvalues(before.theta, arrays.forms), eigenvalues(after.theta, arrays.forms), atol=1e-6
    )
    assert np.isclose(before.log_likelihood, after.log_likelihood, atol=1e-8)


def test_eigenvalues_do_not_change_with_the_unit_or_zero_of_depth(dataset, arrays):
    miles = dataset.assign(depth=dataset["depth"] / 1.609344 + 2.0)
    assert np.allclose(prepare(miles).z, arrays.z)


def test_the_likelihood_nears_the_exact_sum_over_pairings():
    rng = np.random.default_rng(4)
    n = 7
    u, z = 0.3 * rng.normal(size=n), rng.normal(size=n)
    w = np.full(n, 1 / n)
    pairings = np.array(list(itertools.permutations(range(n))))

    def exact(scale):
        return (
            scale * u @ z - logsumexp(scale * (u * z[pairings]).sum(axis=1)) + np.log(len(pairings))
        )

    def approximate(scale):
        return n * float(log_dual(scale * np.outer(u, z), w))

    slope = [(f(1e-3) - f(-1e-3)) / 2e-3 for f in (exact, approximate)]
    assert slope[1] == pytest.approx(slope[0], rel=1e-4)
    assert approximate(1.0) == pytest.approx(exact(1.0), abs=0.05)


def test_likelihood_ratios_of_permuted_depths_are_chi_square():
    rng = np.random.default_rng(6)
    n = 160
    frame = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0][:, :2]
    made = prepare(mechanisms_of(frame, rng.gamma(2.0, 20.0, n)), statistic="von_mises")
    ones = np.ones(made.s.shape[1])

    def lrt(order):
        return 2 * maximum(made._replace(z=jnp.asarray(made.z)[order]), ones).log_likelihood

    orders = np.array([rng.permutation(n) for _ in range(NULL_SETS)])
    found = np.asarray(jax.jit(lambda o: jax.lax.map(lrt, o))(orders))
    assert kstest(chi2.sf(found, made.s.shape[1]), "uniform").pvalue > 0.01


def test_a_kernel_without_a_coupling_is_refused():
    blocked = jnp.array([[0.0, 2000.0], [-2000.0, jnp.nan]])
    with pytest.raises(SinkhornError, match="did not converge"):
        require_converged(blocked, jnp.full(2, 0.5))


def test_the_maximum_is_stationary(arrays):
    best = maximum_likelihood(arrays)
    assert np.abs(gradient(best.theta, arrays)).max() < 1e-5
