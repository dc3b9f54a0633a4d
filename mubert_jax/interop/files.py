"""Files of named tensors: safetensors here, PyTorch's own in `torch_files`."""

import collections
import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.interop.optional import needing
from mubert_jax.training.contamination import Seen

# The key of our own description: `Description` as JSON.
DESCRIPTION = "mubert_jax"
# The key of the CRC32C of all that we write: safetensors itself has no checksum.
CHECKSUM = "mubert_jax_crc32c"
# The tensor by which a Micron-BERT is recognised.
FIRST = "backbone.patch_embed.proj.weight"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
# The first bytes of gzip, 7z, rar, bzip2, xz and zstd.
COMPRESSED = (b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
# By which PyTorch's batch norms count batches; no weight.
COUNTER = ".num_batches_tracked"
PRECISIONS = ("float16", "bfloat16", "float32", "float64")


@dataclasses.dataclass(frozen=True)
class TensorFile:
    """The content of a file of weights.

    Attributes:
      tensors: The float32 tensors, by official name.
      description: What our own export wrote beside them; None in other files.
      args: The official training's arguments; empty in other files.
      notes: What was changed in reading.
    """

    tensors: dict[str, np.ndarray]
    description: "Description | None"
    args: dict
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Description:
    """What an export of ours says about its tensors.

    Attributes:
      config: The config that they were trained with.
      scale: The scale of the maps; None if it was not measured.
      version: The version of this package that wrote the file.
      seen: `Seen.to_json`; None if it was not recorded.
      emotions: The names of a recognizer's classes, if the file has one and they are known.
      layout: Whose names and shapes the tensors of another objective have; "" for a Micron-BERT,
        whose names are the official ones.
    """

    config: dict
    scale: float | None
    version: str
    seen: dict | None = None
    emotions: list[str] | None = None
    layout: str = ""

    def to_json(self) -> str:
        values = dataclasses.asdict(self)
        for optional in ("emotions", "layout"):  # older versions read files without them
            if not values[optional]:
                del values[optional]
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: Any, path: Path) -> "Description":
        """What `to_json` wrote, as found in the file `path`.

        Raises:
          UserError: `text` is anything else.
        """
        try:
            found = cls(**json.loads(text))
            scale_fits = found.scale is None or (
                isinstance(found.scale, float) and 0 < found.scale < math.inf
            )
            Seen.from_json(found.seen, path.name)
            names = found.emotions if found.emotions is not None else []
            names_fit = isinstance(names, list) and all(isinstance(name, str) for name in names)
            texts_fit = isinstance(found.version, str) and isinstance(found.layout, str)
            if isinstance(found.config, dict) and texts_fit and scale_fits and names_fit:
                return found
        except (KeyError, TypeError, ValueError):
            pass
        raise UserError(
            f"{path}: its description ({DESCRIPTION}) is damaged; export the checkpoint again"
        )


