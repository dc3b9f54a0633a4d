"""Our weights <-> a state dict under the official names.

Where the official model has a tensor that ours lacks, the neutral one is written, and checked when
it is read back.
"""

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from mubert_jax.config import Config, ModelConfig
from mubert_jax.errors import UserError
from mubert_jax.interop.official import from_official_layout, official_name, to_official_layout
from mubert_jax.models.micron_bert import build_model
from mubert_jax.models.vit import sincos_positions
from mubert_jax.training.checkpoints import Weights, abstract_weights

# What a file may hold beyond the model that is asked for.
LEFT_OUT = {
    "student.": "the student's DINO head (loss.agreement is not 'dino')",
    "teacher.": "the EMA teacher (loss.agreement is not 'dino')",
    "dino_loss_fn.": "the teacher's centre (loss.agreement is not 'dino')",
    "fc.": "the official code's auxiliary classifier, which ours lacks",
    "recognizer.": "the recogniser (model.recognizer.classes is 0)",
}
POSITIONS = ("backbone.pos_embed", "decoder_pos_embed")
# Half a bfloat16 step below 1, and some room: fixed positions may have been stored so.
ROUNDING = 5e-3


def to_official(config: Config, weights: Weights) -> dict[str, np.ndarray]:
    """The state dict of the official model, and `recognizer.*` where ours has one."""
    tensors = _named(weights.params)
    tensors |= _absent_attention(config.model, tensors)
    grid, dims = config.model.grid, (config.model.dim, config.model.decoder.dim)
    tensors |= {name: _positions(grid, dim) for name, dim in zip(POSITIONS, dims, strict=True)}
    if weights.teacher is not None:
        tensors |= {
            f"student.{name}": array
            for name, array in tensors.items()
            if name.startswith("backbone.")
        }
        teacher = _named(weights.teacher)
        teacher["backbone.pos_embed"] = tensors["backbone.pos_embed"]
        tensors |= {f"teacher.{name.removeprefix('student.')}": x for name, x in teacher.items()}
        center = np.asarray(weights.center)[None]
        gain = np.ones((center.shape[1], 1), np.float32)
        tensors["dino_loss_fn.center"] = center
        tensors |= {f"{side}.head.last_layer.weight_g": gain for side in ("student", "teacher")}
    return tensors


def from_official(
    config: Config, tensors: dict[str, np.ndarray], source: str
) -> tuple[Weights, list[str]]:
    """Weights for `config` from a state dict (float32), and notes on what was passed over.

    Args:
      config: what the tensors are weights of; `infer.infer_config` finds it.
      tensors: under the official names.
      source: the file, for the messages.

    Raises:
      UserError: missing, unexpected or mis-shaped tensors (a table); a tensor that is not finite,
        or that says something that ours cannot express.
    """
    shapes = abstract_weights(config, build_model(config))
    blank = jax.tree.map(
        lambda leaf: np.broadcast_to(np.float32(0), leaf.shape),
        (shapes.params, shapes.teacher, shapes.center),
    )
    expected = to_official(config, Weights(*blank))
    notes = _resized(config.model, tensors)
    resized = [name for name in expected if name.endswith("pos_embed")] if notes else []
    left_out = [name for name in tensors if name not in expected and name.startswith(_KNOWN)]
    _check_table(source, expected, tensors, set(left_out), resized)
    _check_values(source, config.model, tensors)
    notes += [
        f"left out: {reason}, {count} tensor(s)"
        for prefix, reason in LEFT_OUT.items()
        if (count := sum(name.startswith(prefix) for name in left_out))
    ]

    def read(tree, rename=lambda name: name):
        paths = {path: official_name(path) for path in flatten_dict(tree, sep="/")}
        flat = {
            path: np.ascontiguousarray(from_official_layout(name, tensors[rename(name)]))
            for path, name in paths.items()
        }
        return unflatten_dict(flat, sep="/")

    params = read(shapes.params)
    if shapes.teacher is None:
        return Weights(params), notes
    teacher = read(shapes.teacher, lambda name: f"teacher.{name.removeprefix('student.')}")
    return Weights(params, teacher, tensors["dino_loss_fn.center"][0]), notes


