"""What moves in a face, recorded: the optical flow of a real clip, laid on another face."""

import dataclasses

import cv2
import numpy as np

from mubert_jax.errors import UserError
from mubert_jax.synthetic.drawing import Pose
from mubert_jax.synthetic.identity import Identity

# Where eyes and mouth are in the faces that flow is published of, as shares of the height: the
# places that HTNet (Wang et al., 2024) takes where its detector finds no face. The eyes lie as far
# apart there as on a drawn face of the same width, so no such places are needed across.
EYES, MOUTH = 0.39, 0.79
# The part of a face, towards its outline, over which movement fades away: with more, a chin (0.84
# of the height below the middle) would not move as far as it was recorded to.
EDGE = 0.15


@dataclasses.dataclass(frozen=True, eq=False)
class Recorded:
    """The flow of one clip.

    Attributes:
      emotion: what it shows.
      flow: (H, W, 2) from onset to apex over the box of the face, u (positive to the right) and v
        (positive downwards) in any unit.
    """

    emotion: str
    flow: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class RecordedMovement:
    """What one clip shows, as `movements.Movement`, but as it was recorded.

    Attributes:
      recorded: what was recorded.
      identity: whose face moves; their eyes and mouth move as those that were recorded.
      amplitude: how far at the apex, in pixels of a 224-pixel frame.
    """

    recorded: Recorded
    identity: Identity
    amplitude: float

    @property
    def emotion(self) -> str:
        return self.recorded.emotion

    @property
    def action_units(self) -> tuple[int, ...]:
        """No unit: nobody says which ones moved."""
        return ()

    def field(self, pose: Pose, size: int) -> np.ndarray:
        """Displacement at the apex (size, size, 2), (x, y) in pixels of that size.

        The longest has exactly the length of the amplitude; outside of the face nothing moves.

        Raises:
          UserError: what was recorded moves nothing inside of the face.
        """
        x, y = pose.to_face(size)
        height = self.identity.height
        landmarks = (-height, self.identity.eye[1], self.identity.mouth[1], height)
        down = np.interp(y, landmarks, (0, EYES, MOUTH, 1))
        rows, columns = self.recorded.flow.shape[:2]
        flow = cv2.remap(
            self.recorded.flow.astype(np.float32),
            ((x + 1) / 2 * columns - 0.5).astype(np.float32),
            (down * rows - 0.5).astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        outwards = np.clip((self.identity.radius(x, y) - 1) / EDGE + 1, 0, 1)
        flow *= 0.5 + 0.5 * np.cos(np.pi * outwards)[..., None]
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        turned = flow @ np.array([[cos, sin], [-sin, cos]], np.float32)
        peak = np.linalg.norm(turned, axis=-1).max()
        if not peak:
            raise UserError("the recorded flow moves nothing inside of the face")
        return turned * np.float32(self.amplitude * size / 224 / peak)
