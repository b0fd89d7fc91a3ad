r"""Arrow-shaped precisions: many small blocks, one for each event, that share some unknowns.

.. math:: H = \begin{pmatrix} H_{11} & & & H_{1g} \\ & \ddots & & \vdots \\ & & H_{EE} & H_{Eg} \\
                              H_{g1} & \cdots & H_{gE} & H_{gg} \end{pmatrix},
          \qquad S = H_{gg} - \sum_i H_{gi} H_{ii}^{-1} H_{ig}.

With Schur's complement S all that is asked of H costs as much as the number of events.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular

__all__ = [
    "Arrow",
    "ArrowRoot",
    "damped",
    "log_determinant",
    "rooted",
    "solved",
    "trace_of_quotient",
    "unwhitened",
    "variances",
    "whitened",
]


class Arrow(NamedTuple):
    """A symmetric arrow-shaped matrix.

    Attributes
    ----------
    own : (event, unknown, unknown)
        H_ii.
    coupling : (event, unknown, shared)
        H_ig.
    shared : (shared, shared)
        H_gg.
    """

    own: Any
    coupling: Any
    shared: Any


class ArrowRoot(NamedTuple):
    """The factors of a positive definite arrow.

    Attributes
    ----------
    own : (event, unknown, unknown)
        Lower Cholesky factors of H_ii.
    response : (event, unknown, shared)
        H_ii⁻¹ H_ig: how far the unknowns of an event move against the shared ones.
    shared : (shared, shared)
        Lower Cholesky factor of S.
    """

    own: Any
    response: Any
    shared: Any


def damped(arrow, damping):
    """Return an arrow whose diagonal is larger by a share of itself."""

    def raised(block):
        return block + damping * jnp.eye(block.shape[-1]) * block

    return Arrow(raised(arrow.own), arrow.coupling, raised(arrow.shared))


def rooted(arrow):
    """Return the factors of an arrow."""
    own = jnp.linalg.cholesky(arrow.own)
    half = solve_triangular(own, arrow.coupling, lower=True)
    response = solve_triangular(own, half, lower=True, trans="T")
    complement = arrow.shared - jnp.einsum("iag,iah->gh", half, half)
    return ArrowRoot(own, response, jnp.linalg.cholesky(complement))


def solved(root, events, shared):
    """Return H⁻¹ of a vector, (event, unknown) and (shared,)."""
    reduced = shared - jnp.einsum("iag,ia->g", root.response, events)
    of_shared = cho_solve((root.shared, True), reduced)
    of_events = cho_solve((root.own, True), events[..., None])[..., 0]
    return of_events - root.response @ of_shared, of_shared


def unwhitened(root, events, shared):
    """Return the vector with precision H made of one that is standard normal."""
    of_shared = solve_triangular(root.shared, shared, lower=True, trans="T")
    of_events = solve_triangular(root.own, events[..., None], lower=True, trans="T")[..., 0]
    return of_events - root.response @ of_shared, of_shared


def whitened(root, events, shared):
    """Return the inverse of `unwhitened`."""
    apart = events + root.response @ shared
    of_events = (root.own.mT @ apart[..., None])[..., 0]
    return of_events, root.shared.T @ shared


def variances(root):
    """Return the diagonal of H⁻¹, (event, unknown) and (shared,)."""
    half = solve_triangular(root.shared, jnp.eye(len(root.shared)), lower=True)
    unit = jnp.broadcast_to(jnp.eye(root.own.shape[-1]), root.own.shape)
    alone = solve_triangular(root.own, unit, lower=True)
    from_shared = root.response @ half.T
    return jnp.sum(alone**2, axis=1) + jnp.sum(from_shared**2, axis=2), jnp.sum(half**2, axis=0)


def trace_of_quotient(root, arrow):
    """Return tr H⁻¹ P of another arrow P."""
    shared = cho_solve((root.shared, True), jnp.eye(len(root.shared)))
    crossed = -root.response @ shared
    own = cho_solve((root.own, True), arrow.own)
    explained = jnp.einsum("iag,ibg,iab->", crossed, -root.response, arrow.own)
    coupled = 2 * jnp.sum(crossed * arrow.coupling)
    return (
        jnp.trace(own, axis1=1, axis2=2).sum()
        + explained
        + coupled
        + jnp.sum(shared * arrow.shared)
    )


def log_determinant(root):
    """Return ln det of the map `unwhitened`."""
    diagonals = (jnp.diagonal(part, axis1=-2, axis2=-1) for part in (root.own, root.shared))
    return -sum(jnp.log(diagonal).sum() for diagonal in diagonals)
