"""Imports the modules of this package that need PyTorch or ONNX, which are optional."""

import importlib
from types import ModuleType

from mubert_jax.errors import UserError


def needing(extra: str, module: str) -> ModuleType:
    """`mubert_jax.interop.MODULE`.

    Raises:
      UserError: What it imports is not installed, or is broken; names the extra that brings it.
    """
    try:
        return importlib.import_module(f"mubert_jax.interop.{module}")
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"this needs a package that cannot be imported ({reason}): pip install "
            f"'mubert_jax[{extra}]'"
        ) from error
