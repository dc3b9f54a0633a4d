"""Where arrays live: the mesh, and rules (regex, axes) over parameter names."""

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mubert_jax.config import Config
from mubert_jax.errors import UserError

AXES = ("data", "fsdp", "tensor")

Function = TypeVar("Function", bound=Callable[..., Any])


def make_mesh(config: Config, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh of `runtime.mesh` over all devices or the given ones; a smaller one takes the first.

    Raises:
      UserError: the mesh does not fit the devices, or the batch does not divide over it.
    """
    devices = jax.devices() if devices is None else devices
    shape = list(config.runtime.mesh)
    if shape.count(-1) == 1:
        known = -int(np.prod(shape))
        shape[shape.index(-1)] = len(devices) // known if known and len(devices) >= known else 1
    if np.prod(shape) > len(devices) or min(shape) < 1:
        raise UserError(
            f"config.runtime.mesh is {config.runtime.mesh}, more than the {len(devices)} device(s) "
            "here; -1 takes what is left"
        )
    data_parallel = shape[0] * shape[1]
    whole = config.training.batch_size
    part = whole // config.training.micro_batches
    if part % data_parallel:
        raise UserError(
            f"config.training.batch_size is {config.training.batch_size}"
            + (f" in {config.training.micro_batches} parts" if part != whole else "")
            + f", not divisible by the {data_parallel} devices that share a batch "
            "(config.runtime.mesh data × fsdp)"
        )
    taken = devices[: math.prod(shape)]
    _check_processes(config, devices, taken)
    return jax.make_mesh(tuple(shape), AXES, axis_types=(AxisType.Auto,) * 3, devices=taken)


def _check_processes(config: Config, devices: Sequence[jax.Device], taken: Sequence[jax.Device]):
    """Refuses a mesh that leaves a process without any device: it would have nothing to train."""
    every, busy = ({device.process_index for device in some} for some in (devices, taken))
    if idle := sorted(every - busy):
        raise UserError(
            f"config.runtime.mesh is {config.runtime.mesh}: it takes {len(taken)} of the "
            f"{len(devices)} devices and leaves {len(idle)} of the {len(every)} processes without "
            f"any, the first of them process {idle[0]}; start fewer processes or take a larger "
            "mesh (-1 takes what is left)"
        )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch: examples are split over `data` and `fsdp`."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def per_example(function: Function, sharding: NamedSharding | None) -> Function:
    """`function` of a batch, computed by each device on its own examples alone.

    All inputs and outputs have the batch's axis first. A loop that runs until its last example is
    done then waits for the device's own examples only; partitioned by the compiler, it would need
    all devices to agree in every iteration. Without `sharding` it is `function` itself.
    """
    if sharding is None:
        return function
    spec = sharding.spec
    return jax.shard_map(
        function, mesh=sharding.mesh, in_specs=spec, out_specs=spec, check_vma=False
    )


def on_mesh(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """`function`, traced so that `jax.sharding.get_abstract_mesh` finds the mesh inside it."""

    @functools.wraps(function)
    def traced(*arguments: Any) -> Any:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return function(*arguments)

    return traced


def state_shardings(
    mesh: Mesh, rules: Sequence[tuple[str, Sequence[str]]], abstract_state: Any
) -> Any:
    """A tree with a sharding per leaf; the first rule whose regex occurs in the leaf's name wins.

    Names are slash-joined paths, e.g. `params/encoder/blocks_0/attn/qkv/kernel`; the optimizer's
    moments carry their parameter's name and follow it. No match, or a scalar: replicated.

    Raises:
      UserError: a rule names an unknown axis or splits a dimension unevenly.
    """

    def place(path: Sequence[Any], leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        name = "/".join(
            str(getattr(p, "key", getattr(p, "name", getattr(p, "idx", p)))) for p in path
        )
        axes = next((axes for regex, axes in rules if re.search(regex, name)), ())
        if leaf.ndim == 0 or not axes:
            return NamedSharding(mesh, PartitionSpec())
        if len(axes) > leaf.ndim:
            raise UserError(
                f"config.runtime.sharding gives {name} {leaf.shape} the {len(axes)} axes {axes}"
            )
        for size, axis in zip(leaf.shape, axes, strict=False):
            _check_axis(mesh, name, size, axis)
        return NamedSharding(mesh, PartitionSpec(*(axis or None for axis in axes)))

    return jax.tree_util.tree_map_with_path(place, abstract_state)


def _check_axis(mesh: Mesh, name: str, size: int, axis: str):
    if axis and axis not in AXES:
        raise UserError(f"config.runtime.sharding names the axis {axis!r}; axes are {AXES}")
    if axis and size % mesh.shape[axis]:
        raise UserError(
            f"config.runtime.sharding splits {name}'s dimension of {size} over the "
            f"{mesh.shape[axis]} devices of {axis!r}, which does not divide"
        )


def rows_of_process(
    sharding: NamedSharding, batch_size: int, process: int | None = None
) -> np.ndarray:
    """The rows of a global batch that the devices of a process hold, each once, ascending.

    They follow from the sharding alone: processes across which `tensor` extends hold the same rows,
    and the devices of a mesh are not in the order of the processes.

    Args:
      sharding: The sharding of the batch.
      batch_size: The number of rows over all processes.
      process: The index of the process; by default this one.
    """
    process = jax.process_index() if process is None else process
    places = sharding.devices_indices_map((batch_size,)).items()
    own = (index for device, (index,) in places if device.process_index == process)
    held = {range(*index.indices(batch_size)) for index in own}
    return np.array(sorted(row for rows in held for row in rows))


def put_batch(
    batch: dict[str, np.ndarray], sharding: NamedSharding, batch_size: int, rows: np.ndarray
) -> dict[str, jax.Array]:
    """This process's `rows` of a global batch -> global arrays on the mesh."""

    def place(values: np.ndarray) -> jax.Array:
        def of_device(index: tuple[slice, ...]) -> np.ndarray:
            start, stop, _ = index[0].indices(batch_size)
            return values[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]

        shape = (batch_size, *values.shape[1:])
        # JAX types the index as if it could be None.
        return jax.make_array_from_callback(shape, sharding, of_device)  # pyrefly: ignore[bad-argument-type]

    return {name: place(values) for name, values in batch.items()}
