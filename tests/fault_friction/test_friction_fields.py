"""The experiment on faults: benchmark problem BP1-QD against other codes."""

import tomllib
from pathlib import Path

import pytest

from bayesquake.experiments import friction_fields
from bayesquake.experiments.friction_fields.bp1 import first_event, initial_stress, problem
from bayesquake.models.fault_friction.physics.trajectory import YEAR

CONFIG = Path(friction_fields.__file__).with_name("config.toml")
BP1 = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["bp1"]


def test_the_initial_stress_is_that_of_the_benchmark():
    assert initial_stress(BP1)[0] == pytest.approx(26.54612e6, rel=1e-6)


def test_the_first_event_comes_when_other_codes_have_it():
    coarse, fine = (first_event(*problem(cells, BP1), BP1) for cells in (256, 512))
    published = BP1["published"]
    onset = published["hbi_onset_years"] * YEAR
    assert fine.onset == pytest.approx(onset, rel=1e-3)
    assert fine.onset > published["tandem_locked_until_years"] * YEAR
    assert fine.slip == pytest.approx(published["slip_of_first_event"], rel=5e-3)
    assert abs(fine.onset - onset) < abs(coarse.onset - onset) / 5


def test_the_experiment_leaves_a_table_and_a_figure(tmp_path):
    summary = friction_fields.reproduce(tmp_path, quick=True, entries=["bp1_convergence"])
    assert "onset at 205.8" in summary["bp1_convergence"]
    assert (tmp_path / "bp1_convergence" / "onsets.csv").is_file()
    assert (tmp_path / "bp1_convergence" / "onsets.png").stat().st_size > 5000
