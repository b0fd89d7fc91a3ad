"""The experiment `joint_location` runs, and finds what it says, in little."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bayesquake.experiments.entries import DataAbsentError
from bayesquake.experiments.joint_location import reproduce
from bayesquake.experiments.joint_location.entries import ENTRIES
from bayesquake.experiments.joint_location.study import calaveras, first_events, open_study

APART = ("two_profiles", "hayward", "parkfield", "ablation")
"""Entries with tests of their own, for a process can hold only so many compiled programs."""


@pytest.fixture(scope="module")
def folder(shared_data, tmp_path_factory):
    if not (shared_data / "tomography" / "calaveras" / "picks.csv").is_file():
        pytest.skip("calaveras is absent from shared/data/tomography")
    out = tmp_path_factory.mktemp("joint_location")
    summary = reproduce(out, quick=True, entries=[name for name in ENTRIES if name not in APART])
    assert not any(line.startswith("skipped") for line in summary.values())
    return out


def test_locations_are_those_of_the_reference(folder):
    table = pd.read_csv(folder / "calaveras_locations" / "beside_nonlinloc.csv")
    assert (table["shift_median"] < 0.25).all()
    assert (folder / "calaveras_locations" / "depths.png").is_file()


def test_wrong_picks_hurt_under_normal_errors_alone(folder):
    table = pd.read_csv(folder / "wrong_picks" / "rms_km.csv", index_col="errors")
    assert table["growth"]["student_t"] < 1.25
    assert table["growth"]["normal"] > 1.5


def test_most_events_need_one_round(folder):
    table = pd.read_csv(folder / "many_events" / "cost.csv")
    assert (table["in_one_round"] > 0.5).all()


def test_the_joint_posterior_is_drawn_and_shown(folder):
    velocities = pd.read_csv(folder / "calaveras_joint" / "velocities.csv")
    assert velocities["vp"].between(2, 9).all()
    assert (folder / "calaveras_joint" / "depth_shift.png").is_file()
    assert (folder / "calaveras_joint" / "joint.nc").is_file()


def test_the_truth_of_another_simulator_is_told_with_its_distance(folder):
    table = pd.read_csv(folder / "simulated_joint" / "truth.csv", index_col="quantity")
    assert (table.loc[["vp", "vpvs"], "farthest_sd"] < 4).all()
    assert (table.loc[["x", "y", "depth"], "in_90"] > 0.5).all()
    assert (table["count"] == [5, 1, 48, 12, 12, 12]).all()
    assert (folder / "simulated_joint" / "joint.html").is_file()


def test_layers_have_the_mean_slowness_of_those_given(shared_data, tmp_path):
    study = open_study(quick=True)
    if study.folder is None:
        pytest.skip("shared/data/tomography is absent")
    dataset = calaveras(study, tmp_path)
    given = pd.read_csv(study.path("calaveras/velocity_layers.csv"))
    depth = np.arange(0.005, 25, 0.01)

    def vertical_time(top, velocity):
        layer = np.searchsorted(top, depth, side="right") - 1
        return (0.01 / np.asarray(velocity)[layer]).sum()

    ours = vertical_time(dataset["top"].to_numpy(), dataset["vp"].to_numpy())
    assert np.isclose(ours, vertical_time(given["top_km"], given["vp_km_s"]), rtol=1e-3)
    assert set(np.unique(first_events(dataset, 5)["event_index"])) == set(range(5))


def test_absent_data_are_reported(tmp_path):
    study = dataclasses.replace(open_study(quick=True), folder=None)
    with pytest.raises(DataAbsentError, match="velocity_layers"):
        calaveras(study, tmp_path)
