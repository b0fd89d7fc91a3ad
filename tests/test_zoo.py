"""Every model keeps the promises of its interface, on each of its small problems."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayesquake as bq
from bayesquake.diagnostics.reference import open_reference, reference_target
from bayesquake.inference.kernels.compilation import recorded_compilations
from bayesquake.model.coordinates import arrays_of
from bayesquake.model.priors import Prior, resolve_priors
from bayesquake.model.registry import card, folder_of
from bayesquake.model.simulation import simulate_accepted
from bayesquake.targets.target import target_of_arrays

CASES = [(name, i) for name in bq.list_models() for i in range(len(bq.load_model(name).trials))]
CARD_SECTIONS = (
    "Purpose",
    "Equations",
    "Symbols and priors",
    "Calibrated range",
    "Known failures",
    "References",
)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request):
    name, i = request.param
    model = bq.load_model(name)
    problem = model.trials[i]
    _, dataset, _ = simulate_accepted(model, jax.random.key(1), problem.design)
    return model, dataset, problem, bq.target(model, dataset, **problem.options)


@pytest.fixture(params=bq.list_models())
def model(request):
    return bq.load_model(request.param)


def test_log_density_is_finite_at_starting_points(case):
    *_, target = case
    for seed in range(5):
        position = target.initial(jax.random.key(seed), target.data)
        assert position.shape == (target.dim,)
        assert len(target.coordinates) == target.dim
        assert jnp.isfinite(target.log_density(position, target.data))


def test_gradient_equals_finite_differences(case):
    *_, target = case
    position = target.initial(jax.random.key(3), target.data)
    direction = jax.random.normal(jax.random.key(4), position.shape)
    step = 1e-5
    difference = (
        target.log_density(position + step * direction, target.data)
        - target.log_density(position - step * direction, target.data)
    ) / (2 * step)
    slope = target.gradient(position, target.data) @ direction
    assert np.isclose(slope, difference, rtol=1e-5, atol=1e-5)


def test_unconstrain_inverts_constrain(case):
    *_, target = case
    position = target.initial(jax.random.key(5), target.data)
    values = target.constrain(position, target.data)
    assert np.allclose(target.unconstrain(values, target.data), position, atol=1e-8)


def test_whitened_density_is_the_plain_one_times_the_jacobian(case):
    model, *_, target = case
    if model.coordinates is None:
        pytest.skip("the model has no whitening")
    plain_model = dataclasses.replace(model, coordinates=None)
    plain = target_of_arrays(plain_model, arrays_of(target.data))
    position = target.initial(jax.random.key(6), target.data)

    def plain_position(whitened):
        return plain.unconstrain(target.constrain(whitened, target.data), plain.data)

    jacobian = jax.jacfwd(plain_position)(position)
    expected = plain.log_density(plain_position(position), plain.data)
    expected += jnp.linalg.slogdet(jacobian)[1]
    assert np.isclose(target.log_density(position, target.data), expected, rtol=1e-9)


def test_prior_draws_have_the_prior_moments(case):
    model, *_, target = case
    draws = jax.vmap(target.prior_draw, (0, None))(
        jax.random.split(jax.random.key(0), 4000), target.data
    )
    for name, prior in resolve_priors(model).items():
        if name not in draws:
            continue
        distribution = prior.distribution()
        mean, sd = np.mean(distribution.mean), np.max(distribution.variance) ** 0.5
        assert abs(float(draws[name].mean()) - mean) < 5 * sd / np.sqrt(4000), name


def test_a_batch_of_data_sets_has_the_densities_of_each(case):
    model, _, problem, target = case
    _, other, _ = simulate_accepted(model, jax.random.key(2), problem.design)
    targets = [target, bq.target(model, other, **problem.options)]
    positions = jnp.stack([t.initial(jax.random.key(7), t.data) for t in targets])
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(t.data for t in targets))
    together = jax.vmap(target.log_density)(positions, stacked)
    apart = [t.log_density(x, t.data) for t, x in zip(targets, positions, strict=True)]
    assert np.allclose(together, apart, rtol=1e-10)


def test_new_data_of_equal_shape_share_one_compilation(case):
    model, _, problem, target = case
    _, other, _ = simulate_accepted(model, jax.random.key(2), problem.design)
    again = bq.target(model, other, **problem.options)
    assert again.log_density is target.log_density
    compiled = jax.jit(target.log_density)
    position = jnp.zeros(target.dim)
    with recorded_compilations() as record:
        compiled(position, target.data)
        compiled(position, again.data)
    assert record.count == 1


def test_every_posterior_variable_is_documented(case):
    model, *_, target = case
    values = target.constrain(target.initial(jax.random.key(0), target.data), target.data)
    assert set(values) <= set(model.quantities)
    for name, value in values.items():
        assert len(model.quantities[name].dims) == np.ndim(value)
    assert all(quantity.unit and quantity.meaning for quantity in model.quantities.values())


def test_data_have_units(case):
    _, dataset, *_ = case
    assert all("units" in variable.attrs for variable in dataset.data_vars.values())


def test_a_replicate_has_the_design_of_its_data_set(case):
    model, dataset, problem, target = case
    if not model.replicates:
        pytest.skip("the model does not replicate data sets")
    values = target.prior_draw(jax.random.key(1), target.data)
    truth, _, _ = simulate_accepted(model, jax.random.key(1), problem.design)
    values = {name: np.asarray(value) for name, value in values.items()} | truth
    replica = model.replicate(jax.random.key(2), values, dataset, **problem.options)
    assert set(replica.data_vars) == set(dataset.data_vars)
    shared = set(dataset.attrs) - {"source", "content_hash"}
    assert all(
        np.array_equal(replica.attrs[name], dataset.attrs[name], equal_nan=True)
        if isinstance(dataset.attrs[name], float)
        else replica.attrs[name] == dataset.attrs[name]
        for name in shared
    )


def test_priors_name_their_unit_symbol_and_source(model):
    for prior in resolve_priors(model).values():
        assert isinstance(prior, Prior)
        assert prior.unit
        assert prior.symbol
        assert prior.source


def test_the_card_has_its_sections_and_every_prior(model):
    text = card(model.name)
    assert text.startswith(f"# {model.title}")
    assert "| on paper | in code | meaning |" in text
    for section in CARD_SECTIONS:
        assert f"## {section}" in text
    for site in model.priors:
        assert f"`{site}`" in text


def test_the_reference_is_certified_and_its_target_is_finite_there(model):
    if "tests" in folder_of(model.name).parts:
        pytest.skip("models of the tests alone have no reference")
    reference = open_reference(model)
    assert reference["posterior"].sizes["chain"] * reference["posterior"].sizes["draw"] >= 10_000
    assert reference["posterior"].sizes["chain"] >= 4
    assert bq.check(reference).passed
    checks = reference["checks"]
    assert checks["r_hat"] < 1.01
    assert checks["lag_1_autocorrelation"] < 0.05
    assert checks["divergences"] == 0
    assert checks["e_bfmi"] > 0.2
    target = reference_target(model, reference)
    position = target.initial(jax.random.key(0), target.data)
    assert jnp.isfinite(target.log_density(position, target.data))
