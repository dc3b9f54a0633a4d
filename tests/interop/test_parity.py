"""Conversion and forward pass against the official architecture's own outputs, f32, 1e-5."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from examples import assert_close, assert_identical
from safetensors.numpy import load_file

from mubert_jax.config import build
from mubert_jax.interop.torch_weights import from_official, to_official
from mubert_jax.losses import reconstruction
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.models.swapping import swap
from mubert_jax.models.vit import patchify, sincos_positions, unpatchify

PARITY = Path(__file__).parent.parent / "parity"
WEIGHTS = load_file(PARITY / "tiny_weights.safetensors")
IO = load_file(PARITY / "tiny_io.safetensors")


def tiny_official(kind="diagonal"):
    sizes = {"image_size": 32, "dim": 32, "depth": 2, "heads": 4}
    decoder = {"dim": 48, "depth": 2, "heads": 4}
    dma = {"kind": kind, "chunk": 5, "projection": "separate", "reads": "tokens"}
    poi = {"enabled": False}
    model = sizes | {"decoder": decoder, "dma": dma, "poi": poi}
    return build({"model": model, "swapping": {"min_block": 4}, "loss": {"agreement": "none"}})


def official_model(kind="diagonal"):
    """The model of the official weights, and its variables."""
    config = tiny_official(kind)
    weights, notes = from_official(config, WEIGHTS, "tiny_weights.safetensors")
    assert notes == []
    return MicronBert(config.model), {"params": weights.params}


def images(name):
    return jnp.asarray(IO[name].transpose(0, 2, 3, 1))


@pytest.fixture(scope="module")
def forward():
    model, variables = official_model()
    return model.apply(variables, images("rep_frame"), images("ref_frame"))


@pytest.mark.parametrize("view, name", [("swapped", "backbone_rep"), ("reference", "backbone_ref")])
def test_encoder_tokens(forward, view, name):
    encoded = getattr(forward[1], view)
    assert_close(encoded.contextual_token, IO[name][:, 0])
    assert_close(encoded.tokens, IO[name][:, 1:])


def test_poi_scores_are_the_last_attentions_contextual_row(forward):
    row = IO["last_attention_ref"][:, :, 0].mean(1)[:, 1:]
    assert_close(forward[1].poi_scores, row / row.sum(-1, keepdims=True))


def test_dma_diagonal_and_features(forward):
    assert_close(forward[1].dma.diagonal, IO["dma_diagonal"][:, 0])
    assert_close(forward[1].dma_features, IO["dma_features"])


def test_decoded_patches_and_loss(forward):
    assert_close(forward[0], IO["decoded_patches"])
    loss = reconstruction(forward[0], patchify(images("cur_frame"), 8))
    assert_close(loss, IO["reconstruction_loss"][0])


def test_cross_attention_of_the_released_weights():
    model, variables = official_model("cross")
    _, intermediates = model.apply(variables, images("rep_frame"), images("ref_frame"))
    assert_close(intermediates.dma_features, IO["cross_features"])
    assert intermediates.dma.diagonal is None


def test_fixed_positions():
    assert_close(sincos_positions(4, 32), WEIGHTS["backbone.pos_embed"][0, 1:])
    assert_close(sincos_positions(4, 48), WEIGHTS["decoder_pos_embed"][0, 1:])


def test_swap_with_the_official_mask():
    mask = jnp.asarray(IO["swap_mask"], bool)
    swapped = swap(images("cur_frame"), images("ref_frame"), mask, 8)
    np.testing.assert_array_equal(swapped, images("rep_frame"))


def test_unpatchify_inverts_patchify():
    np.testing.assert_array_equal(
        unpatchify(patchify(images("cur_frame"), 8), 8), images("cur_frame")
    )


def test_the_official_tensors_come_back_as_they_were():
    config = tiny_official()
    weights, _ = from_official(config, WEIGHTS, "file")
    back = to_official(config, weights)
    positions = {name for name in back if name.endswith("pos_embed")}
    assert back.keys() == WEIGHTS.keys()
    for name in back.keys() - positions:
        assert_identical(back[name], WEIGHTS[name])
    for name in positions:
        assert_close(back[name], WEIGHTS[name])
