"""Exports load with `strict=True` into modules that have the official names and shapes."""

import numpy as np
import pytest
import torch
from conftest import tiny_config
from examples import as_torch, assert_close, random_weights
from test_parity import WEIGHTS
from test_round_trip import CONFIGS
from torch import nn

from mubert_jax.config import build, paper_config, to_dict
from mubert_jax.interop.torch_module import MicronBert, MicronBertConfig
from mubert_jax.interop.torch_weights import to_official
from mubert_jax.models.micron_bert import build_model


def tree(**modules):
    return nn.ModuleDict(modules)


def block(dim):
    return tree(
        norm1=nn.LayerNorm(dim),
        attn=tree(qkv=nn.Linear(dim, 3 * dim), proj=nn.Linear(dim, dim)),
        norm2=nn.LayerNorm(dim),
        mlp=tree(fc1=nn.Linear(dim, 4 * dim), fc2=nn.Linear(4 * dim, dim)),
    )


def backbone(model):
    module = tree(
        patch_embed=tree(proj=nn.Conv2d(3, model.dim, model.patch_size, model.patch_size)),
        blocks=nn.ModuleList(block(model.dim) for _ in range(model.depth)),
        norm=nn.LayerNorm(model.dim),
    )
    module.cls_token = nn.Parameter(torch.zeros(1, 1, model.dim))
    module.pos_embed = nn.Parameter(torch.zeros(1, model.num_patches + 1, model.dim))
    return module


def dino_head(dim, dino):
    sizes = (dim, dino.hidden_dim, dino.hidden_dim, dino.bottleneck_dim)
    linear = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
    last = nn.Linear(dino.bottleneck_dim, dino.output_dim, bias=False)
    return tree(
        mlp=nn.Sequential(linear[0], nn.GELU(), linear[1], nn.GELU(), linear[2]),
        last_layer=nn.utils.weight_norm(last),
    )


def official_shaped(config, enable_dino):
    """Modules that hold what the official model holds; they compute nothing."""
    model, decoder = config.model, config.model.decoder
    linear = {name: nn.Linear(model.dim, model.dim) for name in ("to_q", "to_k", "to_v", "proj")}
    module = tree(
        backbone=backbone(model),
        att=tree(**linear),
        decoder_embed=nn.Linear(model.dim, decoder.dim),
        decoder_blocks=nn.ModuleList(block(decoder.dim) for _ in range(decoder.depth)),
        decoder_norm=nn.LayerNorm(decoder.dim),
        decoder_pred=nn.Linear(decoder.dim, model.patch_size**2 * 3),
    )
    module.decoder_pos_embed = nn.Parameter(torch.zeros(1, model.num_patches + 1, decoder.dim))
    if enable_dino:
        heads = [dino_head(model.dim, config.loss.dino) for _ in range(2)]
        module["student"] = tree(backbone=module["backbone"], head=heads[0])
        module["teacher"] = tree(backbone=backbone(model), head=heads[1])
        module["dino_loss_fn"] = nn.Module()
        module["dino_loss_fn"].register_buffer(
            "center", torch.zeros(1, config.loss.dino.output_dim)
        )
    return module


def test_the_shaped_modules_have_the_official_names():
    decoder = {"dim": 48, "depth": 2, "heads": 4}
    sizes = {"image_size": 32, "dim": 32, "depth": 2, "heads": 4, "decoder": decoder}
    config = build({"model": sizes, "swapping": {"min_block": 4}})
    module = official_shaped(config, False)
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert shapes == {name: array.shape for name, array in WEIGHTS.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_loads_strictly(name):
    config = tiny_config(**CONFIGS[name])
    tensors = as_torch(to_official(config, random_weights(config)))
    module = official_shaped(config, enable_dino=config.loss.agreement == "dino")
    module.load_state_dict(tensors, strict=True)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, tensors[key], rtol=0, atol=0)


def test_the_papers_size_loads_strictly():
    config = build(paper_config())
    tensors = as_torch(to_official(config, random_weights(config)))
    official_shaped(config, enable_dino=True).load_state_dict(tensors, strict=True)


@pytest.mark.parametrize("name", ["mb1", "mb2", "shared", "no output projection"])
def test_the_official_computation_gives_our_outputs(name):
    """The neutral tensors change nothing: DMA diagonal, no POI, as the official forward()."""
    config = tiny_config(**CONFIGS[name] | {"model__poi__enabled": False})
    weights = random_weights(config)
    sizes = MicronBertConfig.from_model_section(to_dict(config)["model"], dma="diagonal")
    official = MicronBert.from_tensors(as_torch(to_official(config, weights)), sizes)
    onset, apex = np.random.default_rng(1).standard_normal((2, 3, 32, 32, 3)).astype(np.float32)
    ours, inside = build_model(config).apply({"params": weights.params}, onset, apex)
    with torch.no_grad():
        theirs, seen = official(*(torch.tensor(x.transpose(0, 3, 1, 2)) for x in (onset, apex)))
    assert_close(ours, theirs)
    assert_close(inside.dma_features, seen["dma_features"])
