r"""First arrivals in three dimensions: the factored eikonal equation and its adjoint.

Convention: lengths in km, times in s, slowness in s/km on the nodes of a regular grid.

Near its source the time :math:`T` of a first arrival has a kink that no grid resolves.
It is divided out: with the distance :math:`r` from the source and the slowness
:math:`s_0` there, :math:`T = s_0 r \tau`, and the smooth factor :math:`\tau` solves
:math:`|\tau \nabla r + r \nabla \tau| = s / s_0`. With the neighbours that an upwind
difference of order one or two takes, each component is linear in the value at the node,
:math:`c_a = A_a \tau + B_a`, and Godunov's scheme

.. math:: \sum_{a} \max(A_a \tau + B_a, 0)^2 = (s / s_0)^2

has one root, for :math:`A_a > 0` further than a cell from the source. Within two cells the factor
is that of a finer grid; there, within two of its own cells, :math:`\tau = (s_0 + s) / 2 s_0`, the
mean slowness of a straight ray.

**Search.** Sweeps over the eight octants until no node can be much earlier tell which
side every node is reached from. The neighbours of a node may still depend on the node,
where the wave runs along a plane of the grid and both sides of it are as late.

**Solution.** The times of the search order the nodes, and every node is made to depend on
earlier ones only. Along an axis that lies in the wave front, on which neighbours are as late
but for its curvature, the derivative is taken from a row before. Then each node is solved
once, as soon as the nodes that it depends on are known, by differences of order one or two.

**Adjoint.** With :math:`\tau = F(\tau, \theta)`, :math:`F` triangular in that order, the
cotangent :math:`\lambda = \bar g + (\partial F / \partial \tau)^T \lambda` is solved
exactly by the same sweeps backwards: a node hands its cotangent to those that it depends on.

References
----------
Fomel, Luo & Zhao (2009), doi:10.1016/j.jcp.2009.05.029: the factored equation.
Zhao (2005), doi:10.1090/S0025-5718-04-01678-3: fast sweeping.
Detrixhe, Gibou & Min (2013), doi:10.1016/j.jcp.2012.11.042: sweeps over diagonal planes.
"""

from functools import partial
from math import ceil
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesquake.physics.travel_time.diagonal_sweeps import (
    ASIDE,
    DOUBLE,
    OCTANTS,
    SINGLE,
    in_slabs,
    octant_of,
    sweep_backward,
    sweep_forward,
    upwind,
)

__all__ = ["first_arrival_times", "time_factor"]

MOST_CYCLES = 60
"""Cycles of eight sweeps after which the search, or the solution, is given up."""

SEARCH_TOLERANCE = 0.01
"""Relative excess of the squared slowness at which the search ends: it decides who is earlier."""

KINK_KM2 = 1e-24
"""Added to the squared distance, so that it has a derivative at the source."""

NEWTON_STEPS = 5
"""They reach rounding error from sqrt(3) times the components at the root, the furthest start."""

NONE, FIRST, SECOND, LEVEL = range(4)
"""How a derivative is taken: not at all, upwind by order one or two, or from a row before."""

SHIFTS = (0, 2, 4, 6, 8, 9, 10)
"""Bits at which a packed stencil holds the three kinds, the main axis and the three sides."""

LEVEL_CURVATURE = 0.1
"""A neighbour earlier by less than this times slowness h^2 / r lies in the wave front itself."""

NEAR_CELLS = 2
"""Nodes less than so many of the widest cells from the source along every axis are near it."""

REFINEMENT = 4
"""Cells near the source are cut into so many along their shortest side, others to be as long."""


class Stencil(NamedTuple):
    """On which neighbours nodes depend.

    Attributes
    ----------
    kinds : list of three arrays of int
        How the derivative along each axis is taken: NONE, FIRST, SECOND or LEVEL.
    main : array of int
        Axis of the earliest neighbour: a level derivative is taken two steps back along it.
    backwards : list of three arrays of bool
        Whether the upwind side along each axis is that of larger indices.
    """

    kinds: list[jax.Array]
    main: jax.Array
    backwards: list[jax.Array]

    def packed(self):
        """Return the stencil as one array of small integers, of which planes are taken fast."""
        digits = [*self.kinds, self.main, *self.backwards]
        return sum(
            digit.astype(jnp.int16) << shift for digit, shift in zip(digits, SHIFTS, strict=True)
        )

    @classmethod
    def of(cls, packed):
        """Return the stencil that was packed."""
        kinds, main = [(packed >> shift) & 3 for shift in SHIFTS[:3]], (packed >> SHIFTS[3]) & 3
        return cls(kinds, main, [((packed >> shift) & 1) == 1 for shift in SHIFTS[4:]])


