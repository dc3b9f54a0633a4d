"""The PyTorch module and ours agree: same weights, same outputs."""

import numpy as np
import torch
from examples import assert_close
from safetensors.numpy import load_file
from test_parity import IO, PARITY

from mubert_jax.interop.torch_module import MicronBert, MicronBertConfig


def module(**options):
    config = MicronBertConfig(
        image_size=32, dim=32, depth=2, decoder_dim=48, decoder_depth=2, poi=False, **options
    )
    model = MicronBert(config)
    weights = load_file(PARITY / "tiny_weights.safetensors")
    model.load_state_dict({k: torch.tensor(v) for k, v in weights.items()}, strict=True)
    return model.eval()


def run(model):
    with torch.no_grad():
        patches, inside = model(torch.tensor(IO["rep_frame"]), torch.tensor(IO["ref_frame"]))
    return patches.numpy(), {k: v if v is None else v.numpy() for k, v in inside.items()}


def test_official_outputs_with_both_attentions():
    for fused in (True, False):
        patches, inside = run(module(fused_attention=fused))
        assert_close(inside["swapped_tokens"], IO["backbone_rep"])
        assert_close(inside["dma.diagonal"], IO["dma_diagonal"][:, 0])
        assert_close(inside["dma_features"], IO["dma_features"])
        assert_close(patches, IO["decoded_patches"])


def test_cross_attention():
    _, inside = run(module(dma="cross"))
    assert_close(inside["dma_features"], IO["cross_features"])
    assert inside["dma.diagonal"] is None


def test_scores_sum_to_one():
    _, inside = run(module())
    np.testing.assert_allclose(inside["poi_scores"].sum(-1), 1, rtol=1e-6)
