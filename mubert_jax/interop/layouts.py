"""How other programs load what `mubert export` wrote of a run of another objective."""

from collections.abc import Callable, Mapping

import numpy as np

from mubert_jax.config import Config
from mubert_jax.models import timm, torchvision
from mubert_jax.models.images import IMAGENET_MEAN, IMAGENET_STD
from mubert_jax.models.resnet import DEPTHS
from mubert_jax.objectives import make_objective
from mubert_jax.training.objective import Params

Tensors = Mapping[str, np.ndarray]


def how_to_load(layout: str, config: Config, tensors: Tensors, params: Params, load: str) -> str:
    """Lines that say what the tensors are, and how they are loaded.

    Args:
      layout: An objective's `layout`.
      config: That of the run.
      tensors: What the objective's `to_take_away` gave.
      params: What the run holds.
      load: An expression that gives the tensors in PyTorch.
    """
    if layout not in _CALLS:
        return f"  names and shapes: {layout}\n  tensors = {load}"
    lines = [f"  left out: {', '.join(beside)}"] if (beside := _beside_encoder(params)) else []
    model, notes = _CALLS[layout](config, tensors)
    lines += [f"With {layout}:", *model, f"  model.load_state_dict({load}, strict=True)", *notes]
    return "\n".join(lines)


def _beside_encoder(params: Params) -> list[str]:
    masks = ["encoder/mask_token"] if "mask_token" in params["encoder"] else []
    return masks + [name for name in params if name != "encoder"]


def _of_timm(config: Config, tensors: Tensors) -> tuple[list[str], list[str]]:
    objective = make_objective(config)
    dim, _, side, _ = tensors["patch_embed.proj.weight"].shape
    grid = round((tensors["pos_embed"].shape[1] - 1) ** 0.5)
    sizes = {
        "img_size": grid * side,
        "patch_size": side,
        "embed_dim": dim,
        "depth": sum(name.endswith(".attn.qkv.weight") for name in tensors),
        "num_heads": getattr(objective.options, "heads", config.model.heads),
        "mlp_ratio": tensors["blocks.0.mlp.fc1.weight"].shape[0] / dim,
        "num_classes": 0,
    }
    arguments = ", ".join(f"{key}={value!r}" for key, value in sizes.items())
    norm = "norm_layer=partial(torch.nn.LayerNorm, eps=1e-6)"
    centred = getattr(objective.options, "centred", False)
    return [f"  model = timm.models.VisionTransformer({arguments}, {norm})"], [
        f"  It reads {'pixels from -1 to 1' if centred else _STANDARDISED}.",
        "  forward_features gives the class token, μ-BERT's contextual token, and all patches.",
    ]


def _of_torchvision(config: Config, tensors: Tensors) -> tuple[list[str], list[str]]:
    found = torchvision.depths_of_resnet(tensors)
    kind = next(name for name, depths in DEPTHS.items() if depths == found)
    return [f"  model = torchvision.models.{kind}()", "  model.fc = torch.nn.Identity()"], [
        f"  It reads {_STANDARDISED}."
    ]


def _triple(of_channels: np.ndarray):
    return ", ".join(f"{value:.3f}" for value in of_channels)


_STANDARDISED = f"pixels / 255, less ({_triple(IMAGENET_MEAN)}), over ({_triple(IMAGENET_STD)})"
_CALLS: Mapping[str, Callable[[Config, Tensors], tuple[list[str], list[str]]]] = {
    timm.LAYOUT: _of_timm,
    torchvision.RESNET_LAYOUT: _of_torchvision,
}
