"""Stiffness and displacements of a fault in a half-space, against others' and limits."""

import numpy as np
import pytest

from bayesquake.errors import BayesquakeError
from bayesquake.models.fault_friction.physics.half_space import (
    displacement_of_slip,
    half_space,
    rectangles,
    slip_direction,
)
from bayesquake.models.fault_friction.physics.stiffness import (
    antiplane_half_space,
    planar_full_space,
)

RIGIDITY = 32e9


@pytest.mark.parametrize(
    ("rake", "published"),
    [(0, (-8.689e-3, -4.298e-3, -2.747e-3)), (90, (-4.682e-3, -3.527e-2, -3.564e-2))],
)
def test_displacements_are_those_that_okada_published(rake, published):
    """Okada 1985, table 2, case 2: a source of 3 by 2 that dips by 70 degrees, its foot at 4."""
    strike, dip = 90, 70
    up_dip = 2 * np.array([np.cos(np.radians(dip)), np.sin(np.radians(dip))])
    corners = rectangles(
        (3, 2), (1, 1), strike=strike, dip=dip, top_depth=4 - up_dip[1], centre=(1.5, up_dip[0])
    )
    moved = displacement_of_slip([[2.0, 3.0]], corners, slip_direction(strike, dip, rake), 0.25)
    np.testing.assert_allclose(moved.sum(axis=-1)[0], published, rtol=3e-4)


def test_a_long_strike_slip_fault_is_the_antiplane_one():
    corners = rectangles((1, 12), (1e8, 2e3), strike=30, dip=90, top_depth=0)
    found = half_space(corners, slip_direction(30, 90, 180), RIGIDITY, 0.25)
    edges = 2e3 * np.arange(13)
    expected = antiplane_half_space(edges[:-1], edges[1:], RIGIDITY)
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())


def test_a_deep_flat_fault_is_one_in_a_full_space():
    cells, size = (24, 24), 2e3
    corners = rectangles(cells, (size, size), strike=0, dip=0, top_depth=1e7)
    found = half_space(corners, slip_direction(0, 0, 0), RIGIDITY, 0.25)
    x, y = corners.mean(axis=1)[:, :2].T
    smooth = np.exp(-((x - x.mean()) ** 2 + (y - y.mean()) ** 2) / (2 * (5 * size) ** 2))
    flat = planar_full_space(cells, size, RIGIDITY, 0.25) @ smooth
    np.testing.assert_allclose(found @ smooth, flat, atol=0.03 * flat.max())


def test_the_stiffness_gives_no_energy_away_and_slip_stiffens_towards_depth():
    corners = rectangles((6, 5), (4e3, 3e3), strike=20, dip=25, top_depth=1e3)
    stiffness = half_space(corners, slip_direction(20, 25, 90), RIGIDITY, 0.25)
    assert np.array_equal(stiffness, stiffness.T)
    assert np.linalg.eigvalsh(stiffness)[0] > 0
    own = np.diagonal(stiffness).reshape(6, 5)
    assert (np.diff(own, axis=1) > 0).all()
    np.testing.assert_allclose(own, own[::-1], rtol=1e-9)


def test_a_fault_above_the_surface_is_refused_by_cell():
    corners = rectangles((2, 2), (1e3, 1e3), strike=0, dip=45, top_depth=-100)
    with pytest.raises(BayesquakeError, match=r"cell 0 reaches 100 m above the surface"):
        half_space(corners, slip_direction(0, 45, 90), RIGIDITY, 0.25)
