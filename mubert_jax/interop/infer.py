"""The config of an official checkpoint, from the shapes of its tensors and its `args`."""

import numpy as np

from mubert_jax.errors import UserError

# Sizes that the shapes do not show; the official models have 4 heads in encoder and decoder.
HEADS = 4


def infer_config(tensors: dict[str, np.ndarray], args: dict, source: str) -> tuple[dict, list[str]]:
    """Values for `config.build`, and notes on what was assumed.

    Args:
      tensors: under the official names.
      args: the official training's arguments, as far as the file has them.
      source: the file, for the messages.

    Raises:
      UserError: a tensor that every official model has is missing.
    """

    def shape(name, rank=2):
        if name not in tensors:
            raise UserError(
                f"{source} is no Micron-BERT under the official names: it lacks {name}; it holds "
                f"{len(tensors)} tensor(s), such as {', '.join(sorted(tensors)[:3])}"
            )
        if tensors[name].ndim != rank:
            raise UserError(
                f"{source} is no Micron-BERT: {name} has the shape {tensors[name].shape}, not "
                f"{rank} dimensions"
            )
        return tensors[name].shape

    dim, _, patch_size, _ = shape("backbone.patch_embed.proj.weight", 4)
    num_patches = shape("backbone.pos_embed", 3)[1] - 1
    grid = round(num_patches**0.5)
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
        "dma": {"kind": "diagonal" if args.get("diag_att", True) else "cross"},
        "poi": {"enabled": False},
    }
    notes = [
        f"heads: {HEADS} and {HEADS} assumed, as in the official models; the shapes do not show "
        "them (--config.model.heads=N, --config.model.decoder.heads=N)",
        "POI off: the official model has none (--config.model.poi.enabled=True puts it on)",
    ]
    if "diag_att" not in args:
        notes.append(
            "DMA diagonal assumed: the file has no training arguments (the released weights were "
            "trained with --config.model.dma.kind=cross)"
        )
    values = {
        "model": model,
        "swapping": {"min_block": max(1, min(16, num_patches // 4))},
        "loss": {"agreement": "none"},
    }
    if any(name.startswith("student.head.") for name in tensors):
        hidden_dim, _ = shape("student.head.mlp.0.weight")
        head = hidden_dim, *shape("student.head.last_layer.weight_v")
        values["loss"] = _dino(*head, args, patch_size)
    return values, notes


def _dino(hidden_dim, output_dim, bottleneck_dim, args, patch_size) -> dict:
    dino = {
        "hidden_dim": hidden_dim,
        "output_dim": output_dim,
        "bottleneck_dim": bottleneck_dim,
    }
    if "teacher_temp" in args:
        dino["teacher_temperature"] = float(args["teacher_temp"])
    if "warmup_teacher_temp" in args:
        dino["warmup_teacher_temperature"] = float(args["warmup_teacher_temp"])
    crop = {"local_size": max(1, 96 // patch_size) * patch_size}
    if "local_crops_number" in args:
        crop["local_crops"] = int(args["local_crops_number"])
    return {"agreement": "dino", "dino": dino, "crop": crop}


def _depth(tensors, prefix) -> int:
    blocks = {
        name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)
    }
    return len(blocks)
