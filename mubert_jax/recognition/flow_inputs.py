"""Flow maps, (u, v, optical strain), as an input of networks: names, and how they are made."""

from collections.abc import Iterable

import numpy as np

from mubert_jax.errors import UserError
from mubert_jax.flow_maps import Normalise, per_channel, stacked
from mubert_jax.motion_maps import MotionMap

FLOW_MAPS = "flow_maps"
# The suffix of flow maps that are not stretched, and the flow of those that name none.
IN_PIXELS = "/pixels"
FLOW = "farneback"


def flow_maps_of(flow: str = "", normalise: Normalise = "per-channel") -> str:
    """The name by which `Inputs.read` knows the flow maps of a motion map that gives flow.

    Args:
      flow: its name; "" for what the set of clips stores or, where it stores frames, Farnebäck's.
      normalise: as `flow_maps.stacked` takes it.
    """
    method, pixels = f"/{flow}" if flow else "", IN_PIXELS if normalise == "pixels" else ""
    return f"{FLOW_MAPS}{method}{pixels}"


def arguments(name: str) -> tuple[str, Normalise] | None:
    """The arguments of `flow_maps_of` that give this name; None for another input."""
    first, _, flow = name.removesuffix(IN_PIXELS).partition("/")
    if first != FLOW_MAPS:
        return None
    return flow, "pixels" if name.endswith(IN_PIXELS) else "per-channel"


def check_gives_flow(method: MotionMap) -> None:
    """UserError unless a motion map gives flow."""
    if method.gives != "flow":
        raise UserError(f"flow maps are made of flow, which {method.title!r} does not give")


def of_frames(
    method: MotionMap,
    normalise: Normalise,
    onset_BxHxWx3: Iterable[np.ndarray],
    apex_BxHxWx3: Iterable[np.ndarray],
) -> np.ndarray:
    """The flow maps (B, 28, 28, 3) of a batch."""
    pairs = zip(onset_BxHxWx3, apex_BxHxWx3, strict=True)
    return np.stack([stacked(method(*pair), normalise=normalise) for pair in pairs])


def of_stored(name: str, copies: int, stored_Px28x28x3: np.ndarray) -> np.ndarray:
    """The flow maps (1, P, 28, 28, 3) of clips that hold them in the place of frames.

    Raises:
      UserError: the input `name`, or its augmented copies, would be made from frames.
    """
    asked = arguments(name)
    if asked is None or asked[0] or copies:
        raise UserError(
            f"the clips hold stored flow and no frames, from which {name!r} would be made; give "
            "config.data.path of a set with frames, or a network that reads stored flow, such as "
            "--config.recognition.network=ststnet"
        )
    stored = np.asarray(stored_Px28x28x3, np.float32)
    return (stored if asked[1] == "pixels" else per_channel(stored))[None]
