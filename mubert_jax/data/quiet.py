"""OpenCV without its lines on stderr."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

import cv2

_lock = threading.Lock()
_silent = 0
_level = 0


@contextmanager
def quiet_opencv() -> Generator[None]:
    """Keeps OpenCV from printing what the caller reports; any number of threads may be inside.

    FFmpeg within it reads its level once, when the process first reads a video.
    """
    global _silent, _level
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    logging = cv2.utils.logging
    with _lock:
        if not _silent:
            _level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
        _silent += 1
    try:
        yield
    finally:
        with _lock:
            _silent -= 1
            if not _silent:
                logging.setLogLevel(_level)
