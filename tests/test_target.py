"""The target of every model is a proper log density on the unconstrained space."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bayesquake as bq
from bayesquake.errors import ModelNotFoundError, PriorError
from bayesquake.inference.compilation import recorded_compilations
from bayesquake.priors import PRIORS, Prior, read_priors, resolve_priors
from bayesquake.target import target_of_arrays
from bayesquake.zoo import simulate_accepted

DESIGNS = {"aftershock_rate": {"maximum_events": 60, "knots": 33}}
OPTIONS = {
    "aftershock_rate": [
        {"knots": 33, "basis_size": 12},
        {"knots": 33, "backend": "quasisep"},
        {"knots": 33, "basis_size": 12, "mean": "helmstetter"},
    ]
}
CASES = [(name, i) for name in bq.list_models() for i in range(len(OPTIONS[name]))]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request):
    name, i = request.param
    model = bq.load_model(name)
    _, dataset, _ = simulate_accepted(model, jax.random.key(1), DESIGNS[name])
    return model, dataset, OPTIONS[name][i], bq.target(model, dataset, **OPTIONS[name][i])


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
    model, dataset, options, target = case
    if model.whitening is None:
        pytest.skip("the model has no whitening")
    import dataclasses

    plain_model = dataclasses.replace(model, whitening=None)
    plain = target_of_arrays(plain_model, model.prepare(dataset, **options))
    position = target.initial(jax.random.key(6), target.data)

    def plain_position(whitened):
        return plain.unconstrain(target.constrain(whitened, target.data), plain.data)

    jacobian = jax.jacfwd(plain_position)(position)
    expected = plain.log_density(plain_position(position), plain.data)
    expected += jnp.linalg.slogdet(jacobian)[1]
    assert np.isclose(target.log_density(position, target.data), expected, rtol=1e-9)


def test_every_posterior_variable_has_a_unit_and_a_meaning(case):
    model, *_, target = case
    values = target.constrain(target.initial(jax.random.key(0), target.data), target.data)
    assert set(values) <= set(model.quantities)
    assert all(quantity.unit and quantity.meaning for quantity in model.quantities.values())


def test_new_data_of_equal_shape_share_the_program(case):
    model, _, options, target = case
    compiled = jax.jit(target.log_density)
    compiled(jnp.zeros(target.dim), target.data)
    _, other, _ = simulate_accepted(model, jax.random.key(2), DESIGNS[model.name])
    again = bq.target(model, other, **options)
    assert again.log_density is target.log_density
    position = jnp.zeros(target.dim)
    with recorded_compilations() as record:
        compiled(position, again.data)
    assert record.count == 0


def test_prior_draws_have_the_prior_moments(case):
    model, *_, target = case
    draws = jax.vmap(target.prior_draw, (0, None))(
        jax.random.split(jax.random.key(0), 4000), target.data
    )
    for name, prior in resolve_priors(model).items():
        if name not in draws:
            continue
        distribution = prior.distribution()
        mean, sd = float(distribution.mean), float(distribution.variance) ** 0.5
        assert abs(float(draws[name].mean()) - mean) < 5 * sd / np.sqrt(4000), name


def test_submodules_do_not_hide_the_functions_of_the_public_face():
    import bayesquake.report
    import bayesquake.target  # noqa: F401

    assert callable(bq.target)
    assert callable(bq.report)


def test_an_unknown_model_is_an_error_that_lists_the_known():
    with pytest.raises(ModelNotFoundError, match="aftershock_rate"):
        bq.load_model("nonsense")


def test_priors_are_overridden_by_distribution_prior_and_file(tmp_path):
    model = bq.load_model("aftershock_rate")
    file = tmp_path / "priors.toml"
    file.write_text('[p]\ndistribution = "Normal"\nloc = 1.12\nscale = 0.11\n')
    expected = {"loc": 1.12, "scale": 0.11}
    given = [
        {"p": dist.Normal(1.12, 0.11)},
        {"p": Prior("Normal", tuple(expected.items()))},
        read_priors(file),
    ]
    for overrides in given:
        resolved = resolve_priors(model, overrides)
        assert dict(resolved["p"].parameters) == pytest.approx(expected)
        assert resolved["log_c"] == PRIORS[model.priors["log_c"]]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"q": dist.Normal(0, 1)}, "no prior named 'q'"),
        ({"p": Prior("Gaussian", ())}, "unknown to NumPyro"),
        ({"p": Prior("Normal", (("loc", 0.0), ("scale", -1.0)))}, "invalid"),
        ({"log_K": Prior("HalfNormal", (("scale", 1.0),))}, "whole real line"),
        ({"p": 3.0}, "float"),
    ],
)
def test_a_prior_that_cannot_be_used_is_an_error(overrides, message):
    with pytest.raises(PriorError, match=message):
        resolve_priors(bq.load_model("aftershock_rate"), overrides)
