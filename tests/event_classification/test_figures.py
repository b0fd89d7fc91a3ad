"""What the figures show is what the result holds, with and without places, truth and a field."""

import inspect

import jax
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import bayesquake as bq
from bayesquake.model.simulation import simulate_accepted
from bayesquake.models.event_classification import outputs
from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.classification import cluster_sizes, roots
from bayesquake.models.event_classification.data import read
from bayesquake.models.event_classification.figures import FIGURES
from bayesquake.models.event_classification.forest import (
    cluster_counts,
    modal_parents,
    size_classes,
)
from bayesquake.models.event_classification.kernels import offspring_density, offspring_rate
from bayesquake.models.event_classification.parameters import natural_values
from bayesquake.models.event_classification.reliability import reliability
from bayesquake.models.event_classification.triggering import time_fraction
from bayesquake.physics.projection import near_longitude, to_geographic

CHAINS, DRAWS = 2, 20
TRUTH = {"k": 0.2, "alpha": 1.5, "c": 0.01, "p": 1.2, "beta": 2.3}
IN_SPACE = TRUTH | {"mu": 3e-6, "d": 0.5, "gamma": 0.8, "q": 1.8}
HISTORY = {"exact": False, "history_days": 300.0, "burn_in_days": 300.0, "buffer_km": 10.0}
BASIS = 3


def geographic(dataset):
    """Return a simulated data set as a catalogue of longitudes, latitudes and dates."""
    centre = (179.9, -41.0)
    longitude, latitude = to_geographic(dataset["x_km"], dataset["y_km"], centre)
    corners = np.array([[0, 0], [100, 0], [100, 60], [60, 100], [0, 100]], float)
    polygon = np.stack(to_geographic(*corners.T, centre), axis=1)
    catalogue = xr.Dataset(
        {
            "time": ("event", dataset["time_days"].to_numpy()),
            "longitude": ("event", longitude % 360),
            "latitude": ("event", latitude),
            "magnitude": ("event", dataset["magnitude"].to_numpy()),
        },
        attrs={"reference_time": "2010-01-01T00:00:00Z", "source": "catalogue"},
    )
    window = {"start": "2010-01-01", "end": "2012-09-01", "magnitude_rounding": 0.0}
    return read(catalogue, polygon=np.column_stack([polygon[:, 0] % 360, polygon[:, 1]]), **window)


def made(kind):
    """Return the result that a fit would have whose draws scatter about the truth."""
    space, field = kind != "time", kind == "field"
    design = {"space": space, "taper": not space, "minimum_events": 30, "maximum_events": 250}
    parameters = IN_SPACE if space else TRUTH | {"mu": 3e-6, "tau": 1000.0}
    model, rng = bq.load_model("event_classification"), np.random.default_rng(4)
    design |= HISTORY if field else {}
    truth, dataset, _ = simulate_accepted(model, jax.random.key(5), design, parameters)
    options = {"space": space, "taper": not space}
    if field:
        dataset = geographic(dataset)
        options |= {"background": "field", "basis_size": BASIS}
    sampled = {
        name: value
        for name, value in truth.items()
        if name.startswith("log_") or name in ("alpha", "gamma", "omega")
    }

    def draws(shape, spread):
        sites = {name: x + spread * rng.normal(size=shape) for name, x in sampled.items()}
        values = {name: np.asarray(x) for name, x in natural_values(sites, 4.5).items()}
        if field:
            values["field_amplitude"] = np.full(shape, 1.0)
            values["field_length"] = np.full(shape, 0.3)
            values["z"] = rng.normal(size=(*shape, BASIS**2))
        return values

    values = draws((CHAINS, DRAWS), 0.05)
    complete = outputs.complete(dataset, classification_draws=20, forecast_days=0.0)
    groups = complete(values, prepare(dataset, **options), jax.random.key(3))
    posterior, prior = (as_dataset(x) for x in (values, draws((1, 100), 0.5)))
    groups["posterior"] = groups["posterior"].merge(posterior)
    return xr.DataTree.from_dict(groups | {"prior": prior})


