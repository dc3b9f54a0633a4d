import jax
import jax.numpy as jnp
import pytest
from conftest import tiny_config

from mubert_jax.errors import UserError
from mubert_jax.training.sharding import make_mesh, state_shardings


def test_minus_one_takes_what_is_left():
    mesh = make_mesh(tiny_config(runtime__mesh=(-1, 2, 1)), jax.devices()[:4])
    assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "tensor": 1}


@pytest.mark.parametrize("mesh", [(5, 1, 1), (-1, 5, 1), (-1, -1, 1), (0, 1, 1), (2, 4, 1)])
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
