"""A model and data as a log density on a flat unconstrained vector.

This is the face for samplers. Data are arguments, never closures: one compiled
program serves every data set of the same structure and shapes.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.handlers import block, seed, substitute, trace
from numpyro.infer import init_to_median
from numpyro.infer.util import initialize_model, potential_energy
from numpyro.infer.util import log_density as log_joint_density

from bayesquake.inference.kernels.mode import find_mode, mode_from_host
from bayesquake.model.coordinates import around_mode, arrays_of
from bayesquake.model.priors import fixed_sites, resolve_priors
from bayesquake.targets.points import at_points

__all__ = ["Split", "Target", "target", "target_of_arrays"]


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """A target of many independent problems, taken apart.

    Attributes
    ----------
    dim : str
        Name of the problem axis.
    target : Target
        Of one problem; all have equal shapes.
    data : pytree of (problem, ...) arrays
        As ``target.log_density`` takes them.
    exact : tuple of callable
        ``(key, data, count) -> ((count, dim), change)`` independent draws of one problem, and the
        largest move of their means and standard deviations, in standard deviations, when the nodes
        of their rule are halved.
    """

    dim: str
    target: "Target"
    data: Any
    exact: tuple[Callable, ...]

    def join(self, positions):
        """Return (problem, chain, draw, dim) positions as (chain, draw, all coordinates)."""
        sites = jax.eval_shape(self.target.unravel, jnp.zeros(self.target.dim))
        parts, first = [], 0
        for name in sorted(sites):
            size = int(np.prod(sites[name].shape))
            site = np.moveaxis(positions[..., first : first + size], 0, 2)
            parts.append(site.reshape(*site.shape[:2], -1))
            first += size
        return np.concatenate(parts, axis=-1)


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """A log density for samplers.

    Attributes
    ----------
    dim : int
        Number of unconstrained coordinates.
    coordinates : tuple of str
        Name of every coordinate, such as ``p`` or ``z[3]``.
    log_density, gradient : callable
        ``(position, data)``, position of shape (dim,).
    constrain : callable
        ``(position, data) -> dict`` of all sites and derived quantities.
    unconstrain : callable
        ``(values, data) -> position`` for a dict of the sampled sites.
    ravel, unravel : callable
        Between a flat position and a dict of unconstrained sites.
    initial : callable
        ``(key, data) -> position``, dispersed.
    condition : callable
        ``data -> data`` with whatever the coordinates need; `target` has applied it.
    prior_draw : callable
        ``(key, data) -> dict`` of all sites, drawn from the prior.
    data : pytree of arrays, or None
    log_prior, log_likelihood : callable, optional
        ``(position, data)``, the two parts of the log density: the sampled sites with the
        Jacobian of the coordinates, and the observed sites and factors.
    prior_position : callable, optional
        ``(key, data) -> position`` of a draw from the prior.
    fold_terms : callable, optional
        ``(position, data) -> (fold,)``, the log likelihood of every fold, for models with folds.
    split : callable, optional
        ``() -> Split``, for a target whose problems are independent.
    slopes : callable, optional
        ``(position, data) -> (value, gradient, precision)`` of the log density in one pass, where
        the model has formulas; the precision is the negative Hessian, or another positive
        definite matrix where that is not.
    move : callable, optional
        ``(key, position, data) -> position``, a step of the model's own that leaves the density
        invariant.
    step_error : callable, optional
        ``(position, data) -> ratio`` of the error of steps that are held to what is tolerated, or
        None.
    judged : callable, optional
        ``(position, data) -> dict`` of the quantities that must converge.
    fixed : tuple of str
        Those of them that may be the same in every draw.
    """

    dim: int
    coordinates: tuple[str, ...]
    log_density: Callable
    gradient: Callable
    constrain: Callable
    unconstrain: Callable
    ravel: Callable
    unravel: Callable
    initial: Callable
    condition: Callable
    prior_draw: Callable
    data: Any = None
    log_prior: Callable | None = None
    log_likelihood: Callable | None = None
    prior_position: Callable | None = None
    fold_terms: Callable | None = None
    split: Callable | None = None
    slopes: Callable | None = None
    move: Callable | None = None
    step_error: Callable | None = None
    judged: Callable | None = None
    fixed: tuple[str, ...] = ()


_TARGETS: dict[Any, Target] = {}


def target(model, dataset, *, priors=None, **options):
    """Return the target of a model on a data set.

    Parameters
    ----------
    model : bayesquake.model.model.Model
    dataset : xarray.Dataset
        From ``model.read`` or ``model.simulate``.
    priors : mapping or path, optional
        Priors in place of the defaults, see `bayesquake.model.priors.resolve_priors`.
    **options
        Options of ``model.prepare``.

    Returns
    -------
    Target
    """
    return target_of_arrays(model, model.prepare(dataset, **options), priors)


def target_of_arrays(model, arrays, priors=None):
    """Return the target of a model on prepared arrays.

    Targets are cached on model, priors and the structure and shapes of the arrays, so
    that programs compiled for one data set serve the next.
    """
    priors = resolve_priors(model, priors)
    leaves, structure = jax.tree.flatten(arrays)
    shapes = tuple((np.shape(leaf), np.asarray(leaf).dtype.str) for leaf in leaves)
    key = (model, tuple(sorted(priors.items())), structure, shapes)
    if key not in _TARGETS:
        _TARGETS[key] = _compiled(_build(model, priors, arrays))
    made = _TARGETS[key]
    apart = model.problems is not None and model.problems.independent(arrays)
    return dataclasses.replace(
        made,
        data=made.condition(jax.tree.map(jnp.asarray, arrays)),
        split=functools.partial(_split, model, arrays, priors) if apart else None,
    )


def _split(model, arrays, priors):
    one = target_of_arrays(model, jax.tree.map(lambda values: values[:1], arrays), priors)
    data = jax.vmap(one.condition)(jax.tree.map(lambda values: values[:, None], arrays))
    resolved = tuple(sorted(priors.items()))
    exact: tuple[Callable, ...] = ()
    if not fixed_sites(priors):
        slopes = model.problems.slopes(arrays)
        one = dataclasses.replace(
            one,
            initial=_initial_of(model.problems.initial, one),
            slopes=None if slopes is None else _slopes_of(slopes, resolved),
        )
        exact = tuple(
            _positions_of(draw, one.unconstrain, resolved) for draw in model.problems.exact(arrays)
        )
    return Split(model.problems.dim, one, jax.tree.map(np.asarray, data), exact)


def _initial_of(initial, one):
    """Return the model's own starting positions of a problem, or those of its target."""
    if initial is None:
        return one.initial
    return _start_of(initial, one.prior_draw, one.unconstrain)