class Neighbours(NamedTuple):
    """Values one and two nodes upwind along each axis, and beside the row before."""

    single: list[jax.Array]
    double: list[jax.Array]
    aside: dict[tuple[int, int], jax.Array]

    @classmethod
    def found(cls, at):
        """Return the neighbours that a function of their steps finds."""
        return cls(
            [at(step) for step in SINGLE],
            [at(step) for step in DOUBLE],
            {pair: at(step) for pair, step in ASIDE.items()},
        )


def first_arrival_times(slowness, source, spacing, origin=(0.0, 0.0, 0.0), order=2):
    """Return the time of the first arrival at every node.

    Parameters
    ----------
    slowness : array, shape (nx, ny, nz)
        Slowness at the nodes (s/km).
    source : array, shape (3,)
        Position of the source (km), inside the grid. By reciprocity a station will do.
    spacing : tuple of three floats
        Distance between nodes along each axis (km).
    origin : tuple of three floats
        Position of the first node (km).
    order : {1, 2}
        Order of the differences.

    Returns
    -------
    array, shape (nx, ny, nz)
        Time (s), differentiable in reverse mode in ``slowness`` and ``source``; infinite
        where the solution was given up.
    """
    source = jnp.asarray(source, slowness.dtype) - jnp.asarray(origin, slowness.dtype)
    factor, source_slowness = time_factor(slowness, source, spacing, order)
    distance = _distance(_grid_offsets(slowness.shape, source, spacing))
    return source_slowness * distance * factor


def time_factor(slowness, source, spacing, order=2):
    """Return the factor tau, shape (nx, ny, nz), and the slowness at the source (s/km).

    The arguments are those of `first_arrival_times`, the source counted from the first node.
    The factor is smooth at the source: interpolate it, then multiply by slowness and distance.
    """
    at_source = jax.scipy.ndimage.map_coordinates(
        slowness, [source[axis] / spacing[axis] for axis in range(3)], order=1, mode="nearest"
    )
    # Sweeps over planes waste least where the first axis is the longest.
    axes = sorted(range(3), key=lambda axis: -slowness.shape[axis])
    lengths = tuple(spacing[axis] for axis in axes)
    relative, place = slowness.transpose(axes) / at_source, source[jnp.array(axes)]
    near = _near_factor(relative, place, lengths, order)
    factor = _factor(relative, place, near, lengths, order)
    return factor.transpose([axes.index(axis) for axis in range(3)]), at_source


def _near_factor(relative, source, spacing, order):
    """Return tau, right at the nodes near the source, which those of a finer grid are among."""
    parts = [REFINEMENT * max(1, round(h / min(spacing))) for h in spacing]
    reach = [ceil(NEAR_CELLS * max(spacing) / h - 1e-9) for h in spacing]
    shape = [min(n, 2 * m + 1) for n, m in zip(relative.shape, reach, strict=True)]
    first = [
        jnp.clip(jnp.floor(x / h).astype(int) - m, 0, n - kept)
        for x, h, m, n, kept in zip(source, spacing, reach, relative.shape, shape, strict=True)
    ]
    coarse = jax.lax.dynamic_slice(relative, first, shape)
    places = [jnp.arange((kept - 1) * k + 1) / k for kept, k in zip(shape, parts, strict=True)]
    fine = jax.scipy.ndimage.map_coordinates(
        coarse, jnp.meshgrid(*places, indexing="ij"), order=1, mode="nearest"
    )
    lengths = tuple(h / k for h, k in zip(spacing, parts, strict=True))
    place = source - jnp.stack([i * h for i, h in zip(first, spacing, strict=True)])
    found = _factor(fine, place.astype(source.dtype), (1 + fine) / 2, lengths, order)
    among = found[tuple(slice(None, None, k) for k in parts)]
    return jax.lax.dynamic_update_slice(jnp.zeros_like(relative), among, first)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _factor(relative, source, near, spacing, order):
    return _factor_forward(relative, source, near, spacing, order)[0]


def _factor_forward(relative, source, near, spacing, order):
    rough, place = relative.astype(jnp.float32), source.astype(jnp.float32)
    found = _searched(rough, place, near.astype(jnp.float32), spacing)

    def packed(first, found, rough):
        return _dependence(first, found, rough, place, spacing, order).packed()

    stencil = in_slabs(packed, (found, jnp.inf), (rough, 1.0))
    tau, sweep = _solved(relative, stencil, source, near, spacing)
    return tau, (tau, stencil, sweep, relative, source)


