"""MagNet computes what its layers say, with the paper's layout and with the PyTorch port's."""

import jax
import numpy as np
import pytest
import torch
from magnet_files import made_up, port_tensors

from mubert_jax.models import magnet_weights
from mubert_jax.models.magnet import PAPER, PORT
from mubert_jax.motion_maps.magnet import magnifier

FRAMES = np.random.default_rng(0).integers(0, 255, (2, 20, 24, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def magnify():
    return magnifier(PAPER, made_up(PAPER))


@pytest.mark.parametrize("layout, parameters, tensors", [(PAPER, 920_803, 84), (PORT, 877_968, 42)])
def test_sizes(layout, parameters, tensors):
    leaves = jax.tree.leaves(magnet_weights.shapes(layout))
    assert (sum(leaf.size for leaf in leaves), len(leaves)) == (parameters, tensors)


def test_a_factor_of_one_shows_the_second_frame_whatever_the_first_one_was(magnify):
    first, second = FRAMES
    alone = magnify(second, second, 1.0)
    np.testing.assert_allclose(magnify(first, second, 1.0), alone, atol=1e-2)
    assert np.abs(magnify(first, second, 4.0) - alone).max() > 1


def test_between_equal_frames_there_is_nothing_to_multiply():
    params = made_up(PAPER)
    params["manipulator"]["difference"]["bias"] *= 0
    magnify = magnifier(PAPER, params)
    first, _ = FRAMES
    np.testing.assert_allclose(magnify(first, first, 30.0), magnify(first, first, 1.0), atol=1e-2)


def test_frames_of_any_size_are_those_of_a_larger_one_with_repeated_edges(magnify):
    first, second = (frame[:18, :21] for frame in FRAMES)
    larger = [np.pad(x, ((0, 2), (0, 3), (0, 0)), mode="edge") for x in (first, second)]
    seen = magnify(first, second, 3.0)
    assert seen.shape == (18, 21, 3)
    np.testing.assert_array_equal(seen, magnify(*larger, 3.0)[:18, :21])


def in_torch(tensors, first, second, factor):
    """The port's computation, of images (1, 3, H, W)."""
    state = {name: torch.from_numpy(x) for name, x in tensors.items()}

    def conv(x, name, stride=1):
        kernel = state[f"{name}.conv2d.weight"]
        around = [kernel.shape[-1] // 2] * 4
        padded = torch.nn.functional.pad(x, around, mode="reflect")
        return torch.nn.functional.conv2d(padded, kernel, stride=stride)

    def block(x, name):
        return x + conv(conv(x, f"{name}.cba_1").relu(), f"{name}.cba_2")

    def blocks(x, name, count):
        for i in range(count):
            x = block(x, f"{name}.{i}")
        return x

    def encode(x):
        x = conv(conv(x, "encoder.cba_1").relu(), "encoder.cba_2", 2).relu()
        x = blocks(x, "encoder.resblks", 3)
        texture = conv(x, "encoder.texture_cba", 2).relu()
        shape = conv(x, "encoder.motion_cba").relu()
        texture = blocks(texture, "encoder.texture_resblks", 2)
        return texture, blocks(shape, "encoder.motion_resblks", 2)

    def twice(x):
        return torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")

    (_, before), (texture, after) = encode(first), encode(second)
    moved = factor * conv(after - before, "manipulator.g").relu()
    after = after + block(conv(moved, "manipulator.h_conv"), "manipulator.h_resblk")
    x = blocks(torch.cat([twice(texture), after], 1), "decoder.resblks", 9)
    return conv(conv(twice(x), "decoder.cba_1").relu(), "decoder.cba_2")


def test_the_port_in_torch():
    tensors = port_tensors()
    layout, params = magnet_weights.from_tensors(tensors)
    assert layout == PORT and len(tensors) == 42
    images = [torch.from_numpy(x[None] / np.float32(127.5) - 1).permute(0, 3, 1, 2) for x in FRAMES]
    expected = in_torch(tensors, *images, 3.0)[0].permute(1, 2, 0).numpy()
    expected = np.clip((expected + 1) * 127.5, 0, 255)
    assert expected.std() > 5
    np.testing.assert_allclose(magnifier(layout, params)(*FRAMES, 3.0), expected, atol=0.05)


@pytest.mark.parametrize("layout", [PAPER, PORT])
def test_tensors_and_back(layout):
    params = made_up(layout)
    tensors = port_tensors() if layout == PORT else magnet_weights.to_tensors(params)
    wrapped = {f"module.{name}": tensor for name, tensor in tensors.items()}
    for given in (tensors, wrapped):
        found, back = magnet_weights.from_tensors(given)
        assert found == layout
        jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda t: t.pop("decoder.conv_2.bias"), "lacks decoder.conv_2.bias"),
        (lambda t: t.update(other=np.ones(3)), "other is no part of it"),
        (lambda t: t.update({"decoder.conv_2.bias": np.ones(4)}), "another shape, (4,)"),
        (lambda t: t["encoder.conv_1.weight"].__setitem__(0, np.nan), "is not finite"),
    ],
)
def test_other_tensors_are_refused(change, said):
    tensors = magnet_weights.to_tensors(made_up(PAPER))
    change(tensors)
    with pytest.raises(ValueError) as raised:
        magnet_weights.from_tensors(tensors)
    assert said in str(raised.value)
