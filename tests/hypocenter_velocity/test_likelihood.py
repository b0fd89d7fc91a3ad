"""The density, its precision and the moves are what the equations say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

import bayesquake as bq
from bayesquake.model.priors import Prior
from bayesquake.models.hypocenter_velocity.model import DIRECTIONS, EVENT_SITES, event_log_density
from bayesquake.models.hypocenter_velocity.moves import MOVES
from bayesquake.models.hypocenter_velocity.physics.arrivals import (
    by_event,
    depth_coordinate,
    expected_arrivals,
    travel_times,
)
from bayesquake.models.hypocenter_velocity.physics.arrow import (
    Arrow,
    log_determinant,
    rooted,
    solved,
    unwhitened,
    whitened,
)
from bayesquake.models.hypocenter_velocity.physics.precision import joint, precision, split
from bayesquake.models.hypocenter_velocity.simulation import offsets
from bayesquake.models.hypocenter_velocity.velocities import velocities, velocity_priors
from bayesquake.targets.target import target_of_arrays

MODEL = bq.load_model("hypocenter_velocity")
PRIORS = {name: prior.distribution() for name, prior in MODEL.priors.items()}


PLAIN = dataclasses.replace(MODEL, coordinates=None, moves=None)
"""The model in its own unconstrained coordinates."""


def simulated(seed=2, **design):
    return MODEL.simulate(jax.random.key(seed), {"events": 4, "stations": 5, **design})


@pytest.mark.parametrize(
    ("errors", "pick_errors", "event_prior"),
    [
        ("student_t", "scale", "population"),
        ("student_t", "add", "preliminary"),
        ("normal", "ignore", "population"),
        ("normal", "scale", "preliminary"),
    ],
)
def test_in_a_half_space_the_density_is_the_product_of_its_factors(
    errors, pick_errors, event_prior
):
    law = stats.t(5) if errors == "student_t" else stats.norm()
    _, dataset = simulated(tops=[0.0], vp=[5.0], errors=errors)
    known = dataset.copy(deep=True)
    known["pick_error"][::2], known["pick_error"][1::3] = 0.07, 0.2
    options = {"errors": errors, "pick_errors": pick_errors, "event_prior": event_prior}
    target = target_of_arrays(PLAIN, MODEL.prepare(known, **options))
    values = target.prior_draw(jax.random.key(4), target.data)
    v = {name: np.asarray(value) for name, value in values.items()}
    event, station, phase = (
        known[f"{kind}_index"].to_numpy().astype(int) for kind in ("event", "station", "phase")
    )
    offset = [v[a][event] - known[f"station_{a}"].to_numpy()[station] for a in ("x", "y", "depth")]
    slowness = np.where(phase == 1, v["vpvs"], 1.0) / v["vp"][0]
    travel_time = slowness * np.sqrt(np.square(offset).sum(axis=0))
    expected = v["origin_time"][event] + travel_time + v["station_term"][phase, station]
    stated = known["pick_error"].to_numpy()
    scale = v["sigma"][phase]
    if pick_errors == "scale":
        median = np.array([np.nanmedian(stated[phase == k]) for k in (0, 1)])
        scale = scale * np.where(np.isnan(stated), 1.0, stated / median[phase])
    elif pick_errors == "add":
        scale = np.hypot(scale, np.nan_to_num(stated))
    fit = law.logpdf((known["time"].to_numpy() - expected) / scale) - np.log(scale)

    zeta = {"x": v["x"], "y": v["y"], "depth": np.log(np.expm1(v["depth"]))}
    prior = 0.0
    if event_prior == "population":
        network = [known[f"station_{axis}"].to_numpy() for axis in ("x", "y")]
        middle = [axis.mean() for axis in network]
        radius = np.hypot(*(axis - mean for axis, mean in zip(network, middle, strict=True))).max()
        centre = {"x": middle[0], "y": middle[1], "depth": np.log(np.expm1(10.0))}
        width = {"x": radius, "y": radius, "depth": 10.0}
        prior += stats.norm(0, 0.5).logpdf(v["middle"]).sum()
        prior += stats.norm(np.log(0.3), 1).logpdf(np.log(v["spread"])).sum()
        sources = v["middle"], v["spread"]
    else:
        centre = {"x": known["x"], "y": known["y"], "depth": np.log(np.expm1(known["depth"]))}
        width = dict.fromkeys(zeta, 5.0)
        sources = np.zeros(3), np.ones(3)
    for k, axis in enumerate(zeta):
        offset = (zeta[axis] - np.asarray(centre[axis])) / width[axis]
        prior += stats.norm(sources[0][k], sources[1][k]).logpdf(offset).sum()
    prior += stats.norm(0, 3).logpdf(v["origin_time"] - known["origin_time"].to_numpy()).sum()
    prior += stats.norm(0, 0.1).logpdf(np.log(v["vp"] / 5.0)).sum()
    squares = (v["station_term"] ** 2).sum()
    free = 2 * (len(known["station"]) - 1)
    prior += -squares / (2 * v["tau"] ** 2) - free * np.log(v["tau"] * np.sqrt(2 * np.pi))
    logarithms = {"vpvs": (1.73, 0.03), "tau": (0.1, 1.0), "sigma": (np.array([0.05, 0.1]), 0.5)}
    for name, (median, width) in logarithms.items():
        # ln of a log-normal number is normal: its density in the unconstrained coordinate.
        prior += stats.norm(np.log(median), width).logpdf(np.log(v[name])).sum()
    found = target.log_density(target.unconstrain(values, target.data), target.data)
    assert np.isclose(found, fit.sum() + prior, rtol=1e-9)


def test_an_equal_delay_of_all_stations_is_an_origin_time():
    _, dataset = simulated()
    data = MODEL.prepare(dataset)
    target = target_of_arrays(PLAIN, data)
    values = target.prior_draw(jax.random.key(1), target.data)
    here = event_log_density(values, data, PRIORS)
    later = {**values, "station_term": values["station_term"] + 0.3}
    # The mean expected arrival stays, so that origin times are earlier by what stations are late.
    there = event_log_density(later, data, PRIORS)
    shift = values["origin_time"] - dataset["origin_time"].to_numpy()
    prior = stats.norm(0, 3).logpdf(shift - 0.3) - stats.norm(0, 3).logpdf(shift)
    assert np.allclose(there - here, prior, atol=1e-9)


def test_bends_are_changes_of_slope_between_given_ends():
    _, dataset = simulated(velocity_prior="kink")
    target = target_of_arrays(PLAIN, MODEL.prepare(dataset, velocity_prior="kink"))
    values = target.prior_draw(jax.random.key(6), target.data)
    log_vp, reference = np.log(values["vp"]), np.log(dataset["vp"].to_numpy())
    ends = log_vp[[0, -1]] - reference[[0, -1]]
    assert np.allclose(ends, values["log_vp_ends"], atol=1e-12)
    share = dataset["top"].to_numpy() / float(dataset["top"][-1])
    slope = np.diff(log_vp) / np.diff(share)
    spacing = (share[2:] - share[:-2]) / 2
    assert np.allclose(np.diff(slope), np.sqrt(spacing) * np.asarray(values["bend"]))
    straight = {**values, "bend": 0 * values["bend"]}
    log_vp = np.log(velocities(straight, target.data)["vp"])
    assert np.allclose(log_vp, np.interp(share, share[[0, -1]], log_vp[[0, -1]]))


def test_the_prior_of_bends_is_a_normal_one_of_exponential_variance():
    _, dataset = simulated(velocity_prior="kink")
    target = target_of_arrays(PLAIN, MODEL.prepare(dataset, velocity_prior="kink"))
    values = target.prior_draw(jax.random.key(6), target.data)
    spread = float(values["bend_spread"])
    found = velocity_priors(values, target.data, PRIORS)["bend"].log_prob(values["bend"])
    variance = np.linspace(0, 12 * spread**2, 400_001)[1:]
    mixture = sum(
        np.log(
            np.trapezoid(
                stats.norm(0, np.sqrt(variance)).pdf(b)
                * stats.expon(scale=2 * spread**2).pdf(variance),
                variance,
            )
        )
        for b in np.asarray(values["bend"])
    )
    assert np.isclose(found, mixture, atol=0.02)


def test_a_mean_delay_of_s_is_a_shift_of_all_s_picks():
    _, dataset = simulated(s_delay="free_mean")
    data = MODEL.prepare(dataset, s_delay="free_mean")
    target = target_of_arrays(PLAIN, data)
    values = target.prior_draw(jax.random.key(4), target.data)
    delay = float(values["mean_s_delay"])
    nothing = {**values, "mean_s_delay": 0.0}
    arrival = by_event(data.weight * expected_arrivals(nothing, data), data)
    earlier = data._replace(time=data.time - delay * (data.phase == 1))
    here = event_log_density(values, data, PRIORS)
    there = event_log_density({**nothing, "mean_arrival": arrival}, earlier, PRIORS)
    assert np.allclose(here, there, atol=1e-9)


@pytest.mark.parametrize("s_velocity", ["ratio", "own"])
@pytest.mark.parametrize(
    "further", [{}, {"velocity_prior": "kink", "s_delay": "free_mean"}], ids=["layers", "bends"]
)
def test_the_precision_is_that_of_gauss_and_newton(s_velocity, further):
    options = {"errors": "normal", "s_velocity": s_velocity, **further}
    _, dataset = simulated(**options)
    target = target_of_arrays(PLAIN, MODEL.prepare(dataset, **options))
    data = target.data
    position = target.prior_position(jax.random.key(3), data)
    arrow = precision(target, position, data, PRIORS)

    def whole(position):
        """Return whitened residuals of picks and of normal priors, and ln σ of every pick."""
        values = target.constrain(position, data)
        standard = [
            *(
                (values[f"{axis}_offset"] - values["middle"][k]) / held["spread"][k]
                for k, axis in enumerate(("x", "y", "depth"))
            ),
            values["middle"] / 0.5,
            jnp.log(values["spread"]),
            values["origin_time_shift"] / 3,
            values["station_term"].ravel() / held["tau"],
            jnp.log(values["sigma"]) / 0.5,
            jnp.log(values["tau"])[None] / 1.0,
        ]
        if further:
            standard += [
                values["log_vp_ends"] / 0.1,
                values["bend"] / (np.sqrt(2) * held["bend_spread"]),
                jnp.log(values["bend_spread"] / 0.5)[None] / 0.7,
                values["mean_s_delay"][None] / held["tau"],
            ]
        else:
            standard.append(values["log_vp_change"] / 0.1)
        if s_velocity == "own":
            standard.append(values["log_vs_change"] / 0.1)
        else:
            standard.append(jnp.log(values["vpvs"])[None] / 0.03)
        return jnp.concatenate([expected(values), *standard])

    def expected(values):
        arrival = values["origin_time"][data.path_event[data.path]] + travel_times(values, data)
        picks = jnp.where(data.mask, arrival / held["sigma"][data.phase], 0.0)
        scales = jnp.where(data.mask, jnp.sqrt(2.0) * jnp.log(values["sigma"])[data.phase], 0.0)
        return jnp.concatenate([picks, scales])

    held = target.constrain(position, data)
    J = jax.jacfwd(whole)(position)
    dense = J.T @ J
    sites = target.unravel(position)
    for k, row in enumerate(jnp.eye(target.dim)):
        events, shared = split(target.unravel(row))
        along_events = jnp.einsum("iab,ib->ia", arrow.own, events) + arrow.coupling @ shared
        along_shared = jnp.einsum("iag,ia->g", arrow.coupling, events) + arrow.shared @ shared
        product = target.ravel(joint(along_events, along_shared, sites))
        assert np.allclose(product, dense[k], rtol=1e-6, atol=1e-6 * np.abs(dense).max()), k


def test_an_arrow_is_inverted_by_its_blocks():
    rng = np.random.default_rng(1)
    events, shared = 3, 5
    root = rng.normal(size=(4 * events + shared, 40))
    dense = root @ root.T + 5 * np.eye(len(root))
    for i in range(events):
        for j in range(events):
            if i != j:
                dense[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = 0
    dense += 60 * np.eye(len(root))
    n = 4 * events
    blocks = [slice(4 * i, 4 * i + 4) for i in range(events)]
    arrow = Arrow(
        np.stack([dense[b, b] for b in blocks]), dense[:n, n:].reshape(3, 4, 5), dense[n:, n:]
    )
    factors = rooted(arrow)

    def flat(parts):
        return np.concatenate([np.ravel(part) for part in parts])

    def parts(vector):
        return vector[:n].reshape(3, 4), vector[n:]

    vector = rng.normal(size=len(dense))
    assert np.allclose(flat(solved(factors, *parts(vector))), np.linalg.solve(dense, vector))
    there = unwhitened(factors, *parts(vector))
    assert np.allclose(flat(whitened(factors, *there)), vector)
    A = np.stack([flat(unwhitened(factors, *parts(e))) for e in np.eye(len(dense))], axis=1)
    assert np.allclose(A @ A.T, np.linalg.inv(dense))
    assert np.isclose(log_determinant(factors), np.linalg.slogdet(A)[1])


def test_the_search_ends_at_a_mode_that_no_start_from_the_truth_betters():
    truth, dataset = simulated(seed=5, events=20, stations=12)
    arrays = MODEL.prepare(dataset)
    target = target_of_arrays(PLAIN, arrays)
    data = target.data
    mode = target.ravel(target_of_arrays(MODEL, arrays).data.mode)
    held = np.array([name.startswith(("sigma", "tau", "spread")) for name in target.coordinates])
    both = jax.jit(jax.value_and_grad(target.log_density))

    def negative(x):
        value, gradient = both(jnp.asarray(np.where(held, mode, x)), data)
        return -float(value), np.where(held, 0.0, -np.asarray(gradient))

    start = target.unconstrain(target.constrain(mode, data) | offsets(truth, data), data)
    best = minimize(negative, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    assert target.log_density(mode, data) > -best.fun - 0.5


@pytest.mark.parametrize(
    ("velocity_prior", "site"), [("layers", "log_vp_change"), ("kink", "bend")]
)
def test_a_move_of_events_or_of_velocities_changes_the_density_by_what_decides_on_it(
    velocity_prior, site
):
    _, dataset = simulated(velocity_prior=velocity_prior)
    target = target_of_arrays(PLAIN, MODEL.prepare(dataset, velocity_prior=velocity_prior))
    data = target.data
    rng = np.random.default_rng(3)
    here = target.prior_draw(jax.random.key(5), data)
    moved = {**here, **{n: here[n] + rng.normal(size=4) * 0.1 for n in EVENT_SITES}}
    faster = {**here, site: here[site].at[2].add(0.05)}
    faster |= velocities(faster, data)

    def density(values):
        return target.log_density(target.unconstrain(values, data), data)

    def by_event(values):
        return event_log_density(values, data, PRIORS).sum()

    change = velocity_priors(here, data, PRIORS)[site].log_prob
    prior = change(faster[site]) - change(here[site])
    assert np.isclose(density(moved) - density(here), by_event(moved) - by_event(here))
    assert np.isclose(density(faster) - density(here), by_event(faster) - by_event(here) + prior)


def test_moves_keep_the_prior_where_nothing_is_picked():
    _, dataset = simulated(seed=7)
    arrays = MODEL.prepare(dataset)
    wide = Prior("LogNormal", {"loc": np.log(1.73), "scale": 0.4}, "1", "κ", "test")
    target = target_of_arrays(MODEL, arrays, {"vpvs": wide})
    blind = target.data.arrays._replace(mask=np.zeros_like(arrays.mask))
    # Steps as long as the prior is wide, not as the posterior, some with events and some without.
    layers = len(arrays.tops)
    steps = {name: jnp.zeros_like(x) for name, x in blind.velocity_move.items()}
    steps |= {
        "log_vp_change": 0.1 * jnp.eye(layers + 1, layers),
        "vpvs": 0.4 * jnp.eye(layers + 1)[-1],
        "x_offset": steps["x_offset"].at[::2].set(0.1),
    }
    blind = blind._replace(velocity_move=steps)
    priors = {**PRIORS, "vpvs": wide.distribution()}
    plain = target_of_arrays(PLAIN, arrays, {"vpvs": wide})
    draws = jax.vmap(plain.prior_draw, (0, None))(
        jax.random.split(jax.random.key(1), 2000), plain.data
    )
    fields = {name: jnp.asarray(x) for name, x in draws.items()}

    @jax.jit
    @jax.vmap
    def moved(key, values):
        def one(values, key):
            return {**values, **MOVES.step(key, values, blind, priors)}, None

        return jax.lax.scan(one, values, jax.random.split(key, 6))[0]

    after = moved(jax.random.split(jax.random.key(2), 2000), fields)
    assert np.mean(np.asarray(after["vpvs"]) != np.asarray(fields["vpvs"])) > 0.5
    laws = {
        "vpvs": stats.lognorm(0.4, scale=1.73),
        "log_vp_change": stats.norm(0, 0.1),
        "x_shift": stats.norm(),
        "depth_shift": stats.norm(),
    }
    sources = {
        name: (after[f"{name}_offset"] - after["middle"][:, k, None]) / after["spread"][:, k, None]
        for k, name in enumerate(DIRECTIONS)
    }
    after = after | {f"{name}_shift": shift for name, shift in sources.items()}
    for name, law in laws.items():
        for column in np.asarray(after[name]).reshape(2000, -1).T:
            assert stats.kstest(column, law.cdf).pvalue > 1e-4, name


def test_depth_coordinates_are_inverted_and_reach_no_higher_than_the_top():
    depth = np.array([0.6, 2.0, 15.0, 300.0])
    zeta = depth_coordinate(depth - 1.0, -1.0)
    assert np.allclose(-1.0 + np.logaddexp(0, zeta), depth - 1.0)
    assert depth_coordinate(0.0, 0.0) == depth_coordinate(0.5, 0.0)
