"""The mode of a log density by L-BFGS: inside one compiled loop, or from the host.

The loop serves many problems at once; the host needs far less to be compiled.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.tree
from scipy.optimize import minimize

__all__ = ["Mode", "find_mode", "mode_from_host"]

MEMORY = 20
"""Pairs of steps and gradients that L-BFGS keeps."""

OUT_OF_REACH = 1e30
"""Loss where the log density is not finite."""


class Mode(NamedTuple):
    """A mode: position (same pytree as the start), log density, gradient norm, iterations."""

    position: Any
    log_density: Any
    gradient_norm: Any
    iterations: Any


def find_mode(log_density, start, *, max_iterations=500, tolerance=1e-5):
    """Climb to a mode of a log density.

    Parameters
    ----------
    log_density : callable
        ``position -> scalar``; position is any pytree.
    start : pytree of arrays
    max_iterations : int
    tolerance : float
        Gradient norm, in units of log density per unit of position, at which to stop.

    Returns
    -------
    Mode
        Where the search stopped; compare ``gradient_norm`` with the tolerance.
    """

    def loss(position):
        return -log_density(position)

    optimizer = optax.lbfgs(memory_size=MEMORY)
    value_and_gradient = optax.value_and_grad_from_state(loss)

    def unfinished(carry):
        _, _, iteration, norm = carry
        return (iteration < max_iterations) & ~(norm < tolerance)

    def climb(carry):
        position, state, iteration, _ = carry
        value, gradient = value_and_gradient(position, state=state)
        updates, state = optimizer.update(
            gradient, state, position, value=value, grad=gradient, value_fn=loss
        )
        position = optax.apply_updates(position, updates)
        norm = optax.tree.norm(optax.tree.get(state, "grad"))
        return position, state, iteration + 1, norm

    start = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), start)
    carry = (start, optimizer.init(start), 0, jnp.inf)
    position, _, iterations, norm = jax.lax.while_loop(unfinished, climb, carry)
    return Mode(position, log_density(position), norm, iterations)


def best_mode(log_density, starts):
    """Climb from several starts.

    Parameters
    ----------
    log_density : callable
    starts : (start, dim)

    Returns
    -------
    position : (dim,)
        The best of the ends.
    modes : Mode
        All of them, with a leading axis.
    """
    modes = jax.vmap(lambda start: find_mode(log_density, start))(starts)
    finite = jnp.isfinite(modes.log_density)
    best = jnp.argmax(jnp.where(finite, modes.log_density, -jnp.inf))
    return modes.position[best], modes


def mode_from_host(value_and_gradient, start, *, max_iterations=500, tolerance=1e-5):
    """Climb to a mode with steps taken on the host.

    Parameters
    ----------
    value_and_gradient : callable
        ``position -> (value, (dim,) gradient)``, compiled.
    start : (dim,) array
    max_iterations, tolerance
        As for `find_mode`; the tolerance is of the largest component.

    Returns
    -------
    (dim,) array
        Where the search stopped.
    """

    def loss(position):
        value, gradient = (np.asarray(x, float) for x in value_and_gradient(position))
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return OUT_OF_REACH, np.zeros_like(gradient)
        return -float(value), -gradient

    options = {"maxcor": MEMORY, "maxiter": max_iterations, "gtol": tolerance, "ftol": 0.0}
    return minimize(loss, np.asarray(start), jac=True, method="L-BFGS-B", options=options).x
