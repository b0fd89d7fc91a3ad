r"""The search for the mode of the joint posterior.

Travel times have kinks and sources several depths, so that a search goes by rounds: each event by
itself from several depths, then all unknowns at once, then the scales. Errors that are made large
at first smooth the way. Of several searches, with and without a slope for the room that events
have, the one is kept whose Gaussian holds most.

References
----------
Marquardt 1963, doi:10.1137/0111030 (damping by the scaled diagonal)
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to

from bayesquake.inference.kernels.newton import automatic_slopes, newton_mode

from .model import EVENT_SITES, arrival_distribution, event_log_density, placed, population
from .physics.arrivals import TYPICAL_ERROR_S, by_event, depth_coordinate, expected_arrivals
from .physics.arrow import damped, log_determinant, rooted, solved, trace_of_quotient, variances
from .physics.precision import event_precision, joint, log_prior, precision, split
from .profiles import probable, split_by_lines

__all__ = ["all_at_once", "evidence_at", "probable_profiles", "scales", "searched", "with_profiles"]

PICKS_OF_ONE_START, MOST_STARTS = 3000, 6
"""Number of padded picks from which one search is made, and the most searches of fewer picks."""

COMMON_DEPTHS_KM = (3.0, 15.0)
"""Depths below the top of the layers at which some searches begin."""

LINES = 8
"""Lines through the network, every 360/8 degrees, by whose sides two profiles are told at first."""

JITTER = 0.1
"""Standard deviation, in radii of the network, by which others move the epicentres."""

START_DEPTHS_KM = (1.0, 5.5, 12.0, 18.0)
"""Depths below the top of the layers from which a source is sought, besides its preliminary one."""

WIDER = 2.0
"""Scale of the errors, in those of its prior, where the search begins."""

BLUR = (4.0, 2.0, 2.0, 2.0, 1.0, 1.0, 0.0, 0.0)
"""Errors added in each round of the search, in typical ones: they make the way to a mode smooth."""

EVENT_STEPS, JOINT_STEPS = 10, 40
NEAR = 0.1
"""Distance from the mode, in standard deviations, from which its last step is made."""

FIRST_DAMPING, AFTER_SUCCESS, AFTER_FAILURE = 1e-2, 0.2, 6.0
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-6, 1e8

SCALES = ("sigma", "tau", "spread", "bend_spread")

SMALLEST_SHARE_LEFT = 0.1
"""Share of the picks that is taken to tell of σ at least."""


def searched(base, data, priors):
    """Return a mode with scales set for what else is uncertain there, and H there.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
        The model in its own unconstrained coordinates.
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution

    Returns
    -------
    position : (dim,)
    arrow : physics.arrow.Arrow
    """
    typical = jnp.array(TYPICAL_ERROR_S)[data.phase]

    def from_start(begun):
        """Return where a search ends, H there, and the log of its Gaussian's integral."""
        events, member, tilted = begun

        def one_round(carry, further):
            position, member, _ = carry
            variance = data.variance + further**2 * typical**2
            blurred = with_profiles(data._replace(variance=variance), member)
            position = each_event(base, position, blurred, priors)
            tilt = jax.lax.cond(
                tilted,
                lambda: growth_of_volume(base, position, blurred, priors),
                lambda: jnp.zeros_like(position),
            )
            position = all_at_once(base, position, tilt, blurred, priors)
            position, arrow = scales(base, position, blurred, priors)
            if len(data.sign) > 1:
                member = probable_profiles(base, position, blurred)
            return (position, member, arrow), None

        position = start(base, events, data, priors)
        shapes = jax.eval_shape(lambda position: precision(base, position, data, priors), position)
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        carry = position, member, nothing
        (position, _, arrow), _ = jax.lax.scan(one_round, carry, jnp.array(BLUR))
        return position, arrow, evidence_at(base, position, arrow, data)

    events = starts(data)
    member = data.member[None] if len(data.sign) == 1 else split_by_lines(LINES, data)
    count = max(len(events), len(member))
    # A straight slope leads astray where H flattens out: half of the searches go without it.
    tilted = jnp.repeat(jnp.array([True, False]), count)
    twice = *(repeated(repeated(x, count), 2 * count) for x in (events, member)), tilted
    positions, arrows, evidence = jax.lax.map(from_start, twice)
    best = jnp.argmax(evidence)
    return jax.tree.map(lambda leaf: leaf[best], (positions, arrows))


