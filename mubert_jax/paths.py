"""What a user may write for a path: a local file or folder, with `~` for a home."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mubert_jax.errors import UserError

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


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
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError as error:  # `~name`: a file may be called so, as Excel's locks are
        if path.exists():
            return path
        raise UserError(
            f"{text}: nobody here has that home; ./{text} is a file or folder"
        ) from error


def _local(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme.lower() == "file" and parts.netloc in ("", "localhost") and parts.path:
        return Path(unquote(parts.path))
    raise UserError(
        f"{url}: files and folders are local ones here; mount what lies elsewhere "
        "(gcsfuse, mountpoint-s3, a shared disk) or copy it, and give that folder"
    )
