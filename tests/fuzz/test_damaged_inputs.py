"""Damaged inputs of every kind: refused in one line or read right, in time, without a traceback.

    bash launch/test.sh -m fuzz                        20,000 damaged inputs
    FUZZ_SEED=1234 bash launch/test.sh -m fuzz -k png  the same again, of one kind

A few of each kind, always the same, are tried in every run of the suite.
"""

import collections
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import jax
import numpy as np
import openpyxl
import pytest
from conftest import tiny_config, write_config_file
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fuzz.damage import damages
from mubert_jax.config_files import load_config
from mubert_jax.data.flow_set import FlowInfo, FlowSet, write_flow_set
from mubert_jax.data.index import INDEX_FILE
from mubert_jax.data.labelled.sheets import read_rows
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.data.plan import PLAN_FILE, PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.source import RecordSource
from mubert_jax.data.video import read_image, read_video
from mubert_jax.errors import UserError
from mubert_jax.interop.exporting import export
from mubert_jax.interop.opening import open_trained
from mubert_jax.recognition.predictions import Predictions
from mubert_jax.training.checkpoints import load_weights

INPUTS = int(os.environ.get("FUZZ_INPUTS", 20_000))
SEED = int(os.environ["FUZZ_SEED"])
SECONDS = 20
COLUMNS = {"subject": ("Subject",), "clip": ("Filename",), "onset": ("Onset",), "au": ("AU",)}


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
      make: (folder, request) -> writes the sound input into the empty folder.
      read: folder -> what is read of it; raises UserError.
      share: of the 20,000, as cost allows.
      damaged: pattern of the files that are damaged, one at a time.
      checked: whether what is read must be what was written; a kind without checksums cannot tell.
    """

    make: Callable
    read: Callable
    share: float
    damaged: str = "*"
    checked: bool = True


def _records(folder):
    source = RecordSource(folder / "set")
    return [source[i] for i in range(len(source))]


def _copy_frames(folder, request):
    shutil.copytree(request.getfixturevalue("frames_set"), folder / "set")


def _copy_run(folder, request):
    shutil.copytree(request.getfixturevalue("trained_run") / "checkpoints", folder / "checkpoints")
    for old in sorted(folder.glob("checkpoints/*"), key=lambda path: int(path.name))[:-1]:
        shutil.rmtree(old)


def _arrays(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def _exported(suffix, format):
    def make(folder, request):
        from rich.console import Console

        run = request.getfixturevalue("trained_run")
        export(run, format, folder / f"model{suffix}", False, Console(quiet=True))

    return make


def _open_export(folder):
    trained = open_trained(str(next(folder.glob("model.*"))))
    return _arrays(trained.params), trained.scale


def _workbook(folder, request):
    book = openpyxl.Workbook()
    for row in (("Subject", "Filename", "Onset", "AU"), ("01", "EP02", 46, "4+7"), (2, "é", 1, "")):
        book.active.append(row)
    book.save(folder / "sheet.xlsx")


def _rows(folder):
    rows = read_rows(next(folder.glob("sheet.*")), COLUMNS, optional=("au",))
    return [[row.text(name) for name in COLUMNS] for row in rows]


def _csv(folder, request):
    lines = ("Subject;Filename;Onset;AU", '01;"EP;02";46;4+7', "2;é;1;")
    (folder / "sheet.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))


def _predictions(folder, request):
    lines = ["subject,clip,truth,prediction,probability_a,probability_b"]
    lines += [f"s{i},c{i},{'ab'[i % 2]},a,0.75,0.25" for i in range(6)]
    (folder / "p.csv").write_text("\n".join(lines))


def _picture(y, x):
    rows, columns = np.mgrid[:y, :x]
    return np.stack([rows * 3, columns * 2, rows + columns], -1).astype(np.uint8)


def _image(suffix):
    def make(folder, request):
        cv2.imwrite(str(folder / f"image{suffix}"), _picture(40, 56))

    return make


def _video(suffix, codec):
    def make(folder, request):
        video = cv2.VideoWriter(
            str(folder / f"clip{suffix}"), cv2.VideoWriter_fourcc(*codec), 25, (64, 48)
        )
        for i in range(8):
            video.write(np.roll(_picture(48, 64), i, 1))
        video.release()

    return make


def _flow(folder, request):
    (folder / "set").mkdir()
    columns = ["casme2", "samm"], ["casme2/sub01", "samm/006"], ["a", "b"]
    clips = LabelledClips(folder, ["joy", "fear"], [0, 1], *columns)
    info = FlowInfo("farneback", "", "per-channel", "pairs")
    write_flow_set(folder / "set", np.ones((2, 4, 4, 3)), clips, info)


def _prepared_again(folder):
    images = folder.parent / "images"
    if not images.exists():
        images.mkdir()
        for i in range(8):
            cv2.imwrite(str(images / f"img{i}.png"), _picture(32, 32))
    options = PrepareOptions(size=32, crop="none", workers=1)
    return prepare("frames", images, folder / "set", options).kept


def _plan(folder, request):
    _prepared_again(folder)


KINDS = {
    "shard": Kind(_copy_frames, _records, 0.15, "set/*tfrecord*"),
    "index": Kind(_copy_frames, _records, 0.12, f"set/{INDEX_FILE}"),
    "plan": Kind(_plan, _prepared_again, 0.03, f"set/{PLAN_FILE}"),
    "xlsx": Kind(_workbook, _rows, 0.1),
    "csv": Kind(_csv, _rows, 0.1, checked=False),
    "flow": Kind(_flow, lambda folder: len(FlowSet(folder / "set")), 0.05, "set/*", checked=False),
    "predictions": Kind(
        _predictions, lambda folder: Predictions.load(folder / "p.csv"), 0.1, checked=False
    ),
    "config": Kind(
        lambda folder, request: write_config_file(folder / "c.py", tiny_config()),
        lambda folder: load_config(str(folder / "c.py"), []),
        0.05,
        checked=False,
    ),
    "checkpoint": Kind(
        _copy_run, lambda folder: _arrays(load_weights(folder)[1].params), 0.03, "checkpoints/**/*"
    ),
    "safetensors": Kind(_exported(".safetensors", "safetensors"), _open_export, 0.05),
    "pth": Kind(_exported(".pth", "torch"), _open_export, 0.05),
    "png": Kind(_image(".png"), lambda f: read_image(f / "image.png").tobytes(), 0.05),
    "jpeg": Kind(
        _image(".jpg"), lambda f: read_image(f / "image.jpg").tobytes(), 0.05, checked=False
    ),
    "mp4": Kind(
        _video(".mp4", "mp4v"), lambda f: list(read_video(f / "clip.mp4")), 0.04, checked=False
    ),
    "avi": Kind(
        _video(".avi", "MJPG"), lambda f: list(read_video(f / "clip.avi")), 0.03, checked=False
    ),
}


@contextmanager
def _in_time():
    def late(*_):
        raise TimeoutError(f"no answer after {SECONDS} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _fuzz(name, examples, seed_, tmp_path_factory, request, record_property):
    kind, tally = KINDS[name], collections.Counter()
    folder = tmp_path_factory.mktemp(name) / "sound"
    folder.mkdir()
    kind.make(folder, request)
    sound = kind.read(folder)
    files = sorted(path for path in folder.glob(kind.damaged) if path.is_file())
    assert files

    @seed(seed_)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def refused_or_right(data):
        path = data.draw(st.sampled_from(files))
        content = data.draw(damages(path.read_bytes()))
        damaged = folder.parent / "damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(folder, damaged)
        (damaged / path.relative_to(folder)).write_bytes(content)
        try:
            with _in_time():
                found = kind.read(damaged)
        except UserError as error:
            assert str(error).strip() and "\n" not in str(error)
            tally["refused"] += 1
            return
        if kind.checked:
            assert found == sound, f"read wrong: {path.relative_to(folder)}"
        tally["read right" if kind.checked else "read"] += 1

    try:
        refused_or_right()
    finally:
        record_property("fuzz", dict(tally))


@pytest.mark.parametrize("name", KINDS)
def test_a_few_damaged_inputs(name, tmp_path_factory, request, record_property):
    _fuzz(name, 12, 0, tmp_path_factory, request, record_property)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", KINDS)
def test_twenty_thousand_damaged_inputs(name, tmp_path_factory, request, record_property):
    examples = round(INPUTS * KINDS[name].share)
    _fuzz(name, examples, SEED, tmp_path_factory, request, record_property)


def test_shares_make_a_whole():
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1)
