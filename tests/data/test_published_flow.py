"""The published layout of flow: who is who, which channel is which, what is left out and why."""

import cv2
import numpy as np
import pytest
from flow_tree import DOWN, RIGHT, bump, channels, write_flow

from mubert_jax.data.published_flow import read_published_flow
from mubert_jax.errors import UserError


@pytest.fixture
def root(tmp_path):
    """One clip of each data set, and one of nobody known, whose names have the blank."""
    root = tmp_path / "three_norm_u_v_os"
    for name in (
        "sub01/u_test/1/sub01_EP02_01f .png",
        "sub01/u_train/0/006_006_1_2 .png",
        "006/u_test/0/006_006_1_2 .png",
        "s3/u_test/2/s3_s3_sur_01.png",
        "P07/u_test/2/2_3.png",
    ):
        write_flow(root / name, RIGHT, DOWN)
    return root


def test_each_clip_is_read_once_with_its_person_label_and_name(root):
    for folder in (root, root.parent):
        found = read_published_flow(folder)
        assert {(f.dataset, f.subject, f.label, f.name) for f in found.fields} == {
            ("casme2", "sub01", 1, "EP02_01f"),
            ("samm", "006", 0, "006_1_2"),
            ("smic", "s03", 2, "s3_sur_01"),
            ("recorded", "P07", 2, "2_3"),
        }
        assert not found.dropped and found.published_subjects == 68
        assert found.published == {"negative": 250, "positive": 109, "surprise": 83}
        assert "note: 1 clip of samm (133 are published)" in found.notes and len(found.notes) == 3


def test_flow_of_nobody_known_is_compared_with_nothing(tmp_path):
    write_flow(tmp_path / "P1" / "u_test" / "0" / "a.png", RIGHT, DOWN)
    found = read_published_flow(tmp_path)
    assert (found.published, found.published_subjects, found.notes) == ({}, None, [])


@pytest.mark.parametrize("red", ["u", "strain"])
def test_the_channels_are_u_v_and_strain_in_either_order(tmp_path, red):
    write_flow(tmp_path / "P1" / "u_test" / "0" / "a.png", RIGHT, DOWN, red)
    found = read_published_flow(tmp_path)
    np.testing.assert_array_equal(found.fields[0].channels, channels(RIGHT, DOWN))
    assert len(found.notes) == (red == "strain")


@pytest.mark.parametrize("u, v", [(4.0, 1.0), (-1.0, 4.0)])
def test_what_stretching_lost_is_found_again(tmp_path, u, v):
    """Zero at the border, the signs, and how far u reaches beside v."""
    u, v = u * bump(8, 19), v * (bump(22, 10) - bump(15, 14))
    write_flow(tmp_path / "P1" / "u_test" / "0" / "a.png", u, v)
    (field,) = read_published_flow(tmp_path).fields
    displacement, truth = field.displacement(), np.stack([u, v], -1)
    scale = np.abs(truth).max() / np.abs(displacement).max()
    np.testing.assert_allclose(displacement * scale, truth, atol=0.4)


def test_without_strain_u_and_v_are_taken_as_they_are(tmp_path):
    path = write_flow(tmp_path / "P1" / "u_test" / "0" / "a.png", 4 * RIGHT, DOWN)
    image = cv2.imread(str(path))
    image[..., 0] = np.random.default_rng(0).integers(0, 255, (28, 28))
    cv2.imwrite(str(path), image)
    (field,) = read_published_flow(tmp_path).fields
    reach = np.abs(field.displacement()).max((0, 1))
    assert reach.tolist() == [255, 255]


def test_what_cannot_be_used_is_left_out_and_listed(root):
    tests = root / "sub02" / "u_test"
    for name in ("0/sub02_a .png", "1/sub02_a.png", "happy/sub02_b.png", "1/sub01_c.png"):
        write_flow(tests / name, RIGHT, DOWN)
    (root / "s04" / "u_train").mkdir(parents=True)
    (tests / "1" / "d.png").write_text("no image")
    for name, image in (
        ("e", np.zeros((30, 28, 3), np.uint8)),
        ("f", np.full((28, 28), 9, np.uint8)),
        ("g", np.full((28, 28, 3), (1, 2, 3), np.uint8)),
    ):
        cv2.imwrite(str(tests / "1" / f"{name}.png"), image)
    (tests / "readme.txt").touch()
    found = read_published_flow(root)
    assert len(found.fields) == 4
    said = {(one.name, one.reason.replace(f"{root}/", "")) for one in found.dropped}
    two = "2 files of one clip, sub02/u_test/0/sub02_a .png and sub02/u_test/1/sub02_a.png; keep"
    for name, reason in (
        ("casme2/sub02/a", two),
        ("casme2/sub02/u_test/happy", "sub02/u_test/happy: no label; call the folder 0 (negative)"),
        ("casme2/sub02/sub01_c", "sub02/u_test/1/sub01_c.png: by its name it is of casme2/sub01"),
        ("smic/s04", "s04: no folder u_test"),
        ("casme2/sub02/d", "sub02/u_test/1/d.png: not an image"),
        ("casme2/sub02/e", "sub02/u_test/1/e.png: 28x30 pixels, not 28x28"),
        ("casme2/sub02/f", "sub02/u_test/1/f.png: grey"),
        ("casme2/sub02/g", "sub02/u_test/1/g.png: u and v show no movement"),
    ):
        assert any(who == name and why.startswith(reason) for who, why in said), (name, said)
    assert len(found.dropped) == 9 and not any("\n" in reason for _, reason in said)
    assert found.passed.words() == ["1 x text or document (sub02/u_test/readme.txt)"]


def test_folders_without_flow(tmp_path):
    with pytest.raises(UserError, match="absent: no such folder"):
        read_published_flow(tmp_path / "absent")
    (tmp_path / "sub01" / "u_train").mkdir(parents=True)
    with pytest.raises(UserError, match="no recorded flow .looked for SUBJECT/u_test/LABEL"):
        read_published_flow(tmp_path)