@functools.cache
def _start_of(initial, prior_draw, unconstrain):
    def start(key, data):
        return unconstrain(initial(prior_draw(key, data), arrays_of(data)), data)

    return start


@functools.cache
def _slopes_of(slopes, priors):
    distributions = {site: prior.distribution() for site, prior in priors}
    return lambda position, data: slopes(position, data, distributions)


@functools.cache
def _positions_of(sampler, unconstrain, priors):
    """Return a sampler of values as one of positions, the same for the same arguments."""
    distributions = {site: prior.distribution() for site, prior in priors}

    def draw(key, data, count):
        values, change = sampler(key, arrays_of(data), distributions, count)
        return jax.vmap(unconstrain, (0, None))(values, data), change

    return draw


def _build(model, priors, arrays):
    distributions = {site: prior.distribution() for site, prior in priors.items()}
    fixed = fixed_sites(priors)

    def generative(data):
        with at_points():
            return model.declare(data, distributions)

    made = _plain_target(generative, arrays)
    still = _still(made, arrays) if fixed else set()
    coordinates = model.coordinates
    if coordinates is not None and _in_need(coordinates, fixed):
        coordinates = around_mode()
    if coordinates is not None:
        made = _whitened_target(made, coordinates, distributions)

    def judged(position, data):
        values = made.constrain(position, data)
        return {name: x for name, x in values.items() if model.quantities[name].role != "latent"}

    if model.moves is not None:
        made = dataclasses.replace(made, move=_move_of(model.moves, made, distributions))
    if model.held_steps is not None:
        made = dataclasses.replace(made, step_error=_step_error_of(model.held_steps, made))
    free = {name for name, quantity in model.quantities.items() if quantity.fixed}
    made = dataclasses.replace(made, judged=judged, fixed=tuple(sorted(free | still)))
    if model.folds is None:
        return made

    def fold_terms(position, data):
        return model.folds.terms(made.constrain(position, data), arrays_of(data))

    return dataclasses.replace(made, fold_terms=fold_terms)


