"""The two record kinds, `frames` and `pairs`, as `tf.train.Example` bytes.

The protos come with tensorflow-datasets and need no TensorFlow. Importing them takes 0.7 s, so it
happens at the first record and not when this module is imported. While it runs, imports in other
threads fail (it replaces `__import__`): call `load_protos` before starting threads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import cv2
import numpy as np

from mubert_jax.errors import UserError

Ellipse = tuple[float, float, float, float]
"""The middle (x, y) and the half axes along x and y, as shares of the frame's width and height."""

UNKNOWN: Ellipse = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class FrameRecord:
    """One unlabelled frame: `image` holds PNG or JPEG bytes, `frame` its number in `video`.

    `face` is where the face is; `UNKNOWN` for all frames but those of drawn people.
    """

    image: bytes
    video: str
    frame: int
    subject: str
    face: Ellipse = UNKNOWN


@dataclass(frozen=True)
class PairRecord:
    """One labelled clip: onset and apex images (PNG or JPEG bytes) and what was annotated.

    `offset_frame` is -1 where a data set does not give it; `action_units` is as annotated, such as
    "4+7"; `face_box` is (x, y, width, height) in pixels of the source frame. `subject` begins with
    the data set, such as "casme2/sub01"; `clip` is unique with it. `apex_source` says where the
    apex comes from: "annotated", "nearest" (the stored frame nearest to the annotated one),
    "midpoint" of onset and offset, or "auto" (the largest change of the face). `clip_frames` are
    images from behind the onset to the offset, evenly spread; none where none were asked for.
    """

    onset: bytes
    apex: bytes
    label: int
    emotion: str
    subject: str
    clip: str
    dataset: str
    onset_frame: int
    apex_frame: int
    offset_frame: int
    fps: float
    action_units: str
    face_box: tuple[int, int, int, int]
    apex_source: str = "annotated"
    clip_frames: tuple[bytes, ...] = ()


Record = TypeVar("Record", FrameRecord, PairRecord)

# Type of a field -> its value in a proto's feature.
_READERS: dict[Any, Callable[[Any], Any]] = {
    bytes: lambda feature: feature.bytes_list.value[0],
    str: lambda feature: feature.bytes_list.value[0].decode(),
    int: lambda feature: feature.int64_list.value[0],
    float: lambda feature: feature.float_list.value[0],
    # Records of before have none.
    tuple[bytes, ...]: lambda feature: tuple(feature.bytes_list.value),
    tuple[int, int, int, int]: lambda feature: tuple(feature.int64_list.value),
    # Records of before say nothing of faces.
    Ellipse: lambda feature: tuple(feature.float_list.value) or UNKNOWN,
}


@cache
def load_protos() -> tuple[ModuleType, ModuleType]:
    """The modules (tf_example_pb2, tf_feature_pb2); to be called before threads use records."""
    from tensorflow_datasets.proto import tf_example_generated_pb2, tf_feature_generated_pb2

    return tf_example_generated_pb2, tf_feature_generated_pb2


def _encode(record: FrameRecord | PairRecord) -> bytes:
    examples, features = load_protos()
    example = examples.Example()
    for field in fields(record):
        value = getattr(record, field.name)
        if field.type == tuple[bytes, ...] and not value:
            continue
        feature = example.features.feature[field.name]
        if field.type is bytes:
            feature.bytes_list.value.append(value)
        elif field.type is str:
            feature.bytes_list.value.append(value.encode())
        elif field.type is float:
            feature.float_list.value.append(value)
        elif field.type == tuple[bytes, ...]:
            feature.bytes_list.value.extend(value)
        elif field.type == Ellipse:
            feature.float_list.value.extend(value)
        else:
            feature.int64_list.value.extend(value if isinstance(value, tuple) else (value,))
    return example.SerializeToString(deterministic=True)


def _parse(record: bytes) -> Mapping[str, Any]:
    examples, _ = load_protos()
    try:
        return examples.Example.FromString(record).features.feature
    except Exception as error:  # the proto library's own DecodeError
        raise UserError("a record is not a tf.train.Example; is this a mubert data set?") from error


def _decode(kind: type[Record], features: Mapping[str, Any]) -> Record:
    values = {}
    for field in fields(kind):
        try:
            values[field.name] = _READERS[field.type](features[field.name])
        except (IndexError, UnicodeDecodeError) as error:
            raise UserError(
                f"a record has no usable feature {field.name!r}, which every {kind.__name__} "
                "has; is this a data set of the other kind, or not made by mubert?"
            ) from error
    return kind(**values)


def encode_frame(record: FrameRecord) -> bytes:
    """The record as a serialised tf.train.Example."""
    return _encode(record)


def decode_frame(record: bytes) -> FrameRecord:
    """The inverse of `encode_frame`; UserError when a feature is missing."""
    return _decode(FrameRecord, _parse(record))


def encode_pair(record: PairRecord) -> bytes:
    """The record as a serialised tf.train.Example."""
    return _encode(record)


def decode_pair(record: bytes) -> PairRecord:
    """The inverse of `encode_pair` (`fps` to float32 precision); errors as for `decode_frame`."""
    return _decode(PairRecord, _parse(record))


def describe(record: bytes) -> tuple[str, int, str]:
    """(video, frame number, subject) of a record of either kind.

    A pair is described by its onset, in a video "SUBJECT/CLIP", as subjects share clip names.
    """
    features = _parse(record)
    if "onset" in features:
        pair = _decode(PairRecord, features)
        return f"{pair.subject}/{pair.clip}", pair.onset_frame, pair.subject
    frame = _decode(FrameRecord, features)
    return frame.video, frame.frame, frame.subject


def decode_image(encoded: bytes, out: np.ndarray | None = None) -> np.ndarray:
    """PNG or JPEG bytes to (H, W, 3) uint8 RGB; UserError when they are not an image.

    The pixels go into `out`, which is returned, if it is given and has the shape of the image.
    """
    buffer = np.frombuffer(encoded, np.uint8)
    image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB) if encoded else None
    if image is None:
        raise UserError(
            f"{len(encoded)} bytes are not a PNG or JPEG image; run `mubert prepare` again"
        )
    if out is None or out.shape != image.shape:
        return image
    np.copyto(out, image)
    return out


def encode_image(image: np.ndarray, encoding: str) -> bytes:
    """(H, W, 3) uint8 RGB to PNG (lossless) or JPEG (quality 95, OpenCV's default) bytes."""
    suffix, flags = {"png": (".png", []), "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95])}[
        encoding
    ]
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)[1].tobytes()
