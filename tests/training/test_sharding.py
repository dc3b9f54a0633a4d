import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import tiny_config
from jax.sharding import Mesh, PartitionSpec

from mubert_jax.errors import UserError
from mubert_jax.training.sharding import (
    AXES,
    batch_sharding,
    make_mesh,
    put_batch,
    rows_of_process,
    state_shardings,
)


@dataclasses.dataclass(frozen=True)
class Device:
    """One of a machine that is not here."""

    id: int
    process_index: int
    platform: str = "cpu"
    device_kind: str = "cpu"


def pod_devices(processes, each):
    return [Device(i, i // each) for i in range(processes * each)]


def rows_of_all(mesh, batch_size):
    """What each process of a pod is to read, the first process first."""
    sharding = batch_sharding(mesh)
    processes = sorted({device.process_index for device in mesh.devices.flat})
    return [rows_of_process(sharding, batch_size, p).tolist() for p in processes]


def test_minus_one_takes_what_is_left():
    mesh = make_mesh(tiny_config(runtime__mesh=(-1, 2, 1)), jax.devices()[:4])
    assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "tensor": 1}


@pytest.mark.parametrize(
    "mesh", [(5, 1, 1), (-1, 5, 1), (-1, -1, 1), (0, 1, 1), (2, 4, 1), (-1, 0, 1)]
)
def test_meshes_that_do_not_fit(mesh):
    with pytest.raises(UserError, match="config.runtime.mesh"):
        make_mesh(tiny_config(runtime__mesh=mesh), jax.devices()[:4])


def test_batch_that_does_not_divide():
    config = tiny_config(runtime__mesh=(-1, 1, 1), training__batch_size=6)
    with pytest.raises(UserError, match="batch_size is 6, not divisible by the 4 devices"):
        make_mesh(config, jax.devices()[:4])


@pytest.mark.parametrize(
    "axes, words",
    [(("rows",), "names the axis 'rows'"), (("fsdp",), "dimension of 3"), (("", "", ""), "3 axes")],
)
def test_rules_that_cannot_be(axes, words):
    mesh = make_mesh(tiny_config(runtime__mesh=(2, 2, 1)), jax.devices()[:4])
    with pytest.raises(UserError, match=words):
        state_shardings(mesh, (("kernel", axes),), {"kernel": jnp.zeros((3, 4))})


@pytest.mark.parametrize(
    "asked, devices, shape",
    [
        ((-1, 1, 1), 4, (4, 1, 1)),
        ((1, -1, 2), 4, (1, 2, 2)),
        ((2, 1, -1), 3, (2, 1, 1)),
        ((1, 1, 1), 4, (1, 1, 1)),
        ((2, 2, 1), 4, (2, 2, 1)),
        ((-1, 4, 1), 4, (1, 4, 1)),
    ],
)
def test_a_mesh_takes_the_first_devices_that_fill_it(asked, devices, shape):
    mesh = make_mesh(tiny_config(runtime__mesh=asked), jax.devices()[:devices])
    assert mesh.axis_names == AXES and mesh.devices.shape == shape
    assert list(mesh.devices.flat) == jax.devices()[: mesh.size]
    assert batch_sharding(mesh).spec == PartitionSpec(("data", "fsdp"))


def test_all_devices_are_taken_unless_some_are_given():
    assert make_mesh(tiny_config(runtime__mesh=(-1, 1, 1))).size == len(jax.devices())


@pytest.mark.parametrize("mesh", [(4, 1, 1), (1, 4, 1), (2, 2, 1)])
def test_parts_of_a_batch_that_do_not_divide(mesh):
    config = tiny_config(runtime__mesh=mesh, training__batch_size=8, training__micro_batches=4)
    with pytest.raises(UserError) as refused:
        make_mesh(config, jax.devices()[:4])
    assert "batch_size is 8 in 4 parts, not divisible by the 4 devices" in str(refused.value)
    whole = tiny_config(runtime__mesh=mesh, training__batch_size=6)
    with pytest.raises(UserError) as refused:
        make_mesh(whole, jax.devices()[:4])
    assert "batch_size is 6, not divisible" in str(refused.value)


def test_devices_along_tensor_share_the_whole_batch():
    config = tiny_config(runtime__mesh=(1, 1, 4), training__batch_size=3)
    assert make_mesh(config, jax.devices()[:4]).size == 4


def test_the_first_rule_found_in_a_name_says_where_an_array_lies():
    mesh = make_mesh(tiny_config(runtime__mesh=(1, 2, 2)), jax.devices()[:4])
    rules = (("attn/kernel", ("fsdp", "tensor")), ("kernel", ("", "fsdp")))
    rules += (("scale|offset|table", ("fsdp",)),)
    leaves = {"kernel": jnp.zeros((4, 6)), "scale": jnp.zeros(()), "bias": jnp.zeros(3)}
    leaves |= {"offset": jnp.zeros(4), "table": jnp.zeros((4, 3))}
    placed = state_shardings(mesh, rules, {"attn": leaves, "mlp": [leaves]})
    specs = jax.tree.map(lambda sharding: sharding.spec, placed)
    assert specs["attn"]["kernel"] == PartitionSpec("fsdp", "tensor")
    assert specs["mlp"][0]["kernel"] == PartitionSpec(None, "fsdp")
    assert specs["attn"]["scale"] == specs["attn"]["bias"] == PartitionSpec()
    assert specs["attn"]["offset"] == specs["attn"]["table"] == PartitionSpec("fsdp")
    assert placed["attn"]["bias"].mesh == mesh


def test_a_dimension_is_split_over_the_devices_of_its_own_axis():
    mesh = make_mesh(tiny_config(runtime__mesh=(1, 4, 1)), jax.devices()[:4])
    with pytest.raises(UserError) as refused:
        state_shardings(mesh, (("k", ("fsdp",)),), {"a": [{"k": jnp.zeros((6, 4))}]})
    assert "splits a/0/k's dimension of 6 over the 4 devices of 'fsdp'" in str(refused.value)
    kept = state_shardings(mesh, (("k", ("tensor", "fsdp")),), {"k": jnp.zeros((3, 8))})
    assert kept["k"].spec == PartitionSpec("tensor", "fsdp")


@pytest.mark.parametrize(
    "processes, each, mesh, rows",
    [
        (2, 1, (2, 1, 1), [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (2, 1, (1, 2, 1), [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (2, 1, (1, 1, 2), [[*range(8)]] * 2),
        (1, 2, (1, 1, 2), [[*range(8)]]),
        (4, 1, (1, 2, 2), [[0, 1, 2, 3]] * 2 + [[4, 5, 6, 7]] * 2),
        (4, 1, (2, 1, 2), [[0, 1, 2, 3]] * 2 + [[4, 5, 6, 7]] * 2),
        (2, 2, (2, 1, 2), [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (2, 2, (1, 1, 4), [[*range(8)]] * 2),
        (2, 2, (1, 4, 1), [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (4, 2, (2, 1, 4), [[0, 1, 2, 3]] * 2 + [[4, 5, 6, 7]] * 2),
    ],
)
def test_the_mesh_says_which_rows_a_process_reads(processes, each, mesh, rows):
    config = tiny_config(runtime__mesh=mesh, training__batch_size=8)
    assert rows_of_all(make_mesh(config, pod_devices(processes, each)), 8) == rows


def test_processes_may_lie_in_the_mesh_in_any_order():
    """Each process's rows are those of its devices, apart or turned around, whole if replicated."""
    devices = np.array(pod_devices(2, 4), object)
    turned = Mesh(devices[::-1].reshape(4, 2, 1), AXES)
    assert rows_of_all(turned, 8) == [[4, 5, 6, 7], [0, 1, 2, 3]]
    woven = Mesh(devices.reshape(2, 4).T.reshape(8, 1, 1), AXES)
    assert rows_of_all(woven, 16) == [
        [0, 1, 4, 5, 8, 9, 12, 13],
        [2, 3, 6, 7, 10, 11, 14, 15],
    ]
    across = Mesh(devices.reshape(2, 4).T.reshape(2, 2, 2), AXES)
    assert rows_of_all(across, 8) == [[*range(8)]] * 2


def test_a_process_may_hold_less_of_a_batch_than_another():
    config = tiny_config(runtime__mesh=(3, 1, 1), training__batch_size=6)
    assert rows_of_all(make_mesh(config, pod_devices(2, 2)), 6) == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize("shape", [(4, 1, 1), (2, 2, 1), (2, 1, 2), (1, 1, 4)])
def test_a_placed_batch_is_the_batch(shape):
    batch = {"index": np.arange(8, dtype=np.uint32), "image": np.random.rand(8, 3, 2)}
    order = np.array(jax.devices()[:4])[[2, 0, 3, 1]]
    sharding = batch_sharding(Mesh(order.reshape(shape), AXES))
    rows = rows_of_process(sharding, 8)
    np.testing.assert_array_equal(rows, np.arange(8))
    placed = put_batch(batch, sharding, 8, rows)
    for name, values in batch.items():
        assert placed[name].sharding == sharding
        np.testing.assert_array_equal(placed[name], values.astype(placed[name].dtype))


def test_a_process_places_its_rows_wherever_they_lie(monkeypatch):
    """Of a mesh whose processes take turns: every device gets its part of the global batch."""
    devices = np.array(pod_devices(2, 4), object).reshape(2, 4).T
    whole = {"image": np.arange(48).reshape(16, 3)}

    def given(shape, sharding, of_device):
        assert shape == (16, 3)
        places = sharding.devices_indices_map(shape).items()
        return {d: (of_device(i), whole["image"][i]) for d, i in places if d.process_index == 1}

    monkeypatch.setattr(jax, "make_array_from_callback", given)
    for shape in [(8, 1, 1), (4, 2, 1), (2, 2, 2), (1, 1, 8)]:
        sharding = batch_sharding(Mesh(devices.reshape(shape), AXES))
        rows = rows_of_process(sharding, 16, 1)
        own = {"image": whole["image"][rows]}
        placed = put_batch(own, sharding, 16, rows)["image"]
        assert len(placed) == 4
        for found, expected in placed.values():
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mesh", [(1, 1, 1), (2, 1, 1), (1, 3, 1), (1, 1, 2)])
def test_a_process_that_the_mesh_leaves_out_is_named(mesh):
    config = tiny_config(runtime__mesh=mesh, training__batch_size=6)
    with pytest.raises(
        UserError, match=rf"of the 4 processes without any.* process {np.prod(mesh)};"
    ):
        make_mesh(config, pod_devices(4, 1))