def read(path: Path) -> TensorFile:
    """Reads a safetensors file or what `torch.save` wrote, without running code from a pickle.

    Raises:
      UserError: There is no such file; it is a piece of a sharded checkpoint, or truncated; its
        pickle names something that could run code; its tensors are not plain floats.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give one .pth or .safetensors file{_inside(path)}")
    if _is_a_piece(path.name):
        raise UserError(
            f"{path} is a piece of a sharded checkpoint; join the pieces into one file first (load "
            "them in PyTorch, torch.save(model.state_dict(), 'whole.pth'))"
        )
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise UserError(f"{path}: {reason}") from error
    _check_head(path, head)
    pickled = head.startswith((b"PK", b"\x80"))
    notes: list[str] = []
    if head[8:9] == b"{" or (path.suffix == ".safetensors" and not pickled):
        raw, description, args = _read_safetensors(path)
    else:
        raw, description, args, notes = needing("torch", "torch_files").read_pickle(path)
    raw, of_names = _plainly_named(raw, path)
    tensors, of_kinds = _as_float32(raw, path)
    described = None if description is None else Description.from_json(description, path)
    return TensorFile(tensors, described, args, [*notes, *of_names, *of_kinds])


def write_safetensors(
    path: Path, tensors: Mapping[str, np.ndarray], description: Description
) -> None:
    """Writes our own kind of safetensors file: with a description and a checksum."""
    with replacing(path) as temporary:
        contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        metadata = {
            "format": "pt",
            DESCRIPTION: description.to_json(),
        }
        metadata[CHECKSUM] = _checksum(contiguous, metadata[DESCRIPTION])
        temporary.write_bytes(save(contiguous, metadata))


def _is_a_piece(name: str) -> bool:
    piece = re.search(r"-\d+-of-(\d+)\.", name)
    return name.endswith(".index.json") or (piece is not None and int(piece[1]) > 1)


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], str | None, dict]:
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
    description = metadata.get(DESCRIPTION)
    if CHECKSUM in metadata and metadata[CHECKSUM] != _checksum(tensors, description or ""):
        raise UserError(f"{path} is damaged, it does not fit its checksum; copy it again")
    return tensors, description, {}


def _checksum(tensors: dict[str, np.ndarray], description: str) -> str:
    """CRC32C, in hexadecimal digits, over the description and all names, types, shapes, values."""
    crc = google_crc32c.value(description.encode())
    for name in sorted(tensors):
        array = tensors[name]
        crc = google_crc32c.extend(crc, f"{name} {array.dtype} {array.shape}".encode())
        crc = google_crc32c.extend(crc, array.tobytes())
    return f"{crc:08x}"


def is_ours(name: object) -> bool:
    """Whether a tensor of this name is the patch embedding that every Micron-BERT has."""
    return isinstance(name, str) and f".{_unwrapped(name)}".endswith(f".{FIRST}")


def _unwrapped(name: str) -> str:
    """The name without what PyTorch inserts for several GPUs and for compiled modules."""
    return ".".join(part for part in name.split(".") if part not in ("module", "_orig_mod"))


def _plainly_named(
    raw: Mapping[str, np.ndarray], path: Path
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Tensors under the official names, without the prefixes of wrappers, and notes."""
    named: dict[str, np.ndarray] = {}
    sources: dict[str, str] = {}
    for name, array in raw.items():
        plain = _unwrapped(name)
        if plain in named:
            shorter, longer = sorted([sources[plain], name], key=lambda name: len(name))
            raise UserError(f"{path} holds both {shorter} and {longer}; remove one of them")
        named[plain], sources[plain] = array, name
    if FIRST in named:
        return named, []
    prefixes = sorted(name.removesuffix(FIRST) for name in named if is_ours(name))
    if not prefixes:
        return named, []
    if len(prefixes) > 1:
        raise UserError(
            f"{path} holds {len(prefixes)} models, under {', '.join(prefixes)}; save one of them "
            "alone"
        )
    (prefix,) = prefixes
    below = {n.removeprefix(prefix): x for n, x in named.items() if n.startswith(prefix)}
    notes = [f"names without {prefix}"]
    if len(below) < len(named):
        notes.append(f"left out: {len(named) - len(below)} tensor(s) beside {prefix}*")
    return below, notes


def _check_head(path: Path, head: bytes):
    """Raises UserError for what is often saved in place of a file of weights."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a pointer of Git LFS, not the file; run git lfs pull")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise UserError(
            f"{path} is a web page, not weights; open the address in a browser and download the "
            "file itself"
        )
    if head.startswith(COMPRESSED):
        raise UserError(f"{path} is compressed; unpack it and give the file inside")
    if head.startswith(b"\x89HDF"):
        raise UserError(f"{path} is HDF5, of Keras or MATLAB; give a .pth or .safetensors file")


def _inside(folder: Path) -> str:
    """Which file of a folder may be meant."""
    found = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES)
    return f", such as {found[0]}" if found else ""


def _as_float32(raw: Mapping[str, np.ndarray], path: Path):
    """The tensors as float32, and notes; UserError if some are not floats."""
    raw = {name: array for name, array in raw.items() if not name.endswith(COUNTER)}
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