def repeated(rows, count):
    """Return so many rows of an array, all of them in turn."""
    return jnp.resize(rows, (count, *rows.shape[1:]))


def starts(data):
    """Return hypocentres from which to search, (start, 4, event), the preliminary ones first.

    Others lie all at one depth or are moved at random. The fewer picks, the more modes there are,
    and the less a search costs.
    """
    count = int(np.clip(PICKS_OF_ONE_START / data.picks, 1, MOST_STARTS))
    depths = depth_coordinate(np.array(COMMON_DEPTHS_KM), 0.0)
    begun = [
        data.start,
        *(data.start.at[2].set((zeta - data.centre[2]) / data.width[2]) for zeta in depths),
    ]
    radius = jnp.hypot(*(x - x.mean() for x in (data.station_x, data.station_y))).max()
    moved = JITTER * radius / data.width[:2, None]

    def of_start(k):
        jitter = moved * jax.random.normal(jax.random.key(k), data.start[:2].shape)
        return begun[k % len(begun)].at[:2].add(jitter * (k >= len(begun)))

    return jnp.stack([of_start(k) for k in range(count)])


def with_profiles(data, member):
    """Return the data with the profiles of the stations taken as known, where there are two."""
    if len(data.sign) == 1:
        return data
    return data._replace(member=member, known=jnp.asarray(1.0))


def probable_profiles(base, position, data):
    """Return how probable each profile is at each station, (profile, station)."""
    values = base.constrain(position, data)
    expected = expected_arrivals(values, data)
    fit = arrival_distribution(expected, values["sigma"], data).log_prob(data.time)
    return probable(fit, values, data)


def evidence_at(base, position, arrow, data):
    """Return the log of the integral of the Gaussian around a mode, -inf where there is none."""
    evidence = base.log_density(position, data) + log_determinant(rooted(arrow))
    return jnp.where(jnp.isfinite(evidence), evidence, -jnp.inf)


def start(base, events, data, priors):
    """Return the position of given hypocentres, (4, event), and of priors' means."""
    drawn = base.prior_draw(jax.random.key(0), data)
    sites = base.unravel(jnp.zeros(base.dim))
    values = {name: jnp.zeros_like(drawn[name]) for name in sites}
    for name in set(sites) & set(priors):
        values[name] += priors[name].mean
    if "sigma" in sites:
        values["sigma"] *= WIDER
    values |= by_site(events.T) | {"mean_arrival": by_event(data.weight * data.time, data)}
    return base.unconstrain(values, data)


def each_event(base, position, data, priors):
    """Climb with each event by itself, from several depths, all shared unknowns held."""
    given = base.constrain(position, data)
    sites = base.unravel(position)
    here, shared = split(sites)

    def value_and_slopes(events):
        def density(events):
            value = event_log_density({**given, **by_site(events)}, data, priors)
            return value.sum(), value

        gradient, value = jax.grad(density, has_aux=True)(events)
        return value, gradient

    def step(_, carry):
        events, value, gradient, damping = carry
        precision = event_precision({**given, **placed(by_site(events), data)}, data, priors)
        raised = precision + damping[:, None, None] * jnp.eye(4) * precision
        candidate = events + jnp.linalg.solve(raised, gradient[..., None])[..., 0]
        there, slope = value_and_slopes(candidate)
        better = there > value
        return (
            jnp.where(better[:, None], candidate, events),
            jnp.where(better, there, value),
            jnp.where(better[:, None], slope, gradient),
            tried(damping, better),
        )

    def climb(depth):
        events = here.at[:, EVENT_SITES.index("depth_offset")].set(depth)
        carry = events, *value_and_slopes(events), jnp.full(len(events), FIRST_DAMPING)
        return jax.lax.fori_loop(0, EVENT_STEPS, step, carry)[:2]

    deep = depth_coordinate(np.array(START_DEPTHS_KM)[:, None], 0.0)
    shifts = (deep - data.centre[2]) / data.width[2]
    found, values = jax.lax.map(climb, jnp.concatenate([sites["depth_offset"][None], shifts]))
    best = jnp.argmax(values, axis=0)
    return base.ravel(joint(found[best, jnp.arange(len(best))], shared, sites))


