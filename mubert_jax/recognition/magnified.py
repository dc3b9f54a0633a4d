"""MagNet (Oh et al., 2018) as the first stage of a recognizer, which then reads what it made."""

import numpy as np

from mubert_jax.motion_maps.magnet import WEIGHTS, magnifier_of_file


def magnified(
    onset_PxHxWx3: np.ndarray, apex_PxHxWx3: np.ndarray, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Onsets and apexes of P pairs, uint8, the apexes `factor` times as far from the onsets.

    The onsets pass through the network, too, magnified against themselves, so that what it does not
    restore is no movement. With a factor of 0 both are as they were.

    Raises:
      UserError: there are no weights, or the frames are too small.
    """
    if not factor:
        return onset_PxHxWx3, apex_PxHxWx3
    magnify = magnifier_of_file(WEIGHTS.required())

    def against_onsets(frames: np.ndarray) -> np.ndarray:
        pairs = zip(onset_PxHxWx3, frames, strict=True)
        return np.stack([magnify(*pair, factor) for pair in pairs]).round().astype(np.uint8)

    return against_onsets(onset_PxHxWx3), against_onsets(apex_PxHxWx3)