def _factor_backward(spacing, order, solution, cotangent):
    """Solve the transposed equations, then differentiate the scheme in what it is given."""
    del order
    tau, stencil, solved_in, relative, source = solution
    nodes = (tau, 0.0), (stencil, 0), (solved_in, -1), (relative, 1.0)

    def weights(first, *slabs):
        A, K, c, level = _components(source, spacing, first, *slabs)
        slope = jnp.where(slabs[2] < 0, 1.0, _dot(A, c))
        return [(k * a + b) / slope for k, a, b in zip(K, c, level, strict=True)]

    def per_square(first, adjoint, *slabs):
        A, _, c, _ = _components(source, spacing, first, *slabs)
        return jnp.where(slabs[2] < 0, 0.0, adjoint / (2 * _dot(A, c)))

    adjoint = _transposed(cotangent, in_slabs(weights, *nodes), stencil, solved_in, source, spacing)
    of_square = in_slabs(per_square, (adjoint, 0.0), *nodes)

    def left_side(source):
        def of_rows(first, of_square, *slabs):
            _, _, c, level = _components(source, spacing, first, *slabs)
            squares = of_square * (_dot(c, c) + _dot(level, level))
            return squares.sum(axis=(1, 2), keepdims=True)

        return jnp.sum(in_slabs(of_rows, (of_square, 0.0), *nodes))

    def towards(direction):
        return -jax.jvp(left_side, (source,), (direction,))[1]

    return (
        2 * of_square * relative,
        jax.lax.map(towards, jnp.eye(3, dtype=source.dtype)),
        jnp.where(solved_in < 0, adjoint, 0.0),
    )


_factor.defvjp(_factor_forward, _factor_backward)


def _searched(relative, source, near, spacing):
    """Sweep until no node can be much earlier; return tau, which is known near the source."""
    known = _near_source(_grid_offsets(relative.shape, source, spacing), spacing)

    def sweep(number, tau):
        octant = octant_of(number)

        def update(nodes, old, at):
            offset = _node_offsets(nodes, source, spacing, octant)
            A, K = _coefficients(offset, spacing)
            pulls = [k * at(step) for k, step in zip(K, SINGLE, strict=True)]
            new = _godunov_root(A, pulls, nodes.of(relative))
            return jnp.where(_near_source(offset, spacing), old, jnp.minimum(old, new))

        return sweep_forward(update, tau, octant)

    def cycle(state):
        tau, cycles = state
        return jax.lax.fori_loop(0, len(OCTANTS), sweep, tau), cycles + 1

    def unsettled(state):
        tau, cycles = state
        late = ~known & ~(_excess(tau, relative, source, spacing) < SEARCH_TOLERANCE)
        return jnp.any(late) & (cycles < MOST_CYCLES)

    tau = jnp.where(known, near, jnp.inf)
    return jax.lax.while_loop(unsettled, cycle, cycle((tau, 0)))[0]


def _excess(tau, relative, source, spacing):
    """Return by how much the steeper sides of a node exceed its squared slowness."""
    steepest = [jnp.zeros_like(tau)] * 3
    for flip in (False, True):
        backwards = (flip,) * 3
        offset = _grid_offsets(tau.shape, source, spacing, backwards)
        A, K = _coefficients(offset, spacing)
        for axis, step in enumerate(SINGLE):
            component = A[axis] * tau - K[axis] * upwind(tau, backwards, step, jnp.inf)
            steepest[axis] = jnp.maximum(steepest[axis], component)
    return _dot(steepest, steepest) / relative**2 - 1


def _dependence(first, tau, relative, source, spacing, order):
    """Return the stencil of every node, which reaches to earlier nodes only."""
    time = tau * _distance(_grid_offsets(tau.shape, source, spacing, first=first))
    backwards = [
        upwind(time, (True,) * 3, step, jnp.inf) < upwind(time, (False,) * 3, step, jnp.inf)
        for step in SINGLE
    ]
    offset = _grid_offsets(tau.shape, source, spacing, backwards, first)
    A, K = _coefficients(offset, spacing)
    single, double, aside = Neighbours.found(lambda step: upwind(time, backwards, step, jnp.inf))
    main = jnp.argmin(jnp.stack(single), axis=0)
    kinds = []
    for axis, step in enumerate(SINGLE):
        arrives = A[axis] * tau > K[axis] * upwind(tau, backwards, step, jnp.inf)
        earliest = main == axis
        across = single[axis] >= time - LEVEL_CURVATURE * relative * spacing[axis] / K[axis]
        beside = jnp.maximum(_chosen(double, main), _aside_of_main(aside, axis, main))
        beyond = (offset[axis] > 0) & (offset[axis] < 2 * spacing[axis])
        smooth = (order == 2) & (double[axis] < single[axis]) & ~beyond
        kind = jnp.select(
            [
                arrives & across & ~earliest & (beside < time),
                (arrives | earliest) & (single[axis] < time) & smooth,
                (arrives | earliest) & (single[axis] < time),
            ],
            [LEVEL, SECOND, FIRST],
            NONE,
        )
        kinds.append(kind)
    return Stencil(kinds, main, backwards)


