"""What a checkpoint may hold beside tensors: classes that build values and do nothing else.

Training arguments, schedules and random states contain them. Whole modules are read as
`PickledModule`s, which hold what the modules held and can do nothing. Anything else that a pickle
names is refused, as it could run code; see `torch_files`.
"""

import argparse
import datetime
import pathlib
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class PickledModule:
    """Stands in for a PyTorch module of any class that `MODULES` names; never calls anything.

    Attributes:
      state: The attributes that the module had; {} before they are set.
    """

    state: Mapping[str, Any] = types.MappingProxyType({})

    def __new__(cls, *_: object):
        """Any arguments will do; they are dropped."""
        return super().__new__(cls)

    def __setstate__(self, state: object):
        self.state = state if isinstance(state, dict) else {}

    def tensors(self) -> dict[str, Any]:
        """What a module's `state_dict` gives: parameters and buffers by dotted name.

        Raises:
          ValueError: a module is in two places, or in itself.
        """
        found: dict[str, Any] = {}
        visited: set[int] = set()
        to_visit: list[tuple[str, PickledModule]] = [("", self)]
        while to_visit:
            prefix, module = to_visit.pop()
            if id(module) in visited:
                raise ValueError(f"the module {prefix[:-1]!r} is in two places")
            visited.add(id(module))
            for kind in ("_parameters", "_buffers", "_modules"):
                held = module.state.get(kind)
                for name, value in held.items() if isinstance(held, dict) else ():
                    if isinstance(value, PickledModule):
                        to_visit.append((f"{prefix}{name}.", value))
                    elif value is not None:
                        found[f"{prefix}{name}"] = value
        return found


def _dictionary(factory: object = None):
    """Stands in for a defaultdict."""
    return {}


def _factory(*_: object):
    """Stands in for the factory of a defaultdict, which is not called here."""


def _scalar(dtype: np.dtype, data: object):
    """A NumPy number, as NumPy pickles it."""
    if not isinstance(data, bytes) or np.dtype(dtype).kind not in "biufcSU":
        raise ValueError("no NumPy number")
    return np.frombuffer(data, dtype, 1)[0]


def _empty_array(subtype: object, shape: object, code: object):
    """A NumPy array before its content is set, as NumPy pickles it."""
    return np.ndarray((0,), np.uint8)


def _of_numpy():
    for package in ("numpy.core", "numpy._core"):
        yield _scalar, f"{package}.multiarray.scalar"
        yield _empty_array, f"{package}.multiarray._reconstruct"
    yield np.ndarray, "numpy.ndarray"
    yield np.dtype, "numpy.dtype"
    for kind in ("bool", *np.typecodes["AllInteger"], *np.typecodes["Float"], "S", "U"):
        of_kind = type(np.dtype(kind))
        yield of_kind, f"numpy.dtypes.{of_kind.__name__}"
        number = np.dtype(kind).type
        if np.dtype(kind).itemsize:
            yield number, f"numpy.{number.__name__}"


def _of_python():
    # Paths on the system that wrote them, as mere names: nothing here opens them.
    for module in ("pathlib", "pathlib._local"):
        for name in ("PosixPath", "PurePosixPath"):
            yield pathlib.PurePosixPath, f"{module}.{name}"
        for name in ("WindowsPath", "PureWindowsPath"):
            yield pathlib.PureWindowsPath, f"{module}.{name}"
        for name in ("Path", "PurePath"):
            yield pathlib.PurePosixPath, f"{module}.{name}"
    for kind in (datetime.date, datetime.time, datetime.datetime, datetime.timedelta):
        yield kind, f"datetime.{kind.__name__}"
    yield datetime.timezone, "datetime.timezone"
    yield argparse.Namespace, "argparse.Namespace"
    yield types.SimpleNamespace, "types.SimpleNamespace"
    yield _dictionary, "collections.defaultdict"
    for name in ("list", "dict", "int", "float", "str", "tuple"):
        yield _factory, f"builtins.{name}"


# Those of DALL-E's encoder, which is distributed as a whole module.
MODULES = (
    "dall_e.encoder.Encoder",
    "dall_e.encoder.EncoderBlock",
    "dall_e.utils.Conv2d",
    "torch.nn.modules.activation.ReLU",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.linear.Identity",
    "torch.nn.modules.pooling.MaxPool2d",
)
# (what is built, what the pickle calls it), as `torch.serialization.safe_globals` takes them.
VALUES: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *_of_numpy(),
    *_of_python(),
    *((PickledModule, name) for name in MODULES),
]
