"""PyTorch's own files, read without running what a pickle may hold."""

import argparse
import collections
import pickle
import re
from pathlib import Path

import ml_dtypes
import numpy as np
import torch

from mubert_jax.data.files import replacing
from mubert_jax.errors import UserError
from mubert_jax.interop.files import DESCRIPTION


def read_pickle(path: Path) -> tuple[dict[str, np.ndarray], str | None, dict]:
    """Tensors by name without the prefix `module.`, our description if any, official arguments.

    Takes a state dict, or a dict that holds one as `model` and an argparse Namespace as `args`.

    Raises:
      UserError: truncated, no state dict, or a pickle that names any other class or function.
    """
    content = _load(path)
    args = {}
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        args = vars(content.get("args") or argparse.Namespace())
        content = content["model"]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no state dict, but a {type(content).__name__}")
    others = [name for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise UserError(
            f"{path} holds no state dict: {others[0]!r} is a {type(content[others[0]]).__name__}, "
            "no tensor; a checkpoint dict has it under the key 'model'"
        )
    described = getattr(content, "_metadata", {}).get("", {}).get(DESCRIPTION)
    tensors = {name.removeprefix("module."): _numpy(value) for name, value in content.items()}
    return tensors, described, args


def write_pickle(path: Path, tensors: dict[str, np.ndarray], description: str):
    """A plain state dict; the description travels in its `_metadata`, which PyTorch passes over.

    Names of one array share it in the file, as `backbone` and `student.backbone` do.
    """
    shared = {id(array): torch.from_numpy(np.array(array)) for array in tensors.values()}
    state = collections.OrderedDict((name, shared[id(array)]) for name, array in tensors.items())
    state._metadata = collections.OrderedDict({"": {"version": 1, DESCRIPTION: description}})
    with replacing(path) as temporary:
        torch.save(state, temporary)


def _load(path):
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        if named:
            raise UserError(
                f"{path} refused: opening it would run or build {named[1]}, and a file of weights "
                "needs nothing but tensors; get it from its source again, or as .safetensors"
            ) from error
        raise UserError(f"{path} is damaged or no PyTorch file; copy it again") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise UserError(f"{path} is truncated or no PyTorch file; copy it again") from error


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.detach().numpy()