_KNOWN = tuple(LEFT_OUT)


def _named(params):
    named = {}
    for path, array in flatten_dict(params, sep="/").items():
        name = official_name(path)
        named[name] = to_official_layout(name, np.asarray(array))
    return named


def _positions(grid, dim):
    return np.concatenate([np.zeros((1, dim), np.float32), sincos_positions(grid, dim)])[None]


def _absent_attention(model: ModelConfig, tensors) -> dict[str, np.ndarray]:
    """The tensors of the official DMA that ours lacks, such that they change nothing.

    Without DMA, W_q = W_k = 0 makes diag(Â) = 1/N everywhere and W_v = N·I undoes it: the decoder
    reads the tokens, as in ours.
    """
    zero = np.zeros((model.dim, model.dim), np.float32)
    identity = np.eye(model.dim, dtype=np.float32)
    weights = {}
    if model.dma.kind == "none":
        scaled = identity * model.num_patches
        weights = {"to_q": zero, "to_k": zero, "to_v": scaled, "proj": identity}
    elif not model.dma.output_projection:
        weights = {"proj": identity}
    absent = {}
    for name, weight in weights.items():
        absent |= {f"att.{name}.weight": weight, f"att.{name}.bias": weight[0] * 0}
    if model.dma.kind != "none" and model.dma.projection == "shared":
        absent |= {f"att.to_k.{leaf}": tensors[f"att.to_q.{leaf}"] for leaf in ("weight", "bias")}
    return absent


def _resized(model: ModelConfig, tensors) -> list[str]:
    length = tensors["backbone.pos_embed"].shape[1] - 1 if POSITIONS[0] in tensors else None
    if length is None or length == model.num_patches:
        return []
    was = round(length**0.5) * model.patch_size
    return [
        f"positions recomputed for {model.image_size}x{model.image_size} images (the file's are "
        f"for {was}x{was}); weights trained at one size may need more training at another"
    ]


def _check_table(source, expected, tensors, left_out, resized):
    rows = []
    for name in sorted(expected.keys() | tensors.keys() - left_out):
        found = tensors[name].shape if name in tensors else "missing"
        wanted = expected[name].shape if name in expected else "unexpected"
        if found != wanted and name not in resized:
            rows.append((name, str(found), str(wanted)))
    if not rows:
        return
    header = ("tensor", "in the file", "in the model")
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(3)]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )
    raise UserError(
        f"{source} does not fit the model that its shapes and config describe, {len(rows)} "
        "tensor(s) differ; give the right sizes with --config.model.KEY=VALUE, or another file:\n"
        f"{table}"
    )


def _check_values(source, model: ModelConfig, tensors):
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise UserError(f"{source}: {name} holds NaN or infinity; take an earlier checkpoint")
    for name in POSITIONS:
        found = tensors[name]
        fixed = _positions(round((found.shape[1] - 1) ** 0.5), found.shape[2])
        if fixed.shape != found.shape or np.abs(found - fixed).max() > ROUNDING:
            raise UserError(
                f"{source}: {name} is not the fixed 2-D sin-cos encoding; learned positions cannot "
                "be imported"
            )
    for side in ("student", "teacher"):
        gain = tensors.get(f"{side}.head.last_layer.weight_g")
        if gain is not None and (gain != 1).any():
            raise UserError(
                f"{source}: {side}.head.last_layer.weight_g is not 1; import without the DINO "
                "heads: --config.loss.agreement=none"
            )
    if model.dma.kind == "none":
        return
    for name, neutral in _absent_attention(model, tensors).items():
        if not np.array_equal(tensors[name], neutral):
            raise UserError(
                f"{source}: {name} is a projection of its own, which config.model.dma "
                f"(projection={model.dma.projection!r}, output_projection="
                f"{model.dma.output_projection}) has no room for; drop that override"
            )
