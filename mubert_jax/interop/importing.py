"""`mubert import`: a PyTorch file -> a run's folder that every other command takes."""

import json
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

import mubert_jax
from mubert_jax import config as config_lib
from mubert_jax.config import Config
from mubert_jax.config_files import key_of, override_config
from mubert_jax.config_parts import EncoderPart, ImportPart, refuse_unread
from mubert_jax.data.files import write_text, writing_errors
from mubert_jax.errors import UserError
from mubert_jax.interop import encoder_weights, files
from mubert_jax.interop.encoder_weights import Found
from mubert_jax.interop.infer import infer_config
from mubert_jax.interop.opening import located, seen_of
from mubert_jax.interop.torch_weights import from_official
from mubert_jax.perception.maps import save_scale
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.contamination import Seen


def import_weights(
    source: str | Path, workdir: Path, overrides: list[str], console: Console
) -> Config:
    """Writes checkpoint 0, config.json and, if the file has it, the scale of the maps.

    An encoder that others trained (`encoder_weights`) becomes a run of another objective, such as
    `objectives.vit_imagenet`.

    Args:
      source: An official .pth, `shipped`, what `mubert export` wrote as torch or safetensors, a
        Vision Transformer of AugReg (.npz), timm or DeiT, a ResNet of torchvision, or a checkpoint
        of MoCo v3.
      workdir: A new or empty folder.
      overrides: `--config.KEY=VALUE` strings, for what the file does not show.
      console: Shows what was found and assumed.

    Returns:
      The run's config.

    Raises:
      UserError: The file cannot be read or does not fit, or the folder is not empty; nothing is
        written then.
    """
    path = located(source)
    if path.suffix == ".npz":  # the original files, which are AugReg's
        found = encoder_weights.in_npz(path)
        return _import_encoder(path, found, Seen(), workdir, overrides, console)
    file = files.read(path)
    if found := encoder_weights.find(file, path):
        # ImageNet holds nobody of a data set of micro-expressions.
        seen = Seen() if file.description is None else seen_of(path, file.description)
        return _import_encoder(path, found, seen, workdir, overrides, console)
    values, assumed = _config_of(file, path)
    config = override_config(values, overrides)
    refuse_unread(ImportPart, map(key_of, overrides), [config])
    weights, passed_over = from_official(config, file.tensors, str(path))
    with _whole_or_not_at_all(workdir) as folder:
        _save(folder, config, weights, path.name, seen_of(path, file.description))
        if file.description is not None and file.description.scale:
            save_scale(folder, file.description.scale)
    model, decoder = config.model, config.model.decoder
    lines = [
        f"{path} -> {workdir}: {model.image_size}x{model.image_size} images, patch "
        f"{model.patch_size}, encoder d {model.dim}, {model.depth} blocks, {model.heads} heads, "
        f"decoder d {decoder.dim}, {decoder.depth} blocks, {decoder.heads} heads, DMA "
        f"{model.dma.kind}, agreement {config.loss.agreement}",
        *(f"  {note}" for note in file.notes),
        *(f"  {note}" for note in _config_notes(values, config, assumed, overrides)),
        *(f"  {note}" for note in passed_over),
    ]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    return config


def _import_encoder(
    path: Path,
    found: Found,
    seen: Seen,
    workdir: Path,
    overrides: list[str],
    console: Console,
) -> Config:
    config = override_config(config_lib.to_dict(found.config), overrides)
    refuse_unread(EncoderPart, map(key_of, overrides), [config])
    encoder_weights.check(config, found.weights, str(path))
    with _whole_or_not_at_all(workdir) as folder:
        _save(folder, config, found.weights, path.name, seen)
    options = config.objective.options
    lines = [
        f"{path} -> {workdir}: {found.network}, for images of {config.model.image_size} pixels "
        "(--config.model.image_size=...)"
    ]
    if "centred" in options:
        pixels = "-1 to 1, as AugReg's" if options["centred"] else "standardised, as DeiT's"
        lines.append(f"  it reads pixels {pixels} (--config.objective.options.centred=...)")
    lines += [f"  {note}" for note in found.notes]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    return config


def _save(folder: Path, config: Config, weights: Weights, source: str, seen: Seen):
    """Checkpoint 0 and config.json."""
    save_imported(folder, config, weights, source, seen)
    text = json.dumps(config_lib.to_dict(config), indent=2)
    write_text(folder / "config.json", text + "\n")


def _config_of(file: files.TensorFile, path: Path) -> tuple[dict, dict[str, str]]:
    """Config values, and which of them were assumed and why, by key."""
    if file.description is None:
        return infer_config(file.tensors, file.args, str(path))
    try:
        return config_lib.to_dict(config_lib.build(file.description.config)), {}
    except UserError as error:
        raise UserError(
            f"{path} was written by mubert_jax {file.description.version}, this is "
            f"{mubert_jax.__version__}: {error}"
        ) from error


def _config_notes(
    values: dict, config: Config, assumed: Mapping[str, str], overrides: Sequence[str]
) -> Iterator[str]:
    """What was assumed and not overridden, and what of the file's own config was overridden."""
    given = set(map(key_of, overrides))
    for key, text in assumed.items():
        if key not in given:
            yield f"config.{key}: {text} (--config.{key}=...)"
    final = config_lib.flatten(config)
    for key in sorted(given - assumed.keys() - {"model.image_size"}):
        known = _value(values, key)
        if key.startswith("model.") and known not in (None, final[key]):
            yield (
                f"config.{key}: {final[key]!r} asked, {known!r} in the file; the same weights "
                "compute something else now"
            )


def _value(values: dict, key: str):
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


@contextmanager
def _whole_or_not_at_all(workdir: Path) -> Generator[Path, None, None]:
    """A folder that becomes `workdir` if the block succeeds, and is deleted if it does not."""
    if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise UserError(f"{workdir} is there already and not empty; take another --workdir")
    beside = workdir.absolute().with_name(f".{workdir.name}.importing")
    with writing_errors(workdir, "free some space or take another --workdir"):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        try:
            yield beside
            beside.replace(workdir)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
