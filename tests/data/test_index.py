"""The sidecar index: rebuilt when missing, stale or corrupt, and equal to the first one."""

import json
import os
from dataclasses import fields

import numpy as np
import pytest

from mubert_jax.data.frames import FramePairs
from mubert_jax.data.index import INDEX_FILE, Index, list_shards, open_shards
from mubert_jax.data.records import decode_frame
from mubert_jax.data.source import RecordSource
from mubert_jax.errors import UserError


def assert_equal(a: Index, b: Index) -> None:
    for field in fields(Index):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), field.name)


@pytest.fixture
def builds(monkeypatch) -> list:
    """Counts how often an index is built."""
    calls, build = [], Index.build
    monkeypatch.setattr(Index, "build", lambda directory: calls.append(1) or build(directory))
    return calls


def test_the_index_of_prepare_equals_one_read_from_the_shards(prepared):
    with np.load(prepared / INDEX_FILE) as saved:
        assert saved["format"] == 1, "with another number no index of an earlier version is read"
        built = Index.build(prepared)
        for field in fields(Index):
            if field.name != "shard_mtimes":  # the fixture is a copy
                np.testing.assert_array_equal(saved[field.name], getattr(built, field.name))
    assert len(built) == 48
    assert len(built.shard_names) == 3


def test_a_fitting_index_is_used(prepared, builds):
    first = Index.open(prepared)
    builds.clear()
    assert_equal(Index.open(prepared), first)
    assert not builds


def _pickled(path):
    """An index that fits, but for a column that only unpickling gives."""
    with np.load(path) as saved:
        columns = dict(saved)
    columns["frame"] = columns["frame"].astype(object)
    np.savez(path, **columns)


def _encrypted(path):
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 not a zip"),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        _encrypted,
        _pickled,
        lambda path: np.savez(path, format=np.array(0)),
        lambda path: np.savez(path, format=np.array(1), shard=np.zeros(3)),
    ],
    ids=[
        "missing",
        "empty",
        "not a zip",
        "half",
        "flag flipped",
        "pickled",
        "older format",
        "columns missing",
    ],
)
def test_a_missing_or_corrupt_index_is_rebuilt(prepared, builds, spoil):
    original = Index.open(prepared)
    builds.clear()
    spoil(prepared / INDEX_FILE)
    assert_equal(Index.open(prepared), original)
    assert builds == [1]
    assert_equal(Index.open(prepared), original)
    assert builds == [1], "the rebuilt index is saved"


def test_an_index_older_than_its_shards_is_rebuilt(prepared, builds, write_shards):
    Index.open(prepared)
    builds.clear()
    for path in prepared.glob("*.tfrecord-*"):
        path.unlink()
    write_shards(prepared, [[("a/x", [4, 5, 6])]])
    index = Index.open(prepared)
    assert builds == [1]
    assert index.frame.tolist() == [4, 5, 6]
    assert index.video_subjects.tolist() == ["a"]


def test_a_touched_shard_is_read_again(prepared, builds):
    Index.open(prepared)
    builds.clear()
    shard = next(prepared.glob("*.tfrecord-*"))
    os.utime(shard, ns=(1, 1))
    Index.open(prepared)
    assert builds == [1]


def test_a_shard_of_another_size_is_read_again_whatever_its_time(prepared, builds, write_shards):
    Index.open(prepared)
    builds.clear()
    shard = prepared / "frames-train.tfrecord-00001-of-00003"
    time = shard.stat().st_mtime_ns
    shard.write_bytes(shard.read_bytes()[: Index.build(prepared).length[0] + 16])
    os.utime(shard, ns=(time, time))
    builds.clear()
    with pytest.raises(UserError):
        Index.open(prepared)
    assert builds == [1]


def test_why_all_records_are_read_is_said(prepared, caplog):
    caplog.set_level("INFO")
    (prepared / INDEX_FILE).unlink()
    Index.open(prepared)
    assert "index.npz is missing; reading all records once" in caplog.text
    os.utime(next(prepared.glob("*.tfrecord-*")), ns=(1, 1))
    Index.open(prepared)
    assert "index.npz is older than the shards; reading all records once" in caplog.text


@pytest.mark.parametrize(
    "lengths, said",
    [
        ([16, 17, 16], r"00001-of-00003: 16 records, where 17 were written; copy this shard again"),
        ([48], "3 shards, where dataset_info.json names 1; copy the folder again"),
    ],
)
@pytest.mark.parametrize("saved", [True, False])
def test_shards_that_hold_other_than_was_written_are_named(prepared, lengths, said, saved):
    """Cut between two records, a shard looks whole."""
    info = prepared / "dataset_info.json"
    assert Index.open(prepared).shard_names.size == 3
    content = json.loads(info.read_text())
    (split,) = content["splits"]
    assert list(map(int, split["shardLengths"])) == [16, 16, 16]
    split["shardLengths"] = lengths
    info.write_text(json.dumps(content))
    if not saved:
        (prepared / INDEX_FILE).unlink()
    with pytest.raises(UserError, match=said):
        Index.open(prepared)


