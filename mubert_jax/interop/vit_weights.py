"""Vision Transformers of ImageNet as AugReg (.npz), timm and DeiT distribute them."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mubert_jax.config import Config, ModelConfig, ObjectiveConfig
from mubert_jax.errors import UserError
from mubert_jax.models import timm
from mubert_jax.objectives.vit_imagenet import Options
from mubert_jax.training.objective import Params

# Heads by the width of the models that timm, DeiT and AugReg distribute.
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}
# Tensors that are no part of the encoder: classifiers, and what is between them and the last norm.
LEFT_OUT = re.compile(r"(head|head_dist|pre_logits|fc_norm)\b.*")
NPZ = "Transformer/posembed_input/pos_embedding"


def is_vit(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether these are the tensors of such a model, under timm's names."""
    return {"cls_token", "pos_embed", "patch_embed.proj.weight", "norm.weight"} <= tensors.keys()


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The tensors of an .npz file in the layout of the original Flax code, under timm's names.

    Raises:
      UserError: it cannot be read, or holds something else.
    """
    try:
        with np.load(path) as file:
            if NPZ not in file:
                raise UserError(f"{path} holds no Vision Transformer: it lacks {NPZ}")
            arrays = dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    try:
        return _by_timms_names(arrays)
    except KeyError as error:
        raise UserError(f"{path} holds no whole Vision Transformer: {error}") from error


def _by_timms_names(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kernel = arrays["embedding/kernel"]
    tensors = {
        "cls_token": arrays["cls"],
        "pos_embed": arrays[NPZ],
        "patch_embed.proj.weight": kernel.transpose(3, 2, 0, 1),
        "patch_embed.proj.bias": arrays["embedding/bias"],
        "norm.weight": arrays["Transformer/encoder_norm/scale"],
        "norm.bias": arrays["Transformer/encoder_norm/bias"],
    }
    dim, number = kernel.shape[-1], 0
    while f"Transformer/encoderblock_{number}/LayerNorm_0/scale" in arrays:
        ours, theirs = f"blocks.{number}", f"Transformer/encoderblock_{number}"
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        projected = [arrays[f"{attention}/{x}/kernel"].reshape(dim, dim) for x in _QKV]
        biases = [arrays[f"{attention}/{x}/bias"].reshape(dim) for x in _QKV]
        tensors |= {
            f"{ours}.attn.qkv.weight": np.concatenate(projected, axis=1).T,
            f"{ours}.attn.qkv.bias": np.concatenate(biases),
            f"{ours}.attn.proj.weight": arrays[f"{attention}/out/kernel"].reshape(dim, dim).T,
            f"{ours}.attn.proj.bias": arrays[f"{attention}/out/bias"],
        }
        for name, norm in (("norm1", "LayerNorm_0"), ("norm2", "LayerNorm_2")):
            tensors[f"{ours}.{name}.weight"] = arrays[f"{theirs}/{norm}/scale"]
            tensors[f"{ours}.{name}.bias"] = arrays[f"{theirs}/{norm}/bias"]
        for name, dense in (("fc1", "Dense_0"), ("fc2", "Dense_1")):
            layer = f"{theirs}/MlpBlock_3/{dense}"
            tensors[f"{ours}.mlp.{name}.weight"] = arrays[f"{layer}/kernel"].T
            tensors[f"{ours}.mlp.{name}.bias"] = arrays[f"{layer}/bias"]
        number += 1
    return tensors


_QKV = ("query", "key", "value")


def as_run(
    tensors: Mapping[str, np.ndarray],
    source: str,
    centred: bool,
    heads: Mapping[int, int] = HEADS,
) -> tuple[Config, Params]:
    """Config and parameters of `objectives.vit_imagenet`, for frames of the size of its own images.

    Args:
      tensors: under timm's names; a classifier is left out.
      source: the file, for messages.
      centred: as `Options.centred`.
      heads: the number of heads by the width, which no tensor shows.

    Raises:
      UserError: a tensor is missing, or has another shape.
    """
    for name in timm.unknown(tensors):
        if not LEFT_OUT.fullmatch(name):
            raise UserError(f"{source} is no plain Vision Transformer: it holds {name}")
    try:
        encoder = timm.encoder(tensors)
        dim, _, side, _ = tensors["patch_embed.proj.weight"].shape
        grid = round((len(encoder["pos_embed"]) - 1) ** 0.5)
    except (KeyError, ValueError) as error:
        raise UserError(f"{source} holds no whole Vision Transformer: {error}") from error
    if (number := heads.get(dim)) is None:
        raise UserError(
            f"{source} is {dim} wide; the Vision Transformers that are known here are "
            f"{', '.join(map(str, heads))} wide"
        )
    options = Options(
        dim=dim,
        depth=sum(name.startswith("blocks_") for name in encoder),
        heads=number,
        patch_size=side,
        grid=grid,
        centred=centred,
    )
    objective = ObjectiveConfig(name="vit_imagenet", options=vars(options))
    model = ModelConfig(image_size=side * grid)
    return Config(objective=objective, model=model), {"encoder": encoder}
