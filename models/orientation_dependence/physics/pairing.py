r"""Pairings of mechanisms and depths, by Metropolis swaps.

Given both sets of values, the pairing σ has the probability
:math:`\propto e^{\sum_i \theta^T h(x_i, y_{\sigma(i)})}` whatever the marginals are. Swaps
of two depths leave it invariant; a sweep tries n/2 disjoint ones at once.

References
----------
Sei & Yano 2024, doi:10.3150/23-BEJ1687 (conditional likelihood of the pairing)
"""

import functools

import jax
import jax.numpy as jnp

__all__ = ["random_frames", "swap"]


def random_frames(key, events):
    """Return frames uniform over all rotations, (event, axis, xyz)."""
    first, second = jax.random.normal(key, (2, events, 3))
    first /= jnp.linalg.norm(first, axis=1, keepdims=True)
    second -= (first * second).sum(axis=1, keepdims=True) * first
    second /= jnp.linalg.norm(second, axis=1, keepdims=True)
    return jnp.stack([first, second], axis=1)


@functools.partial(jax.jit, static_argnames="sweeps")
def swap(key, u, z, sweeps):
    """Draw a pairing σ (event,) of probability ∝ exp Σ u_i z_σ(i), by sweeps from a random one."""
    half = u.size // 2

    def sweep(sigma, key):
        key_pairs, key_accept = jax.random.split(key)
        order = jax.random.permutation(key_pairs, u.size)
        i, j = order[:half], order[half : 2 * half]
        gain = (u[i] - u[j]) * (z[sigma[j]] - z[sigma[i]])
        accepted = jnp.log(jax.random.uniform(key_accept, (half,))) < gain
        exchanged_i = jnp.where(accepted, sigma[j], sigma[i])
        exchanged_j = jnp.where(accepted, sigma[i], sigma[j])
        return sigma.at[i].set(exchanged_i).at[j].set(exchanged_j), None

    key_start, key_sweeps = jax.random.split(key)
    start = jax.random.permutation(key_start, u.size)
    return jax.lax.scan(sweep, start, jax.random.split(key_sweeps, sweeps))[0]
