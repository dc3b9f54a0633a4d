"""What a checkpoint may hold beside tensors: classes that build values and do nothing else.

Training arguments, schedules and random states contain them. Anything else that a pickle names is
refused, as it could run code; see `torch_files`.
"""

import argparse
import datetime
import pathlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np


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


# (what is built, what the pickle calls it), as `torch.serialization.safe_globals` takes them.
VALUES: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [*_of_numpy(), *_of_python()]
