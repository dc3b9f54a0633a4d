"""`mubert export`: a checkpoint -> PyTorch, safetensors, ONNX or StableHLO."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

import mubert_jax
from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.data.files import writing_errors
from mubert_jax.errors import UserError
from mubert_jax.interop import layouts, stablehlo_file
from mubert_jax.interop.files import Description, write_safetensors
from mubert_jax.interop.opening import located, open_trained
from mubert_jax.interop.optional import needing
from mubert_jax.interop.torch_weights import to_official
from mubert_jax.objectives import make_objective
from mubert_jax.outputs import check_output
from mubert_jax.perception.trained import Trained
from mubert_jax.training.checkpoints import Weights

REMEDY = "free some space or choose another --output"
SUFFIXES = {
    ".pth": "torch",
    ".pt": "torch",
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".stablehlo": "stablehlo",
}


@dataclasses.dataclass(frozen=True)
class Exported:
    """What an export may write of a checkpoint.

    Attributes:
      config, weights: As trained.
      tensors: The state dict under the official names, `recognizer.*` only if it was asked for; of
        a run of another objective, what that objective's `to_take_away` gives.
      description: What travels with the tensors.
    """

    config: Config
    weights: Weights
    tensors: dict[str, np.ndarray]
    description: Description


def export(
    checkpoint: str | Path,
    format: str,
    output: Path,
    recognizer: bool,
    console: Console,
    emotions: Sequence[str] | None = None,
) -> None:
    """Writes `output` whole or not at all, and says how the official model differs.

    A run of an objective other than Micron-BERT's gives what its `to_take_away` does.

    Args:
      checkpoint: What `open_trained` takes.
      format: A key of `FORMATS`.
      output: The file.
      recognizer: Whether to write `recognizer.*` too, which the official classes do not load.
      console: Shows what was written and left out.
      emotions: The names of the recognizer's classes; None keeps those that an exported file has.

    Raises:
      UserError: There is no checkpoint, `output` cannot be written, PyTorch or ONNX is needed and
        not installed, the disk is full, or the run is of an objective that exports nothing.
    """
    check_output("--output", output, inputs=[located(checkpoint)])
    _check_suffix(output, format)
    state_dict = FORMATS[format].state_dict
    if recognizer and not state_dict:
        raise UserError(f"--recognizer is for torch and safetensors; {format} always holds it")
    trained = open_trained(checkpoint, extra=True, any_objective=True)
    if trained.has_all_parts:
        exported = _of_micron_bert(trained, state_dict and not recognizer, emotions)
    else:
        exported = _of_another_objective(trained, format, recognizer)
    with writing_errors(output.parent, REMEDY):
        output.parent.mkdir(parents=True, exist_ok=True)
        how_to_load = FORMATS[format].write(exported, output)
    lines = [f"{output}: {output.stat().st_size / 1e6:.1f} MB", how_to_load]
    if state_dict and trained.has_all_parts:
        lines[1:1] = [f"  {note}" for note in differences(trained.config, recognizer)]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _of_micron_bert(
    trained: Trained, without_recognizer: bool, emotions: Sequence[str] | None
) -> Exported:
    config, weights = trained.config, trained.weights
    tensors = to_official(config, weights)
    if without_recognizer:
        tensors = {n: x for n, x in tensors.items() if not n.startswith("recognizer.")}
    description = _describe(trained, tensors, emotions or trained.emotions)
    return Exported(config, weights, tensors, description)


def _of_another_objective(trained: Trained, format: str, recognizer: bool) -> Exported:
    named = f"config.objective.name={trained.config.objective.name!r}"
    if not FORMATS[format].state_dict:
        raise UserError(f"--format={format} is for Micron-BERT, not {named}; take safetensors")
    if recognizer:
        raise UserError(f"--recognizer: a run of {named} has none")
    objective = make_objective(trained.config)
    try:
        tensors = objective.to_take_away(trained.params, trained.extra)
    except NotImplementedError as error:
        raise UserError(
            f"{named}: {error}; mubert finetune reads its encoder with "
            "--config.recognition.network=encoder"
        ) from error
    description = _describe(trained, tensors, None)
    description = dataclasses.replace(description, layout=objective.layout)
    for field in dataclasses.fields(objective.Options):
        if "paths" in field.metadata:  # of the author's machine
            description.config["objective"]["options"].pop(field.name, None)
    return Exported(trained.config, trained.weights, tensors, description)


def _check_suffix(output: Path, format: str):
    means = SUFFIXES.get(output.suffix, format)
    if means != format:
        raise UserError(
            f"--output={output} has the suffix of --format={means}, --format={format} was asked"
        )


def differences(config: Config, recognizer: bool) -> list[str]:
    """What the official model has that ours lacks, and vice versa."""
    model, dma = config.model, config.model.dma
    notes = []
    if dma.kind == "none":
        notes.append(
            f"att.*: ours has no DMA; written so that it passes every token through (N = "
            f"{model.num_patches}, diag_att=True)"
        )
    else:
        if dma.reads == "pixels":
            notes.append(
                "att.to_q, att.to_k: windows of pixels (config.model.dma.reads='pixels'); the "
                "official classes do not load them, torch_module.py does"
            )
        if dma.reads == "motion":
            notes.append(
                "att.trunk, att.to_v: motion tokens (config.model.dma.reads='motion'); the "
                "official classes do not load them, torch_module.py does"
            )
        elif dma.projection == "shared":
            notes.append("att.to_k: a copy of att.to_q (config.model.dma.projection='shared')")
        if not dma.output_projection:
            notes.append("att.proj: the identity; ours has no output projection")
    if model.poi.enabled:
        notes.append(
            "left out: POI has no weights, and the official forward() does not weigh by S; "
            "torch_module.py does"
        )
    if model.decoder.predict == "residual":
        notes.append(
            "left out: the decoder gives the residual to the swapped frame; the official forward() "
            "does not add the frame, torch_module.py does"
        )
    if model.recognizer.classes and not recognizer:
        notes.append(
            "left out: recognizer.*, which the official model lacks; add --recognizer "
            "to keep it for torch_module.py"
        )
    elif model.recognizer.classes:
        notes.append("recognizer.*: the official classes do not load it; torch_module.py does")
    return notes


def _describe(trained: Trained, tensors: Iterable[str], emotions: Sequence[str] | None):
    """Describes the named tensors: the config as trained, without the author's paths."""
    values = config_lib.to_dict(trained.config)
    values["data"]["path"] = values["training"]["init_from"] = ""
    if not any(name.startswith("recognizer.") for name in tensors):
        values["model"]["recognizer"]["classes"], emotions = 0, None
    return Description(
        values,
        trained.scale,
        mubert_jax.__version__,
        trained.seen.to_json(),
        list(emotions) if emotions else None,
    )


