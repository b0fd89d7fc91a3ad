"""One program for many problems, on as many devices as there are.

Every device holds its share of the problems and runs alone: nothing is exchanged, so a
device never waits for another inside the program.
"""

import functools

import jax
from jax.sharding import AxisType, PartitionSpec

__all__ = ["batched", "width_of"]

WIDTH, ACCELERATOR_WIDTH = 16, 1024
"""Problems per device: as many as stay in a processor's cache, or fill an accelerator."""


def width_of(width=None, narrowing=1):
    """Return the number of problems per compiled call, a multiple of the devices.

    Parameters
    ----------
    width : int, optional
        Problems per device; by default what suits the kind of device.
    narrowing : int
        Divides it.
    """
    if width is None:
        width = WIDTH if jax.default_backend() == "cpu" else ACCELERATOR_WIDTH
    return max(1, width // narrowing) * len(jax.devices())


@functools.cache
def batched(function, in_axes):
    """Return a function compiled over a leading problem axis, one per function.

    Parameters
    ----------
    function : callable
        Of one problem.
    in_axes : tuple of 0, None, or tuples of these
        Which arguments, or parts of one, carry the problem axis; its length must be a multiple of
        the number of devices.
    """
    mapped = jax.vmap(function, in_axes)
    devices = len(jax.devices())
    if devices > 1:
        split = PartitionSpec("problem")
        in_specs = jax.tree.map(
            lambda axis: split if axis == 0 else PartitionSpec(),
            in_axes,
            is_leaf=lambda axis: axis is None,
        )
        mapped = jax.shard_map(
            mapped,
            mesh=jax.make_mesh((devices,), ("problem",), axis_types=(AxisType.Auto,)),
            in_specs=in_specs,
            out_specs=split,
            check_vma=False,
        )
    return jax.jit(mapped)
