"""Checkpoints of people's own PyTorch trainings are opened; what would run code never is."""

import argparse
import builtins
import collections
import datetime
import os
import pathlib
import pickle
import types
import zipfile

import numpy as np
import pytest
import torch
from examples import as_torch
from safetensors.numpy import save_file
from test_parity import WEIGHTS

from mubert_jax.errors import UserError
from mubert_jax.interop import files

STATE = as_torch(WEIGHTS)


def read(tmp_path, content, name="own.pth"):
    torch.save(content, tmp_path / name)
    return files.read(tmp_path / name)


def assert_whole(found):
    assert found.tensors.keys() == WEIGHTS.keys()
    np.testing.assert_array_equal(found.tensors["att.to_q.weight"], WEIGHTS["att.to_q.weight"])


def prefixed(prefix):
    return {prefix + name: x for name, x in STATE.items()}


@pytest.mark.parametrize(
    "prefix",
    ["_orig_mod.", "module.", "_orig_mod.module.", "module._orig_mod.", "module.module."],
)
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".pth.tar", ".safetensors"])
def test_prefixes_of_pytorch(tmp_path, prefix, suffix):
    if suffix == ".safetensors":
        save_file({prefix + name: x for name, x in WEIGHTS.items()}, tmp_path / "own.safetensors")
        found = files.read(tmp_path / "own.safetensors")
    else:
        found = read(tmp_path, prefixed(prefix), f"own{suffix}")
    assert_whole(found)
    assert found.notes == []


def test_a_part_that_was_compiled_and_an_attribute(tmp_path):
    inner = {name.replace("backbone.", "backbone._orig_mod."): x for name, x in STATE.items()}
    assert_whole(read(tmp_path, inner))
    lightning = prefixed("model._orig_mod.") | {"criterion.weight": torch.ones(2)}
    found = read(tmp_path, {"state_dict": lightning, "epoch": 3})
    assert_whole(found)
    assert found.notes == ["names without model.", "left out: 1 tensor(s) beside model.*"]
    with pytest.raises(UserError, match="holds 2 models, under a., b.;"):
        read(tmp_path, prefixed("a.") | prefixed("b."))
    with pytest.raises(UserError, match="holds both .* and _orig_mod"):
        read(tmp_path, STATE | prefixed("_orig_mod."))


@pytest.mark.parametrize(
    "keys",
    ["model", "state_dict", "model_state_dict", "student", "teacher", "net", "ema", "weights"]
    + ["model.state_dict", "checkpoint.ema.module"],
)
def test_wrapper_keys(tmp_path, keys):
    content = STATE
    for key in reversed(keys.split(".")):
        content = {key: content, "epoch": 3, "optimizer": {"state": {0: torch.ones(2)}}}
    found = read(tmp_path, content)
    assert_whole(found)
    assert found.notes == []


def test_the_documented_one_of_several_is_taken_and_said(tmp_path):
    other = {name: x + 1 for name, x in STATE.items()}
    found = read(tmp_path, {"ema": other, "teacher": dict(other), "model": STATE})
    assert_whole(found)
    assert "taken: the weights under model; others are under teacher, ema" in found.notes[0]


