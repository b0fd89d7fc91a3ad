"""Entries of the experiment `joint_location`: profiles, few events, three dimensions, samplers."""

import numpy as np
import pandas as pd
import pytest

from bayesquake.experiments.joint_location import reproduce
from bayesquake.experiments.joint_location.study import open_study
from bayesquake.io.arrivals.dataset import DuplicatePickWarning


@pytest.fixture(scope="module")
def parted(tmp_path_factory):
    out = tmp_path_factory.mktemp("two_profiles")
    reproduce(out, quick=True, entries=["two_profiles"])
    return out / "two_profiles"


@pytest.mark.slow
def test_stations_have_the_profile_of_their_side(parted):
    stations = pd.read_csv(parted / "stations.csv")
    right = np.where(stations["east"], stations["probability"], 1 - stations["probability"])
    assert (right > 0.5).mean() >= 0.9
    assert (parted / "velocities.png").is_file()


@pytest.mark.slow
def test_one_profile_moves_sources_and_foretells_picks_worse(parted):
    table = pd.read_csv(parted / "profiles.csv", index_col="profiles")
    assert abs(table.loc[1, "x_bias_km"]) > 0.5
    assert abs(table.loc[2, "x_bias_km"]) < 0.2
    assert table.loc[1, "elpd"] < table.loc[2, "elpd"]
    assert table.loc[2, "tau_s"] < table.loc[1, "tau_s"] / 4


@pytest.mark.slow
def test_few_events_say_little_of_velocities(shared_data, tmp_path):
    if not (shared_data / "tomography" / "hayward16" / "El16.pha").is_file():
        pytest.skip("hayward16 is absent from shared/data/tomography")
    reproduce(tmp_path, quick=True, entries=["hayward"])
    table = pd.read_csv(tmp_path / "hayward" / "velocities.csv")
    assert table["sd_over_prior"].max() > 0.3
    assert table["vp"].between(4, 8).all()


def test_flat_layers_move_a_fault_sideways(shared_data, tmp_path):
    if not (shared_data / "tomography" / "parkfield3d" / "pkf3D_PS.vel").is_file():
        pytest.skip("parkfield3d is absent from shared/data/tomography")
    with pytest.warns(DuplicatePickWarning):
        reproduce(tmp_path, quick=True, entries=["parkfield"])
    folder = tmp_path / "parkfield"
    table = pd.read_csv(folder / "beside_relocations.csv", index_col="velocities")
    assert table.loc["grid", "shift_across"] < 0.6 * table.loc["layers", "shift_across"]
    assert table.loc["grid", "shift_depth"] < 2.0
    assert (table["good_k_hat"] == 1).all()
    assert (folder / "sections.png").is_file()


@pytest.mark.slow
def test_every_case_of_the_sampler_has_a_row(shared_data, tmp_path):
    if not (shared_data / "tomography" / "synthetic_joint1d_truth.json").is_file():
        pytest.skip("synthetic_joint1d_* is absent from shared/data/tomography")
    reproduce(tmp_path, quick=True, entries=["ablation"])
    cases = pd.read_csv(tmp_path / "ablation" / "cases.csv", index_col="case")
    assert (cases["events_per_1000_gradients"] > 0).all()
    assert set(cases.index) == set(open_study(quick=True).mode["cases"])
