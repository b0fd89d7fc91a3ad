r"""Coordinates in which the posterior is nearly standard normal.

**A block on a spring.** What slip rates tell of friction they tell of its logarithms: in ln A,
ln(B - A), ln L and ln k the posterior is straight, in B - A itself it is a banana. Since B - A may
be negative, chains hold

.. math:: w = \operatorname{arsinh}\frac{B - A}{c}

with c a fourth of the standard deviation of B - A, so that w is the logarithm where the sign is
known and smooth where it is not. The mode is sought from many draws of the prior at once, by
Marquardt's damped steps with the precision :math:`D^T D + P` of the Jacobian D of the residuals and
of the prior P: slip rates of a cycle fit at wrong phases too, and a single search ends in one of
these, see `windows`. The posterior is then whitened by that precision.

**A fault of cells** has its own, see `whitening`. The mode is sought on the host, and steps that
serve the motion around it are held from then on, see `steps`.

References
----------
Marquardt 1963, doi:10.1137/0111030
"""

import jax
import jax.numpy as jnp

from bayesquake.errors import DriverError
from bayesquake.model import coordinates as around
from bayesquake.model.capabilities import Coordinates

from . import whitening
from .physics.frozen import grid_of
from .search import BENT, plain, search_of
from .steps import followed, steps_around
from .windows import MOST_STARTS, mode_of_fields, mode_of_spring

__all__ = ["COORDINATES", "recommended"]

SHARE_OF_SD = 0.25
"""c in standard deviations of B - A."""

MOST_SHIFTED = 600
"""Cells up to which the mean of fields is sought, at two gradients for every unknown."""


def condition(base, data, priors):
    """Return the data with the mode of the posterior, and what the coordinates need there."""
    search = search_of(base, tuple(priors.items()))
    return (of_spring if data.fields is None else of_fault)(base, data, search)


def of_spring(base, data, search):
    """Return the data with the best of many modes and the root of the covariance there."""

    def start(key):
        position = base.prior_position(key, data)
        return base.ravel(straight(base.unravel(position), data))

    starts = jax.vmap(start)(jax.random.split(jax.random.key(0), MOST_STARTS))
    best = mode_of_spring(search, data, starts)
    mode, root = base.unravel(best.position), around.root_of(best.precision)
    return rescaled(around.Around(data, mode, root))


def of_fault(base, data, search):
    """Return the data with the mode of the fields and the steps that their motion takes.

    Raises
    ------
    DriverError
        Many data sets are asked for at once, or no mode was found.
    TrajectoryError
        The fault of the expected fields cannot be followed.
    """
    if isinstance(data.times, jax.core.Tracer):
        raise DriverError(
            "fields are sought from the host, one data set at a time; fit them one by one"
        )
    expected = jnp.zeros(base.dim)
    followed(base, expected, data)
    end = mode_of_fields(search, base.log_density, data, expected)
    found = whitening.around_fields(base, search, data, end)
    grid = grid_of(steps_around(base, found), data.times)
    return found._replace(arrays=data._replace(grid=jax.tree.map(jnp.asarray, grid)))


def rescaled(found):
    """Return a mode and root with the scale c by the standard deviation of B - A there."""
    data, mode, root = found
    if BENT not in mode:
        return found
    sites, _ = plain(mode, data)
    place = list(mode).index(BENT)
    row = jnp.arange(len(root)) == place
    slope = jnp.hypot(sites[BENT], data.weakening_scale)
    scale = SHARE_OF_SD * slope * jnp.linalg.norm(root[place])
    moved = data._replace(weakening_scale=scale)
    stretch = slope / jnp.hypot(sites[BENT], scale)
    return around.Around(
        moved, straight(sites, moved), jnp.where(row[:, None], stretch * root, root)
    )


def straight(sites, data):
    """Return sites with w in place of B - A."""
    if BENT not in sites:
        return sites
    return {**sites, BENT: jnp.arcsinh(sites[BENT] / data.weakening_scale)}


def forward(sites, values, data):
    """Return the unconstrained sites in place of whitened ones, and the log determinant."""
    if data.arrays.fields is not None:
        return whitening.forward(sites, values, data)
    moved, log_determinant = around.forward(sites, values, data)
    moved, log_slope = plain(moved, data.arrays)
    return moved, log_determinant + log_slope


def inverse(sites, values, data):
    """Return the whitened sites in place of unconstrained ones."""
    if data.arrays.fields is not None:
        return whitening.inverse(sites, values, data)
    return around.inverse(straight(sites, data.arrays), values, data)


def initial(key, data):
    """Return dispersed starting points."""
    spring = data.arrays.fields is None
    return (around if spring else whitening).initial(key, data)


def recommended(data):
    """Return the driver that suits the data, and its settings."""
    if data.fields is None:
        return {"driver": "nuts", "warmup": 500, "target_accept": 0.9}
    cells = data.fields.root.shape[0]
    centre = "mean" if cells <= MOST_SHIFTED else "mode"
    return {"driver": "laplace", "starts": 1, "centre": centre}


COORDINATES = Coordinates(
    condition,
    forward,
    inverse,
    initial,
    on_host=lambda data: data.fields is not None,
    needs=(),
)