def growth_of_volume(base, position, data, priors):
    r"""Return the slope in the shared unknowns of what events fill, zero for those of events.

    Faster layers leave every hypocentre more room. Integrated over the events, the density of the
    shared unknowns g is :math:`p(\hat e(g), g) \prod_i |H_{ii}|^{-1/2}`, whose slope is that of p
    and this one, along :math:`\hat e(g)`. The middle of the sources is left out: near the top of
    the layers H flattens out, and a straight slope would lead through it.
    """

    def log_volume(position):
        own = event_precision(base.constrain(position, data), data, priors)
        return -0.5 * jnp.linalg.slogdet(own)[1].sum()

    response = rooted(precision(base, position, data, priors)).response
    slope = base.unravel(jax.grad(log_volume)(position))
    events, shared = split(slope)
    along = joint(events, shared - jnp.einsum("iag,ia->g", response, events), slope)
    return base.ravel(
        {name: jnp.zeros_like(x) if name == "middle" else x for name, x in along.items()}
    )


def all_at_once(base, position, tilt, data, priors):
    """Climb with all unknowns but the scales of errors and station terms, on a tilted density."""
    sites = base.unravel(position)
    free = base.ravel({name: jnp.full_like(x, name not in SCALES) for name, x in sites.items()})

    def value_and_gradient(position):
        value, gradient = jax.value_and_grad(base.log_density)(position, data)
        return value + tilt @ position, free * (gradient + tilt)

    def unfinished(carry):
        *_, damping, distance, steps = carry
        return (distance > NEAR) & (damping < LARGEST_DAMPING) & (steps < JOINT_STEPS)

    def step(carry):
        position, value, gradient, damping, distance, steps = carry
        root = rooted(damped(precision(base, position, data, priors), damping))
        events, shared = solved(root, *split(base.unravel(gradient)))
        move = base.ravel(joint(events, shared, sites))
        there, slope = value_and_gradient(position + move)
        better = there > value
        return (
            jnp.where(better, position + move, position),
            jnp.where(better, there, value),
            jnp.where(better, slope, gradient),
            tried(damping, better),
            jnp.where(better, jnp.sqrt(gradient @ move), distance),
            steps + 1,
        )

    carry = position, *value_and_gradient(position), jnp.asarray(FIRST_DAMPING), jnp.inf, 0
    return jax.lax.while_loop(unfinished, step, carry)[0]


def tried(damping, better):
    """Return the damping after a step that was or was not better."""
    changed = damping * jnp.where(better, AFTER_SUCCESS, AFTER_FAILURE)
    return jnp.maximum(changed, SMALLEST_DAMPING)


def by_site(events):
    """Return (event, 4) unknowns under their names."""
    return dict(zip(EVENT_SITES, events.T, strict=True))