def _torch(exported: Exported, output: Path) -> str:
    files = needing("torch", "torch_files")
    files.write_pickle(output, exported.tensors, exported.description)
    return _how_to_load(exported, output, f'torch.load("{output}")')


def _safetensors(exported: Exported, output: Path) -> str:
    write_safetensors(output, exported.tensors, exported.description)
    return _how_to_load(exported, output, f'safetensors.torch.load_file("{output}")')


def _onnx(exported: Exported, output: Path) -> str:
    return needing("onnx", "onnx_file").write(exported.config, exported.tensors, output)


def _stablehlo(exported: Exported, output: Path) -> str:
    return stablehlo_file.write(exported.config, exported.weights.params, output)


def _how_to_load(exported: Exported, output: Path, load: str) -> str:
    if layout := exported.description.layout:
        of_run = exported.config, exported.tensors, exported.weights.params
        return layouts.how_to_load(layout, *of_run, load)
    if exported.config.model.dma.reads != "tokens":
        return f'With torch_module.py:\n  model = MicronBert.from_pretrained("{output}")'
    return _official_call(exported, load)


def _official_call(exported: Exported, load: str) -> str:
    config, model = exported.config, exported.config.model
    options = {"img_size": model.image_size, "diag_att": model.dma.kind != "cross"}
    if exported.weights.extra:
        options |= {
            "enable_dino": True,
            "out_dim": config.loss.dino.output_dim,
            "local_crops_number": config.loss.crop.local_crops,
        }
    sizes = {
        "patch_size": model.patch_size,
        "embed_dim": model.dim,
        "depth": model.depth,
        "num_heads": model.heads,
        "decoder_embed_dim": model.decoder.dim,
        "decoder_depth": model.decoder.depth,
        "decoder_num_heads": model.decoder.heads,
        "mlp_ratio": model.mlp_ratio,
    }
    small = dict(zip(sizes, (8, 512, 4, 4, 512, 4, 4, 4.0), strict=True))
    name = "mae_vit_small_patch8"
    if sizes != small:
        name, options = "MaskedAutoencoderViT", sizes | options
    arguments = ", ".join(f"{key}={value!r}" for key, value in options.items())
    if sizes != small:
        arguments += ", norm_layer=partial(nn.LayerNorm, eps=1e-6)"
    if any(key.startswith("recognizer.") for key in exported.tensors):
        load = f'{{n: x for n, x in {load}.items() if not n.startswith("recognizer.")}}'
    lines = [
        "In the official code:",
        f"  model = {name}({arguments})",
        f"  model.load_state_dict({load}, strict=True)",
    ]
    dino = config.loss.dino
    if "enable_dino" in options and (dino.hidden_dim, dino.bottleneck_dim) != (2048, 256):
        lines[1:1] = [
            f"  (with DINOHead's hidden_dim={dino.hidden_dim}, "
            f"bottleneck_dim={dino.bottleneck_dim})"
        ]
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind of file: how it is written, and whether it is a state dict.

    `write` returns how the file is loaded.
    """

    write: Callable[[Exported, Path], str]
    state_dict: bool


FORMATS = {
    "torch": Format(_torch, True),
    "safetensors": Format(_safetensors, True),
    "onnx": Format(_onnx, False),
    "stablehlo": Format(_stablehlo, False),
}
