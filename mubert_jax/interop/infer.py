"""The config of an official checkpoint, from the shapes of its tensors and its `args`."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from mubert_jax.errors import UserError

# The official models have 4 heads in encoder and decoder; no shape shows them.
HEADS = 4

Value = TypeVar("Value")


def infer_config(
    tensors: Mapping[str, np.ndarray], args: Mapping, source: str
) -> tuple[dict, dict[str, str]]:
    """Values for `config.build`, and what was assumed, by config key.

    Args:
      tensors: The tensors, by official name.
      args: The official training's arguments, as far as the file has them.
      source: The file, for messages.

    Raises:
      UserError: A tensor that every official model has is missing or of another rank, or an
        argument has another type.
    """

    def shape(name: str, rank: int = 2) -> tuple[int, ...]:
        if name not in tensors:
            raise UserError(
                f"{source} is no Micron-BERT under the official names: it lacks {name}; it holds "
                f"{len(tensors)} tensor(s), such as {', '.join(sorted(tensors)[:3])}"
            )
        found = tensors[name].shape
        if len(found) != rank or 0 in found:
            raise UserError(
                f"{source} is no Micron-BERT: {name} has the shape {found}, not {rank} dimensions "
                "of 1 and more"
            )
        return found

    def argument(name: str, kind: type[Value], default: Value) -> Value:
        value = args.get(name, default)
        if not isinstance(value, kind):
            raise UserError(
                f"{source}: its training argument {name} is {value!r}, no {kind.__name__}"
            )
        return value

    dim, _, patch_size, _ = shape("backbone.patch_embed.proj.weight", 4)
    positions = shape("backbone.pos_embed", 3)[1]
    grid = round((positions - 1) ** 0.5)
    if grid < 1 or grid**2 + 1 != positions:
        raise UserError(
            f"{source}: backbone.pos_embed holds {positions} positions; square images have n² + 1"
        )
    model = {
        "image_size": grid * patch_size,
        "patch_size": patch_size,
        "dim": dim,
        "depth": _depth(tensors, "backbone.blocks."),
        "heads": HEADS,
        "mlp_ratio": shape("backbone.blocks.0.mlp.fc1.weight")[0] / dim,
        "decoder": {
            "dim": shape("decoder_embed.weight")[0],
            "depth": _depth(tensors, "decoder_blocks."),
            "heads": HEADS,
        },
        "dma": {
            "kind": "diagonal" if argument("diag_att", bool, True) else "cross",
            "projection": "separate",
            "reads": "tokens",
        },
        "poi": {"enabled": False},
    }
    assumed = {
        "model.heads": f"{HEADS} heads assumed, as in the official models",
        "model.decoder.heads": f"{HEADS} heads assumed, as in the official models",
        "model.poi.enabled": "False, as the official model was trained; True weighs DMA by POI",
    }
    if "diag_att" not in args:
        assumed["model.dma.kind"] = (
            "diagonal assumed: the file has no training arguments (the released weights were "
            "trained with 'cross')"
        )
    loss = {"agreement": "none"}
    if any(name.startswith("student.head.") for name in tensors):
        # What the file does not say, such as the crops' 96 pixels, is as in DINO.
        output_dim, bottleneck_dim = shape("student.head.last_layer.weight_v")
        local_size = max(1, 96 // patch_size) * patch_size
        local_crops = argument("local_crops_number", int, 8)
        loss = {
            "agreement": "dino",
            "crop": {"local_size": local_size, "local_crops": local_crops},
            "dino": {
                "hidden_dim": shape("student.head.mlp.0.weight")[0],
                "output_dim": output_dim,
                "bottleneck_dim": bottleneck_dim,
                "teacher_temperature": argument("teacher_temp", float, 0.04),
                "warmup_teacher_temperature": argument("warmup_teacher_temp", float, 0.04),
            },
        }
    # Our default, 16, or what fits several times into a small grid; no weight depends on it.
    swapping = {"min_block": max(1, min(16, grid**2 // 4))}
    return {
        "model": model,
        "swapping": swapping,
        "loss": loss | {"warp_weight": 0.0, "expectation_weight": 0.0},
        "perception": {"align": "none"},
    }, assumed


def _depth(tensors: Mapping[str, np.ndarray], prefix: str):
    names = (name.removeprefix(prefix) for name in tensors if name.startswith(prefix))
    return len({name.split(".")[0] for name in names})
