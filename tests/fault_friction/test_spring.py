"""A block on a spring: its density, its derivatives, and friction found again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

import bayesquake as bq
from bayesquake.errors import BayesquakeError
from bayesquake.models.fault_friction.physics.by_jacobian import by_jacobian

YEAR = 365.25 * 86400
PLATE_RATE = 0.065 / YEAR
MODEL = bq.load_model("fault_friction")
TRUTH = {
    "log_a": 11.4,
    "b_minus_a": 3.8e4,
    "log_characteristic_slip": -3.1,
    "log_stiffness": 13.5,
}


def slip_rates_by_scipy(truth, times, law):
    """Return ln(V / Vpl) from stress and strength themselves, V being solved for at every time.

    The unknowns of the integration are stress and ln θ; with damping, V is where strength and
    radiation take up the stress.
    """
    a, slip, stiffness = (
        np.exp(truth[f"log_{name}"]) for name in ("a", "characteristic_slip", "stiffness")
    )
    b, damping = a + truth["b_minus_a"], 40e9 / 6e3

    def log_rate(stress, log_state):
        q = 0.0
        for _ in range(60):
            surplus = a * q + b * log_state + damping * PLATE_RATE * np.expm1(q) - stress
            q -= surplus / (a + damping * PLATE_RATE * np.exp(q))
        return q

    def rate(t, y):
        q = log_rate(*y)
        healing = {"aging": np.exp(-y[1]) - np.exp(q), "slip": -np.exp(q) * (q + y[1])}[law]
        return [-stiffness * PLATE_RATE * np.expm1(q), PLATE_RATE / slip * healing]

    start = [a + b * -0.5 + damping * PLATE_RATE * np.expm1(1.0), -0.5]
    path = solve_ivp(rate, (0, times[-1]), start, "LSODA", times, rtol=1e-10, atol=[1e-4, 1e-10])
    return np.array([log_rate(*y) for y in path.y.T])


@pytest.fixture(scope="module", params=["aging", "slip"])
def observed(request):
    """Slip rates of an integration and a noise that the model has no part in."""
    _, template = MODEL.simulate(jax.random.key(0), {"epochs": 36}, TRUTH)
    exact = slip_rates_by_scipy(TRUTH, template["time"].to_numpy(), request.param)
    noisy = exact + 0.1 * np.random.default_rng(3).normal(size=36)
    return request.param, template.assign(log_slip_rate=(("epoch", "cell"), noisy[:, None])), exact


def test_slip_rates_are_those_of_stress_and_strength(observed):
    law, dataset, exact = observed
    noise_free = {"observed": dataset.assign(log_slip_rate_error=1e-6), "law": law}
    _, simulated = MODEL.simulate(jax.random.key(1), noise_free, TRUTH)
    np.testing.assert_allclose(simulated["log_slip_rate"][:, 0], exact, atol=1e-5)


def test_the_density_is_the_product_of_normals(observed):
    law, dataset, exact = observed
    plain = bq.target(MODEL, dataset, law=law)
    position = plain.unconstrain(TRUTH, plain.data)
    prior = sum(
        norm(*(dict(MODEL.priors[name].parameters)[k] for k in ("loc", "scale"))).logpdf(value)
        for name, value in TRUTH.items()
    )
    fit = norm(exact, 0.1).logpdf(dataset["log_slip_rate"].to_numpy()[:, 0]).sum()
    bent = np.hypot(TRUTH["b_minus_a"], plain.data.arrays.weakening_scale)
    jacobian = np.log(bent) + np.log(jnp.diagonal(plain.data.root)).sum()
    found = plain.log_density(position, plain.data)
    np.testing.assert_allclose(found, prior + fit + jacobian, rtol=1e-5)


@pytest.mark.parametrize("observed", ["slip"], indirect=True)
def test_friction_is_found_again(observed):
    law, dataset, _ = observed
    result = bq.fit(MODEL, dataset, law=law, chains=4, warmup=500, draws=1000, seed=2)
    assert bq.check(result).passed
    posterior = result["posterior"]
    truth = {
        "a": np.exp(TRUTH["log_a"]),
        "b_minus_a": TRUTH["b_minus_a"],
        "characteristic_slip": np.exp(TRUTH["log_characteristic_slip"]),
        "stiffness": np.exp(TRUTH["log_stiffness"]),
    }
    for name, value in truth.items():
        away = (posterior[name].mean() - value) / posterior[name].std()
        assert abs(away) < 3, name
    assert posterior["characteristic_slip"].std() < 0.1 * truth["characteristic_slip"]


def test_missing_epochs_tell_nothing(observed):
    law, dataset, _ = observed
    gaps = dataset.copy()
    gaps["log_slip_rate"] = dataset["log_slip_rate"].where(dataset["epoch"] % 3 > 0)
    target = bq.target(MODEL, gaps, law=law)
    position = jnp.array([0.1, -0.2, 0.3, 0.1])
    kept = gaps.isel(epoch=np.flatnonzero(gaps["epoch"] % 3 > 0))
    fewer = bq.target(MODEL, kept, law=law)
    values = target.constrain(position, target.data)
    np.testing.assert_allclose(
        target.log_likelihood(position, target.data),
        fewer.log_likelihood(fewer.unconstrain(values, fewer.data), fewer.data),
        rtol=1e-6,
    )


def test_the_hessian_of_a_forward_solution_is_exact(observed):
    law, dataset, _ = observed
    target = bq.target(MODEL, dataset, law=law)
    hessian = jax.hessian(lambda x: target.log_density(x, target.data))(jnp.zeros(4))
    step = 1e-4
    differences = [
        (target.gradient(step * unit, target.data) - target.gradient(-step * unit, target.data))
        / (2 * step)
        for unit in jnp.eye(4)
    ]
    np.testing.assert_allclose(hessian, jnp.stack(differences), atol=2e-3)
    np.testing.assert_allclose(-hessian, np.eye(4), atol=0.5)


def test_a_start_that_is_not_known_is_found_with_friction():
    """The motion begins one standard deviation away from where it is expected to."""
    _, dataset = MODEL.simulate(jax.random.key(4), {"epochs": 36}, TRUTH)
    elsewhere = dataset.assign(
        start_log_slip_rate=dataset["start_log_slip_rate"] + 0.4,
        start_log_state=dataset["start_log_state"] - 0.4,
    )
    settings = {"chains": 2, "warmup": 400, "draws": 500, "seed": 2}
    result = bq.fit(MODEL, elsewhere, start_sd=0.4, **settings)
    truth = TRUTH | {"start_log_slip_rate_white": -1.0, "start_log_state_white": 1.0}
    for name, value in truth.items():
        draws = result["posterior"][name]
        assert abs(draws.mean() - value) < 3 * draws.std(), name
        assert draws.std() < 1.2 * MODEL.priors[name].distribution().variance ** 0.5, name
    assert not result["quality"]["unexplained"].any()


def test_a_function_by_its_jacobian_has_the_derivatives_of_the_plain_one():
    def plain(x, held):
        return jnp.stack([jnp.sin(x[0]) * x[1], held * x[1] ** 3, x[0] * x[1]])

    def energy(function):
        return lambda x: (function(x, 2.0) ** 2).sum()

    wrapped, x = by_jacobian(plain), jnp.array([0.3, -1.2])
    for derivative in (jax.grad, jax.hessian, jax.jacfwd):
        np.testing.assert_allclose(
            derivative(energy(wrapped))(x), derivative(energy(plain))(x), rtol=1e-12
        )


def test_a_fault_of_many_cells_is_refused_by_name():
    _, dataset = MODEL.simulate(jax.random.key(0), {"epochs": 5}, TRUTH)
    with pytest.raises(BayesquakeError, match="2 cells"):
        MODEL.prepare(dataset.isel(cell=[0, 0]))


def test_a_forecast_widens_and_says_whether_slip_turns_seismic(tmp_path):
    _, dataset = MODEL.simulate(jax.random.key(9))
    seen = dataset.isel(epoch=slice(48))
    result = bq.fit(MODEL, seen, seed=1, draws=300, forecast_years=2.0)
    motion = result["motion"]
    low, middle, high = motion["log_slip_rate"].to_numpy()[:, :, 0]
    assert motion["seconds"][-1] / YEAR == pytest.approx(6.0, rel=1e-9)
    later = motion["seconds"].to_numpy() > motion.attrs["observed_until"]
    assert (high - low)[later][-1] > 2 * (high - low)[~later][-1]
    truth = (
        np.interp(dataset["time"][48:], motion["seconds"], middle)
        - dataset["log_slip_rate"].to_numpy()[48:, 0]
    )
    assert np.abs(np.median(truth)) < 0.2
    answers = MODEL.answers(result)
    assert "Probability that slip turns seismic in them" in answers
    bq.write_netcdf(result, tmp_path / "result.nc")
    again = bq.open_result(tmp_path / "result.nc")
    np.testing.assert_array_equal(again["motion"]["fastest"], motion["fastest"])
    bq.report(again, tmp_path / "report.html")
    assert "Motion" in (tmp_path / "report.html").read_text(encoding="utf-8")
