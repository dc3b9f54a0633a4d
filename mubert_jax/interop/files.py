"""Files of named tensors: safetensors here, PyTorch's own in `torch_files`."""

import collections
import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.interop.optional import needing
from mubert_jax.training.seen import Seen

# The key of our own description: `Description` as JSON.
DESCRIPTION = "mubert_jax"
PRECISIONS = ("float16", "bfloat16", "float32", "float64")


@dataclasses.dataclass(frozen=True)
class TensorFile:
    """What a file holds: float32 tensors by name, what we or the official training said of them.

    Attributes:
      tensors: under the official names.
      description: what our own export wrote beside them; None in other files.
      args: the official training's arguments; empty in other files.
      notes: what was changed in reading.
    """

    tensors: dict[str, np.ndarray]
    description: "Description | None"
    args: dict
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Description:
    """What an export of ours says of its tensors.

    Attributes:
      config, scale: as trained; the scale of the maps.
      version: ours, then.
      seen: `Seen.to_json`; None where it was not recorded.
      emotions: names of a recogniser's classes, where the file has one and they are known.
    """

    config: dict
    scale: float | None
    version: str
    seen: dict | None = None
    emotions: list[str] | None = None

    def to_json(self) -> str:
        values = dataclasses.asdict(self)
        if self.emotions is None:
            del values["emotions"]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text, path: Path) -> "Description":
        """Raises UserError for anything but what `to_json` writes."""
        try:
            found = cls(**json.loads(text))
            scale_fits = found.scale is None or (
                isinstance(found.scale, float) and 0 < found.scale < math.inf
            )
            Seen.from_json(found.seen, path.name)
            names = found.emotions if found.emotions is not None else []
            names_fit = isinstance(names, list) and all(isinstance(name, str) for name in names)
            if isinstance(found.config, dict) and isinstance(found.version, str) and scale_fits:
                if names_fit:
                    return found
        except (KeyError, TypeError, ValueError):
            pass
        raise UserError(
            f"{path}: its description ({DESCRIPTION}) is damaged; export the checkpoint again"
        )


def read(path: Path) -> TensorFile:
    """Reads a safetensors file or what `torch.save` wrote; runs no code that a pickle may hold.

    Raises:
      UserError: no such file, a piece of a sharded checkpoint, truncated, a pickle that names
        anything but tensors and an argparse Namespace, tensors that are no plain floats.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give one .pth or .safetensors file")
    if _is_a_piece(path.name):
        raise UserError(
            f"{path} is a piece of a sharded checkpoint; join the pieces into one file first (load "
            "them in PyTorch, torch.save(model.state_dict(), 'whole.pth'))"
        )
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise UserError(f"{path}: {reason}") from error
    pickled = head.startswith((b"PK", b"\x80"))
    if head[8:] == b"{" or (path.suffix == ".safetensors" and not pickled):
        raw, description, args = _read_safetensors(path)
    else:
        raw, description, args = needing("torch", "torch_files").read_pickle(path)
    tensors, notes = _as_float32(_without_prefix(raw, path), path)
    described = None if description is None else Description.from_json(description, path)
    return TensorFile(tensors, described, args, notes)


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], description: Description):
    with replacing(path) as temporary:
        contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        metadata = {"format": "pt", DESCRIPTION: description.to_json()}
        temporary.write_bytes(save(contiguous, metadata))


def _is_a_piece(name: str) -> bool:
    piece = re.search(r"-\d+-of-(\d+)\.", name)
    return name.endswith(".index.json") or (piece is not None and int(piece[1]) > 1)


def _read_safetensors(path):
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(
            f"{path} is truncated or no safetensors file ({error}); copy it again"
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} holds a type of number that NumPy lacks ({error}); save it as float32"
        ) from error
    return tensors, metadata.get(DESCRIPTION), {}


def _without_prefix(raw, path):
    """Names without `module.`, which a model wrapped for several GPUs puts before each."""
    named = {name.removeprefix("module."): array for name, array in raw.items()}
    if len(named) < len(raw):
        twice = next(name for name in raw if f"module.{name}" in raw)
        raise UserError(f"{path} holds both {twice} and module.{twice}; remove one of them")
    return named


def _as_float32(raw, path):
    kinds = collections.Counter(str(array.dtype) for array in raw.values())
    for name, array in raw.items():
        if str(array.dtype) not in PRECISIONS:
            raise UserError(f"{path}: {name} is {array.dtype}; weights are {', '.join(PRECISIONS)}")
    with np.errstate(over="ignore"):
        tensors = {name: array.astype(np.float32, copy=False) for name, array in raw.items()}
    notes = [
        f"{count} of {len(raw)} tensors are {kind}; taken as float32"
        for kind, count in kinds.items()
        if kind != "float32"
    ]
    return tensors, notes
