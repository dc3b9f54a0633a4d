"""Writing files so that a killed run never leaves one that looks whole."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mubert_jax.errors import AGAIN, DiskFull, PassingError, UserError, kind_of

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind
    fcntl = None


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Gives a temporary path that takes the place of `path`, durably, if the block succeeds.

    A reader sees the old file or the whole new one. The temporary file goes when the block fails.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file as `replacing` does: whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing_errors(directory: Path, remedy: str) -> Generator[None]:
    """Turns a full disk, a missing permission and the like into a UserError with `remedy`.

    Trouble that passes has one remedy: the same command again.
    """
    try:
        yield
    except OSError as error:
        kind = kind_of(error)
        if kind is DiskFull:
            raise DiskFull(f"{directory}: no space left on the disk; {remedy}") from error
        if kind is PassingError:
            where = error.filename or directory
            raise PassingError(f"{where}: {error.strerror or error}; {AGAIN}") from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise UserError(
                f"{error.filename or directory}: may not be written; {remedy}"
            ) from error
        raise UserError(f"{error.filename or directory}: {error.strerror}; {remedy}") from error


@contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Holds an advisory lock on `path` for the block; a lock held elsewhere is a UserError.

    The system frees the lock when the process dies. File systems without locks are let through.
    """
    with open(path, "w") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{path.parent.parent}: another `mubert prepare` is writing here; "
                "wait for it or choose another --output"
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
        yield