def scales(base, position, data, priors):
    r"""Return a position with σ, τ, β and ω set for what else is uncertain there, and H there.

    At the joint mode they are too small, for the other unknowns follow the errors. With p the
    number of unknowns that the data determine, :math:`\mathrm{tr}\,H^{-1}(H - H_\mathrm{prior})`,
    of N picks, σ is that of residuals as large as :math:`\sqrt{N / (N - p)}` of them, counted N - p
    times. The others are set by `spread_of`.
    """
    sites = base.unravel(position)
    values = base.constrain(position, data)
    arrow = precision(base, position, data, priors)
    without_data = precision(base, position, data._replace(mask=0 * data.mask), priors)
    root = rooted(arrow)
    unknown = base.dim - trace_of_quotient(root, without_data)
    left = jnp.clip(1 - unknown / data.counted.sum(), SMALLEST_SHARE_LEFT, 1.0)
    moved = dict(sites)
    if "sigma" in sites:
        inflated = (data.time - expected_arrivals(values, data)) / jnp.sqrt(left)
        bijection = biject_to(priors["sigma"].support)

        def of_sigma(site):
            errors = arrival_distribution(0.0, bijection(site), data).log_prob(inflated)
            fit = left * (data.counted * errors).sum()
            return fit + log_prior(priors["sigma"], site).sum()

        moved["sigma"] = newton_mode(automatic_slopes(of_sigma), sites["sigma"])[0].position

    events, shared = split(sites)
    place = joint(events, jnp.arange(len(shared)), sites)
    of_events, of_shared = variances(root)
    information = jnp.zeros(len(shared))
    if "tau" in sites:
        delays = [place[name].ravel() for name in ("station_term", "mean_s_delay") if name in place]
        terms = jnp.concatenate(delays)
        squares = shared[terms] ** 2, of_shared[terms]
        moved["tau"], told = spread_of(priors["tau"], sites["tau"], [squares])
        information = information.at[place["tau"]].set(told)
    if {"bend", "bend_spread"} <= set(sites):
        variance, bend = priors["bend_shift"].variance, place["bend"]
        squares = shared[bend] ** 2 / variance, of_shared[bend] / variance
        prior, site = priors["bend_spread"], sites["bend_spread"]
        moved["bend_spread"], told = spread_of(prior, site, [squares])
        information = information.at[place["bend_spread"]].set(told)
    if "spread" in sites:
        middle = population(values).middle
        groups = [((events[:, k] - middle[k]) ** 2, of_events[:, k]) for k in range(3)]
        moved["spread"], told = spread_of(priors["spread"], sites["spread"], groups)
        information = information.at[place["spread"]].set(told)
    return base.ravel(moved), arrow._replace(shared=arrow.shared + jnp.diag(information))


def spread_of(prior, site, groups):
    r"""Return the unconstrained spreads of groups of unknowns of mean zero, and what tells of them.

    A spread τ is the maximum of :math:`p(\tau)\,\tau^{-m} \exp(-\sum_j (d_j^2 + V_j) / 2\tau^2)`
    with the variances V of m unknowns d, each of which tells of ln τ by the share of its variance
    that the data explain.

    Parameters
    ----------
    prior : numpyro.distributions.Distribution
    site : (group,) or scalar
    groups : sequence of (d², V)
    """
    bijection = biject_to(prior.support)
    count = jnp.array([len(squares) for squares, _ in groups])
    total = jnp.stack([jnp.sum(squares + variance) for squares, variance in groups])

    def log_density(site):
        tau = bijection(site)
        fit = -count * jnp.log(tau) - total / (2 * tau**2)
        return (log_prior(prior, site.reshape(shape)) + fit.reshape(shape)).sum()

    shape = jnp.shape(site)
    found = newton_mode(automatic_slopes(log_density), jnp.atleast_1d(site))[0].position
    tau = bijection(found)
    slope = jax.grad(lambda site: jnp.log(bijection(site)).sum())(found)
    shares = [
        jnp.sum(jnp.clip(1 - variance / tau[k] ** 2, 0, 1) ** 2)
        for k, (_, variance) in enumerate(groups)
    ]
    return found.reshape(shape), (2 * slope**2 * jnp.stack(shares)).reshape(shape)
