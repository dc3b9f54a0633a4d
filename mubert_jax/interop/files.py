"""Files of named tensors: safetensors here, PyTorch's own in `torch_files`."""

import collections
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.interop.optional import needing

# The key of our own description: config, the scale of the maps and the version, as JSON.
DESCRIPTION = "mubert_jax"
PIECE = re.compile(r"-\d+-of-\d+\.|\.index\.json$")


@dataclasses.dataclass(frozen=True)
class TensorFile:
    """What a file holds: float32 tensors by name, what we or the official training said of them.

    Attributes:
      tensors: under the official names.
      description: what our own export wrote beside them; empty in other files.
      args: the official training's arguments; empty in other files.
      notes: what was changed in reading.
    """

    tensors: dict[str, np.ndarray]
    description: dict
    args: dict
    notes: list[str]


def read(path: Path) -> TensorFile:
    """Reads a .safetensors file or what `torch.save` wrote; runs no code that a pickle may hold.

    Raises:
      UserError: no such file, a piece of a sharded checkpoint, truncated, a pickle that names
        anything but tensors and an argparse Namespace.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give one .pth or .safetensors file")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if PIECE.search(path.name):
        raise UserError(
            f"{path} is a piece of a sharded checkpoint; join the pieces into one file first (load "
            "them in PyTorch, torch.save(model.state_dict(), 'whole.pth'))"
        )
    if path.suffix == ".safetensors":
        raw, description, args = _read_safetensors(path)
    else:
        raw, description, args = needing("torch", "torch_files").read_pickle(path)
    tensors, notes = _as_float32(raw)
    return TensorFile(tensors, json.loads(description) if description else {}, args, notes)


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], description: str):
    with replacing(path) as temporary:
        contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        temporary.write_bytes(save(contiguous, {"format": "pt", DESCRIPTION: description}))


def _read_safetensors(path):
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(
            f"{path} is truncated or no safetensors file ({error}); copy it again"
        ) from error
    return tensors, metadata.get(DESCRIPTION), {}


def _as_float32(raw):
    tensors = {name: array.astype(np.float32, copy=False) for name, array in raw.items()}
    kinds = collections.Counter(str(array.dtype) for array in raw.values())
    notes = [
        f"{count} of {len(raw)} tensors are {kind}; taken as float32, at the precision they have"
        for kind, count in kinds.items()
        if kind != "float32"
    ]
    return tensors, notes
