"""Simulated catalogues have the numbers, delays, distances and magnitudes of their parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from bayesquake.errors import OptionError, SimulationError
from bayesquake.models.event_classification.arrays import prepare
from bayesquake.models.event_classification.background import basis_at, coefficients, make_field
from bayesquake.models.event_classification.branching import Population, descend
from bayesquake.models.event_classification.classification import class_probabilities
from bayesquake.models.event_classification.errors import SupercriticalError
from bayesquake.models.event_classification.immigrants import background_events
from bayesquake.models.event_classification.inside import mass_inside
from bayesquake.models.event_classification.likelihood import expected_events
from bayesquake.models.event_classification.region import is_near
from bayesquake.models.event_classification.triggering import time_fraction

SQUARE = np.array([[0.0, 0.0], [50.0, 0.0], [50.0, 50.0], [0.0, 50.0]])
SPAN = 4.5


def children_of_one(truth, number, start=0.0, end=1e3, **changes):
    """Return the first generation of many events of magnitude 1 above the reference at (3, 4)."""
    values = truth | changes
    seeds = Population(
        catalog=np.zeros(number, int),
        time=np.zeros(number),
        x=np.full(number, 3.0),
        y=np.full(number, 4.0),
        dm=np.ones(number),
        parent=np.full(number, -1),
        generation=np.zeros(number, int),
    )
    values = {name: np.array([value]) for name, value in values.items()}
    rng = np.random.default_rng(0)
    events = descend(rng, seeds, values, start=start, end=end, span=SPAN)
    first = events.generation == 1
    return Population(*(x[first] for x in events))


@pytest.mark.parametrize("changes", [{}, {"p": 0.95, "tau": 200.0}, {"p": 1.3, "tau": 30.0}])
@pytest.mark.parametrize("start", [0.0, 2.0])
def test_offspring_have_the_numbers_delays_distances_and_magnitudes_of_the_kernel(
    truth, changes, start
):
    number = 4000
    children = children_of_one(truth, number, start=start, **changes)
    values = truth | changes
    share = float(time_fraction(values, start, 1e3))
    expected = number * values["k"] * np.exp(values["alpha"]) * share
    assert abs(children.time.size - expected) < 4 * np.sqrt(expected)
    fraction = jax.jit(lambda t: time_fraction(values, start, t) / share)
    assert kstest(np.asarray(fraction(jnp.asarray(children.time))), "uniform").pvalue > 1e-3
    D = values["d"] * np.exp(values["gamma"])
    r2 = (children.x - 3.0) ** 2 + (children.y - 4.0) ** 2
    assert kstest((1 + r2 / D) ** (1 - values["q"]), "uniform").pvalue > 1e-3
    angle = np.arctan2(children.y - 4.0, children.x - 3.0)
    assert kstest(angle / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3
    scale = -np.expm1(-values["beta"] * SPAN)
    assert kstest(-np.expm1(-values["beta"] * children.dm) / scale, "uniform").pvalue > 1e-3


def test_exact_catalogues_have_the_background_and_the_count_that_the_likelihood_expects(
    model, truth
):
    """At the true parameters Σφ estimates the background, and Λ the targets, without bias."""
    excess, surplus = [], []
    probability = jax.jit(class_probabilities)
    expected = jax.jit(expected_events)
    for seed in range(40):
        dataset = model.simulate(jax.random.key(seed), {"T": 600.0}, truth)[1]
        arrays = prepare(dataset)
        n = dataset.sizes["event"]
        phi = np.asarray(probability(truth, arrays))[0, :n]
        excess.append((dataset["parent"] == -1).sum().item() - phi.sum())
        surplus.append(n - float(expected(truth, arrays)))
    for values in (excess, surplus):
        assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_the_same_key_gives_the_same_catalogue_and_another_key_another(model, truth):
    first, again, other = (model.simulate(jax.random.key(seed), {}, truth)[1] for seed in (3, 3, 8))
    assert first.identical(again)
    assert first.sizes != other.sizes or not np.allclose(first["x_km"], other["x_km"])


def test_a_catalogue_as_in_nature_has_history_and_lost_parents(model, truth):
    design = {
        "exact": False,
        "history_days": 300.0,
        "burn_in_days": 500.0,
        "buffer_km": 10.0,
        "delta_m": 0.1,
    }
    dataset = model.simulate(jax.random.key(1), design, truth)[1]
    time, parent = dataset["time_days"].to_numpy(), dataset["parent"].to_numpy()
    assert time.min() < 0
    assert (dataset["target"].to_numpy() == (time >= 0)).all()
    assert (parent == -2).any()
    assert (parent == -1).any()
    has_parent = parent >= 0
    assert (time[parent[has_parent]] < time[has_parent]).all()
    steps = (dataset["magnitude"].to_numpy() - 3.0) / 0.1
    assert np.allclose(steps, np.round(steps), atol=1e-9)
    assert steps.min() >= 0


def test_a_replicate_keeps_the_history_and_has_new_targets(model, truth):
    design = {"exact": False, "history_days": 300.0, "burn_in_days": 100.0, "buffer_km": 5.0}
    dataset = model.simulate(jax.random.key(1), design, truth)[1]
    replica = model.replicate(jax.random.key(2), truth, dataset)
    past = [data.isel(event=data["target"].to_numpy() == 0) for data in (dataset, replica)]
    assert np.allclose(past[0]["time_days"], past[1]["time_days"])
    assert np.allclose(past[0]["magnitude"], past[1]["magnitude"])
    new = replica.isel(event=replica["target"].to_numpy() == 1)
    assert new.sizes["event"] > 100
    assert not np.isin(new["x_km"], dataset["x_km"]).any()


@pytest.mark.parametrize("options", [{}, {"edge_correction": False}, {"space": False}])
def test_replicates_have_the_number_of_targets_that_the_likelihood_expects(model, truth, options):
    """History known, and triggering by targets so weak that it may be left out."""
    design = {"exact": False, "history_days": 300.0, "burn_in_days": 300.0, "buffer_km": 10.0}
    dataset = model.simulate(jax.random.key(1), design | {"T": 300.0}, truth)[1]
    middle = np.array([[20.0, 0.0], [80.0, 0.0], [80.0, 100.0], [20.0, 100.0]])
    inside = is_near(middle, dataset["x_km"], dataset["y_km"], 0.0)
    history = dataset.isel(event=np.flatnonzero(dataset["target"].to_numpy() == 0))
    history = history.assign(polygon=(dataset["polygon"].dims, middle, {"units": "km"}))
    history = history.assign_attrs(area_km2=6000.0)
    assert inside.sum() < inside.size
    values = truth | {"mu": 1e-6, "k": 0.02, "c": 1.0}
    arrays = prepare(history, maximum_magnitude=7.5, **options)
    expected = float(jax.jit(expected_events)(values, arrays))
    counts = []
    for seed in range(60):
        replica = model.replicate(
            jax.random.key(seed), values, history, maximum_magnitude=7.5, **options
        )
        counts.append(float(replica["target"].sum()))
    secondary = 1.1
    error = np.std(counts) / np.sqrt(len(counts))
    assert expected - 4 * error < np.mean(counts) < secondary * expected + 4 * error


def test_the_field_thins_background_events_by_its_values():
    basis_size, catalogs = 3, 60
    values = {
        "mu": np.full(catalogs, 0.01),
        "beta": np.full(catalogs, 2.3),
        "field_amplitude": np.full(catalogs, 1.0),
        "field_length": np.full(catalogs, 0.5),
        "z": np.tile(np.random.default_rng(3).normal(size=basis_size**2), (catalogs, 1)),
    }
    field = make_field(SQUARE.T, SQUARE, basis_size)
    events = background_events(
        np.random.default_rng(0), values, SQUARE, (0.0, 10.0), SPAN, area=2500.0, background=field
    )
    one = {name: draws[0] for name, draws in values.items()}
    weight = np.asarray(coefficients(one, SQUARE, basis_size))
    grid = np.stack(np.meshgrid(*[np.arange(0.5, 50, 1.0)] * 2, indexing="ij"), -1).reshape(-1, 2)
    rate = 0.01 * 10.0 * catalogs * np.exp(basis_at(grid, SQUARE, basis_size) @ weight)
    count = np.histogram2d(events.x, events.y, bins=5, range=[[0, 50]] * 2)[0]
    expected = rate.reshape(5, 10, 5, 10).sum(axis=(1, 3))
    assert expected.max() > 3 * expected.min()
    assert (abs(count - expected) < 4.5 * np.sqrt(expected)).all()
    assert abs(count.sum() - expected.sum()) < 4 * np.sqrt(expected.sum())


def test_background_events_of_a_kernel_density_have_its_mass_in_every_box(simulated):
    dataset = simulated[1]
    density = prepare(dataset, background="density").background
    events = background_events(
        np.random.default_rng(1),
        {"mu": np.array([0.02]), "beta": np.array([2.3])},
        dataset["polygon"].to_numpy(),
        (0.0, 100.0),
        SPAN,
        area=1e4,
        background=density,
    )
    mass = jax.jit(lambda polygon: mass_inside(density.centres, np.log(density.D), 2.0, polygon))
    whole = np.asarray(mass(dataset["polygon"].to_numpy()))
    share = density.weight / density.weight.sum()
    unit = 20.0 * np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    count = np.histogram2d(events.x, events.y, bins=5, range=[[0, 100]] * 2)[0]
    total = (share * whole).sum()
    for i, j in np.ndindex(5, 5):
        expected = 0.02 * 1e6 * float((share * mass(unit + 20.0 * np.array([i, j]))).sum() / total)
        assert abs(count[i, j] - expected) < 4.5 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("design", "parameters", "error", "message"),
    [
        ({"maximum_events": None}, {"k": 0.9}, SupercriticalError, "branching ratio is"),
        ({}, {"k": 0.9, "mu": 1e-4}, SimulationError, "raise maximum_events"),
        ({}, {"mu": 1e-9}, SimulationError, "lie outside"),
        ({"depth": 3}, {}, OptionError, "option depth"),
        ({}, {"kk": 3.0}, OptionError, "no parameter kk"),
    ],
)
def test_what_cannot_be_simulated_is_refused(model, truth, design, parameters, error, message):
    with pytest.raises(error, match=message):
        model.simulate(jax.random.key(0), design, truth | parameters)
