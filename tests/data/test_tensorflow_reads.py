"""TensorFlow and TFDS as the independent judges of the files we write and read."""

import numpy as np
import pytest

from mubert_jax.data.frames import FramePairs
from mubert_jax.data.metadata import shard_name, write_metadata
from mubert_jax.data.records import (
    FrameRecord,
    PairRecord,
    decode_frame,
    decode_image,
    encode_image,
    encode_pair,
)
from mubert_jax.data.source import RecordSource
from mubert_jax.data.tfrecord import TFRecordFile, TFRecordWriter


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def tfds(tf):
    return pytest.importorskip("tensorflow_datasets")


def test_tensorflow_reads_our_shards(tf, prepared):
    source = RecordSource(prepared)
    shards = [str(prepared / name) for name in source.index.shard_names]
    theirs = [record.numpy() for record in tf.data.TFRecordDataset(shards)]
    assert theirs == [source[i] for i in range(len(source))]


def test_we_read_the_shards_of_tensorflow(tf, tmp_path):
    path = tmp_path / "x.tfrecord"
    records = [b"", b"a", np.random.default_rng(0).bytes(100_000)]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    scanned = list(TFRecordFile(path).scan())
    assert [data for _, data in scanned] == records
    assert TFRecordFile(path).read(2, scanned[2][0], 100_000) == records[2]


def test_we_write_the_same_bytes_as_tensorflow(tf, tmp_path):
    records = [b"", b"abc", b"\x00" * 1000]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as theirs:
        for record in records:
            theirs.write(record)
    with TFRecordWriter(tmp_path / "ours") as ours:
        for record in records:
            ours.write(record)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_set_written_with_tensorflow_alone_gives_pairs(tf, tmp_path):
    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.io.TFRecordWriter(str(tmp_path / "any.tfrecord-00000-of-00001")) as writer:
        for number in range(8):
            image = encode_image(np.full((8, 8, 3), number, np.uint8), "png")
            features = {"image": image, "video": b"v", "frame": number, "subject": b"s"}
            features = {name: feature(value) for name, value in features.items()}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    (tmp_path / "dataset_info.json").write_text("{}")
    pair = FramePairs(tmp_path, image_size=8).pair(0, 1, 0)
    assert pair["current"].max() == 1
    assert pair["reference"].max() == 1 + pair["delta"]


def test_tfds_loads_a_prepared_set(tfds, prepared):
    builder = tfds.builder_from_directory(prepared)
    source = RecordSource(prepared)
    assert builder.info.splits["train"].num_examples == len(source) == 48
    assert builder.info.splits["train"].shard_lengths == [16, 16, 16]
    assert builder.info.features["image"].shape == (32, 32, 3)
    examples = list(tfds.as_numpy(builder.as_dataset(split="train", shuffle_files=False)))
    assert len(examples) == 48
    for example, record in zip(examples, (source[i] for i in range(48)), strict=True):
        ours: FrameRecord = decode_frame(record)
        np.testing.assert_array_equal(example["image"], decode_image(ours.image))
        assert example["video"].decode() == ours.video
        assert example["frame"] == ours.frame
        assert example["subject"].decode() == ours.subject


def test_tfds_loads_a_set_of_pairs(tfds, tmp_path):
    images = [np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8) for i in range(2)]
    onset, apex = (encode_image(image, "png") for image in images)
    record = PairRecord(
        onset, apex, 1, "anger", "s", "c", "casme2", 3, 9, -1, 200.0, "4+7", (1, 2, 3, 4)
    )
    path = tmp_path / shard_name("pairs", 0, 1)
    with TFRecordWriter(path) as writer:
        writer.write(encode_pair(record))
    write_metadata(
        tmp_path,
        kind="pairs",
        shard_lengths=[1],
        num_bytes=path.stat().st_size,
        size=8,
        encoding="png",
        description="One pair.",
        emotions=("surprise", "anger"),
    )
    builder = tfds.builder_from_directory(tmp_path)
    (example,) = tfds.as_numpy(builder.as_dataset(split="train"))
    np.testing.assert_array_equal(example["onset"], images[0])
    np.testing.assert_array_equal(example["apex"], images[1])
    assert builder.info.features["label"].names == ["surprise", "anger"]
    assert (example["label"], example["offset_frame"], example["fps"]) == (1, -1, 200.0)
    assert example["face_box"].tolist() == [1, 2, 3, 4]
    assert example["action_units"] == b"4+7"
