r"""Coordinates in which the joint posterior is nearly standard normal.

At the mode the precision H has the shape of an arrow: blocks :math:`H_{ii}` of single events,
which meet in the shared unknowns g alone. With Schur's complement S the chains move in u, where

.. math:: g = \hat g + S^{-T/2} u_g, \qquad
          e_i = \hat e_i - H_{ii}^{-1} H_{ig} (g - \hat g) + H_{ii}^{-T/2} u_i,

exact for any mode and H, for the map is linear; a poor mode costs speed alone. Work and memory grow
with the number of events. Travel times have kinks and sources several depths, so that the mode is
sought twice over: each event by itself from several depths, then all unknowns at once.

References
----------
Marquardt 1963, doi:10.1137/0111030 (damping by the scaled diagonal)
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import biject_to

from bayesquake.inference.kernels.newton import automatic_slopes, newton_mode
from bayesquake.model.capabilities import Coordinates
from bayesquake.model.coordinates import Around

from .model import EVENT_SITES, arrival_distribution, event_log_density, placed, population
from .physics.arrivals import TYPICAL_ERROR_S, by_event, depth_coordinate, expected_arrivals
from .physics.arrow import (
    damped,
    log_determinant,
    rooted,
    solved,
    trace_of_quotient,
    unwhitened,
    variances,
    whitened,
)
from .physics.precision import event_precision, joint, log_prior, precision, split

__all__ = ["COORDINATES"]

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

SCALES = ("sigma", "tau", "spread")

SMALLEST_SHARE_LEFT = 0.1
"""Share of the picks that is taken to tell of σ at least."""

START_SPREAD = 1.5
"""Spread of the starting points in posterior standard deviations."""


def condition(base, data, priors):
    """Return the data with the mode and the factors of the precision there.

    Parameters
    ----------
    base : bayesquake.targets.target.Target
        The model in its own unconstrained coordinates.
    data : data.arrays.PickArrays
    priors : dict of numpyro.distributions.Distribution

    Returns
    -------
    bayesquake.model.coordinates.Around
        Whose arrays hold the moves along depth.
    """

    def search(carry, further):
        position, _ = carry
        blurred = data._replace(variance=data.variance + further**2 * typical**2)
        position = each_event(base, position, blurred, priors)
        tilt = growth_of_volume(base, position, blurred, priors)
        position = all_at_once(base, position, tilt, blurred, priors)
        return scales(base, position, blurred, priors), None

    typical = jnp.array(TYPICAL_ERROR_S)[data.phase]
    position = start(base, data, priors)
    shapes = jax.eval_shape(lambda position: precision(base, position, data, priors), position)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    (position, arrow), _ = jax.lax.scan(search, (position, nothing), jnp.array(BLUR))
    root = rooted(arrow)
    mode = base.unravel(position)
    moves = {"depth_move": depth_moves(root), "layer_move": layer_moves(arrow, mode, data)}
    return Around(data._replace(**moves), mode, root)


def start(base, data, priors):
    """Return the position of preliminary hypocentres and of priors' means."""
    drawn = base.prior_draw(jax.random.key(0), data)
    sites = base.unravel(jnp.zeros(base.dim))
    values = {name: jnp.zeros_like(drawn[name]) for name in sites}
    for name in set(sites) & set(priors):
        values[name] += priors[name].mean
    if "sigma" in sites:
        values["sigma"] *= WIDER
    values |= by_site(data.start.T) | {"mean_arrival": by_event(data.weight * data.time, data)}
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
    and this one, along :math:`\hat e(g)`.
    """

    def log_volume(position):
        own = event_precision(base.constrain(position, data), data, priors)
        return -0.5 * jnp.linalg.slogdet(own)[1].sum()

    response = rooted(precision(base, position, data, priors)).response
    slope = base.unravel(jax.grad(log_volume)(position))
    events, shared = split(slope)
    along = shared - jnp.einsum("iag,ia->g", response, events)
    return base.ravel(joint(jnp.zeros_like(events), along, slope))


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
    r"""Return a position with σ, τ and ω set for what else is uncertain there, and H there.

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
    left = jnp.clip(1 - unknown / data.mask.sum(), SMALLEST_SHARE_LEFT, 1.0)
    moved = dict(sites)
    if "sigma" in sites:
        inflated = (data.time - expected_arrivals(values, data)) / jnp.sqrt(left)
        bijection = biject_to(priors["sigma"].support)

        def of_sigma(site):
            errors = arrival_distribution(0.0, bijection(site), data).log_prob(inflated)
            fit = left * jnp.where(data.mask, errors, 0.0).sum()
            return fit + log_prior(priors["sigma"], site).sum()

        moved["sigma"] = newton_mode(automatic_slopes(of_sigma), sites["sigma"])[0].position

    events, shared = split(sites)
    place = joint(events, jnp.arange(len(shared)), sites)
    of_events, of_shared = variances(root)
    information = jnp.zeros(len(shared))
    if "tau" in sites:
        terms = place["station_term"].ravel()
        squares = shared[terms] ** 2, of_shared[terms]
        moved["tau"], told = spread_of(priors["tau"], sites["tau"], [squares])
        information = information.at[place["tau"]].set(told)
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


def depth_moves(root):
    """Return steps, (4, event), of one sd along depth and what trades off with it."""
    depth = jnp.eye(4)[:, EVENT_SITES.index("depth_offset")]
    column = jax.vmap(lambda own: jax.scipy.linalg.cho_solve((own, True), depth))(root.own)
    return (column / jnp.sqrt(column @ depth)[:, None]).T


def layer_moves(arrow, mode, data):
    """Return steps of one sd of each change of velocity, all else held; zero if it is fixed."""
    events, _ = split(mode)
    length = joint(events, 1 / jnp.sqrt(jnp.diagonal(arrow.shared)), mode)
    return {name: length.get(name, still) for name, still in data.layer_move.items()}


def forward(sites, values, data):
    """Return the unconstrained sites in place of u, and the log determinant."""
    mode_events, mode_shared = split(data.mode)
    events, shared = unwhitened(data.root, *split(sites))
    return joint(mode_events + events, mode_shared + shared, sites), log_determinant(data.root)


def inverse(sites, values, data):
    """Return u in place of the unconstrained sites."""
    mode_events, mode_shared = split(data.mode)
    events, shared = split(sites)
    u_events, u_shared = whitened(data.root, events - mode_events, shared - mode_shared)
    return joint(u_events, u_shared, sites)


def initial(key, data):
    """Return dispersed starting points u."""
    keys = jax.random.split(key, len(data.mode))
    return {
        name: START_SPREAD * jax.random.normal(key_site, site.shape)
        for key_site, (name, site) in zip(keys, data.mode.items(), strict=True)
    }


COORDINATES = Coordinates(
    condition,
    forward,
    inverse,
    initial,
    needs=("x_shift", "y_shift", "depth_shift", "origin_time_shift"),
)
