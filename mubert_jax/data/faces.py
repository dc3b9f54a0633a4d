"""One square face box per clip, and the crop that it gives.

The box is the same for every frame of a clip, so cropping adds no motion.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import cv2.data
import numpy as np

from mubert_jax.errors import UserError

# Frames of a clip in which its face is looked for: more take longer, and steady the median.
SAMPLED_FRAMES = 15
# Larger frames are shrunk to this side in pixels: a smaller one is faster, and misses small faces.
_DETECTION_SIDE = 640
# Intersection over union from which two detections are one face: a larger one would lose a head
# that moves, a smaller one would take neighbours for one person.
_SAME_FACE_OVERLAP = 0.4
# YuNet's confidence in a face, below OpenCV's default of 0.9: `clip_box` puts up with false faces
# in some frames, and has nothing to go by without any.
_LEAST_SCORE = 0.6


class Box(NamedTuple):
    """A square in pixels; it may reach over the edges of its frame."""

    x: int
    y: int
    side: int


class Detection(NamedTuple):
    """A face in pixels of the frame that it was found in, with the detector's confidence."""

    x: float
    y: float
    width: float
    height: float
    score: float


Detector = Callable[[np.ndarray], list[Detection]]
"""(H, W, 3) uint8 RGB -> all faces; may be called from several threads."""


class HaarDetector:
    """The frontal-face cascade that ships with OpenCV: no download, frontal faces only."""

    def __init__(self):
        self._local = threading.local()

    def __call__(self, image: np.ndarray) -> list[Detection]:
        if not hasattr(self._local, "cascade"):
            self._local.cascade = cv2.CascadeClassifier(
                str(Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml")
            )
        small, scale = _shrink(image)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        # The cascade's own window has 24 pixels. Faces below an eighth of the frame are left out:
        # to look for them takes longer and gives more false positives.
        smallest = max(24, min(grey.shape) // 8)
        faces, _, scores = self._local.cascade.detectMultiScale3(
            grey,
            scaleFactor=1.1,  # OpenCV's default
            minNeighbors=5,  # more than its default of 3, for fewer false positives
            minSize=(smallest, smallest),
            outputRejectLevels=True,
        )
        return [
            Detection(*(float(value) / scale for value in face), score=float(score))
            for face, score in zip(faces, np.ravel(scores), strict=True)
        ]


class YuNetDetector:
    """OpenCV's YuNet network, from an ONNX file; UserError when it is missing or not YuNet."""

    def __init__(self, path: str | Path):
        self._path = Path(path)
        self._local = threading.local()
        if not self._path.is_file():
            raise UserError(
                f"{path}: no such detector file; give the path of a YuNet .onnx file "
                "(OpenCV Zoo, face_detection_yunet) or use --detector haar"
            )
        self(np.zeros((64, 64, 3), np.uint8))

    def __call__(self, image: np.ndarray) -> list[Detection]:
        small, scale = _shrink(image)
        height, width = small.shape[:2]
        try:
            if not hasattr(self._local, "network"):
                self._local.network = cv2.FaceDetectorYN.create(
                    str(self._path), "", (width, height), score_threshold=_LEAST_SCORE
                )
            self._local.network.setInputSize((width, height))
            _, faces = self._local.network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        except cv2.error as error:
            raise UserError(
                f"{self._path}: not a YuNet face detector; use a face_detection_yunet .onnx file "
                "of the OpenCV Zoo or --detector haar"
            ) from error
        return [
            Detection(*(float(value) / scale for value in face[:4]), score=float(face[-1]))
            for face in (() if faces is None else faces)
        ]


def make_detector(name: str) -> Detector:
    """The detector for "haar" or the path of a YuNet .onnx file; UserError for anything else."""
    return HaarDetector() if name == "haar" else YuNetDetector(name)


def _shrink(image: np.ndarray) -> tuple[np.ndarray, float]:
    scale = min(1.0, _DETECTION_SIDE / max(image.shape[:2]))
    if scale == 1.0:
        return image, 1.0
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def _overlap(a: Detection, b: Detection) -> float:
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    common = max(0.0, width) * max(0.0, height)
    return common / (a.width * a.height + b.width * b.height - common)


def clip_box(frames: Sequence[np.ndarray], detector: Detector, margin: float) -> Box | None:
    """The face box of a clip, in pixels of `frames[0]`; None where no frame shows a face.

    The face is the one that is found in most of the frames, as a false positive is in few of them.
    Its position and size are the medians over those frames.

    Args:
      frames: some frames of the clip, each (H, W, 3) uint8 RGB.
      detector: the detector of faces in one frame.
      margin: what is added on each side, as a fraction of the face's side.
    """
    height, width = frames[0].shape[:2]
    found = []
    for frame in frames:
        y_scale, x_scale = height / frame.shape[0], width / frame.shape[1]
        found.append(
            [
                Detection(
                    f.x * x_scale, f.y * y_scale, f.width * x_scale, f.height * y_scale, f.score
                )
                for f in detector(frame)
            ]
        )

    def same_face(seed: Detection) -> list[Detection]:
        nearest = (max(faces, key=lambda face: _overlap(seed, face)) for faces in found if faces)
        return [face for face in nearest if _overlap(seed, face) >= _SAME_FACE_OVERLAP]

    tracks = [same_face(face) for faces in found for face in faces]
    if not tracks:
        return None
    track = max(tracks, key=lambda faces: (len(faces), sum(f.width * f.height for f in faces)))
    x = np.median([face.x + face.width / 2 for face in track])
    y = np.median([face.y + face.height / 2 for face in track])
    side = np.median([max(face.width, face.height) for face in track]) * (1 + 2 * margin)
    return Box(round(x - side / 2), round(y - side / 2), max(1, round(side)))


def center_box(image: np.ndarray) -> Box:
    """The largest centred square of an image."""
    height, width = image.shape[:2]
    side = min(height, width)
    return Box((width - side) // 2, (height - side) // 2, side)


def crop_and_resize(image: np.ndarray, box: Box | None, size: int) -> np.ndarray:
    """The box of an image as (size, size, 3) uint8; None takes the whole image.

    Where the box leaves the image, its edge pixels are repeated.
    """
    if box is not None:
        image = _crop(image, box)
    if image.shape[:2] == (size, size):
        return np.ascontiguousarray(image)
    shrinking = min(image.shape[:2]) > size
    method = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=method)


def _crop(image: np.ndarray, box: Box) -> np.ndarray:
    height, width = image.shape[:2]
    left, top = max(0, -box.x), max(0, -box.y)
    right, bottom = max(0, box.x + box.side - width), max(0, box.y + box.side - height)
    inside = image[max(0, box.y) : box.y + box.side, max(0, box.x) : box.x + box.side]
    if left or top or right or bottom:
        return cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return inside