VALUES = {
    "path": pathlib.PosixPath("out/run"),
    "pure": pathlib.PureWindowsPath("C:/out"),
    "scalar": np.float64(0.1),
    "flag": np.bool_(True),
    "text": np.str_("x"),
    "kind": np.dtype("f4"),
    "type": np.float32,
    "array": np.arange(3),
    "when": datetime.datetime(2023, 6, 1, tzinfo=datetime.UTC),
    "took": datetime.timedelta(1),
    "space": types.SimpleNamespace(a=1),
    "counts": collections.Counter("ab"),
    "meters": collections.defaultdict(list, {"loss": [1.0]}),
    "numbers": collections.defaultdict(int),
    "ordered": collections.OrderedDict(a=1),
    "set": {1, 2},
    "device": torch.device("cpu"),
    "size": torch.Size([2]),
    "random": torch.get_rng_state(),
    "numpy random": np.random.RandomState(0).get_state(),
    "bytes": b"x",
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("zipped", [True, False])
def test_values_of_a_training(tmp_path, name, zipped):
    value = VALUES[name]
    args = argparse.Namespace(diag_att=False, teacher_temp=np.float64(0.05), own=value)
    content = {"model": STATE, "args": args, "beside": value}
    torch.save(content, tmp_path / "own.pth", _use_new_zipfile_serialization=zipped)
    found = files.read(tmp_path / "own.pth")
    assert_whole(found)
    assert found.args["diag_att"] is False and found.args["teacher_temp"] == 0.05
    if name in ("scalar", "flag", "text", "kind", "when", "took"):
        assert found.args["own"] == value and type(found.args["own"]) is type(value)
    if name == "array":
        np.testing.assert_array_equal(found.args["own"], value)


def test_paths_of_other_systems(tmp_path):
    """A Windows path and one of Python 3.13, which cannot be pickled here: by their names."""
    torch.save({"model": STATE, "at": pathlib.PosixPath("a")}, tmp_path / "own.pth")
    torch.save(
        {"model": STATE, "at": pathlib.PosixPath("a")},
        tmp_path / "old.pth",
        _use_new_zipfile_serialization=False,
    )
    data = (tmp_path / "old.pth").read_bytes()
    for name in (b"pathlib\nWindowsPath", b"pathlib._local\nPosixPath"):
        assert data.count(b"pathlib\nPosixPath") == 1
        (tmp_path / "other.pth").write_bytes(data.replace(b"pathlib\nPosixPath", name))
        assert_whole(files.read(tmp_path / "other.pth"))


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


ATTACKS = {
    "system": lambda at: Calls(os.system, f"touch {at}"),
    "eval": lambda at: Calls(builtins.eval, f"open({str(at)!r}, 'w')"),
    "exec": lambda at: Calls(builtins.exec, f"open({str(at)!r}, 'w')"),
    "open": lambda at: Calls(builtins.open, str(at), "w"),
    "touch": lambda at: Calls(pathlib.Path.touch, at),
    "write": lambda at: Calls(pathlib.Path.write_text, at, "x"),
    "getattr": lambda at: Calls(builtins.getattr, pathlib.PosixPath(at), "touch"),
    "save": lambda at: Calls(np.save, str(at), 1),
    "fromfile": lambda at: Calls(np.fromfile, "/etc/hostname"),
    "pickle": lambda at: Calls(pickle.loads, pickle.dumps(Calls(os.system, f"touch {at}"))),
    "load": lambda at: Calls(torch.load, str(at)),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_would_run_code_is_refused_and_does_not_run(tmp_path, attack, zipped):
    target = tmp_path / "owned"
    content = {"model": STATE, "args": {"x": ATTACKS[attack](target)}}
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="refused: opening it would run or build") as error:
        files.read(tmp_path / "evil.pth")
    assert "torch.save(x['model'], 'weights.pth')" in str(error.value)
    assert not target.exists()


@pytest.mark.parametrize(
    "module, name",
    [("pathlib", "os.system"), ("pathlib", "PosixPath.touch"), ("numpy", "os.system")]
    + [("numpy._core.multiarray", "fromfile"), ("pathlib._local", "os.system")],
)
def test_names_that_look_like_the_allowed_ones_are_none(tmp_path, module, name):
    torch.save({"a": pathlib.PosixPath("x")}, tmp_path / "a", _use_new_zipfile_serialization=False)
    data = (tmp_path / "a").read_bytes()
    assert data.count(b"pathlib\nPosixPath") == 1
    evil = data.replace(b"pathlib\nPosixPath", f"{module}\n{name}".encode())
    (tmp_path / "evil.pth").write_bytes(evil)
    with pytest.raises(UserError, match="refused"):
        files.read(tmp_path / "evil.pth")


@pytest.mark.parametrize(
    "content, said",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page"),
        (b"\n  <html lang=en>", "a web page"),
        (b"\x1f\x8b\x08\x00abc", "is compressed"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"", "copy it again"),
    ],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_what_is_saved_in_the_place_of_weights(tmp_path, content, said, suffix):
    (tmp_path / f"w.{suffix}").write_bytes(content)
    with pytest.raises(UserError, match=said):
        files.read(tmp_path / f"w.{suffix}")


def test_a_zip_of_a_folder_and_a_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("run/model.pth", b"x")
    with pytest.raises(UserError, match=r"an archive of other files \(run/model.pth\); unpack it"):
        files.read(tmp_path / "w.pth")
    with pytest.raises(UserError, match="is a folder; give one .* such as .*w.pth"):
        files.read(tmp_path)
