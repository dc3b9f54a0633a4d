"""PyTorch's own files, read without running what a pickle may hold."""

import argparse
import collections
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch

from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.interop.files import DESCRIPTION, Description, is_ours
from mubert_jax.interop.pickled_values import VALUES, PickledModule

# Keys under which trainings keep a state dict, in the order of preference.
WRAPPERS = ("model", "state_dict", "model_state_dict", "student", "net", "module", "teacher", "ema")
# How many keys may lead to a state dict, so that the search in a deeply nested file ends.
DEEPEST = 4


def read_pickle(path: Path) -> tuple[dict[str, np.ndarray], object, dict, list[str]]:
    """Tensors by name, our description if there is one, training arguments, and notes.

    Takes a state dict, or dicts around one, under whatever keys, or a whole module whose classes
    `pickled_values.MODULES` names; where several hold a Micron-BERT, the first of `WRAPPERS` is
    taken. Training arguments are an argparse Namespace or a dict that is
    called `args` beside it.

    Raises:
      UserError: The file is damaged, holds no state dict, or its pickle names a class or function
        that could do more than build a value.
    """
    content = _without_modules(path, _load(path))
    keys, state, beside, notes = _chosen(path, content)
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path} holds no state dict, but a {type(state).__name__}")
    for name, value in state.items():
        if isinstance(value, torch.Tensor) and not isinstance(name, str):
            raise UserError(f"{path} holds no state dict: {name!r} is no name of a tensor")
        if not isinstance(value, torch.Tensor) and keys is None:
            raise UserError(
                f"{path} holds no state dict: {name!r} is a {type(value).__name__}, no tensor; a "
                "checkpoint dict has it under the key 'model'"
            )
    kept = {name: x for name, x in state.items() if isinstance(x, torch.Tensor)}
    if len(kept) < len(state):
        notes.append(f"left out: {len(state) - len(kept)} value(s) that are no tensors")
    args = next((_arguments(path, d["args"]) for d in beside if d.get("args") is not None), {})
    tensors = {name: _numpy(path, name, value) for name, value in kept.items()}
    return tensors, _description(state), args, notes


def _without_modules(path: Path, content: Any) -> Any:
    """A state dict in place of a whole module."""
    if not isinstance(content, PickledModule):
        return content
    try:
        return content.tensors()
    except ValueError as error:
        raise UserError(f"{path} holds a PyTorch module that cannot be: {error}") from error


def _chosen(path: Path, content: Any) -> tuple[tuple | None, Any, list[dict], list[str]]:
    """The keys that lead to the state dict, itself, the dicts around it from within, and notes.

    Where none holds a Micron-BERT, what is most like a state dict, with None as keys.
    """
    found = list(_state_dicts(content, (), [], set()))
    if not found:
        for key in WRAPPERS if isinstance(content, dict) else ():
            if isinstance(content.get(key), dict) and content[key]:
                return None, content[key], [content], []
        return None, content, [], []

    def order(of: tuple[tuple, dict, list[dict]]):
        keys = of[0]
        return [WRAPPERS.index(k) if k in WRAPPERS else len(WRAPPERS) for k in keys]

    taken, *others = sorted(found, key=order)
    notes = []
    if others:
        names = ", ".join(".".join(map(str, keys)) or "the top" for keys, *_ in others)
        notes.append(
            f"taken: the weights under {'.'.join(map(str, taken[0])) or 'the top'}; others are "
            f"under {names} (save those alone to import them)"
        )
    keys, state, around = taken
    return keys, state, around, notes


def _state_dicts(
    content: Any, keys: tuple, around: list[dict], visited: set[int]
) -> Iterator[tuple[tuple, dict, list[dict]]]:
    """(keys, state dict, dicts around it) of every dict in dicts that holds a Micron-BERT."""
    if not isinstance(content, dict) or len(keys) > DEEPEST or id(content) in visited:
        return
    visited.add(id(content))
    if any(is_ours(name) for name, x in content.items() if isinstance(x, torch.Tensor)):
        yield keys, content, around
    for key, value in content.items():
        yield from _state_dicts(value, (*keys, key), [content, *around], visited)


def write_pickle(path: Path, tensors: Mapping[str, np.ndarray], description: Description) -> None:
    """Writes a plain state dict; its `_metadata`, which PyTorch ignores, holds the description.

    Names of the same array share it in the file, as those of `backbone` and `student.backbone` do.
    """
    shared = {id(array): torch.from_numpy(np.array(array)) for array in tensors.values()}
    state = collections.OrderedDict((name, shared[id(array)]) for name, array in tensors.items())
    ours = {"version": 1, DESCRIPTION: description.to_json()}
    # PyTorch itself keeps it in this attribute of an OrderedDict.
    state._metadata = collections.OrderedDict({"": ours})  # pyrefly: ignore[missing-attribute]
    with replacing(path) as temporary:
        torch.save(state, temporary)


def _load(path: Path) -> Any:
    if damaged := _damaged_part(path):
        raise UserError(f"{path} is truncated or damaged ({damaged}); copy it again")
    try:
        with path.open("rb") as file, torch.serialization.safe_globals(VALUES):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        named = re.search(r"GLOBAL (\S+)|unrecognized function <[^>]*?(\S+)>", str(error))
        if named:
            what = named[1] or named[2]
            raise UserError(
                f"{path} refused: opening it would run or build {what}, and a file of weights "
                'needs nothing but tensors; if it is your own, save them alone: python -c "import '
                f"torch; x = torch.load('{path}', weights_only=False); torch.save(x['model'], "
                "'weights.pth')\" with the key that they are under"
            ) from error
        if "persistent_load" in str(error):
            raise UserError(
                f"{path} is a whole module in the format of PyTorch before 1.6; if you trust it, "
                f"save its tensors alone: python -c \"import torch; x = torch.load('{path}', "
                "weights_only=False); torch.save(x.state_dict(), 'weights.pth')\""
            ) from error
        if others := _other_content(path):
            raise UserError(
                f"{path} is an archive of other files ({others[0]}); unpack it, and give the file "
                "of weights"
            ) from error
        raise UserError(f"{path} is truncated or no PyTorch file; copy it again") from error


def _damaged_part(path: Path) -> str | None:
    """The first part of a zipped file whose CRC-32 is wrong, which PyTorch does not check."""
    with path.open("rb") as file:
        if not file.read(4).startswith(b"PK"):
            return None
    try:
        with zipfile.ZipFile(path) as parts:
            return parts.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError):
        return "its table of contents"


def _other_content(path: Path) -> list[str]:
    """The names in a zip archive that is not one of PyTorch's."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return []
    return [] if any(name.endswith("data.pkl") for name in names) else names


def _arguments(path: Path, args: Any) -> dict:
    if isinstance(args, dict):
        return args
    if not isinstance(args, argparse.Namespace):
        raise UserError(f"{path}: its 'args' is a {type(args).__name__}, no training arguments")
    return vars(args)


def _description(state: dict) -> Any:
    metadata = getattr(state, "_metadata", None)
    own = metadata.get("") if isinstance(metadata, dict) else None
    return own.get(DESCRIPTION) if isinstance(own, dict) else None


def _numpy(path: Path, name: str, tensor: torch.Tensor):
    try:
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        kind = f"{tensor.layout}, {tensor.dtype}, on {tensor.device}".replace("torch.", "")
        raise UserError(
            f"{path}: {name} is no plain tensor ({kind}); save the weights as dense float32"
        ) from error
