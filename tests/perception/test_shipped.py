"""The weights in the package: what they see, beside methods that get the same frames and POI."""

import cv2
import jax
import numpy as np
import pytest

from mubert_jax.bench.figure import picture
from mubert_jax.cli import main
from mubert_jax.config import PerceptionConfig
from mubert_jax.config_files import load_config
from mubert_jax.data.sets.synthetic import FIRST_TEST_SUBJECT
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import SHIPPED, SHIPPED_FILE, open_trained
from mubert_jax.models.images import normalise
from mubert_jax.motion_maps import chosen
from mubert_jax.perception.benchmark import (
    Row,
    baseline_maps,
    baseline_rows,
    benchmark_pairs,
    evaluate,
    learned_maps,
    mass_on_face,
    times,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.scores import paired_difference
from mubert_jax.synthetic.clip import SyntheticClip, patch_means
from mubert_jax.synthetic.conditions import CONDITIONS

SUBJECTS = 6
BASELINES = chosen(("difference", "eulerian"))


@pytest.fixture(scope="module")
def trained():
    return open_trained(SHIPPED)


@pytest.fixture(scope="module")
def perceiver(trained):
    reading = PerceptionConfig(align="none")
    return Perceiver(trained.model, trained.params, reading, batch=1)


@pytest.fixture(scope="module")
def scores(trained, perceiver):
    """condition -> row -> scores over test people, all rows read alike."""
    model = trained.config.model

    def read(pair, align):
        maps = learned_maps(perceiver, pair, align)
        found = baseline_maps(pair, align, model.patch_size, BASELINES)
        learned = {("DMA", ""): maps.dma[0], ("DMA", "POI"): maps.dma_poi[0]}
        return learned | times(found, "", 1.0) | times(found, "POI", maps.poi[0])

    found = {}
    for condition in ("clean", "background", "all", "foreign"):
        pairs = list(benchmark_pairs(condition, SUBJECTS, model.image_size, model.patch_size))
        rows = evaluate(read, pairs, ("none", "robust"))
        found[condition] = {row: difficulties["all"] for row, difficulties in rows.items()}
        if condition == "background":
            found["mass"] = mass_on_face(perceiver, pairs)
    return found


def less(scores, condition, score, method, weight):
    """DMA's score less that of a baseline: both registered, both × POI or neither."""
    ours, theirs = (scores[condition][Row(who, "robust", weight)][score] for who in ("DMA", method))
    return paired_difference(ours, theirs)


def test_small_enough_and_with_a_card():
    assert SHIPPED_FILE.stat().st_size < 12e6
    card = SHIPPED_FILE.with_name("CARD.md").read_text()
    for word in ("Data", "Config", "Commit", "Scores", "Limits"):
        assert f"## {word}" in card


@pytest.mark.parametrize("name", ["motion", "demo"])
def test_its_recipe_and_the_demo_have_its_model(trained, name):
    assert load_config(f"configs/{name}.py", []).model == trained.config.model


def test_nothing_is_seen_where_nothing_moves(scores):
    """The null test: energy between two still moments over energy between onset and apex."""
    for condition, most in {"clean": 0.05, "background": 0.05, "all": 0.1, "foreign": 0.3}.items():
        assert scores[condition][Row("DMA", "robust", "POI")]["null"].value < most
        for method in baseline_rows(BASELINES):
            assert less(scores, condition, "null", method, "POI").high < -0.1


def test_equal_frames_give_an_empty_map(perceiver):
    frame = SyntheticClip(FIRST_TEST_SUBJECT, 0, size=perceiver.config.image_size).frame(0)
    assert not perceiver(frame[None], frame[None]).dma.any()


def test_a_patch_is_seen_to_move_as_far_and_the_way_it_did_and_p_dma_tells_it(trained, perceiver):
    seen, told, true = [], [], []

    @jax.jit
    def tell(onset, apex):
        def from_p_dma(model, *frames):
            _, inside = model(*frames)
            return model.dma.to_displacement(inside.dma_features)

        frames = normalise(onset), normalise(apex)
        return trained.model.apply({"params": trained.params}, *frames, method=from_p_dma)

    for subject in range(6):
        clip = SyntheticClip(FIRST_TEST_SUBJECT + subject, 0, size=112, amplitudes=(2.0, 2.1))
        onset, apex = (clip.frame(n)[None] for n in (clip.course.onset, clip.course.apex))
        field = clip.movement.field(clip.pose, 112)
        field = np.stack([patch_means(field[..., axis], 8) for axis in (0, 1)], axis=-1)
        far = np.linalg.norm(field, axis=-1) > 0.4
        seen.append(perceiver(onset, apex).displacement[0][far])
        told.append(np.asarray(tell(onset, apex)).reshape(14, 14, 2)[far])
        true.append(field[far])
    true = np.concatenate(true)
    for found in map(np.concatenate, (seen, told)):
        assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.8
        assert 0.6 < (found * true).sum() / (true**2).sum() < 1.2


def test_a_frame_that_moved_as_a_whole_is_a_head_that_drifted(perceiver):
    frame = SyntheticClip(FIRST_TEST_SUBJECT, 0, size=114).frame(0)
    moved = perceiver(frame[None, 1:-1, 1:-1], frame[None, :-2, 1:-1]).displacement
    assert np.abs(np.median(moved, axis=(0, 1, 2))).max() < 0.2


def test_registration_is_half_of_what_is_seen_under_all(scores):
    """Of any method: as recorded, drift and light hide the movement inside the face."""
    for method, gained in {"DMA": 0.1, "Eulerian magnification": 0.1, "difference": 0.05}.items():
        recorded, registered = (
            scores["all"][Row(method, align)]["auc_in_face"] for align in ("none", "robust")
        )
        assert paired_difference(registered, recorded).value > gained


def test_inside_the_face_it_sees_more_than_subtraction(scores):
    """Eulerian magnification, registered alike, is the neighbour: see the card."""
    assert scores["all"][Row("DMA", "robust")]["auc_in_face"].value > 0.78
    assert less(scores, "all", "auc_in_face", "difference", "").value > 0
    for condition in ("clean", "background", "all", "foreign"):
        assert abs(less(scores, condition, "auc_in_face", "Eulerian magnification", "").value) < 0.1


def test_over_the_frame_poi_is_what_sees(scores):
    for condition in ("background", "all", "foreign"):
        rows = scores[condition]
        for method in ("DMA", *baseline_rows(BASELINES)):
            plain, weighed = (rows[Row(method, "robust", what)]["auc"] for what in ("", "POI"))
            # DMA has learnt by itself that what moves beside a face says nothing of it.
            assert weighed.value > plain.value + (0.05 if method == "DMA" else 0.15)
    assert scores["all"][Row("DMA", "robust", "POI")]["auc"].value > 0.95
    assert scores["foreign"][Row("DMA", "robust", "POI")]["auc"].value > 0.9


def test_poi_is_on_the_face_where_the_background_moves(scores):
    assert scores["mass"] > 0.95


def test_poi_is_on_a_small_face_in_a_corner_before_a_window(perceiver):
    """Where change alone teaches POI, it looks at what has the sharpest edges."""
    for index in range(4):
        clip = SyntheticClip(FIRST_TEST_SUBJECT, index, nuisances=CONDITIONS["wild"], size=112)
        poi = perceiver(clip.frame(0)[None], clip.frame(0)[None]).poi[0]
        face = clip.truth(0, 0, 8).face
        assert (poi * face).sum() > 0.8 * poi.sum() and face.mean() < 0.4


def test_perceive_needs_no_training(tmp_path, capsys):
    clip = SyntheticClip(FIRST_TEST_SUBJECT, 1, size=160)
    for name, number in {"onset": clip.course.onset, "apex": clip.course.apex}.items():
        frame = cv2.cvtColor(clip.frame(number), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame)
    flags = [f"--{name}={tmp_path / name}.png" for name in ("onset", "apex")]
    output = tmp_path / "maps.png"
    assert main(["perceive", *flags, "--crop=none", f"--output={output}"]) == 0
    assert "No scale was measured" not in capsys.readouterr().out
    assert cv2.imread(str(output)) is not None
    with np.load(output.with_suffix(".npz")) as arrays:
        assert arrays["dma"].max() > 0
        assert arrays["displacement"].shape == (*arrays["dma"].shape, 2)


def test_a_file_that_is_no_export_of_ours_is_refused(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "theirs.safetensors"
    save_file({"backbone.cls_token": np.zeros((1, 1, 8), np.float32)}, path)
    with pytest.raises(UserError, match="mubert import --input"):
        open_trained(str(path))
    with pytest.raises(UserError, match="no checkpoint"):
        open_trained(str(tmp_path / "absent"))


def test_the_figure(trained, tmp_path):
    path = tmp_path / "figure.png"
    picture(trained, ("clean",), "robust", path)
    height, width, _ = cv2.imread(str(path)).shape
    assert width > 1500 and height > 400
