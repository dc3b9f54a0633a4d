"""Types of flags for argparse's `type=`: paths and numbers, refused in one line."""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

from mubert_jax import renamed
from mubert_jax.errors import UserError
from mubert_jax.paths import SHIPPED, path_argument

HAAR = "haar"


def path(text: str) -> Path:
    """A local file or folder; `~` is the home directory."""
    if any(ord(letter) < 32 for letter in text):  # ASCII's control characters
        raise argparse.ArgumentTypeError(f"{text!r} has a line break or the like in it; rename it")
    try:
        return path_argument(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def file(text: str) -> Path:
    """A local file."""
    if text.endswith(("/", os.sep)):
        raise argparse.ArgumentTypeError(f"{text} is a folder; name a file")
    return path(text)


def config_file(text: str) -> Path:
    """A config file, which may be given by an old name."""
    return renamed.file(path(text))


def checkpoint(text: str) -> str:
    """A source of weights: a path, or `shipped` for the package's own."""
    return text if text == SHIPPED else str(path(text))


def detector(text: str) -> str:
    """A face detector: `haar`, or the path of a file."""
    return text if text == HAAR else str(path(text))


def count(text: str) -> int:
    """A positive whole number."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: choose 1 or more")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: choose a number above 0")
    return value


def up_to(most: float) -> Callable[[str], float]:
    """Numbers from 0 to `most`."""

    def read(text: str) -> float:
        value = _number(text)
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text}: choose 0 to {most:g}")
        return value

    return read


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value