def _solved(relative, stencil, source, near, spacing):
    """Solve each node once those that it depends on are known; return tau and the sweeps."""
    known_before = _near_source(_grid_offsets(relative.shape, source, spacing), spacing)

    def sweep(number, state):
        tau, last = state
        octant = octant_of(number)

        def update(nodes, old, at):
            local = Stencil.of(nodes.of(stencil))
            offset = _node_offsets(nodes, source, spacing, octant)
            A, K = _coefficients(offset, spacing, local.kinds)
            values, level, known = _differences(Neighbours.found(at), local, offset, spacing)
            square = nodes.of(relative) ** 2
            level = _mild(level, square)
            pulls = [
                jnp.where(_arriving(kind), k * value, jnp.inf)
                for kind, k, value in zip(local.kinds, K, values, strict=True)
            ]
            new = _godunov_root(A, pulls, jnp.sqrt(square - _dot(level, level)))
            return jnp.where(jnp.isinf(old) & known & _reached(local, octant), new, old)

        new = jax.lax.cond(
            jnp.any(jnp.isinf(tau) & _reached(Stencil.of(stencil), octant)),
            lambda: sweep_forward(update, tau, octant),
            lambda: tau,
        )
        return new, jnp.where(new < tau, number, last).astype(last.dtype)

    def cycle(state):
        tau, last, cycles = state
        start = cycles * len(OCTANTS)
        tau, last = jax.lax.fori_loop(start, start + len(OCTANTS), sweep, (tau, last))
        return tau, last, cycles + 1

    def unsolved(state):
        tau, _, cycles = state
        return jnp.any(jnp.isinf(tau)) & (cycles < MOST_CYCLES)

    tau = jnp.where(known_before, near, jnp.inf)
    state = (tau, jnp.full(tau.shape, -1, jnp.int16), 0)
    tau, last, _ = jax.lax.while_loop(unsolved, cycle, state)
    return tau, last


def _reached(stencil, octant):
    """Mark nodes whose upwind sides are those of a sweep; a level derivative has both sides."""
    right = jnp.asarray(True)
    for kind, side, now in zip(stencil.kinds, stencil.backwards, octant, strict=True):
        right = right & (~_arriving(kind) | (side == now))
    return right


def _transposed(cotangent, weights, stencil, solved_in, source, spacing):
    """Solve lambda = cotangent + (dF/dtau)^T lambda by the sweeps of the solution, backwards."""
    sweeps = jnp.max(solved_in).astype(jnp.int32) + 1

    def sweep(step, held):
        number = sweeps - 1 - step
        octant = octant_of(number)

        def shares(nodes, held):
            kinds, main, _ = Stencil.of(nodes.of(stencil))
            offset = _node_offsets(nodes, source, spacing, octant)
            distance = _distance(offset)
            given = jnp.where(nodes.of(solved_in) == number, held, 0.0)
            share = dict.fromkeys((*SINGLE, *DOUBLE, *ASIDE.values()), jnp.zeros_like(given))
            for axis in range(3):
                part = nodes.of(weights[axis]) * given
                second, level = kinds[axis] == SECOND, kinds[axis] == LEVEL
                share[SINGLE[axis]] += jnp.where(level, 0.0, jnp.where(second, 2 * part, part))
                share[DOUBLE[axis]] += jnp.where(second, -part / 2, 0.0)
                reach = distance / spacing[axis]
                for other in {0, 1, 2} - {axis}:
                    here = jnp.where(level & (main == other), part, 0.0)
                    share[DOUBLE[other]] -= here * (offset[axis] / distance - reach)
                    share[ASIDE[axis, other]] -= here * reach
            return share

        return jax.lax.cond(
            jnp.any(solved_in == number),
            lambda: sweep_backward(shares, held, octant),
            lambda: held,
        )

    return jax.lax.fori_loop(0, sweeps, sweep, cotangent)


