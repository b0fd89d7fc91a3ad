"""ln(1 + e^x) with derivatives that reuse its exponential.

Nearly all the time of this model goes into these functions. Written so, a gradient of the
likelihood takes less than half of the time it takes with `jax.nn.softplus`.
"""

import jax
import jax.numpy as jnp

__all__ = ["softplus", "softplus_difference"]


@jax.custom_jvp
def softplus(x):
    """Return ln(1 + e^x)."""
    return jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_jvp(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    return softplus(x), _sigmoid(x) * x_dot


@jax.custom_jvp
def softplus_difference(x, y):
    """Return ln(1 + e^x) - ln(1 + e^y), with one logarithm."""
    ratio = (1.0 + jnp.exp(-jnp.abs(x))) / (1.0 + jnp.exp(-jnp.abs(y)))
    return jnp.maximum(x, 0.0) - jnp.maximum(y, 0.0) + jnp.log(ratio)


@softplus_difference.defjvp
def _softplus_difference_jvp(primals, tangents):
    (x, y), (x_dot, y_dot) = primals, tangents
    slope = _sigmoid(x) * x_dot - _sigmoid(y) * y_dot
    return softplus_difference(x, y), slope


def _sigmoid(x):
    # Not abs, whose derivative at 0 would make that of this function wrong there.
    decay = jnp.exp(jnp.where(x >= 0, -x, x))
    return jnp.where(x >= 0, 1.0, decay) / (1.0 + decay)
