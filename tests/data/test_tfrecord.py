"""Our TFRecord reader and writer against damage; `test_tensorflow_reads.py` against TensorFlow."""

import pickle
import struct
from concurrent.futures import ThreadPoolExecutor

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubert_jax.data.tfrecord import FRAMING_BYTES, TFRecordFile, TFRecordWriter
from mubert_jax.errors import UserError

RECORDS = [b"first", b"", b"third" * 100]
OFFSETS = [0, 5 + FRAMING_BYTES, 5 + 2 * FRAMING_BYTES]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "x.tfrecord-00000-of-00001"
    with TFRecordWriter(path) as writer:
        for record in RECORDS:
            writer.write(record)
    return path


def test_crc_is_castagnoli_and_masked(shard):
    header = shard.read_bytes()[:12]
    length, crc = struct.unpack("<QI", header)
    plain = google_crc32c.value(header[:8])
    assert google_crc32c.value(b"123456789") == 0xE3069283  # check value of CRC-32C
    assert length == 5
    assert crc == ((plain >> 15 | plain << 17) + 0xA282EAD8) % 2**32


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_scan_and_read_return_what_was_written(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("shard") / "x.tfrecord"
    with TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    file = TFRecordFile(path)
    scanned = list(file.scan())
    assert [data for _, data in scanned] == records
    for number, (offset, data) in enumerate(scanned):
        assert file.read(number, offset, len(data)) == data


@pytest.mark.parametrize("keep_open", [True, False])
def test_reads_from_many_threads_and_after_pickling(shard, keep_open):
    file = pickle.loads(pickle.dumps(TFRecordFile(shard, keep_open)))
    with ThreadPoolExecutor(8) as pool:
        turns = [i % 3 for i in range(300)]
        read = pool.map(lambda i: file.read(i, OFFSETS[i], len(RECORDS[i])), turns)
        assert list(read) == [RECORDS[i] for i in turns]


@pytest.mark.parametrize(
    ("byte", "what"),
    [
        (OFFSETS[2], "damaged header"),
        (OFFSETS[2] + 9, "damaged header"),
        (OFFSETS[2] + 12, "damaged data"),
        (OFFSETS[2] + 12 + 499, "damaged data"),
        (OFFSETS[2] + 12 + 501, "damaged data"),
    ],
)
def test_a_flipped_bit_names_shard_record_and_offset(shard, byte, what):
    content = bytearray(shard.read_bytes())
    content[byte] ^= 0x10
    shard.write_bytes(content)
    file = TFRecordFile(shard)
    for attempt in (lambda: file.read(2, OFFSETS[2], 500), lambda: list(file.scan())):
        with pytest.raises(UserError) as error:
            attempt()
        message = str(error.value)
        assert str(shard) in message
        assert f"record 2 at byte offset {OFFSETS[2]}" in message
        assert what in message
        assert "copy this shard again" in message
        assert "\n" not in message
    assert file.read(0, 0, 5) == b"first"


@pytest.mark.parametrize("kept", [OFFSETS[2] + 5, OFFSETS[2] + 12, OFFSETS[2] + 515])
def test_a_truncated_shard_names_shard_record_and_offset(shard, kept):
    shard.write_bytes(shard.read_bytes()[:kept])
    file = TFRecordFile(shard)
    for attempt in (lambda: file.read(2, OFFSETS[2], 500), lambda: list(file.scan())):
        with pytest.raises(UserError, match=rf"record 2 at byte offset {OFFSETS[2]} is cut short"):
            attempt()


def test_a_length_beyond_the_file_is_not_allocated(shard):
    huge = struct.pack("<Q", 2**60)
    crc = google_crc32c.value(huge)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    shard.write_bytes(huge + struct.pack("<I", masked))
    with pytest.raises(UserError, match="record 0 at byte offset 0 is cut short"):
        list(TFRecordFile(shard).scan())


def test_a_missing_shard_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.*cannot be read"):
        TFRecordFile(tmp_path / "gone").read(0, 0, 5)


def test_an_index_of_another_shard_is_noticed(shard):
    with pytest.raises(UserError, match="another length than the index says"):
        TFRecordFile(shard).read(0, 0, 4)


def test_truncate_takes_back_records(tmp_path):
    path = tmp_path / "x.tfrecord"
    with TFRecordWriter(path) as writer:
        writer.write(b"kept")
        start = writer.tell()
        writer.write(b"taken back")
        writer.truncate(start)
        writer.write(b"last")
    assert [data for _, data in TFRecordFile(path).scan()] == [b"kept", b"last"]