def as_dataset(values):
    return xr.Dataset(
        {
            name: (
                ("chain", "draw", "basis")[: np.ndim(x)],
                x,
                {"units": outputs.QUANTITIES[name].unit},
            )
            for name, x in values.items()
        }
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of a catalogue with a field and a history, without the field, without places."""
    folder, found = tmp_path_factory.mktemp("results"), {}
    for kind in ("field", "time"):
        made(kind).to_netcdf(folder / f"{kind}.nc")
        found[kind] = xr.open_datatree(folder / f"{kind}.nc").load()
    found["plane"] = found["field"].copy()
    found["plane"]["posterior"] = xr.DataTree(
        found["field"]["posterior"].to_dataset().drop_vars("mu_field")
    )
    found["plane"]["observed_data"].attrs |= {"projection": "plane", "epoch": ""}
    return found


@pytest.mark.parametrize("draw", FIGURES.values(), ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("kind", ["time", "field"])
def test_every_figure_has_axes_with_labels_and_a_caption(kind, draw, results, tmp_path):
    figure = draw(results[kind])
    shown = [axis for axis in figure.axes if axis.axison]
    assert all(axis.has_data() for axis in shown)
    assert any(axis.get_xlabel() for axis in shown)
    assert any(axis.get_ylabel() for axis in shown)
    figure.savefig(tmp_path / "figure.png", dpi=30)
    assert len(inspect.getdoc(draw).split("\n\n")) == 2


def test_dots_have_the_posterior_probability_of_their_event(results):
    result = results["field"]
    target = result["observed_data"]["target"].to_numpy() == 1
    assert 0 < target.sum() < target.size
    history, dots = FIGURES["Background and triggered events"](result).axes[0].collections
    assert len(history.get_offsets()) == (~target).sum()
    phi = result["classification"]["phi_mean"].to_numpy()
    latitude = result["observed_data"]["latitude"].to_numpy()
    order = np.argsort(dots.get_offsets()[:, 1])
    assert np.allclose(
        dots.get_array()[order], phi[target][np.argsort(latitude[target])], atol=1e-12
    )


def test_the_map_outlines_the_polygon_across_the_date_line(results):
    left = FIGURES["Background and triggered events"](results["field"]).axes[0]
    outline = left.patches[0].get_xy()
    assert np.ptp(outline[:, 0]) == pytest.approx(1.19, abs=0.02)
    inside = left.patches[0].get_path().contains_points(left.collections[1].get_offsets())
    assert inside.all()


def panels(title, results):
    return {kind: len(FIGURES[title](result).axes) for kind, result in results.items()}


def test_panels_that_a_result_cannot_fill_are_left_out(results):
    assert panels("Parents", results) == {"field": 2, "plane": 2, "time": 1}
    assert panels("Triggering", results) == {"field": 3, "plane": 3, "time": 2}
    colour_bars = 2
    assert panels("Background rate", results) == {"field": 3 + colour_bars, "plane": 1, "time": 1}


def test_reliability_is_shown_where_the_truth_is_known(results):
    assert "parent" in results["time"]["observed_data"]
    assert panels("Certainty of the classes", results) == {"field": 2, "plane": 2, "time": 3}


def test_cells_of_the_field_are_drawn_where_they_lie(results):
    result = results["field"]
    figure = FIGURES["Background rate"](result)
    mesh = figure.axes[0].collections[0]
    mu = result["posterior"]["mu_field"].median(("chain", "draw")).to_numpy()
    grid = mesh.get_array()
    assert np.sort(grid.compressed()) == pytest.approx(np.sort(mu))
    x, y = (result["posterior"][name].to_numpy() for name in ("cell_x_km", "cell_y_km"))
    centre = [result["observed_data"].attrs[f"centre_{x}"] for x in ("longitude", "latitude")]
    longitude, latitude = to_geographic(x, y, centre)
    corners = mesh.get_coordinates()
    for cell in (0, mu.size // 2, mu.size - 1):
        row, column = np.argwhere(grid.filled(np.nan) == mu[cell])[0]
        low, high = corners[row, column], corners[row + 1, column + 1]
        place = np.array([near_longitude(longitude[cell], centre[0]), latitude[cell]])
        assert ((low - 1e-3 < place) & (place < high + 1e-3)).all()


def test_true_clusters_are_counted_as_the_simulation_made_them(results):
    result = results["time"]
    left = FIGURES["Clusters"](result).axes[0]
    truth = next(line for line in left.lines if line.get_label() == "truth")
    sizes = np.unique(result["observed_data"]["root"], return_counts=True)[1]
    assert truth.get_ydata().sum() == sizes.size
    assert truth.get_ydata()[0] == (sizes == 1).sum()


parents_of_draws = arrays(np.int32, (7, 12), elements=st.integers(-1, 11)).map(
    lambda draws: np.where(draws < np.arange(12), draws, -1)
)


@given(parents_of_draws)
def test_the_modal_parent_is_the_most_frequent_one(parent):
    mode, share = modal_parents(parent)
    for event in range(parent.shape[1]):
        values, counts = np.unique(parent[:, event][parent[:, event] >= 0], return_counts=True)
        assert mode[event] == (values[np.argmax(counts)] if values.size else -1)
        assert share[event] == (counts.max() / len(parent) if values.size else 0.0)


@given(parents_of_draws)
def test_every_cluster_is_counted_once_in_the_class_of_its_size(parent):
    size = cluster_sizes(roots(parent))
    low, high = size_classes(size.max())
    assert low[0] == 1
    assert np.array_equal(low[1:], high[:-1] + 1)
    assert low[-1] <= size.max() <= high[-1]
    counts = cluster_counts(size, high.size)
    for draw in range(len(parent)):
        sizes = np.unique(roots(parent[[draw]])[0], return_counts=True)[1]
        expected = [((low <= s) & (s <= high)) for s in sizes]
        assert np.array_equal(counts[draw], np.sum(expected, axis=0))


def test_probabilities_that_are_true_are_reliable():
    rng = np.random.default_rng(1)
    phi = rng.beta(0.4, 0.6, 20_000)
    truth = rng.uniform(size=phi.size) < phi
    found = reliability(phi, truth)
    assert found.number.sum() == phi.size
    assert found.number @ found.share == pytest.approx(truth.sum())
    assert (np.abs(found.share - found.mean) < 4 * np.sqrt(0.25 / found.number)).all()
    assert ((found.low < found.share) & (found.share < found.high)).all()


def test_certain_events_fall_into_the_outer_bins():
    found = reliability(np.array([0.0, 1.0, 1.0]), np.array([False, True, True]))
    assert np.array_equal(found.number, [1, 2])
    assert np.array_equal(found.share, [0.0, 1.0])


@pytest.mark.parametrize("tau", [None, 100.0])
def test_the_drawn_rate_integrates_to_the_expected_offspring(tau):
    values = {name: np.array([TRUTH[name]]) for name in ("k", "alpha", "c", "p")}
    values |= {} if tau is None else {"tau": np.array([tau])}
    days, dm = np.geomspace(1e-6, 500.0, 20_000), 1.5
    total = np.trapezoid(offspring_rate(values, dm, days)[0], days)
    one = {name: value[0] for name, value in values.items()}
    share = float(time_fraction(one, 0.0, 500.0))
    assert total == pytest.approx(TRUTH["k"] * np.exp(1.5 * dm) * share, rel=1e-3)


def test_the_drawn_density_is_one_on_the_plane():
    values = {name: np.array([IN_SPACE[name]]) for name in ("d", "gamma", "q")}
    km = np.geomspace(1e-4, 1e6, 20_000)
    density = offspring_density(values, 2.0, km)[0]
    assert np.trapezoid(2 * np.pi * km * density, km) == pytest.approx(1.0, rel=1e-4)
