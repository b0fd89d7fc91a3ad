"""What the figures show is what the result holds, for one pair, many pairs and a cluster."""

import inspect
import json

import jax
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from bayesquake.models.source_spectra import outputs
from bayesquake.models.source_spectra.arrays import prepare
from bayesquake.models.source_spectra.figures import FIGURES
from bayesquake.models.source_spectra.predictive import predictive_band
from bayesquake.models.source_spectra.simulate import simulate
from bayesquake.reporting.figures import VERMILION

pytestmark = pytest.mark.filterwarnings(
    "ignore::bayesquake.models.source_spectra.outputs.PoorPairWarning"
)

DRAWS = 250
STRESS_DROPS = {"moment": 1e13, "shear_velocity": 3500.0}


def around_the_truth(design, spread=0.0, **options):
    """Return the result that a fit would have whose draws scatter by so much about the truth."""
    truth, dataset = simulate(jax.random.key(1), design)
    dim, names = (
        ("event", ("ln_fc", "ln_relative_moment"))
        if "event" in dataset.dims
        else ("pair", ("ln_fc1", "dln_fc", "ln_moment_ratio"))
    )
    rng = np.random.default_rng(2)
    draws = {
        name: truth[name] + spread * rng.normal(size=(2, DRAWS, truth[name].size)) for name in names
    }
    if dim == "event":
        draws["fc"] = np.exp(draws["ln_fc"])
    else:
        draws["fc1"] = np.exp(draws["ln_fc1"])
        draws["fc2"] = np.exp(draws["ln_fc1"] + draws["dln_fc"])
        draws["ln_dsigma_ratio"] = draws["ln_moment_ratio"] - 3 * draws["dln_fc"]
    complete = outputs.complete(dataset, **options)
    groups = complete(draws, prepare(dataset), jax.random.key(3))
    own = xr.Dataset({name: (("chain", "draw", dim), values) for name, values in draws.items()})
    groups["posterior"] = groups["posterior"].merge(own)
    groups["prior"] = own.isel(chain=[0])
    result = xr.DataTree.from_dict(groups)
    result.attrs["configuration"] = json.dumps({"options": options})
    return result


@pytest.fixture(scope="module")
def many():
    return around_the_truth({"pairs": 120, "frequencies": 24}, spread=0.2)


@pytest.fixture(scope="module")
def few():
    return around_the_truth({"pairs": 2, "frequencies": 24}, spread=0.05, **STRESS_DROPS)


@pytest.fixture(scope="module")
def cluster():
    return around_the_truth({"events": 3, "traces": 4, "frequencies": 24}, spread=0.01)


@pytest.mark.parametrize("draw", FIGURES.values(), ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("kind", ["few", "many", "cluster"])
def test_every_figure_has_axes_with_labels_and_a_caption(kind, draw, request, tmp_path):
    figure = draw(request.getfixturevalue(kind))
    assert any(axis.get_xlabel() or axis.get_ylabel() for axis in figure.axes)
    assert any(axis.has_data() for axis in figure.axes)
    figure.savefig(tmp_path / "figure.png", dpi=40)
    assert len(inspect.getdoc(draw).split("\n\n")) == 2


@pytest.mark.parametrize("nu", [(2.0, 2.0), (10.0, 2.0)])
def test_the_band_holds_90_percent_of_ratios_at_the_truth(nu):
    result = around_the_truth({"pairs": 120, "frequencies": 24, "nu1": nu[0], "nu2": nu[1]})
    observed = result["observed_data"]["log_power_ratio"].to_numpy()
    bands = [predictive_band(result, i)[1:3] for i in range(120)]
    low, high = np.moveaxis(bands, 1, 0)[:, :, None, :]
    held = ((low < observed) & (observed < high)).mean()
    assert abs(held - 0.9) < 4 * np.sqrt(0.09 / observed.size) + 0.0025


def test_the_band_is_that_of_the_stored_replicates(few):
    stored = few["posterior_predictive"]["log_power_ratio"].isel(pair=1, trace=0)
    expected = stored.quantile([0.05, 0.95], ("chain", "draw")).mean("freq")
    _, low, high, _ = predictive_band(few, 1)
    assert np.allclose([low.mean(), high.mean()], expected, atol=0.08)


def test_points_of_the_overview_are_medians_in_order_and_flagged_ones_vermilion(many):
    for column, name in enumerate(("fc1", "fc2")):
        axis = FIGURES["Corner frequencies and flags"](many).axes[column]
        points = axis.collections[1]
        medians = many["posterior"][name].median(("chain", "draw")).to_numpy()
        order = many["posterior"]["fc1"].median(("chain", "draw")).to_numpy().argsort()
        assert np.allclose(points.get_offsets()[:, 1], medians[order])
        quality = many["quality"].to_dataset().drop_vars("dispersion_p_value")
        flagged = quality.to_dataarray().any("variable").to_numpy()
        drawn = [to_hex(colour).upper() == VERMILION for colour in points.get_facecolors()]
        assert 0 < flagged.sum() < 120
        assert np.array_equal(drawn, flagged[order])


def test_an_unknown_rupture_model_widens_stress_drops(few):
    axis = FIGURES["Stress drop"](few).axes[0]
    unknown_k, _, one_k, _ = axis.collections
    lengths = [
        [np.diff(np.log(segment[:, 1])).item() for segment in lines.get_segments()]
        for lines in (unknown_k, one_k)
    ]
    # The extreme rows of k differ by a factor 2; a stress drop varies as its cube.
    assert np.less(lengths[1], lengths[0]).all()
    assert np.mean(lengths[0]) == pytest.approx(3 * np.log(2.0), abs=0.4)
    assert np.mean(lengths[1]) == pytest.approx(3 * 0.05 * 2 * 1.645, rel=0.25)


def test_spectra_of_a_cluster_without_their_path_lie_about_the_curves(cluster):
    axis = FIGURES["Spectra and predictive band"](cluster).axes[0]
    events = axis.collections[::2]
    for points, line in zip(events, axis.lines, strict=True):
        x, y = points.get_offsets().T
        residual = np.log(y / np.interp(x, *line.get_data()))
        assert abs(residual.mean()) < 4 * residual.std() / np.sqrt(len(x)) + 0.02
        # Amplitudes of nu = 10 scatter by the half of sqrt(trigamma(5)) = 0.47 or, relative to a
        # level taken from three events, by less.
        assert 0.1 < residual.std() < 0.25
