"""The slowest direction of a posterior, followed during warm-up by power iteration.

A trajectory should turn in its slowest direction too: a jittered harmonic motion of
standard deviation s loses the memory of its square fastest when it is 2.25 s long, where
1 - sin(2x)/(2x) is largest. Lengths are in units of the metric's scales.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

__all__ = ["Slowest", "start_slowest", "toward_slowest", "turning_length"]

TURN = 2.25
FORGETTING = 8.0
"""Averages reach back over about one part in so many of the steps so far."""


class Slowest(NamedTuple):
    """Mean of the draws (dim,), and the slowest scaled direction times its variance (dim,)."""

    center: Any
    image: Any


def start_slowest(positions):
    """Return the state before any step; positions of all chains are (chain, dim)."""
    dim = positions.shape[1]
    return Slowest(positions.mean(axis=0), jnp.full(dim, dim**-0.5, positions.dtype))


def toward_slowest(slowest, step, positions, scales):
    """Take one power iteration with the covariance of the draws so far.

    Parameters
    ----------
    slowest : Slowest
    step : ()
        Steps before this one.
    positions : (chain, dim)
    scales : (dim,)
        Square roots of the diagonal inverse mass matrix.
    """
    weight = FORGETTING / (FORGETTING + 1 + step)
    center = slowest.center + weight * (positions.mean(axis=0) - slowest.center)
    scaled = (positions - center) / scales
    direction = slowest.image / jnp.linalg.norm(slowest.image)
    image = scaled.T @ (scaled @ direction) / len(positions)
    return Slowest(center, slowest.image + weight * (image - slowest.image))


def turning_length(slowest):
    """Return the trajectory length at which the slowest direction turns."""
    return TURN * jnp.sqrt(jnp.linalg.norm(slowest.image))