def test_an_index_with_a_flipped_byte_never_gives_wrong_records(prepared):
    original = Index.open(prepared)
    path = prepared / INDEX_FILE
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        spoiled = bytearray(content)
        spoiled[position] ^= 0xFF
        path.write_bytes(spoiled)
        assert_equal(Index.open(prepared), original)


def test_a_folder_that_cannot_be_written_still_opens(prepared, monkeypatch, caplog):
    (prepared / INDEX_FILE).unlink()

    def refuse(self, directory):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Index, "save", refuse)
    assert len(Index.open(prepared)) == 48
    assert "rebuilt at every start" in caplog.text


def test_a_missing_shard_is_named(prepared):
    (prepared / "frames-train.tfrecord-00001-of-00003").unlink()
    with pytest.raises(
        UserError, match="1 of 3 shards missing, the first is frames-train.tfrecord-00001-of-00003"
    ):
        Index.open(prepared)


def test_of_several_missing_shards_the_first_is_named(prepared):
    for number in (0, 2):
        (prepared / f"frames-train.tfrecord-0000{number}-of-00003").unlink()
    with pytest.raises(UserError, match="2 of 3 shards missing, the first is .*-00000-of-00003;"):
        list_shards(prepared)


@pytest.mark.parametrize(
    "name",
    [
        "._frames-train.tfrecord-00000-of-00003",
        ".frames-train.tfrecord-00000-of-00003.Xy12ab",
        "frames-train.tfrecord-00000-of-00003.part",
        "frames-train.tfrecord-00000-of-00003 (1)",
        "frames-train.tfrecord-00000-of-00003.17.tmp",
        "frames-train.tfrecord-00000-of-00003~",
    ],
)
def test_leftovers_of_copying_are_no_shards(prepared, name):
    shards = list_shards(prepared)
    (prepared / name).write_bytes(b"\0\5\26\7")
    assert list_shards(prepared) == shards and len(shards) == 3
    assert len(FramePairs(prepared, (5, 7), 32)) > 0


@pytest.mark.parametrize(
    "name",
    ["a.tfrecord", "a.tfrecords", "a.tfrecord-00000-of-00001", "a-0-of-1.tfrecord", "a.tfrecord1"],
)
def test_shards_of_other_names_are_taken(tmp_path, name):
    (tmp_path / name).touch()
    assert list_shards(tmp_path) == [tmp_path / name]


def test_a_folder_without_shards_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match="mubert prepare"):
        RecordSource(tmp_path)


def test_a_record_that_is_no_example_is_named(tmp_path):
    from mubert_jax.data.tfrecord import TFRecordWriter

    with TFRecordWriter(tmp_path / "x.tfrecord-00000-of-00001") as writer:
        writer.write(b"\xff\xff\xff")
    with pytest.raises(UserError, match=r"x.tfrecord-00000-of-00001: record 0: .*tf.train.Example"):
        RecordSource(tmp_path)


def test_damage_found_while_training_names_shard_record_and_offset(prepared):
    source = RecordSource(prepared)
    number = 20
    path, offset, length = source.locate(number)
    in_shard = number - int(np.searchsorted(source.index.shard, source.index.shard[number]))
    content = bytearray(path.read_bytes())
    content[offset + 12 + length // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        source[number]
    assert f"{path}: record {in_shard} at byte offset {offset}" in str(error.value)


def test_many_shards_are_read_without_holding_them_open(tmp_path, write_shards, monkeypatch):
    monkeypatch.setattr("mubert_jax.data.index._MAX_OPEN_FILES", 2)
    write_shards(tmp_path / "set", [[("a/x", [n])] for n in range(5)])
    source = RecordSource(tmp_path / "set")
    assert [decode_frame(source[i]).frame for i in range(5)] == list(range(5))
    assert all(file._descriptor is None for file in source._files)


def test_as_many_shards_as_may_be_open_are_held_open(prepared, monkeypatch):
    monkeypatch.setattr("mubert_jax.data.index._MAX_OPEN_FILES", 3)
    files = open_shards(list_shards(prepared))
    for file in files:
        offset, record = next(iter(file.scan()))
        assert file.read(0, offset, len(record)) == record
    assert len(files) == 3 and all(file._descriptor is not None for file in files)
