"""Encoders that others trained, recognised by their tensors, as runs of our objectives.

They are Vision Transformers under timm's names, ResNets under torchvision's, either of them in a
checkpoint of MoCo v3's official training, DALL-E's encoder, and what `mubert export` wrote of runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.errors import UserError
from mubert_jax.interop import dalle_weights, resnet_weights, vit_weights
from mubert_jax.interop.files import TensorFile
from mubert_jax.objectives import make_objective
from mubert_jax.training.checkpoints import Weights

# What MoCo v3's training calls the encoder that is meant to be used; the other is its average.
BASE = "base_encoder."
# Heads by the width of its Vision Transformers: its ViT-S has twice as many as timm's.
MOCO_HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}


@dataclass(frozen=True)
class Found:
    """An encoder as a run: its config and weights, the network in words, and notes on the file."""

    config: Config
    weights: Weights
    network: str
    notes: tuple[str, ...] = ()


def in_npz(path: Path) -> Found:
    """The Vision Transformer in an original file of AugReg; raises as `vit_weights` does."""
    return _vit(vit_weights.read_npz(path), path, centred=True)


def find(file: TensorFile, path: Path) -> Found | None:
    """The encoder in a file; None if it holds something else, such as a Micron-BERT.

    Raises:
      UserError: it is not whole, of a size that is not known here, or of another kind of network.
    """
    tensors, heads, notes = file.tensors, vit_weights.HEADS, ()
    of_moco = {n.removeprefix(BASE): x for n, x in tensors.items() if n.startswith(BASE)}
    if of_moco:
        notes = (
            f"MoCo v3: {BASE}* without its projector is taken; left out: "
            f"{', '.join(sorted({n.split('.')[0] for n in tensors} - {BASE[:-1]}))}",
        )
        tensors, heads = of_moco, MOCO_HEADS
    if vit_weights.is_vit(tensors):
        # timm's names of files say whose training it was.
        centred = "augreg" in path.name and not of_moco
        if file.description is not None:
            heads, centred = _described(file.description.config, tensors)
        return _vit(tensors, path, centred, heads, notes)
    if resnet_weights.is_resnet(tensors):
        config, weights = resnet_weights.as_run(tensors, str(path))
        return Found(config, weights, config.objective.options["backbone"], notes)
    if dalle_weights.is_dalle(tensors):
        config, params = dalle_weights.as_run(tensors, str(path))
        options, side = config.objective.options, config.model.patch_size
        network = f"DALL-E's encoder, {options['vocabulary']} visual tokens of {side} pixels"
        return Found(config, Weights(params), network)
    if of_moco:
        raise UserError(
            f"{path} is of MoCo v3 with another network than a Vision Transformer or a ResNet: it "
            f"holds {next(iter(of_moco))}"
        )
    return None


def _vit(
    tensors: Mapping[str, np.ndarray],
    path: Path,
    centred: bool,
    heads: Mapping[int, int] = vit_weights.HEADS,
    notes: tuple[str, ...] = (),
) -> Found:
    config, params = vit_weights.as_run(tensors, str(path), centred, heads)
    options = config.objective.options
    network = (
        f"Vision Transformer, d {options['dim']}, {options['depth']} blocks, {options['heads']} "
        f"heads, patch {options['patch_size']}"
    )
    return Found(config, Weights(params), network, notes)


def check(config: Config, weights: Weights, source: str) -> None:
    """Raises UserError unless the weights are finite, and those that an `encode` would read."""
    objective = make_objective(config)

    def first():
        params = objective.init(jax.random.key(0))
        return {"encoder": params["encoder"]}, objective.extra(params)

    params, extra = jax.eval_shape(first)
    wanted = params, {name: extra[name] for name in weights.extra}
    shapes = jax.tree.map(np.shape, (weights.params, weights.extra))
    if shapes != jax.tree.map(lambda x: x.shape, wanted):
        raise UserError(f"{source} holds no such network: its tensors have other shapes")
    if not all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves((weights.params, weights.extra))
    ):
        raise UserError(f"{source} holds NaN or infinity; take an earlier checkpoint")


def _described(values: dict, tensors: Mapping[str, np.ndarray]) -> tuple[dict[int, int], bool]:
    """Heads by width, and whether pixels are from -1 to 1, as the config of an export has them."""
    config = config_lib.build(values)
    options = make_objective(config).options
    width = tensors["patch_embed.proj.weight"].shape[0]
    heads = {width: getattr(options, "heads", config.model.heads)}
    return heads, getattr(options, "centred", False)