def _move_of(moves, made, distributions):
    """Return the model's own move as one of positions."""

    def move(key, position, data):
        values = made.constrain(position, data)
        moved = moves.step(key, values, arrays_of(data), distributions)
        return made.unconstrain({**values, **moved}, data)

    return move


def _step_error_of(held_steps, made):
    """Return the error of the held steps as one of positions."""

    def step_error(position, data):
        return held_steps.error(made.constrain(position, data), arrays_of(data))

    return step_error


def _in_need(coordinates, fixed):
    """Return whether coordinates do not work without parameters that are fixed."""
    return bool(fixed if coordinates.needs is None else set(coordinates.needs) & set(fixed))


def _still(made, arrays):
    """Return the quantities that the prior leaves no freedom."""
    keys = jax.random.split(jax.random.key(0), STILL_DRAWS)
    drawn = jax.vmap(made.prior_draw, (0, None))(keys, arrays)
    return {name for name, values in drawn.items() if np.all(values == values[:1])}


STILL_DRAWS = 8
"""Draws from the prior by which a quantity is known to have one value only."""

COMPILED = (
    "log_density",
    "gradient",
    "constrain",
    "unconstrain",
    "initial",
    "prior_draw",
    "log_prior",
    "log_likelihood",
    "prior_position",
    "fold_terms",
    "step_error",
)
"""Functions of a target that are compiled as they stand: called from Python one by one, every
primitive in them would be a program of its own."""


def _compiled(made):
    functions = {name: getattr(made, name) for name in COMPILED}
    return dataclasses.replace(
        made,
        **{name: jax.jit(function) for name, function in functions.items() if function is not None},
    )


def _plain_target(generative, arrays):
    info = initialize_model(
        jax.random.key(0),
        generative,
        init_strategy=init_to_median,
        model_args=(arrays,),
        dynamic_args=True,
        validate_grad=False,
    )
    sites = info.param_info.z
    flat, unravel = ravel_pytree(sites)

    def ravel(values):
        return ravel_pytree(values)[0]

    def log_density(position, data):
        return -info.potential_fn(data)(unravel(position))

    def constrain(position, data):
        values = info.postprocess_fn(data)(unravel(position))
        return {name: value for name, value in values.items() if name in reported}

    def unconstrain(values, data):
        bijections = _bijections(generative, values, data)
        return ravel({name: bijections[name].inv(jnp.asarray(values[name])) for name in sites})

    def prior_draw(key, data):
        recorded = trace(seed(generative, key)).get_trace(data)
        return {name: site["value"] for name, site in recorded.items() if name in reported}

    def log_prior(position, data):
        without_data = block(seed(generative, 0), hide=observed)
        return -potential_energy(without_data, (data,), {}, unravel(position))

    def log_likelihood(position, data):
        values = info.postprocess_fn(data)(unravel(position))
        at_values = substitute(seed(generative, 0), data={name: values[name] for name in sites})
        return log_joint_density(block(at_values, hide=list(sites)), (data,), {}, {})[0]

    def prior_position(key, data):
        values = prior_draw(key, data)
        return unconstrain({name: values[name] for name in sites}, data)

    recorded = trace(seed(generative, jax.random.key(0))).get_trace(arrays)
    reported = {
        name
        for name, site in recorded.items()
        if site["type"] == "deterministic" or _is_latent(site)
    }
    observed = [
        name for name, site in recorded.items() if site["type"] == "sample" and site["is_observed"]
    ]
    return Target(
        dim=flat.size,
        coordinates=tuple(_coordinate_names(sites)),
        log_density=log_density,
        gradient=jax.grad(log_density),
        constrain=constrain,
        unconstrain=unconstrain,
        ravel=ravel,
        unravel=unravel,
        initial=prior_position,
        condition=lambda data: data,
        prior_draw=prior_draw,
        log_prior=log_prior,
        log_likelihood=log_likelihood,
        prior_position=prior_position,
    )


