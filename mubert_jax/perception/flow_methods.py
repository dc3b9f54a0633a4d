"""The methods by which `mubert prepare flow` finds flow: motion maps, and what DMA tells."""

import dataclasses
import hashlib

import cv2
import jax
import numpy as np

from mubert_jax import motion_maps
from mubert_jax.config_values import unknown
from mubert_jax.data.flow_sources import FlowMethod
from mubert_jax.errors import UserError
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.trained import Trained

DISPLACEMENT = "displacement"


def flow_method(name: str, trained: Trained | None = None) -> FlowMethod:
    """The method of this name: `DISPLACEMENT`, or a motion map that gives flow.

    Args:
      trained: the model whose DMA tells displacement; other methods take none.

    Raises:
      UserError: there is no such method, it gives no flow, or something that it needs is missing.
    """
    known = (DISPLACEMENT, *motion_maps.available())
    if name not in known:
        raise unknown(f"--method {name!r}", name, known)
    if name == DISPLACEMENT:
        if trained is None:
            raise ValueError("displacement is what a trained model tells, and none was given")
        return _displacement(trained)
    method = motion_maps.load(name)
    if method.gives != "flow":
        raise UserError(
            f"--method {name!r} gives a map of how much moves, without its direction; take "
            "farneback, tvl1, dis, raft or displacement"
        )
    return FlowMethod(name, method, method.version())


def _displacement(trained: Trained) -> FlowMethod:
    """How far DMA says that each patch moved, between frames of any size, pixel by pixel."""
    if trained.config.model.dma.reads == "tokens":
        raise UserError(
            "this checkpoint's DMA reads tokens (config.model.dma.reads='tokens') and cannot tell "
            "which way anything moved; take --checkpoint=shipped, or another --method"
        )
    as_prepared = dataclasses.replace(trained.config.perception, align="none", map="calibrated")
    perceiver = Perceiver(trained.model, trained.params, as_prepared, batch=1)
    side = trained.config.model.image_size

    def see(onset: np.ndarray, apex: np.ndarray) -> np.ndarray:
        height, width = onset.shape[:2]
        seen = perceiver(*(_resized(frame, side)[None] for frame in (onset, apex)))
        # Smooth between patches, because strain is the slope.
        told = cv2.resize(seen.displacement[0], (width, height), interpolation=cv2.INTER_CUBIC)
        return told * np.array([width / side, height / side], np.float32)

    digest = hashlib.sha256()
    for array in jax.tree.leaves(trained.params):
        digest.update(np.ascontiguousarray(array).tobytes())
    return FlowMethod(DISPLACEMENT, see, digest.hexdigest()[:16], trained.seen.to_json())


def _resized(frame: np.ndarray, side: int) -> np.ndarray:
    if frame.shape[:2] == (side, side):
        return frame
    shrinks = min(frame.shape[:2]) > side
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(frame, (side, side), interpolation=how)
