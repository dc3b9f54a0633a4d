"""TFDS metadata, so that `tfds.builder_from_directory(DIR)` loads what `mubert prepare` wrote."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mubert_jax.data.records import Ellipse, FrameRecord, PairRecord
from mubert_jax.errors import UserError

INFO_FILE = "dataset_info.json"
_KINDS = {"frames": FrameRecord, "pairs": PairRecord}


def shard_name(kind: str, shard: int, shards: int) -> str:
    """The file name that TFDS expects, such as `frames-train.tfrecord-00000-of-00004`."""
    return f"{kind}-train.tfrecord-{shard:05d}-of-{shards:05d}"


def _features(
    kind: str, size: int, encoding: str, emotions: Sequence[str], clip_frames: int
) -> dict[str, Any]:
    import tensorflow_datasets as tfds

    image = tfds.features.Image(shape=(size, size, 3), dtype=np.uint8, encoding_format=encoding)
    by_type = {
        bytes: image,
        str: tfds.features.Text(),
        int: tfds.features.Scalar(np.int64),
        float: tfds.features.Scalar(np.float32),
        tuple[int, int, int, int]: tfds.features.Tensor(shape=(4,), dtype=np.int64),
        Ellipse: tfds.features.Tensor(shape=(4,), dtype=np.float32),
        tuple[bytes, ...]: tfds.features.Sequence(image, length=clip_frames),
    }
    annotations = _KINDS[kind].__annotations__
    features = {name: by_type[type_] for name, type_ in annotations.items()}
    if not clip_frames:
        features.pop("clip_frames", None)
    if kind == "pairs":
        features["label"] = tfds.features.ClassLabel(names=list(emotions))
    return features


def write_metadata(
    directory: Path,
    *,
    kind: str,
    shard_lengths: Sequence[int],
    num_bytes: int,
    size: int,
    encoding: str,
    description: str,
    emotions: Sequence[str] = (),
    clip_frames: int = 0,
) -> None:
    """Writes features.json and, last of all, dataset_info.json into `directory`.

    Args:
      directory: holds the shards, named by `shard_name`.
      kind: "frames" or "pairs".
      shard_lengths: records in each shard.
      num_bytes: the size of all shards.
      size: height and width of the stored images in pixels.
      encoding: "png" or "jpeg".
      description: one sentence for readers of the data set.
      emotions: class names in label order; pairs only.
      clip_frames: how many images each pair has beside onset and apex.
    """
    import tensorflow_datasets as tfds

    staging = directory / ".metadata"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    for shard in range(len(shard_lengths)):
        (staging / shard_name(kind, shard, len(shard_lengths))).touch()
    template = tfds.core.ShardedFileTemplate(
        data_dir=staging, dataset_name=kind, split="train", filetype_suffix="tfrecord"
    )
    tfds.folder_dataset.write_metadata(
        data_dir=staging,
        features=_features(kind, size, encoding, emotions, clip_frames),
        split_infos=[
            tfds.core.SplitInfo(
                name="train",
                shard_lengths=list(shard_lengths),
                num_bytes=num_bytes,
                filename_template=template,
            )
        ],
        version="1.0.0",
        check_data=False,
        description=description,
    )
    written = [path for path in staging.iterdir() if ".tfrecord-" not in path.name]
    for path in sorted(written, key=lambda path: path.name == INFO_FILE):
        os.replace(path, directory / path.name)
    shutil.rmtree(staging)


def shard_lengths(directory: Path) -> list[int] | None:
    """Records per shard, as dataset_info.json states them; None where nothing states them.

    Raises:
      UserError: the file is damaged.
    """
    path = directory / INFO_FILE
    if not path.exists():
        return None
    try:
        splits = json.loads(path.read_bytes()).get("splits", [])
        return [int(length) for split in splits for length in split["shardLengths"]] or None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: damaged, it does not say how many records each shard holds; copy it again"
        ) from error
