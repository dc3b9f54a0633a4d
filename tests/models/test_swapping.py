import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from mubert_jax.bench.collectives import collectives_of, count_collectives
from mubert_jax.config import SwappingConfig
from mubert_jax.models.swapping import blockwise_mask, draw_block, swap
from mubert_jax.models.vit import patchify
from mubert_jax.training.sharding import per_example
from mubert_jax.training.step import mean_over_micro_batches

PAPER = SwappingConfig()
GRID = 28


@pytest.fixture(scope="module")
def blocks():
    """2,000 blocks drawn with half the patches missing: (2000, 4) top, left, height, width."""
    keys = jax.random.split(jax.random.key(1), 2000)
    return np.stack(jax.vmap(lambda key: jnp.stack(draw_block(key, 392.0, GRID, PAPER)))(keys))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    grid=st.sampled_from([8, 14, 28]),
    ratio=st.sampled_from([0.25, 0.5, 0.75]),
)
def test_share_is_within_one_smallest_block_of_the_ratio(seed, grid, ratio):
    config = SwappingConfig(ratio=ratio, min_block=8)
    mask = np.asarray(blockwise_mask(jax.random.key(seed), grid, config))
    rounding = 2 * np.sqrt(8 / config.min_aspect) + 1
    assert ratio * grid**2 <= mask.sum() <= ratio * grid**2 + config.min_block + rounding


def test_mask_is_a_union_of_the_blocks_drawn():
    for seed in range(6):
        key = jax.random.key(seed)
        mask = np.asarray(blockwise_mask(key, GRID, PAPER)).reshape(GRID, GRID)
        union = np.zeros_like(mask)
        while union.sum() < PAPER.ratio * GRID**2:
            key, block_key = jax.random.split(key)
            missing = PAPER.ratio * GRID**2 - union.sum()
            top, left, height, width = map(int, draw_block(block_key, missing, GRID, PAPER))
            union[top : top + height, left : left + width] = True
        np.testing.assert_array_equal(mask, union)


def one_loop_for_all(keys_B):
    """The masks by one loop over all keys, whose devices have to agree on every iteration."""
    target = PAPER.ratio * GRID**2
    rows, columns = jnp.arange(GRID)[:, None], jnp.arange(GRID)[None, :]

    def add_block(carry):
        key, mask = carry
        key, block_key = jax.random.split(key)
        top, left, height, width = draw_block(block_key, target - jnp.sum(mask), GRID, PAPER)
        inside = (rows >= top) & (rows < top + height) & (columns >= left)
        return key, mask | (inside & (columns < left + width))

    def mask(key):
        start = key, jnp.zeros((GRID, GRID), bool)
        return jax.lax.while_loop(lambda carry: jnp.sum(carry[1]) < target, add_block, start)[1]

    return jax.vmap(mask)(keys_B).reshape(-1, GRID**2)


def masks_of(keys_B):
    return jax.vmap(lambda key: blockwise_mask(key, GRID, PAPER))(keys_B)


def over_batch(shape):
    """The sharding of a batch over (data, fsdp) of a mesh (data, fsdp, tensor)."""
    devices, axes = jax.devices()[: np.prod(shape)], ("data", "fsdp", "tensor")
    mesh = jax.make_mesh(shape, axes, axis_types=(AxisType.Auto,) * 3, devices=devices)
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def compiled(draw, sharding):
    """`draw` of keys, as a program of the seeds 0 to 15 that are placed as `sharding` says."""
    seeds = jax.device_put(np.arange(16, dtype=np.uint32), sharding)
    program = jax.jit(lambda seeds: draw(jax.vmap(jax.random.key)(seeds)))
    program = program.lower(seeds).compile()
    return np.asarray(program(seeds)), count_collectives(collectives_of(program.as_text()))[0]


@pytest.fixture(scope="module")
def sixteen_masks():
    masks, collectives = compiled(one_loop_for_all, over_batch((4, 1, 1)))
    assert collectives == {"all-reduce in a loop": 1}
    return masks


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 1), (2, 1, 2)])
def test_every_devices_own_loop_draws_the_same_masks_and_asks_no_other(shape, sixteen_masks):
    sharding = over_batch(shape)
    masks, collectives = compiled(per_example(masks_of, sharding), sharding)
    np.testing.assert_array_equal(masks, sixteen_masks)
    assert not collectives


def test_parts_of_a_batch_are_drawn_without_other_devices(sixteen_masks):
    sharding = over_batch((2, 2, 1))

    def mean_of_two(keys):
        draw = per_example(lambda keys: masks_of(keys).astype(int), sharding)
        return mean_over_micro_batches(draw, keys, 2)

    means, collectives = compiled(mean_of_two, sharding)
    np.testing.assert_array_equal(means, sixteen_masks.reshape(8, 2, -1).mean(1))
    assert not collectives


def test_masks_without_devices_to_split_over_are_the_same(sixteen_masks):
    keys = jax.vmap(jax.random.key)(np.arange(16, dtype=np.uint32))
    np.testing.assert_array_equal(masks_of(keys), sixteen_masks)


def test_blocks_fit_and_keep_size_and_aspect(blocks):
    top, left, height, width = blocks.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= GRID).all() and (left + width <= GRID).all()
    narrowest = (np.minimum(height, width) + 0.5) / (np.maximum(height, width) - 0.5)
    assert (narrowest >= PAPER.min_aspect).all()
    assert ((height + 0.5) * (width + 0.5) >= PAPER.min_block).all()
    assert np.corrcoef(height, width)[0, 1] < 0.9
    assert abs(np.mean(np.log(height / width))) < 0.05


def test_places_are_uniform_over_where_a_block_fits(blocks):
    for position, side in ((blocks[:, 0], blocks[:, 2]), (blocks[:, 1], blocks[:, 3])):
        for length in np.unique(side):
            places = GRID - length + 1
            counts = np.bincount(position[side == length], minlength=places)
            expected = counts.sum() / places
            if expected >= 5:
                chi_square = ((counts - expected) ** 2 / expected).sum()
                assert chi_square < places + 5 * np.sqrt(2 * places)


def test_a_block_has_no_side_of_nothing_and_may_have_one_of_one():
    config = SwappingConfig(min_block=1, min_aspect=0.05)
    keys = jax.random.split(jax.random.key(0), 500)
    _, _, height, width = jax.vmap(lambda key: jnp.stack(draw_block(key, 1.0, GRID, config)))(
        keys
    ).T
    assert height.min() == width.min() == 1


def test_a_mask_that_is_full_gets_no_other_block():
    config = SwappingConfig(ratio=0.25, min_block=1, min_aspect=0.9)
    masks = jax.vmap(lambda key: blockwise_mask(key, 2, config))(
        jax.random.split(jax.random.key(0), 20)
    )
    np.testing.assert_array_equal(masks.sum(1), 1)
    assert masks.any(0).all()


def test_masks_differ_between_keys_and_repeat_for_one():
    first, second, again = (
        np.asarray(blockwise_mask(jax.random.key(seed), GRID, PAPER)) for seed in (0, 1, 0)
    )
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)


def test_swapped_pixels_are_the_references_and_all_others_the_currents():
    random = np.random.default_rng(0)
    current, reference = random.normal(size=(2, 3, 64, 64, 3)).astype(np.float32)
    masks = random.random((3, 64)) < 0.5
    swapped = np.asarray(patchify(swap(current, reference, masks, 8), 8))
    np.testing.assert_array_equal(swapped[masks], np.asarray(patchify(reference, 8))[masks])
    np.testing.assert_array_equal(swapped[~masks], np.asarray(patchify(current, 8))[~masks])
