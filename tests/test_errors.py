"""Which exit code a failure has: a mistake 2, a full disk 73, trouble that passes 75."""

import errno
import os
from types import SimpleNamespace

import pytest

from mubert_jax.data import tfrecord
from mubert_jax.data.files import writing_errors
from mubert_jax.data.tfrecord import TFRecordFile, TFRecordWriter
from mubert_jax.errors import DiskFull, PassingError, UserError, kind_of, readable

KINDS = {
    UserError: "ENOENT EACCES EPERM EROFS ENOTDIR EISDIR ENAMETOOLONG EPIPE EFBIG EMFILE",
    DiskFull: "ENOSPC EDQUOT",
    PassingError: "EIO ESTALE ETIMEDOUT ECONNRESET ECONNREFUSED EAGAIN ENETDOWN ENETUNREACH "
    "EHOSTUNREACH EREMOTEIO EBUSY ENOLCK",
}
CODES = [(kind, getattr(errno, name)) for kind, names in KINDS.items() for name in names.split()]


def error_of(code, path="/mnt/run"):
    return OSError(code, os.strerror(code), path)


@pytest.mark.parametrize("kind, code", CODES, ids=lambda x: errno.errorcode.get(x, ""))
def test_the_kind_of_an_error_however_it_comes(kind, code):
    error = error_of(code)
    assert kind_of(error) is kind
    assert kind_of(ValueError(f"Error writing: no [os_error_code='{code}']")) is kind
    try:
        try:
            raise error
        except OSError as inner:
            raise UserError("one line") from inner
    except UserError as outer:
        assert kind_of(outer) is kind
    try:
        raise UserError("another thing, not raised from it") from None
    except UserError as alone:
        assert kind_of(alone) is UserError


@pytest.mark.parametrize(
    "error", [TimeoutError(), ConnectionError("gone"), RuntimeError("UNAVAILABLE: no answer")]
)
def test_what_passes_without_a_number(error):
    assert kind_of(error) is PassingError


def test_a_fault_of_the_program_is_none_of_them():
    for error in (KeyError("x"), OSError("odd"), FileNotFoundError(2, "no", "x")):
        assert readable(error) is None


@pytest.mark.parametrize("kind, code", CODES, ids=lambda x: errno.errorcode.get(x, ""))
def test_writing_tells_them_apart(kind, code):
    with pytest.raises(UserError) as raised, writing_errors("out", "take another --output"):
        raise error_of(code)
    assert type(raised.value) is kind
    assert ("take another --output" in str(raised.value)) is (kind is not PassingError)


@pytest.mark.parametrize("keep_open", [True, False])
@pytest.mark.parametrize("kind, code", [(PassingError, errno.EIO), (UserError, errno.EACCES)])
def test_a_disk_that_fails_for_a_moment_does_not_damage_a_shard(
    tmp_path, monkeypatch, kind, code, keep_open
):
    path = tmp_path / "a.tfrecord"
    with TFRecordWriter(path) as writer:
        writer.write(b"record")

    def fail(*_, **__):
        raise error_of(code)

    broken = SimpleNamespace(**vars(os) | {"pread": fail, "fstat": fail})
    monkeypatch.setattr(tfrecord, "os", broken)
    file = TFRecordFile(path, keep_open)
    for read in (lambda: file.read(0, 0, 6), lambda: list(file.scan())):
        with pytest.raises(UserError, match="record 0 at byte offset 0 cannot be read") as raised:
            read()
        assert kind_of(raised.value) is kind
        assert ("copy this shard again" in str(raised.value)) is (kind is UserError)
