import jax
import numpy as np
import pytest
from numpyro.infer.util import log_density
from scipy.integrate import quad
from scipy.stats import f as fisher

from bayesquake.experiments.yoshimitsu2023 import entries, reproduce, study
from bayesquake.experiments.yoshimitsu2023.clusters import POOLED
from bayesquake.experiments.yoshimitsu2023.likelihoods import (
    log_bias,
    log_residual,
    normal_model,
    offset_log_residual,
)
from bayesquake.experiments.yoshimitsu2023.references_of_one_target import (
    between_references,
    simulate_targets,
)
from bayesquake.model.registry import load_model

MODEL = load_model("source_spectra")
PRIORS = {name: prior.distribution() for name, prior in MODEL.priors.items()}
AT = {"ln_fc1": 1.2, "dln_fc": 1.5, "ln_moment_ratio": 3.2}


def density(model, arrays, values):
    return float(log_density(model.declare, (arrays, PRIORS), {}, values)[0])


def one_pair():
    return MODEL.prepare(MODEL.simulate(jax.random.key(1), {"nu1": 10.0, "nu2": 2.0})[1])


@pytest.mark.parametrize(("nu1", "nu2"), [(2.0, 2.0), (10.0, 2.0), (4.0, 12.0)])
def test_log_bias_is_half_the_mean_of_ln_f(nu1, nu2):
    mean = fisher(nu1, nu2).expect(np.log, epsabs=1e-10)
    assert float(log_bias(nu1, nu2)) == pytest.approx(0.5 * mean, abs=1e-6)


def test_log_bias_at_ten_and_two_degrees():
    assert float(log_bias(10.0, 2.0)) == pytest.approx(0.237, abs=5e-4)


def test_offset_is_the_log_normal_likelihood_of_shifted_ratios():
    arrays = one_pair()
    shifted = arrays._replace(y=arrays.mask * (arrays.y - 2 * float(log_bias(10.0, 2.0))))
    values = {name: np.array([value]) for name, value in AT.items()}
    offset = density(normal_model(offset_log_residual), arrays, values)
    assert offset == pytest.approx(density(normal_model(log_residual), shifted, values), rel=1e-12)


def test_student_form_is_the_normal_likelihood_with_sigma_integrated_out():
    arrays = one_pair()
    model = normal_model(log_residual)
    used = arrays.mask[0, 0] > 0

    def integrated(values):
        from bayesquake.models.source_spectra.model import pair_location

        residual = (arrays.y - np.asarray(pair_location(values, arrays)[0]))[0, 0, used]
        Q, n = (residual**2).sum(), used.sum()
        peak = np.sqrt(Q / n)

        def likelihood(ln_sigma):
            sigma = peak * np.exp(ln_sigma)
            return np.exp(-n * ln_sigma - 0.5 * Q / sigma**2 + 0.5 * n)

        return np.log(quad(likelihood, -1.5, 1.5)[0]) - n * np.log(peak)

    first = {name: np.array([value]) for name, value in AT.items()}
    second = first | {"ln_fc1": np.array([1.5])}
    prior = PRIORS["ln_fc1"].log_prob(1.5) - PRIORS["ln_fc1"].log_prob(1.2)
    difference = density(model, arrays, second) - density(model, arrays, first) - float(prior)
    assert difference == pytest.approx(integrated(second) - integrated(first), abs=1e-6)


def test_two_pooled_events_are_a_cluster_of_two():
    dataset = MODEL.simulate(jax.random.key(2), {"events": 2})[1]
    arrays = MODEL.prepare(dataset, form="cluster")

    def difference(model):
        first = {
            "ln_fc_first": 1.2,
            "dln_fc_to": np.array([1.5]),
            "ln_moment_ratio_to": np.array([3.2]),
        }
        second = first | {"dln_fc_to": np.array([0.9])}
        return density(model, arrays, second) - density(model, arrays, first)

    assert difference(POOLED) == pytest.approx(difference(MODEL), abs=1e-8)


def test_references_that_mean_what_they_say_have_chi_square_near_its_degrees_of_freedom():
    rng = np.random.default_rng(3)
    sd = rng.uniform(0.05, 0.3, (4000, 6))
    agreement = between_references(1.4 + sd * rng.normal(size=sd.shape), sd)
    error = np.sqrt(2 / 5 / 4000)
    assert agreement["chi2_over_dof"].mean() == pytest.approx(1, abs=4 * error)


def test_references_of_a_target_share_its_scatter():
    settings = study.open_study(quick=True)
    scatter = {"degrees_of_freedom": 4.0, "site_scatter": 0.0}
    _, dataset = simulate_targets(settings, (200, 2), scatter, 1)
    y = dataset["log_power_ratio"].to_numpy().reshape(200, 2, -1)
    residual = y - y.mean(axis=0)
    steps = np.diff(residual, axis=2)
    shared = np.corrcoef(steps[:, 0].ravel(), steps[:, 1].ravel())[0, 1]
    assert shared == pytest.approx(0.5, abs=0.1)


def test_log_normal_likelihood_takes_the_mean_of_ln_f_for_moment():
    quick = study.open_study(quick=True)
    truth = study.draw_truth(quick, 24, 5)
    dataset = study.simulate_pairs(quick, truth, 5, nu1=10.0, nu2=2.0)
    draws = study.pair_draws(quick, normal_model(log_residual), dataset)
    error = draws["ln_moment_ratio"].mean("sample").to_numpy() - truth["ln_moment_ratio"]
    standard_error = error.std() / np.sqrt(len(error))
    assert error.mean() == pytest.approx(0.237, abs=4 * standard_error)
    assert error.mean() > 2 * standard_error


def test_the_poor_pair_is_skipped_with_a_reason_where_its_records_are_absent(tmp_path, monkeypatch):
    monkeypatch.setattr("bayesquake.experiments.entries.accompanying_data", lambda name: None)
    summary = reproduce(tmp_path, quick=True, entries=("poor_pair",))
    assert summary["poor_pair"].startswith("skipped: crl_E1.mseed is absent")
    assert (tmp_path / "summary.csv").is_file()


@pytest.mark.slow
def test_the_ratio_of_stress_drops_does_not_depend_on_the_rupture_model(tmp_path):
    import pandas as pd

    reproduce(tmp_path, quick=True, entries=("stress_drops",))
    table = pd.read_csv(tmp_path / "stress_drops" / "stress_drops.csv", index_col=[0, 1])
    sd = table["mean_sd"].xs("ln_dsigma_ratio", level="parameter")
    assert sd.nunique() == 1
    drops = table["mean_sd"].xs("ln_dsigma1", level="parameter")
    assert drops["k unknown"] > 2 * drops["k known"]


@pytest.mark.slow
def test_the_quick_experiment_runs(tmp_path):
    assert list(reproduce(tmp_path, quick=True)) == list(entries.ENTRIES)
