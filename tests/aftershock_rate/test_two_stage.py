"""The two-stage comparator reproduces the estimates of its authors' program."""

import json

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

from bayesquake.errors import OptionError, PriorError
from bayesquake.models.aftershock_rate.data import read
from bayesquake.models.aftershock_rate.simulate import DESIGN, knots_of, simulate
from bayesquake.models.aftershock_rate.two_stage import (
    apply_roughness,
    fit_two_stage,
    laplace_marginal,
    second_difference_gram,
)

KOBE_PRIORS = {
    "p": dist.Normal(1.12, 0.11),
    "log_c": dist.Normal(-4.29, 1.09),
    "beta": dist.Normal(1.957, 0.345),
    "log_sigma": dist.Normal(np.log(0.2), 1.0),
}
KOBE_ESTIMATE = {"beta": 1.70235, "sigma": 0.23720, "K": 0.020285, "p": 1.05706, "c": 0.016753}


def kobe(shared_data, end_days):
    return read(shared_data / "aftershock" / "kobe1995_jma.csv", end_days=end_days)


@pytest.fixture(scope="module")
def simulated():
    x = knots_of(DESIGN)
    truth = {
        "log_K": -4.0,
        "p": 1.1,
        "log_c": -4.5,
        "beta": 2.0,
        "log_sigma": np.log(0.25),
        "mu": 2.5 - 0.6 * x,
    }
    return truth, simulate(jax.random.key(3), None, truth)[1]


def test_kobe_first_day_has_the_known_estimate_and_log_posterior(shared_data):
    fit = fit_two_stage(kobe(shared_data, 1.0), priors=KOBE_PRIORS)
    for name, expected in KOBE_ESTIMATE.items():
        assert getattr(fit, name) == pytest.approx(expected, rel=0.01)
    assert fit.mu1 == pytest.approx(-0.0323, abs=0.002)
    assert fit.log_posterior == pytest.approx(4359.85, abs=0.05)


@pytest.mark.parametrize("end_days", [0.125, 0.25, 0.5, 1.0])
def test_kobe_windows_match_the_reference_program(shared_data, end_days):
    path = shared_data / "aftershock" / "aftfore_reference.json"
    reference = json.loads(path.read_text())[f"kobe1995_T{end_days:g}"]
    fit = fit_two_stage(kobe(shared_data, end_days))
    assert fit.mu.size == reference["n"]
    for name in ("beta", "sigma", "K", "p", "c"):
        assert getattr(fit, name) == pytest.approx(reference[name.lower()], rel=0.01)
        assert fit.standard_errors[name] == pytest.approx(reference[f"se_{name.lower()}"], rel=0.01)
    assert fit.mu1 == pytest.approx(reference["mu1"], abs=0.002)
    count = fit.expected_count(end_days, end_days + 1, 2.95)
    expected, _ = reference[f"[{end_days:g},{end_days + 1:g}]M>2.95"]
    assert count == pytest.approx(expected, rel=0.01)


def test_estimate_lies_near_the_truth_of_a_simulated_catalogue(simulated):
    truth, dataset = simulated
    fit = fit_two_stage(dataset)
    assert abs(fit.beta - truth["beta"]) < 4 * fit.standard_errors["beta"]
    assert abs(fit.p - truth["p"]) < 4 * fit.standard_errors["p"]
    mu = 2.5 - 0.6 * np.log10(np.maximum(dataset["t"], 1e-4))
    assert np.abs(fit.mu - mu).mean() < 0.15


def test_simultaneous_events_do_not_disturb_the_fit(simulated):
    _, dataset = simulated
    t = dataset["t"].to_numpy().copy()
    t[100:103] = t[100]
    fit = fit_two_stage(dataset.assign(t=("event", t)))
    assert np.isfinite([fit.K, fit.p, fit.c, fit.log_posterior]).all()


def test_banded_roughness_is_that_of_the_second_difference():
    n = 7
    D2 = np.diff(np.eye(n), 2, axis=0)
    dense = D2.T @ D2
    banded = second_difference_gram(n)
    for offset in range(3):
        np.testing.assert_allclose(banded[2 - offset, offset:], np.diag(dense, offset))
    mu = np.random.default_rng(0).standard_normal(n)
    np.testing.assert_allclose(apply_roughness(mu), dense @ mu)


def test_laplace_marginal_does_not_depend_on_where_newton_starts(simulated):
    magnitude = simulated[1]["mag"].to_numpy()
    ends = [
        laplace_marginal(magnitude, 2.0, np.log(0.25), np.log(1e-4), np.full(magnitude.size, start))
        for start in (0.0, 3.0, 6.0)
    ]
    for value, mu in ends[1:]:
        assert value == pytest.approx(ends[0][0], rel=1e-10)
        np.testing.assert_allclose(mu, ends[0][1], atol=1e-6)


def test_inapplicable_priors_and_cut_catalogues_are_refused(simulated):
    _, dataset = simulated
    with pytest.raises(PriorError, match="eta"):
        fit_two_stage(dataset, priors={"eta": dist.HalfNormal(1.0)})
    with pytest.raises(OptionError, match="Mc = 3"):
        fit_two_stage(dataset.assign_attrs(Mc=3.0))
