"""Figures name the axes by what they are."""

import numpy as np
import pytest
import xarray as xr

from bayesquake.models.orientation_dependence.results.figures import axes_title
from bayesquake.reporting.net import lower_hemisphere


@pytest.mark.parametrize(
    ("attrs", "axis", "title"),
    [
        ({"axes": "slip_vectors", "exchanged": 3}, "P", "3 of 8: T by the moment tensor"),
        ({"axes": "slip_vectors", "exchanged": 3}, "T", "3 of 8: P by the moment tensor"),
        ({"axes": "slip_vectors", "exchanged": 0}, "P", "P axes"),
        ({"axes": "moment_tensor", "exchanged": 3}, "P", "P axes"),
    ],
)
def test_titles_say_where_the_convention_exchanges_axes(attrs, axis, title):
    observed = xr.Dataset({"depth": ("event", np.arange(8.0))}, attrs=attrs)
    assert axes_title(xr.DataTree.from_dict({"observed_data": observed}), axis).endswith(title)


def test_the_net_is_of_equal_area():
    """Axes uniform on the sphere are uniform in the net: half of them within 1/√2 of its centre."""
    axes = np.random.default_rng(0).normal(size=(20_000, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    x, y = lower_hemisphere(axes)
    assert (x**2 + y**2 < 0.5).mean() == pytest.approx(0.5, abs=0.015)
    assert (x**2 + y**2).max() <= 1 + 1e-12
