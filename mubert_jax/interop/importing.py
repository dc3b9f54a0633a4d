"""`mubert import`: a PyTorch file -> a run's folder that every other command takes."""

import json
from pathlib import Path

from rich.console import Console

from mubert_jax import config as config_lib
from mubert_jax.config_files import override_config
from mubert_jax.interop import files
from mubert_jax.interop.infer import infer_config
from mubert_jax.interop.torch_weights import from_official
from mubert_jax.perception.maps import save_scale
from mubert_jax.training.checkpoints import save_imported


def import_weights(path: Path, workdir: Path, overrides: list[str], console: Console):
    """Writes checkpoint 0, config.json and, if the file knows the scale of its maps, that.

    Args:
      path: an official .pth, or what `mubert export` wrote as torch or safetensors.
      workdir: a folder without checkpoints.
      overrides: `--config.KEY=VALUE` strings, for what the file does not show.
      console: is told what was found and assumed.

    Raises:
      UserError: the file cannot be read or does not fit; nothing is written then.
    """
    file = files.read(path)
    if file.description:
        values, notes = config_lib.to_dict(config_lib.build(file.description["config"])), []
    else:
        values, notes = infer_config(file.tensors, file.args, str(path))
    config = override_config(values, overrides)
    weights, passed_over = from_official(config, file.tensors, str(path))
    save_imported(workdir, config, weights, path.name)
    text = json.dumps(config_lib.to_dict(config), indent=2)
    (workdir / "config.json").write_text(text + "\n")
    scale = file.description.get("scale")
    if scale:
        save_scale(workdir, scale)
    model = config.model
    lines = [
        f"{path} -> {workdir}: {model.image_size}x{model.image_size} images, patch "
        f"{model.patch_size}, encoder d {model.dim}, {model.depth} blocks, {model.heads} heads, "
        f"decoder d {model.decoder.dim}, {model.decoder.depth} blocks, {model.decoder.heads} "
        f"heads, DMA {model.dma.kind}, agreement {config.loss.agreement}",
        *(f"  {note}" for note in (*file.notes, *notes, *passed_over)),
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
