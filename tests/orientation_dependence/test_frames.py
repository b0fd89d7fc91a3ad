import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy.imaging.beachball import MomentTensor, mt2axes

from bayesquake.models.orientation_dependence.errors import (
    InconsistentPlanesError,
)
from bayesquake.models.orientation_dependence.physics.frames import (
    fault_normal,
    frames_of_planes,
    slip_vector,
)
from bayesquake.models.orientation_dependence.physics.statistics import (
    STATISTICS,
    bingham,
    bingham_form,
)

ANGLES = st.tuples(
    st.floats(0, 359), st.floats(5, 85), st.floats(-175, 175).filter(lambda r: abs(r) > 5)
)


def axes_of_moment(strike, dip, rake):
    """Return P and T (north, east, down) of a double couple, by ObsPy."""
    n, v = fault_normal(strike, dip), slip_vector(strike, dip, rake)
    M = np.outer(n, v) + np.outer(v, n)
    north, east, down = M
    up_south_east = MomentTensor(down[2], north[0], east[1], north[2], -east[2], -north[1], 0)
    T, _, P = mt2axes(up_south_east)

    def vector(axis):
        a, p = np.radians(axis.strike), np.radians(axis.dip)
        return np.array([np.cos(a) * np.cos(p), np.sin(a) * np.cos(p), np.sin(p)])

    return np.array([vector(P), vector(T)])


@settings(max_examples=40, deadline=None)
@given(plane=ANGLES)
def test_moment_tensor_axes_are_those_of_obspy(planes_of, plane):
    first, second = np.array([plane]), planes_of(*np.array([plane]).T)
    frame, _ = frames_of_planes(first, second, "moment_tensor")
    assert np.allclose(np.abs((frame[0] * axes_of_moment(*plane)).sum(axis=1)), 1.0, atol=1e-4)


@pytest.mark.parametrize(("rake", "exchanged"), [(90.0, False), (-90.0, True)])
def test_slip_vectors_exchange_the_axes_of_normal_faults_only(planes_of, rake, exchanged):
    first = np.array([[30.0, 45.0, rake]])
    frame, found = frames_of_planes(first, planes_of(*first.T))
    assert found[0] == exchanged
    assert abs(frame[0, 0, 2]) < 1e-6
    tensor, _ = frames_of_planes(first, planes_of(*first.T), "moment_tensor")
    assert np.allclose(tensor[0], frame[0, ::-1] if exchanged else frame[0])


@settings(max_examples=30, deadline=None)
@given(plane=ANGLES)
def test_frames_of_rounded_planes_are_orthonormal(planes_of, plane):
    first, second = np.round([plane]), np.round(planes_of(*np.round([plane]).T))
    frame, _ = frames_of_planes(first, second)
    assert np.allclose(frame[0] @ frame[0].T, np.eye(2), atol=1e-12)


def test_planes_that_do_not_belong_together_are_refused():
    with pytest.raises(InconsistentPlanesError, match=r"line 7.* 90"):
        frames_of_planes([[0, 45, 90]], [[0, 60, 90]], where=["line 7"].__getitem__)


def test_a_wrong_rake_of_the_second_plane_is_refused():
    with pytest.raises(InconsistentPlanesError, match=r"event 0.* 60.0 degrees from the normal"):
        frames_of_planes([[0, 45, 90]], [[180, 45, 30]])


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_do_not_depend_on_the_signs_of_axes(name):
    frame = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 3, 3)))[0][:, :2]
    statistic = STATISTICS[name]
    s = statistic.of_frames(frame)
    assert s.shape == (20, len(statistic.terms))
    assert np.allclose(s, statistic.of_frames(-frame))


def test_the_bingham_statistic_is_the_quadratic_form():
    rng = np.random.default_rng(1)
    axis, theta = rng.normal(size=(10, 3)), rng.normal(size=5)
    A = bingham_form() @ theta
    assert np.allclose(bingham(axis) @ theta, np.einsum("ni,ij,nj->n", axis, A, axis))
