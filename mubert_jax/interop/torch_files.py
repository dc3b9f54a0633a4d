"""PyTorch's own files, read without running what a pickle may hold."""

import argparse
import collections
import re
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import torch

from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.interop.files import DESCRIPTION, Description


def read_pickle(path: Path) -> tuple[dict[str, np.ndarray], object, dict]:
    """Tensors by name, our description if there is one, the official training's arguments.

    Takes a state dict, or a dict that holds one as `model` and its arguments, an argparse Namespace
    or a dict, as `args`.

    Raises:
      UserError: damaged, no state dict, or a pickle that names any other class or function.
    """
    content = _load(path)
    args = {}
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        args, content = _arguments(path, content.get("args")), content["model"]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no state dict, but a {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path} holds no state dict: {name!r} is a {type(value).__name__}, no tensor; a "
                "checkpoint dict has it under the key 'model'"
            )
        if not isinstance(name, str):
            raise UserError(f"{path} holds no state dict: {name!r} is no name of a tensor")
    tensors = {name: _numpy(path, name, value) for name, value in content.items()}
    return tensors, _description(content), args


def write_pickle(path: Path, tensors: dict[str, np.ndarray], description: Description):
    """A plain state dict; the description travels in its `_metadata`, which PyTorch passes over.

    Names of one array share it in the file, as `backbone` and `student.backbone` do.
    """
    shared = {id(array): torch.from_numpy(np.array(array)) for array in tensors.values()}
    state = collections.OrderedDict((name, shared[id(array)]) for name, array in tensors.items())
    ours = {"version": 1, DESCRIPTION: description.to_json()}
    state._metadata = collections.OrderedDict({"": ours})
    with replacing(path) as temporary:
        torch.save(state, temporary)


def _load(path):
    if damaged := _damaged_part(path):
        raise UserError(f"{path} is damaged: {damaged} does not fit its checksum; copy it again")
    try:
        with path.open("rb") as file, torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named:
            raise UserError(
                f"{path} refused: opening it would run or build {named[1]}, and a file of weights "
                "needs nothing but tensors; get it from its source again, or as .safetensors"
            ) from error
        raise UserError(f"{path} is truncated or no PyTorch file; copy it again") from error


def _damaged_part(path) -> str | None:
    """The first part of a zipped file whose CRC-32 is wrong, which PyTorch does not look at."""
    try:
        with zipfile.ZipFile(path) as parts:
            return parts.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError):
        return None


def _arguments(path, args) -> dict:
    if args is None or isinstance(args, dict):
        return args or {}
    if not isinstance(args, argparse.Namespace):
        raise UserError(f"{path}: its 'args' is a {type(args).__name__}, no training arguments")
    return vars(args)


def _description(state):
    metadata = getattr(state, "_metadata", None)
    own = metadata.get("") if isinstance(metadata, dict) else None
    return own.get(DESCRIPTION) if isinstance(own, dict) else None


def _numpy(path, name, tensor: torch.Tensor) -> np.ndarray:
    try:
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return tensor.detach().numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        kind = f"{tensor.layout}, {tensor.dtype}, on {tensor.device}".replace("torch.", "")
        raise UserError(
            f"{path}: {name} is no plain tensor ({kind}); save the weights as dense float32"
        ) from error
