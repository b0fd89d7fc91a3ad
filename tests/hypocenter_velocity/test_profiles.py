"""Two velocity profiles: labels summed out, found by the search, kept apart by order."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp

import bayesquake as bq
from bayesquake.errors import OptionError
from bayesquake.models.hypocenter_velocity import held_at
from bayesquake.models.hypocenter_velocity.model import (
    arrival_distribution,
    event_log_density,
    placed,
)
from bayesquake.models.hypocenter_velocity.moves import drawn_profiles
from bayesquake.models.hypocenter_velocity.physics.arrivals import by_event, expected_arrivals
from bayesquake.models.hypocenter_velocity.physics.precision import joint, precision, split
from bayesquake.models.hypocenter_velocity.profiles import by_pick, probable, right_of_line
from bayesquake.models.hypocenter_velocity.simulation import offsets
from bayesquake.models.hypocenter_velocity.velocities import velocities
from bayesquake.targets.target import target_of_arrays

MODEL = bq.load_model("hypocenter_velocity")
PLAIN = dataclasses.replace(MODEL, coordinates=None, moves=None)
PRIORS = {name: prior.distribution() for name, prior in MODEL.priors.items()}
TOPS = np.array([0.0, 3.0, 8.0, 16.0, 28.0])


def simulated(seed=4, events=4, stations=5, parameters=None, **design):
    design = {"events": events, "stations": stations, "profiles": 2, **design}
    return MODEL.simulate(jax.random.key(seed), design, parameters)


@pytest.fixture(scope="module")
def drawn():
    """Arrays of two profiles and values from the prior."""
    _, dataset = simulated()
    target = target_of_arrays(PLAIN, MODEL.prepare(dataset, profiles=2))
    return target, target.prior_draw(jax.random.key(4), target.data)


def fit_of(values, data):
    expected = expected_arrivals(values, data)
    return arrival_distribution(expected, values["sigma"], data).log_prob(data.time)


def test_the_likelihood_is_the_sum_over_all_labels_of_the_stations(drawn):
    target, values = drawn
    data, share = target.data, float(values["profile_share"])
    fit = np.asarray(by_pick(jnp.where(data.mask, fit_of(values, data), 0.0), data))
    station = np.asarray(by_pick(data.station, data)[0])
    chosen = np.arange(len(station))
    terms = []
    for labels in itertools.product((0, 1), repeat=5):
        prior = np.log(np.where(labels, share, 1 - share)).sum()
        terms.append(prior + fit[np.array(labels)[station], chosen].sum())
    position = target.unconstrain(values, data)
    assert np.isclose(target.log_likelihood(position, data), logsumexp(terms))


def test_profiles_that_are_one_have_the_density_of_a_single_one(drawn):
    target, values = drawn
    _, dataset = simulated()
    single = target_of_arrays(PLAIN, MODEL.prepare(dataset))
    same = {**values, "contrast": 1e-300, "layer_contrast": 0 * values["layer_contrast"]}
    same |= velocities(same, target.data)
    of_two = target.log_likelihood(target.unconstrain(same, target.data), target.data)
    of_one = single.log_likelihood(single.unconstrain(same, single.data), single.data)
    assert np.isclose(of_two, of_one, rtol=1e-10)


def test_the_profiles_are_ordered_by_their_mean_logarithms(drawn):
    target, _ = drawn
    _, dataset = simulated()
    depth = np.arange(0.005, float(dataset["depth"].max()), 0.01)
    deeper = (dataset["depth"].to_numpy() > depth[:, None]).sum(axis=1)
    layer = np.searchsorted(TOPS, depth, "right") - 1
    share = np.bincount(layer, deeper, minlength=5) / deeper.sum()
    for seed in range(20):
        values = target.prior_draw(jax.random.key(seed), target.data)
        slow, fast = np.log(values["profile_vp"]) @ share
        assert fast - slow == pytest.approx(2 * float(values["contrast"]), abs=1e-4)
        assert fast > slow


def test_a_pick_left_out_takes_its_term_given_all_others_from_the_density(drawn):
    target, values = drawn
    data = target.data
    terms = np.asarray(MODEL.folds.terms(values, data))

    def log_density(arrays):
        arrival = by_event(arrays.weight * expected_arrivals(values, arrays), arrays)
        position = target.unconstrain({**values, "mean_arrival": arrival}, arrays)
        return target.log_likelihood(position, arrays)

    assert len(terms) == MODEL.folds.count(data) == len(data.time) // 2
    for fold in (0, 3, 11):
        lost = log_density(data) - log_density(MODEL.folds.without(data, fold))
        assert np.isclose(lost, terms[fold], rtol=1e-8)


def test_labels_are_drawn_as_probable_as_they_are(drawn):
    target, values = drawn
    # Errors so large that no label is certain.
    vague = {**values, "sigma": jnp.array([2.0, 2.0])}
    keys = jax.random.split(jax.random.key(1), 4000)
    labels = jax.vmap(drawn_profiles, (0, None, None))(keys, vague, target.data)
    assert np.array_equal(labels.sum(axis=1), np.ones((4000, 5)))
    faster = np.asarray(probable(fit_of(vague, target.data), vague, target.data)[1])
    assert ((faster > 0.05) & (faster < 0.95)).any()
    count = np.asarray(labels[:, 1].sum(axis=0))
    error = np.sqrt(4000 * np.maximum(faster * (1 - faster), 1e-4))
    assert (np.abs(count - 4000 * faster) < 4.5 * error).all()


def test_for_given_labels_events_change_the_density_by_their_own_terms(drawn):
    target, values = drawn
    data = target.data
    labels = drawn_profiles(jax.random.key(2), values, data)
    known = data._replace(member=labels, known=jnp.asarray(1.0))
    moved = {**values, "depth_offset": values["depth_offset"] + 0.1}

    def density(values):
        return target.log_density(target.unconstrain(values, known), known)

    def by_events(values):
        return event_log_density(values, known, PRIORS).sum()

    assert np.isclose(density(moved) - density(values), by_events(moved) - by_events(values))


def test_the_precision_of_known_labels_is_that_of_gauss_and_newton():
    _, dataset = simulated(errors="normal")
    target = target_of_arrays(PLAIN, MODEL.prepare(dataset, errors="normal", profiles=2))
    position = target.prior_position(jax.random.key(3), target.data)
    faster = right_of_line(0.5, target.data).astype(float)
    member = jnp.stack([1 - faster, faster])
    data = target.data._replace(member=member, known=jnp.asarray(1.0))
    arrow = precision(target, position, data, PRIORS)
    held = target.constrain(position, data)

    def residuals(position):
        values = target.constrain(position, data)
        weight = jnp.sqrt(data.counted) / held["sigma"][data.phase]
        return weight * expected_arrivals(values, data)

    J = jax.jacfwd(residuals)(position)
    blind = data._replace(mask=jnp.zeros_like(data.mask))
    without = precision(target, position, blind, PRIORS)
    sites = target.unravel(position)
    scales = np.array([name.startswith(("sigma", "tau")) for name in target.coordinates])

    def product(arrow, row):
        events, shared = split(target.unravel(row))
        along_events = jnp.einsum("iab,ib->ia", arrow.own, events) + arrow.coupling @ shared
        along_shared = jnp.einsum("iag,ia->g", arrow.coupling, events) + arrow.shared @ shared
        return target.ravel(joint(along_events, along_shared, sites))

    told = np.stack([product(arrow, e) - product(without, e) for e in jnp.eye(target.dim)])
    kept = ~scales
    dense = np.asarray(J.T @ J)
    assert np.allclose(
        told[np.ix_(kept, kept)],
        dense[np.ix_(kept, kept)],
        rtol=1e-6,
        atol=1e-6 * np.abs(dense).max(),
    )


def test_a_line_parts_the_stations_of_a_simulation():
    """Arrivals of each side are those of its profile alone."""
    design = {"events": 3, "stations": 12, "dividing_azimuth": 30.0}
    quiet = {"sigma": [1e-6, 1e-6], "tau": 1e-9, "contrast": 0.05}
    truth, dataset = simulated(parameters=quiet, **design)
    data = MODEL.prepare(dataset, profiles=2)
    faster = np.asarray(right_of_line(np.deg2rad(30.0), data))
    x, y = (dataset[f"station_{axis}"].to_numpy() for axis in ("x", "y"))
    across = np.cos(np.deg2rad(30.0)) * (x - x.mean()) - np.sin(np.deg2rad(30.0)) * (y - y.mean())
    assert np.array_equal(faster, across > 0)
    values = {**truth, **offsets(truth, data)}
    place = placed(values, data)
    times = {
        "origin_time": data.centre[3] + data.width[3] * truth["origin_time_shift"],
        "station_term": jnp.zeros((2, 12)),
        "vpvs": truth["vpvs"],
    }
    expected = expected_arrivals({**place, **times, **velocities(truth, data)}, data)
    of_profile = np.asarray(by_pick(expected, data))
    station, time, there = (by_pick(a, data)[0] for a in (data.station, data.time, data.mask))
    chosen = np.where(faster[station], of_profile[1], of_profile[0])
    other = np.where(faster[station], of_profile[0], of_profile[1])
    assert np.abs(chosen - time)[there].max() < 1e-4
    assert np.abs(other - time)[there].min() > 1e-4


def test_sources_at_the_top_of_the_layers_order_profiles_too():
    _, dataset = simulated()
    data = MODEL.prepare(dataset.assign(depth=0 * dataset["depth"]), profiles=2)
    assert np.array_equal(data.order, [1, 0, 0, 0, 0])


def test_replicates_see_the_profiles_of_the_draw():
    _, dataset = simulated(parameters={"sigma": [1e-6, 1e-6]})
    target = target_of_arrays(PLAIN, MODEL.prepare(dataset, profiles=2))
    faster = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    quiet = {**target.prior_draw(jax.random.key(4), target.data), "sigma": np.full(2, 1e-6)}
    draw = {**quiet, "station_profile": faster}
    replica = MODEL.replicate(jax.random.key(1), draw, dataset, profiles=2)
    expected = by_pick(expected_arrivals(draw, target.data), target.data)
    data = target.data
    station, place, there = (by_pick(a, data)[0] for a in (data.station, data.place, data.mask))
    seen = np.where(faster[station] == 1, expected[1], expected[0])
    assert np.abs(replica["time"].to_numpy()[place[there]] - seen[there]).max() < 1e-4


def test_locations_refuse_the_two_profiles_of_a_posterior():
    two = xr.Dataset({"profile_vp": (("profile", "layer"), np.ones((2, 3)))})
    with pytest.raises(OptionError, match="profiles=1"):
        held_at(xr.DataTree.from_dict({"posterior": two}), None)
