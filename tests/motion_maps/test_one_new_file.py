"""A new file in the folder is a baseline, a feature and a picture's column; no other file is."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import tiny_config

from mubert_jax import motion_maps
from mubert_jax.bench import figure
from mubert_jax.cli import main
from mubert_jax.config import RecognitionConfig
from mubert_jax.data.alignment import align_robust
from mubert_jax.errors import UserError
from mubert_jax.models.micron_bert import build_model
from mubert_jax.perception.benchmark import benchmark_pairs
from mubert_jax.recognition.backbone import Backbone
from mubert_jax.recognition.inputs import CELLS, Inputs
from mubert_jax.synthetic.clip import SyntheticClip

FILES = {
    "squared": """
from mubert_jax.motion_maps import MotionMap


def squared(onset, apex):
    return (apex[..., 1].astype(float) - onset[..., 1]) ** 2


METHOD = MotionMap("squared change of green", "map", squared)
""",
    "constant": """
import numpy as np

from mubert_jax.motion_maps import MotionMap

METHOD = MotionMap("constant flow", "flow", lambda onset, apex: np.full((*onset.shape[:2], 2), 3.0))
""",
    "distant": """
from mubert_jax.motion_maps import MotionMap


def distant(onset, apex):
    import no_such_library


METHOD = MotionMap("of another library", "flow", distant, extra="no_such_library")
""",
    "_shared": "raise AssertionError('no method')",
}


@pytest.fixture
def dropped(drop):
    """The files of `FILES`, beside those of the package."""
    for name, text in FILES.items():
        drop(motion_maps, name, text)


@pytest.fixture(scope="module")
def pair():
    clip = SyntheticClip(0, 0, size=32)
    return clip.frame(clip.course.onset), clip.frame(clip.course.apex)


def rows_of(tmp_path, *flags):
    output = tmp_path / "rows.json"
    command = ["bench", "perception", "--subjects=3", "--size=32", "--conditions", "clean"]
    assert main([*command, f"--output={output}", *flags]) == 0
    rows = [row for row in json.loads(output.read_text()) if row["difficulty"] == "all"]
    return {(row["method"], row["registration"], row["times"]): row for row in rows}


def test_it_is_a_row_of_the_benchmark(dropped, tmp_path, capsys):
    rows = rows_of(tmp_path, "--methods", "squared", "difference", "constant")
    assert {method for method, *_ in rows} == {
        "squared change of green",
        "difference",
        "constant flow",
        "constant flow - face's median",
    }
    seen = rows["squared change of green", "robust", ""]
    assert seen["auc_in_face"] > 0.9 and rows["constant flow", "none", ""]["auc"] == 0.5
    assert "squared change of green" in capsys.readouterr().out


def test_by_default_it_is_a_row_if_it_needs_no_extra(dropped):
    assert {"squared", "constant", "difference"} < motion_maps.chosen().keys()
    assert "distant" in motion_maps.available() and "distant" not in motion_maps.chosen()
    assert "_shared" not in motion_maps.available()


def test_a_method_without_its_extra_says_so_in_one_line(dropped, capsys):
    assert main(["bench", "perception", "--methods", "distant"]) == 2
    said = capsys.readouterr().err
    assert "'distant' needs no_such_library" in said and said.count("\n") == 1


def test_it_is_a_feature_of_the_recognizer(dropped, pair):
    model = build_model(tiny_config())
    onset, apex = (frame[None] for frame in pair)
    pairs = SimpleNamespace(onset=onset, apex=apex, label=np.zeros(1, int))
    inputs = Inputs(pairs, Backbone(model, {}), RecognitionConfig())

    def features(name, copies=0):
        return inputs.read(f"{name}/cells", copies)

    squares = features("squared", copies=1)
    change = motion_maps.load("squared")(*pair)
    assert squares.shape == (2, 1, CELLS**2)
    assert squares[0].mean() == pytest.approx(change.mean(), rel=0.2)
    flow = features("constant")
    assert flow.shape == (1, 1, model.config.num_patches * 2) and not flow.any()


def test_it_is_a_column_of_the_picture(dropped):
    (both,) = itertools.islice(benchmark_pairs("clean", 1, 32, 8), 1)
    frames = [pair.onset for pair in both], [pair.apex for pair in both]
    column = figure._column(motion_maps.load("squared"), *frames)
    assert column.name == "squared change of\ngreen" and np.shape(column.images) == (2, 32, 32)
    assert column.limit == pytest.approx(np.percentile(column.images, 99))


def test_a_feature_that_does_not_exist_is_one_line(tmp_path, capsys):
    flags = [f"--workdir={tmp_path / 'run'}", f"--config.data.path={tmp_path}"]
    flags += ["--config.recognition.features=diference"]
    assert main(["finetune", "--config=configs/finetune.py", *flags]) == 2
    said = capsys.readouterr().err
    assert "config.recognition.features 'diference'; did you mean 'difference'?" in said
    assert said.count("\n") == 1 and not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["difference", "farneback"])
def test_any_method_can_be_registered(name, pair):
    onset, apex = pair
    moved = np.roll(apex, 2, axis=1)
    expected = motion_maps.load(name)(onset, align_robust(moved, onset))
    for method in (name, motion_maps.load(name)):
        found = motion_maps.registered(method, "robust")
        np.testing.assert_array_equal(found(onset, moved), expected)
    with pytest.raises(UserError, match="registration 'robst'; did you mean 'robust'?"):
        motion_maps.registered(name, "robst")


def test_a_method_that_reads_the_face_takes_an_ellipse_if_nobody_knows_better(pair):
    method = motion_maps.load("difference_compensated")
    ellipse = motion_maps.face_ellipse((32, 32))
    np.testing.assert_array_equal(method(*pair), method(*pair, ellipse))
    assert (method(*pair) != method(*pair, np.ones((32, 32), bool))).any()


def test_every_row_has_a_name_of_its_own():
    titles = [method.title for method in motion_maps.chosen().values()]
    assert len(set(titles)) == len(titles)
