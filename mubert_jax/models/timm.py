"""Vision Transformers under timm's names, and the parameters of the same encoders in Flax.

A linear weight is (out, in) there and (in, out) here; the patch embedding is a convolution there
and a matrix over patches laid out (row, column, channel) here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mubert_jax.config import ModelConfig
from mubert_jax.models.vit import sincos_positions

LAYOUT = "timm"
_BLOCK = re.compile(r"blocks\.(\d+)\.(norm1|norm2|attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc2)")
_BESIDE = ("cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias")
_NORM = ("norm.weight", "norm.bias")


def unknown(names: Iterable[str]) -> list[str]:
    """Those of the names that no plain Vision Transformer's encoder has."""
    return [
        name
        for name in names
        if name not in (*_BESIDE, *_NORM)
        and not _BLOCK.fullmatch(name.removesuffix(".weight").removesuffix(".bias"))
    ]


def encoder(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The parameters of `objectives.vit_imagenet`'s encoder.

    Raises:
      KeyError, ValueError: a tensor is missing, or has another number of dimensions.
    """
    dim = tensors["patch_embed.proj.weight"].shape[0]
    params: dict[str, Any] = {
        "cls_token": tensors["cls_token"].reshape(1, dim),
        "pos_embed": tensors["pos_embed"].reshape(-1, dim),
        "patch_embed": {
            "kernel": tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0).reshape(-1, dim),
            "bias": tensors["patch_embed.proj.bias"],
        },
        "norm": {"scale": tensors["norm.weight"], "bias": tensors["norm.bias"]},
    }
    for name, weight in tensors.items():
        if not (found := _BLOCK.fullmatch(name.removesuffix(".weight"))):
            continue
        node = params.setdefault(f"blocks_{found[1]}", {})
        *outer, last = found[2].split(".")
        for part in outer:
            node = node.setdefault(part, {})
        node[last] = {"scale": weight} if weight.ndim == 1 else {"kernel": weight.T}
        node[last]["bias"] = tensors[name.removesuffix("weight") + "bias"]
    return params


def state_dict(params: Mapping[str, Any], channels: int = 3) -> dict[str, np.ndarray]:
    """The inverse of `encoder`; the tensors that no plain Vision Transformer has are left out."""
    kernel = np.asarray(params["patch_embed"]["kernel"])
    side, dim = round((len(kernel) / channels) ** 0.5), kernel.shape[1]
    tensors = {
        "cls_token": np.asarray(params["cls_token"])[None],
        "pos_embed": np.asarray(params["pos_embed"])[None],
        "patch_embed.proj.weight": kernel.reshape(side, side, channels, dim).transpose(3, 2, 0, 1),
        "patch_embed.proj.bias": np.asarray(params["patch_embed"]["bias"]),
    }
    for i in range(sum(name.startswith("blocks_") for name in params)):
        block = params[f"blocks_{i}"]
        for outer, inner in (("attn", "qkv"), ("attn", "proj"), ("mlp", "fc1"), ("mlp", "fc2")):
            layer, name = block[outer][inner], f"blocks.{i}.{outer}.{inner}"
            tensors[f"{name}.weight"] = np.asarray(layer["kernel"]).T
            tensors[f"{name}.bias"] = np.asarray(layer["bias"])
        for norm in ("norm1", "norm2"):
            tensors |= _norm(f"blocks.{i}.{norm}", block[norm])
    return tensors | _norm("norm", params["norm"])


def of_micron_encoder(params: Mapping[str, Any], config: ModelConfig) -> dict[str, np.ndarray]:
    """A state dict of `models.micron_bert.MicronEncoder`, whose fixed positions become tensors.

    The contextual token, which has no position, is the class token. The token for masked patches
    is left out: a plain Vision Transformer reads all patches.
    """
    fixed = sincos_positions(config.grid, config.dim)
    positions = np.concatenate([np.zeros((1, config.dim), np.float32), fixed])
    token = np.asarray(params["contextual_token"])[None]
    return state_dict({**params, "cls_token": token, "pos_embed": positions})


def _norm(name: str, norm: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {f"{name}.weight": np.asarray(norm["scale"]), f"{name}.bias": np.asarray(norm["bias"])}
