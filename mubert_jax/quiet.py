"""Keeping another library's log from the user, for as long as that library is at work."""

import contextlib
import logging
from collections.abc import Generator


@contextlib.contextmanager
def quiet(name: str, level: int = logging.CRITICAL) -> Generator[None]:
    """While entered, the logger `name` is silent below `level`; then as its owner left it."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
