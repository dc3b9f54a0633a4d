import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mubert_jax.training.checksums import _on_devices, checksum

RANDOM = np.random.default_rng(0)


def tree():
    return {
        "kernel": RANDOM.normal(size=(8, 12)).astype(np.float32),
        "bias": np.zeros(12, np.float32),
        "half": jnp.asarray(RANDOM.normal(size=7), jnp.bfloat16),
        "step": np.int32(-3),
        "none": np.zeros((0, 2), np.float32),
    }


def test_any_one_bit_changes_it():
    values = tree()
    whole = checksum(values)
    for name in ("kernel", "bias"):
        for _ in range(50):
            damaged = values[name].copy()
            bits = damaged.reshape(-1).view(np.uint32)
            bits[RANDOM.integers(bits.size)] ^= np.uint32(1 << RANDOM.integers(32))
            assert checksum(values | {name: damaged}) != whole
    assert checksum(values | {"step": np.int32(-4)}) != whole


def test_places_and_arrays_are_told_apart():
    first, second = np.float32([1, 2]), np.float32([3, 4])
    sums = {
        checksum(x)
        for x in ([first, second], [second, first], [first[::-1], second], [first], [first, first])
    }
    assert len(sums) == 5


@pytest.mark.parametrize("axes", [("x", None), (None, "x"), (None, None)])
def test_a_pod_finds_what_one_process_finds_however_it_is_sharded(axes):
    values = tree()
    mesh = jax.make_mesh((4,), ("x",))
    sharded = values | {
        "kernel": jax.device_put(values["kernel"], NamedSharding(mesh, PartitionSpec(*axes)))
    }
    assert checksum(sharded) == checksum(values)
    assert int(_on_devices(jax.tree.leaves(sharded))) == checksum(values)


def test_precision_is_none_of_its_business():
    half = np.float16([0.5, -2.25, 0])
    assert checksum(half) == checksum(half.astype(np.float32)) == checksum(jnp.bfloat16(half))
