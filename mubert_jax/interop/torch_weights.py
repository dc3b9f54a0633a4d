"""Our weights <-> a state dict under the official names.

Where the official model has a tensor that ours lacks, a neutral one is written, and checked when it
is read back.
"""

import collections
from collections.abc import Callable, Mapping

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from mubert_jax.config import Config, ModelConfig
from mubert_jax.errors import UserError
from mubert_jax.interop.official import from_official_layout, official_name, to_official_layout
from mubert_jax.losses import AGREEMENTS
from mubert_jax.models.vit import sincos_positions
from mubert_jax.objectives.micron_bert import MicronBertObjective
from mubert_jax.training.checkpoints import Weights

POSITIONS = ("backbone.pos_embed", "decoder_pos_embed")
# How far stored positions may be from the fixed ones: more than half a bfloat16 step below 1, 2e-3,
# as they may have been stored in bfloat16, and far less than learned ones differ.
ROUNDING = 5e-3


def to_official(config: Config, weights: Weights) -> dict[str, np.ndarray]:
    """The state dict of the official model, with `recognizer.*` if ours has one."""
    tensors = _named(weights.params)
    tensors |= _absent_attention(config.model, tensors)
    grid, dims = config.model.grid, (config.model.dim, config.model.decoder.dim)
    tensors |= {name: _positions(grid, dim) for name, dim in zip(POSITIONS, dims, strict=True)}
    if weights.extra:
        tensors |= {
            f"student.{name}": array
            for name, array in tensors.items()
            if name.startswith("backbone.")
        }
        teacher = _named(weights.extra["teacher"])
        teacher["backbone.pos_embed"] = tensors["backbone.pos_embed"]
        tensors |= {f"teacher.{name.removeprefix('student.')}": x for name, x in teacher.items()}
        center = np.asarray(weights.extra["center"])[None]
        gain = np.ones((center.shape[1], 1), np.float32)
        tensors["dino_loss_fn.center"] = center
        tensors |= {f"{side}.head.last_layer.weight_g": gain for side in ("student", "teacher")}
    return tensors


def from_official(
    config: Config, tensors: Mapping[str, np.ndarray], source: str
) -> tuple[Weights, list[str]]:
    """Weights for `config` from a state dict (float32), and notes on what was left out.

    Args:
      config: The model that the tensors are weights of; `infer.infer_config` finds it.
      tensors: The tensors, by official name.
      source: The file, for messages.

    Raises:
      UserError: Tensors are missing, unexpected or of another shape (a table of them), are not
        finite, or express something that our model cannot.
    """
    shapes = abstract_weights(config)
    blank = jax.tree.map(
        lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), (shapes.params, shapes.extra)
    )
    expected = to_official(config, Weights(*blank))
    left_out = {
        name: reason
        for prefix, reason in _not_of_this_model(config).items()
        for name in tensors.keys() - expected.keys()
        if name.startswith(prefix)
    }
    tensors = {name: array for name, array in tensors.items() if name not in left_out}
    _check_table(source, expected, tensors)
    _check_values(source, tensors)
    notes = [
        f"left out: {reason}, {count} tensor(s)"
        for reason, count in collections.Counter(left_out.values()).items()
    ]
    notes += _check_copies(source, config.model, tensors)
    notes += _check_positions(source, config.model, tensors)

    def read(tree: dict, rename: Callable[[str], str] = lambda name: name):
        paths = {path: official_name(path) for path in flatten_dict(tree, sep="/")}
        flat = {
            path: np.ascontiguousarray(from_official_layout(name, tensors[rename(name)]))
            for path, name in paths.items()
        }
        return unflatten_dict(flat, sep="/")

    params = read(shapes.params)
    if not shapes.extra:
        return Weights(params), notes
    teacher = read(shapes.extra["teacher"], lambda name: f"teacher.{name.removeprefix('student.')}")
    return Weights(params, {"teacher": teacher, "center": tensors["dino_loss_fn.center"][0]}), notes


def abstract_weights(config: Config) -> Weights:
    """The shapes of the weights in a pretraining with this config."""

    def first_weights():
        objective = MicronBertObjective(config)
        params = objective.init(jax.random.key(0))
        return params, objective.extra(params)

    return Weights(*jax.eval_shape(first_weights))


