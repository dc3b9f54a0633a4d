"""Real faces as people: a photograph becomes a layer of colour and opacity, as `drawing` gives."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mubert_jax.data.faces import Detection, HaarDetector
from mubert_jax.data.images import read_image
from mubert_jax.errors import UserError
from mubert_jax.synthetic.drawing import Pose

# Half the width of a face, and the height of its middle, as shares of the box that OpenCV's cascade
# gives. They are assumptions, as the landmarks are: on a face that differs, movements are drawn
# beside its features.
HALF_WIDTH, MIDDLE = 0.40, 0.51
# Where features of most faces are, in face coordinates.
_HEIGHT = 1.28
LANDMARKS: dict[str, Any] = {
    "height": _HEIGHT,
    "jaw": 0.0,
    "eye": (0.48, -0.30),
    "eye_size": (0.20, 0.08),
    "brow": (0.48, -0.55),
    "nose": (0.0, 0.25),
    "nose_size": (0.2, 0.8),
    "mouth": (0.0, 0.68),
    "mouth_size": (0.36, 0.07, 0.09),
}


def cut_out(photo: Path, pose: Pose, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Layer (size, size, 4) and face mask (size, size) of the widest face, brought to `pose`.

    Head and shoulders are separated from the background by GrabCut.

    Raises:
      UserError: the photograph cannot be read, or no face is found in it.
    """
    image = read_image(photo)
    faces = HaarDetector()(image)
    if not faces:
        raise UserError(f"{photo}: no frontal face found; remove it, or crop it closer")
    found = max(faces, key=lambda face: face.width)
    matrix = _to_pose(found, pose, size)
    view = cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    x, y = pose.to_face(size)
    face = 1 / (1 + np.exp(np.clip((np.hypot(x, y / _HEIGHT) - 1) * 40, -30, 30)))
    opacity = _person(view, x, y)
    layer = np.dstack([view.astype(np.float32) / 255 * opacity[..., None], opacity])
    return layer.astype(np.float32), face.astype(np.float32)


def _to_pose(face: Detection, pose: Pose, size: int) -> np.ndarray:
    scale = pose.half_width * size / (HALF_WIDTH * face.width)
    matrix = cv2.getRotationMatrix2D((0, 0), -np.degrees(pose.roll), scale)
    middle = face.x + face.width / 2, face.y + MIDDLE * face.height
    matrix[:, 2] = np.array(pose.center) * size - matrix[:, :2] @ middle
    return matrix


def _person(view: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The opacity of the person, soft at the edge."""
    mask = np.full(view.shape[:2], cv2.GC_BGD, np.uint8)
    near = (np.hypot(x / 1.7, (y + 0.2) / 1.9) < 1) | ((np.abs(x) < 2.2) & (y > 1.1))
    mask[near] = cv2.GC_PR_FGD
    mask[(np.hypot(x / 0.85, y / 1.1) < 1) | ((np.abs(x) < 0.5) & (y > 0.8))] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    # The rectangle is not read with a mask; 65 is the size of OpenCV's colour models.
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(view, mask, (0, 0, 0, 0), *models, 3, cv2.GC_INIT_WITH_MASK)
    person = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    return cv2.GaussianBlur(person, (0, 0), len(view) / 300)
