"""Checks, before a command works for hours, that its output can be written."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mubert_jax.errors import UserError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg")
ANIMATIONS = (".gif", ".mp4")


def check_output(
    flag: str,
    output: Path,
    *,
    folder: bool = False,
    suffixes: Iterable[str] = (),
    inputs: Iterable[Path | str | None] = (),
) -> None:
    """Raises UserError, naming the flag, where `output` could not be written.

    Nothing is made: missing folders are left to what writes.

    Args:
      folder: whether it is a folder that is asked for; it may be there.
      suffixes: those that a file may have, if it has one.
      inputs: what is read, and must not be written over.
    """
    named = f"{flag}={output}"
    suffixes = tuple(suffixes)
    try:
        there = output.exists()
        if there and folder and not output.is_dir():
            raise UserError(f"{named} is a file; name a folder")
        if there and not folder and output.is_dir():
            raise UserError(f"{named} is a folder; name a file")
        if suffixes and output.suffix and output.suffix.lower() not in suffixes:
            raise UserError(f"{named} has the suffix {output.suffix}; take {', '.join(suffixes)}")
        for read in inputs:
            if there and read and Path(read).exists() and output.samefile(read):
                raise UserError(f"{named} is what is read; take another name")
        if there and not folder and not output.is_file():
            raise UserError(f"{named} is a device or a pipe; name a file")
        _try(output if folder else output.parent)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{named} cannot be written ({reason}); take another {flag}") from error


def _try(folder: Path):
    """Makes a file, and deletes it, in the folder or where it would be made."""
    folder = folder.absolute()
    while not os.path.lexists(folder):
        folder = folder.parent
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".mubert-"):
        pass
