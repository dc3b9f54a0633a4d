"""Maps of the movement between two frames, without learning: one module per method.

A module of this folder defines `METHOD`, a `MotionMap`, and gives the method its name: a baseline
of `mubert bench perception --methods NAME`, a feature of the recognizer
(`config.recognition.features=NAME`), a column of `mubert bench perception --picture`. Nothing else
has to be touched. Modules whose names begin with an underscore hold code that methods share.
"""

import dataclasses
import importlib.util
import sys
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from mubert_jax import discovery
from mubert_jax.config_values import unknown
from mubert_jax.data.alignment import ALIGNERS, aligned, face_ellipse
from mubert_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class MotionMap:
    """A method: called with onset and apex, (H, W, 3) RGB in grey levels of 255, it gives its map.

    Attributes:
      title: the name of its rows in tables.
      gives: "map" (H, W), which may be signed, or "flow" (H, W, 2), (x, y) in pixels.
      see: (onset, apex) -> map or flow, for uint8 frames.
      reads_face: whether `see` takes the mask of the face, too, (H, W) boolean.
      takes_floats: whether `see` takes float32 frames as they are, such as augmented copies; for
        other methods they are cut to whole levels.
      unit: the unit of its values.
      limit: the value at full colour in pictures, None for their strongest hundredth; a smaller one
        shows fainter movements and saturates sooner.
      extra: the extra of this package that it needs, named like the module that this brings, such
        as "torch"; `see` imports it when it is called, so that nobody else needs it.
      version: what its values depend on beside the frames, such as a digest of weights.
      lacks: what else is not there, such as weights that are not shipped, and what to do; "" if
        nothing is missing.
    """

    title: str
    gives: Literal["map", "flow"]
    see: Callable[..., np.ndarray]
    reads_face: bool = False
    takes_floats: bool = False
    unit: str = ""
    limit: float | None = None
    extra: str = ""
    version: Callable[[], str] = str
    lacks: Callable[[], str] = str

    def __call__(
        self, onset: ArrayLike, apex: ArrayLike, face: np.ndarray | None = None
    ) -> np.ndarray:
        """The map; `face` is where the face of a cropped frame usually lies if not given."""
        onset, apex = np.asarray(onset), np.asarray(apex)
        if not self.takes_floats:
            onset, apex = (frame.astype(np.uint8, copy=False) for frame in (onset, apex))
        if not self.reads_face:
            return self.see(onset, apex)
        return self.see(onset, apex, face_ellipse(onset.shape[:2]) if face is None else face)

    def strength(
        self, onset: ArrayLike, apex: ArrayLike, face: np.ndarray | None = None
    ) -> np.ndarray:
        """How much moves, (H, W): the length of a flow, a map without its sign."""
        return length(self(onset, apex, face))


def length(seen: np.ndarray) -> np.ndarray:
    """The strength of a flow (H, W, 2) or of a map (H, W): (H, W), not negative."""
    return np.abs(seen) if seen.ndim == 2 else np.linalg.norm(seen, axis=-1)


def available() -> list[str]:
    """The names of all methods, sorted."""
    return discovery.names(sys.modules[__name__])


def load(name: str) -> MotionMap:
    """The method of this name, ready to be called.

    Raises:
      UserError: there is none (the message has the nearest name), or something that it needs is not
        installed.
    """
    method = _method(name)
    if method.extra and importlib.util.find_spec(method.extra) is None:
        raise UserError(
            f"the motion map {name!r} needs {method.extra}, which is not installed: pip install "
            f"'mubert_jax[{method.extra}]'"
        )
    if lacking := method.lacks():
        raise UserError(f"the motion map {name!r} {lacking}")
    return method


def chosen(names: Iterable[str] | None = None) -> dict[str, MotionMap]:
    """Name -> method for these names or, if None, for all that need nothing else; as `load`."""
    if names is None:
        every = {name: _method(name) for name in available()}
        return {
            name: method
            for name, method in every.items()
            if not method.extra and method.lacks is MotionMap.lacks
        }
    return {name: load(name) for name in names}


def registered(method: str | MotionMap, align: str) -> MotionMap:
    """The method, applied after the apex is registered to the onset.

    Args:
      align: one of `alignment.ALIGNERS`, or "none".

    Raises:
      UserError: as for `load`, or there is no such registration.
    """
    method = load(method) if isinstance(method, str) else method
    if align not in ("none", *ALIGNERS):
        raise unknown(f"registration {align!r}", align, ("none", *ALIGNERS))

    def see(onset: np.ndarray, apex: np.ndarray, *face: np.ndarray) -> np.ndarray:
        return method.see(onset, aligned(align, apex, onset), *face)

    title = f"{method.title}, registered ({align})"
    return dataclasses.replace(method, title=title, see=see, takes_floats=False)


def _method(name: str) -> MotionMap:
    return discovery.module(sys.modules[__name__], name, "motion map").METHOD