def _components(source, spacing, first, tau, stencil, solved_in, relative):
    """Return A, K, the upwind components c and the level components of every node."""
    octant = octant_of(solved_in)
    backwards = [octant[..., axis] for axis in range(3)]
    stencil = Stencil.of(stencil)
    offset = _grid_offsets(tau.shape, source, spacing, backwards, first)
    A, K = _coefficients(offset, spacing, stencil.kinds)
    neighbours = Neighbours.found(lambda step: upwind(tau, backwards, step, 0.0))
    values, level, _ = _differences(neighbours, stencil, offset, spacing)
    c = tuple(
        jnp.where(_arriving(kind), jnp.maximum(a * tau - k * value, 0.0), 0.0)
        for kind, a, k, value in zip(stencil.kinds, A, K, values, strict=True)
    )
    return A, K, c, _mild(level, relative**2)


def _differences(neighbours, stencil, offset, spacing):
    """Return the upwind values, the level components, and whether all neighbours are known."""
    kinds, main, _ = stencil
    distance = _distance(offset)
    before = _chosen(neighbours.double, main)
    values, level, known = [], [], True
    for axis in range(3):
        single, double = neighbours.single[axis], neighbours.double[axis]
        first, second, beside = (kinds[axis] == kind for kind in (FIRST, SECOND, LEVEL))
        aside = _aside_of_main(neighbours.aside, axis, main)
        slope = (aside - before) / spacing[axis]
        known &= (~first | jnp.isfinite(single)) & (~second | jnp.isfinite(single + double))
        known &= ~beside | jnp.isfinite(before + aside)
        values.append(jnp.where(first, single, jnp.where(second, 2 * single - double / 2, 0.0)))
        component = offset[axis] / distance * before + distance * slope
        level.append(jnp.where(beside, component, 0.0))
    return values, level, known


def _chosen(arrays, index):
    return jnp.where(index == 0, arrays[0], jnp.where(index == 1, arrays[1], arrays[2]))


def _aside_of_main(aside, axis, main):
    """Return the neighbours downwind along an axis, in the row before along the main one."""
    return _chosen([aside.get((axis, other), 0.0) for other in range(3)], main)


def _mild(level, square):
    """Return the level components, or none where they would be most of the slowness."""
    steep = _dot(level, level) > square / 2
    return tuple(jnp.where(steep, 0.0, component) for component in level)


def _coefficients(offset, spacing, kinds=(FIRST, FIRST, FIRST)):
    """Return A and K of c = A tau - K (upwind value), per axis, offsets counted along the sweep."""
    distance = _distance(offset)
    K = tuple(distance / h for h in spacing)
    A = tuple(
        x / distance + jnp.where(kind == SECOND, 1.5, 1.0) * k
        for x, k, kind in zip(offset, K, kinds, strict=True)
    )
    return A, K


def _arriving(kind):
    return (kind == FIRST) | (kind == SECOND)


def _godunov_root(A, pulls, relative):
    """Return the root of sum_a max(A_a tau - pull_a, 0)^2 = relative^2.

    The left side is convex: Newton's steps from the root of one axis alone never pass it.
    """
    alone = [(pull + relative) / a for a, pull in zip(A, pulls, strict=True)]
    start = jnp.minimum(jnp.minimum(alone[0], alone[1]), alone[2])

    def newton(_, tau):
        c = [jnp.maximum(a * tau - pull, 0.0) for a, pull in zip(A, pulls, strict=True)]
        return tau - (_dot(c, c) - relative**2) / (2 * _dot(A, c))

    root = jax.lax.fori_loop(0, NEWTON_STEPS, newton, start)
    return jnp.where(jnp.isfinite(start), root, jnp.inf)


def _node_offsets(nodes, source, spacing, octant):
    return _along(_offsets(nodes.indices, source, spacing), octant)


def _grid_offsets(shape, source, spacing, backwards=(False, False, False), first=0):
    """Return the vector (km) from the source to every node, counted along a sweep.

    The nodes are those of a slab that begins at the node ``first`` along the first axis.
    """
    i, j, k = jnp.meshgrid(*(jnp.arange(n) for n in shape), indexing="ij", sparse=True)
    indices = first + i, j, k
    return _along(_offsets(indices, source, spacing), backwards)


def _offsets(indices, source, spacing):
    return tuple(
        index * h - place for index, h, place in zip(indices, spacing, source, strict=True)
    )


def _along(offset, backwards):
    return tuple(jnp.where(flip, -x, x) for x, flip in zip(offset, backwards, strict=True))


def _distance(offset):
    return jnp.sqrt(sum(x**2 for x in offset) + KINK_KM2)


def _near_source(offset, spacing):
    """Mark the nodes whose factor is not that of the scheme."""
    near = [jnp.abs(x) < NEAR_CELLS * max(spacing) * (1 - 1e-6) for x in offset]
    return near[0] & near[1] & near[2]


def _dot(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))