def _not_of_this_model(config: Config) -> dict[str, str]:
    """What a file may hold beyond the model that is asked for: beginning of a name -> reason."""
    reasons = {"fc.": "the official code's auxiliary classifier, which ours lacks"}
    if not AGREEMENTS[config.loss.agreement].teacher:
        agreement = f"config.loss.agreement is {config.loss.agreement!r}"
        reasons["student."] = f"the student's DINO head ({agreement})"
        reasons["teacher."] = f"the EMA teacher ({agreement})"
        reasons["dino_loss_fn."] = f"the teacher's centre ({agreement})"
    if not config.model.recognizer.classes:
        reasons["recognizer."] = "the recognizer (config.model.recognizer.classes is 0)"
    return reasons


def _named(params: dict):
    named = {}
    for path, array in flatten_dict(params, sep="/").items():
        name = official_name(path)
        named[name] = to_official_layout(name, np.asarray(array))
    return named


def _positions(grid: int, dim: int):
    return np.concatenate([np.zeros((1, dim), np.float32), sincos_positions(grid, dim)])[None]


def _absent_attention(
    model: ModelConfig, tensors: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The tensors of the official DMA that ours lacks, with values that change nothing.

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
    compares = model.dma.kind != "none" and model.dma.reads != "motion"
    if compares and model.dma.projection == "shared":
        absent |= {f"att.to_k.{leaf}": tensors[f"att.to_q.{leaf}"] for leaf in ("weight", "bias")}
    return absent


def _check_table(
    source: str, expected: Mapping[str, np.ndarray], tensors: Mapping[str, np.ndarray]
):
    rows = []
    for name in sorted(expected.keys() | tensors.keys()):
        found = tensors[name].shape if name in tensors else "missing"
        wanted = expected[name].shape if name in expected else "unexpected"
        if found != wanted and not _other_grid(name, found, wanted):
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


def _other_grid(name: str, found: tuple[int, ...] | str, wanted: tuple[int, ...] | str):
    """Whether these are positions for another number of patches, which are recomputed, not read."""
    return (
        name.endswith("pos_embed")
        and not isinstance(found, str)
        and not isinstance(wanted, str)
        and len(found) == 3
        and (found[0], found[2]) == (wanted[0], wanted[2])
    )


def _check_values(source: str, tensors: Mapping[str, np.ndarray]):
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise UserError(f"{source}: {name} holds NaN or infinity; take an earlier checkpoint")
        if name.endswith("last_layer.weight_g") and (array != 1).any():
            raise UserError(
                f"{source}: {name} is not 1; import without the DINO heads: "
                "--config.loss.agreement=none"
            )


def _check_copies(source: str, model: ModelConfig, tensors: Mapping[str, np.ndarray]):
    """Tensors that ours lacks must change nothing, and the student's encoder be the encoder."""
    notes = []
    if model.dma.kind == "none":
        if tensors["att.to_q.weight"].any() or tensors["att.to_k.weight"].any():
            notes.append("left out: DMA, which was trained (config.model.dma.kind is 'none')")
    else:
        for name, neutral in _absent_attention(model, tensors).items():
            if not np.array_equal(tensors[name], neutral):
                raise UserError(
                    f"{source}: {name} is a projection of its own, which config.model.dma "
                    f"(projection={model.dma.projection!r}, output_projection="
                    f"{model.dma.output_projection}) has no room for; change these keys"
                )
    differing = [
        name
        for name in tensors
        if name.startswith("student.backbone.")
        and not np.array_equal(tensors[name], tensors[name.removeprefix("student.")])
    ]
    if differing:
        notes.append(
            f"left out: {len(differing)} tensor(s) of student.backbone differ from backbone, which "
            "is taken; the official model has them as one"
        )
    return notes


def _check_positions(source: str, model: ModelConfig, tensors: Mapping[str, np.ndarray]):
    """All positions must be the fixed ones, for this grid or, with a note, for another."""
    notes = set()
    for name, found in tensors.items():
        if not name.endswith("pos_embed"):
            continue
        grid = round((found.shape[1] - 1) ** 0.5)
        fixed = _positions(grid, found.shape[2])
        if fixed.shape != found.shape or np.abs(found - fixed).max() > ROUNDING:
            raise UserError(
                f"{source}: {name} is not the fixed 2-D sin-cos encoding of a square grid; learned "
                "positions cannot be imported"
            )
        if grid != model.grid:
            was = grid * model.patch_size
            notes.add(
                f"positions recomputed for {model.image_size}x{model.image_size} images (the "
                f"file's are for {was}x{was}); weights trained at one size may need more training "
                "at another"
            )
    return sorted(notes)
