import jax
import jax.numpy as jnp
import pytest
from conftest import tiny_config
from jax.sharding import PartitionSpec

from mubert_jax.errors import UserError
from mubert_jax.training.sharding import AXES, batch_sharding, make_mesh, state_shardings


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
    config = tiny_config(runtime__mesh=mesh, training__batch_size=8, training__accumulate=4)
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