def _whitened_target(base, whitening, distributions):
    def forward(position, data):
        sites = base.unravel(position)
        values = base.constrain(position, arrays_of(data))
        plain, log_determinant = whitening.forward(sites, values, data)
        return base.ravel(plain), log_determinant

    def log_density(position, data):
        plain, log_determinant = forward(position, data)
        return base.log_density(plain, arrays_of(data)) + log_determinant

    def constrain(position, data):
        return base.constrain(forward(position, data)[0], arrays_of(data))

    def unconstrain(values, data):
        plain = base.unconstrain(values, arrays_of(data))
        whitened = whitening.inverse(base.unravel(plain), values, data)
        return base.ravel(whitened)

    def initial(key, data):
        return base.ravel(whitening.initial(key, data))

    def log_prior(position, data):
        plain, log_determinant = forward(position, data)
        return base.log_prior(plain, arrays_of(data)) + log_determinant

    def log_likelihood(position, data):
        return base.log_likelihood(forward(position, data)[0], arrays_of(data))

    def prior_draw(key, data):
        return base.prior_draw(key, arrays_of(data))

    def prior_position(key, data):
        return unconstrain(prior_draw(key, data), data)

    return dataclasses.replace(
        base,
        log_density=log_density,
        gradient=jax.grad(log_density),
        constrain=constrain,
        unconstrain=unconstrain,
        initial=initial,
        condition=_condition(base, whitening, distributions),
        prior_draw=prior_draw,
        log_prior=log_prior,
        log_likelihood=log_likelihood,
        prior_position=prior_position,
    )


def _condition(base, whitening, priors):
    """Return ``data -> data`` with what the coordinates need."""
    if whitening.start is None:

        def found(data):
            return whitening.condition(base, data, priors)

        compiled = jax.jit(found)
        return lambda data: (found if whitening.on_host(data) else compiled)(data)

    @jax.jit
    def start_of(data):
        return whitening.start(base, data, priors)

    @jax.jit
    def value_and_gradient(position, data):
        value, gradient = jax.value_and_grad(base.log_density)(position, data)
        return value, gradient * free

    @jax.jit
    def at_mode(data, mode):
        return whitening.condition(base, data, priors, mode)

    def condition(data):
        start = start_of(data)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(data)):

            def along(position):
                return base.log_density(jnp.where(free, position, start), data)

            return at_mode(data, find_mode(along, start).position)
        mode = mode_from_host(lambda position: value_and_gradient(position, data), start)
        return at_mode(data, jnp.asarray(mode))

    sites = base.unravel(jnp.zeros(base.dim))
    free = base.ravel(
        {name: jnp.full_like(site, name not in whitening.held) for name, site in sites.items()}
    )
    return condition


def _is_latent(site):
    return site["type"] == "sample" and not site["is_observed"]


def _bijections(generative, values, data):
    """Return the map from the real line to the support of every sampled site."""
    from numpyro.distributions.transforms import biject_to

    recorded = trace(substitute(seed(generative, 0), data=values)).get_trace(data)
    return {
        name: biject_to(site["fn"].support) for name, site in recorded.items() if _is_latent(site)
    }


def _coordinate_names(sites):
    for name in sorted(sites):
        shape = np.shape(sites[name])
        if shape == ():
            yield name
        else:
            yield from (f"{name}[{','.join(map(str, i))}]" for i in np.ndindex(shape))
