"""Derivatives of functions of few unknowns, backwards too, from their forward-mode Jacobian.

Loops of unknown length can be differentiated forwards alone. With the Jacobian at hand the
derivative is a product with a matrix, which JAX transposes; its own derivative is exact again.
"""

import jax
import jax.numpy as jnp

__all__ = ["by_jacobian", "value_and_jacobian"]

UNITS_AT_ONCE = 48
"""Derivatives along so many directions fit a processor's cache."""


def by_jacobian(function):
    """Return a function of a vector with the derivatives of its forward-mode Jacobian.

    Parameters
    ----------
    function : callable
        ``((unknown,) array, held) -> array`` or pytree of arrays, differentiable forwards. What is
        held, a pytree, counts as constant.
    """
    differentiable = jax.custom_jvp(function)

    @differentiable.defjvp
    def pushed(primals, tangents):
        x, held = primals
        value, jacobian = value_and_jacobian(lambda x: function(x, held), x)
        return value, jax.tree.map(lambda slopes: slopes @ tangents[0], jacobian)

    return differentiable


def value_and_jacobian(function, x):
    """Return a function of a vector and its Jacobian, (...) and (..., unknown)."""

    def along(unit):
        return jax.jvp(function, (x,), (unit,))

    if x.size <= UNITS_AT_ONCE:
        return jax.vmap(along, out_axes=(None, -1))(jnp.eye(x.size))
    values, slopes = jax.lax.map(along, jnp.eye(x.size), batch_size=UNITS_AT_ONCE)
    return values[0], jnp.moveaxis(slopes, 0, -1)
