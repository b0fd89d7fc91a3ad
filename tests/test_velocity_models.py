"""Velocity models are read as their programs write them, and given back by the writers."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bayesquake.errors import DatasetError, OptionError
from bayesquake.io.datasets import labelled
from bayesquake.io.velocity_models import (
    GRID,
    LAYERS,
    read_layers,
    read_velocity_grid,
    write_layers,
    write_velocity_grid,
)

NAMES = {"CSV": "layers.csv", "NONLINLOC": "control.in", "NODES": "nodes.txt"}
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


@st.composite
def layered(draw):
    thickness = draw(hnp.arrays(float, st.integers(1, 12), elements=st.floats(0.01, 30)))
    vp = draw(hnp.arrays(float, thickness.shape, elements=st.floats(0.5, 9)))
    ratio = draw(hnp.arrays(float, thickness.shape, elements=st.floats(1.1, 3)))
    known = draw(hnp.arrays(bool, thickness.shape))
    top = draw(st.floats(-5, 5)) + np.cumsum(thickness)
    return labelled(LAYERS, {"top": top, "vp": vp, "vs": np.where(known, vp / ratio, np.nan)})


@pytest.mark.parametrize("format", NAMES)
@in_one_folder
@given(layers=layered())
def test_written_layers_are_read_back(tmp_path, format, layers):
    path = tmp_path / NAMES[format]
    write_layers(layers, path, format)
    xr.testing.assert_equal(read_layers(path), layers)


def test_nodes_are_linear_between_and_steps_where_a_depth_is_repeated(tmp_path):
    path = written(tmp_path, "nodes.txt", "0 4 2\n2 5 2.5\n2 6 3\n10 6 3\n")
    layers = read_layers(path, thickest=1.0)
    np.testing.assert_allclose(layers["top"], [0, 1, 2, 10])
    np.testing.assert_allclose(layers["vp"], [4.25, 4.75, 6, 6])
    np.testing.assert_allclose(layers["vs"], [2.125, 2.375, 3, 3])


def test_gradients_of_nonlinloc_layers_are_cut_into_layers(tmp_path):
    text = "TRANS SIMPLE 0 0 0\n# LAYER 9 9 9 9 9\nLAYER 0 5 0.1 0 0 2.7 0\nLAYER 2 6 0 0 0 2.7 0\n"
    layers = read_layers(written(tmp_path, "in.txt", text), thickest=0.5)
    np.testing.assert_allclose(layers["top"], [0, 0.5, 1, 1.5, 2])
    np.testing.assert_allclose(layers["vp"], [5.025, 5.075, 5.125, 5.175, 6])
    assert layers["vs"].isnull().all()


@pytest.mark.parametrize(
    ("name", "text", "place", "remedy"),
    [
        ("a.csv", "top_km,vp_km_s\n0,5\n3,six\n", "line 3", "correct it"),
        ("a.csv", "top_km,vp_km_s\n0,5\n0,6\n", "layer 1", "order the layers"),
        ("a.csv", "top_km,vp_km_s\n0,5000\n", "line 2", "number of km/s from 0.05 to 15"),
        ("a.csv", "top_km,vp_km_s,vs_km_s\n0,3,5\n", "layer 0", "exchange the columns"),
        ("a.csv", "top_km,vs_km_s\n0,3\n", "no column vp", "add it"),
        ("a.in", "LAYER 0 5 0\n", "line 1", "complete it"),
        ("a.in", "LAYER 0 5 0 x 0\n", "line 1", "give numbers"),
        ("a.txt", "0 5 0\n-2 5 0\n", "line 2", "sort the nodes"),
        ("a.txt", "0 5 3\n2 5 0\n", "line 2", "at both or none"),
        ("a.txt", "no velocities here\n", "a.txt", "name the one it is of by format="),
    ],
)
def test_what_no_layers_can_be_says_where_and_what_to_do(tmp_path, name, text, place, remedy):
    with pytest.raises(DatasetError) as refused:
        read_layers(written(tmp_path, name, text))
    assert place in str(refused.value)
    assert remedy in str(refused.value)


def test_a_format_may_be_named_and_a_wrong_one_is_refused(tmp_path):
    path = written(tmp_path, "nodes", "0 5\n4 6\n")
    assert read_layers(path, format="NODES").sizes["layer"] == 5
    with pytest.raises(DatasetError, match="holds nothing in the format NONLINLOC"):
        read_layers(path, format="NONLINLOC")
    with pytest.raises(OptionError, match="thickest"):
        read_layers(path, thickest=0.0)
    with pytest.raises(DatasetError, match="no format of layers"):
        write_layers(read_layers(path), path, "HYPO71")


@st.composite
def grids(draw):
    shape = draw(st.tuples(st.integers(2, 5), st.integers(2, 5), st.integers(2, 5)))
    axes = [
        np.cumsum(draw(hnp.arrays(float, n, elements=st.floats(0.5, 1.0)))) - 2.0 for n in shape
    ]
    vp = draw(hnp.arrays(float, shape, elements=st.floats(1, 9)))
    vs = vp / draw(hnp.arrays(float, shape, elements=st.floats(1.3, 2.5)))
    values = dict(zip(("x", "y", "z"), axes, strict=True))
    unknown = draw(st.booleans())
    return labelled(GRID, {**values, "vp": vp, "vs": np.full(shape, np.nan) if unknown else vs})


@in_one_folder
@given(grid=grids())
def test_written_grids_are_read_back_without_their_padding(tmp_path, grid):
    path = tmp_path / "grid.vel"
    write_velocity_grid(grid, path)
    xr.testing.assert_allclose(read_velocity_grid(path), grid, rtol=1e-12)


def test_x_of_a_file_points_west_and_that_of_a_grid_east(tmp_path):
    rows = "5 6\n5 6\n" * 2
    text = f"1.0 2 2 2 1\n-1 3\n0 1\n0 1\n0 0 0\n0 0 0\n{rows}"
    path = written(tmp_path, "grid.vel", text)
    grid = read_velocity_grid(path, centre=(-120.5, 36.0), rotation=-139.2)
    assert grid["x"].to_numpy().tolist() == [-3, 1]
    assert (grid["vp"].sel(node_x=0) == 6).all()
    assert [grid.attrs[name] for name in GRID.attributes] == [-120.5, 36.0, -139.2]
    with pytest.raises(OptionError, match="rotation"):
        read_velocity_grid(path, rotation=400.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no SIMULPS grid"),
        ("1.0 2 2 x\n", "no SIMULPS grid"),
        ("1.0 2 2 2 1\n0 1\n0 1\n0 1\n0 0 0\n0 0 0\n5 5 5 5 5 5 5\n", "19 numbers"),
        ("1.0 2 2 2 1\n0 1\n0 1\n1 0\n0 0 0\n0 0 0\n5 5\n5 5\n5 5\n5 5\n", "along z do not"),
        ("1.0 2 2 2 1\n0 1\n0 1\n0 1\n0 0 0\n0 0 0\n5 5\n5 5\n5 5\n5 -5\n", "vp = -5"),
    ],
)
def test_damaged_grids_are_refused(tmp_path, text, reason):
    path = written(tmp_path, "grid.vel", text)
    with pytest.raises(DatasetError, match=reason):
        read_velocity_grid(path)


def test_models_of_published_studies_are_read(shared_data):
    folder = shared_data / "tomography"
    calaveras = read_layers(folder / "calaveras" / "velocity_layers.csv")
    assert calaveras.sizes["layer"] == 21
    alaska = read_layers(folder / "nlloc_alaska" / "velocity_layers.txt")
    assert alaska["vp"].to_numpy()[[0, -1]] == pytest.approx([5.3, 8.3])
    springs = read_layers(folder / "spanish_springs" / "vzmodel.txt")
    assert springs["top"][0] == -3
    assert springs["vs"].isnull().all()
    parkfield = read_velocity_grid(folder / "parkfield3d" / "pkf3D_P.vel")
    assert parkfield.sizes == {"node_x": 17, "node_y": 13, "node_z": 9}
    hayward = read_velocity_grid(folder / "hayward16" / "vel3D.dat")
    assert float((hayward["vp"] / hayward["vs"]).median()) == pytest.approx(1.73, abs=0.01)
