"""What a user may write for a path: a local file or folder, with `~` for a home."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mubert_jax.errors import UserError

# What stands in a path's place for the weights that come with the package.
SHIPPED = "shipped"
# A Path that was made of a URL has one slash left.
_URL = re.compile(r"[a-z][a-z0-9+.-]*://|(file|gs|s3|az|abfss?|hdfs|https?):/", re.IGNORECASE)


def path_argument(text: str | Path) -> Path:
    """The local path that a flag or a config key means.

    `~` and `~user` are homes, whatever the shell made of them, and `file:///x` is `/x`.

    Raises:
      UserError: nothing is given, nobody has that home, or it is a URL: a bucket, a web page.
    """
    text = str(text)
    if not text.strip():
        raise UserError("a path is empty; give a file or a folder")
    if _URL.match(text):
        return _local(text)
    path = os.path.expanduser(text)
    # A file may be called `~name`, as Excel's locks are.
    if path.startswith("~") and not os.path.exists(path):
        raise UserError(f"{text}: nobody here has that home; ./{text} is a file or folder")
    return Path(path)


def _local(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme.lower() == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path))
    raise UserError(
        f"{url}: files and folders are local ones here; mount what lies elsewhere "
        "(gcsfuse, mountpoint-s3, a shared disk) or copy it, and give that folder"
    )
