import numpy as np
import pytest

from bayesquake.experiments.morikawa2021 import entries, reproduce, study
from bayesquake.experiments.morikawa2021.early_windows import overlap_with_prior
from bayesquake.experiments.morikawa2021.estimators import (
    b_aki,
    b_positive,
    expected_count,
    fit_omori,
)


def seeded(seed):
    return np.random.default_rng(seed)


def omori_times(rng, k, c, p, end):
    """Draw times (day) of a complete sequence by the inverse of its distribution function."""
    q = 1 - p
    total = k * ((end + c) ** q - c**q) / q
    u = np.sort(rng.uniform(size=rng.poisson(total)))
    return (c**q + u * ((end + c) ** q - c**q)) ** (1 / q) - c


def test_b_positive_recovers_b_of_complete_magnitudes():
    magnitude = 2 + seeded(1).exponential(1 / np.log(10), 20_000)
    estimate, error = b_positive(magnitude)
    assert abs(estimate - 1) < 4 * error
    assert error == pytest.approx(1 / np.sqrt(10_000), rel=0.05)


def test_b_positive_recovers_b_of_rounded_magnitudes():
    magnitude = np.round(2 + seeded(2).exponential(1 / np.log(10), 20_000), 1)
    estimate, error = b_positive(magnitude, magnitude_rounding=0.1)
    assert abs(estimate - 1) < 4 * error


def test_b_positive_is_low_under_a_smooth_detection_edge():
    rng = seeded(3)
    beta, sigma = np.log(10), 0.3
    magnitude = rng.normal(2 - beta * sigma**2, sigma, 20_000) + rng.exponential(1 / beta, 20_000)
    estimate, error = b_positive(magnitude)
    assert estimate < 1 - 5 * error


def test_aki_recovers_b():
    assert b_aki(2 + seeded(4).exponential(1 / np.log(10), 20_000), 2) == pytest.approx(1, rel=0.03)


def test_omori_fit_recovers_a_complete_sequence():
    t = omori_times(seeded(5), k=1000.0, c=0.02, p=1.1, end=10.0)
    fit = fit_omori(t, 10.0)
    assert fit["p"] == pytest.approx(1.1, abs=0.03)
    assert np.exp(fit["log_c"]) == pytest.approx(0.02, rel=0.2)
    assert np.exp(fit["log_k"]) == pytest.approx(1000, rel=0.05)
    assert expected_count(fit, 0.0, 10.0) == pytest.approx(t.size, rel=1e-9)
    assert not fit["at_limit"]


def test_omori_fit_forecasts_too_few_where_early_events_are_missing():
    rng = seeded(6)
    t = omori_times(rng, k=200.0, c=0.01, p=1.1, end=1.0)
    seen = t[(t < 0.25) & (rng.uniform(size=t.size) < np.minimum(1, t / 0.05))]
    later = ((t > 0.25) & (t < 1)).sum()
    assert expected_count(fit_omori(seen, 0.25), 0.25, 1.0) < 0.7 * later


def test_overlap_with_prior_is_one_for_prior_draws_and_falls_as_they_narrow():
    import numpyro.distributions as dist

    draws = seeded(7).normal(size=20_000)
    assert overlap_with_prior(draws, dist.Normal(0, 1), 20) > 0.97
    assert overlap_with_prior(0.1 * draws, dist.Normal(0, 1), 20) < 0.3


def test_settings_name_only_known_sequences_and_catalogues():
    config = study.read_config()
    for entry in ("early_windows", "two_stage"):
        assert config[entry]["sequence"] in config["sequences"]
    for entry in ("no_detection", "forecasts"):
        assert set(config[entry]["sequences"]) <= set(config["sequences"])
    for mode in ("full", "quick"):
        assert set(config[mode]["catalogues"]) <= set(config["simulated"])


def test_settings_repeat_the_truth_of_the_simulated_catalogues(shared_data):
    import json

    for name, settings in study.read_config()["simulated"].items():
        path = shared_data / "aftershock" / f"{name}_truth.json"
        truth = json.loads(path.read_text(encoding="utf-8"))
        stated = {
            "seed": settings["seed"],
            "n_detected": settings["events"],
            "M0": settings["M0"],
            "T_days": settings["end_days"],
            "K": settings["K"],
            "c_days": settings["c"],
            "p": settings["p"],
            "b_value": settings["b_value"],
            "sigma": settings["sigma"],
            **settings["mu"],
        }
        assert stated == pytest.approx({key: truth[key] for key in stated}, rel=1e-12)


def test_catalogues_are_simulated_where_the_files_are_absent():
    absent = study.Study({"simulated": study.read_config()["simulated"]}, {}, True, None)
    made = study.simulated_catalogue(absent, "synth_a")
    assert abs(made.sizes["event"] - 315) < 6 * np.sqrt(315)
    assert made.attrs["M0"] == 7.0


def test_entries_without_their_data_are_skipped_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "catalogue_folder", lambda: None)
    summary = reproduce(tmp_path, quick=True, entries=("no_detection", "forecasts"))
    assert all(line.startswith("skipped: ") for line in summary.values())
    assert all("is absent" in line for line in summary.values())
    assert (tmp_path / "summary.csv").is_file()


def test_no_detection_model_forecasts_too_few(tmp_path, shared_data):
    calls = []
    summary = reproduce(
        tmp_path,
        quick=True,
        entries=("no_detection",),
        progress=lambda done, total, entry: calls.append((done, total, entry)),
    )
    assert "M>2.95: 12 of 12 next-day counts" in summary["no_detection"]
    assert calls == [(0, 1, "no_detection"), (1, 1, "done")]
    assert {path.suffix for path in (tmp_path / "no_detection").iterdir()} == {
        ".csv",
        ".nc",
        ".png",
    }


@pytest.mark.slow
def test_the_quick_experiment_runs(tmp_path):
    summary = reproduce(tmp_path, quick=True)
    assert list(summary) == list(entries.ENTRIES)
