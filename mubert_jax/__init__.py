"""Micron-BERT in JAX: facial micro-expressions from unlabelled video (CVPR 2023).

import mubert_jax as mb

model = mb.load("shipped")
maps = model.maps(onset, apex)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mubert_jax.api import Model, load, read_video

__version__ = "0.1.0"
__all__ = ["Model", "load", "read_video"]


def __getattr__(name: str):
    # JAX is imported when a model is wanted, not with the package: the command line starts fast.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mubert_jax import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
