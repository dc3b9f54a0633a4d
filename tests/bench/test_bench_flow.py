"""`mubert bench flow`: errors in pixels, against movements that are known."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mubert_jax.bench.flow import end_point_errors
from mubert_jax.cli import main
from mubert_jax.perception.benchmark import BenchmarkPair
from mubert_jax.synthetic.clip import SyntheticClip, Truth
from mubert_jax.synthetic.conditions import CONDITIONS


def test_an_error_is_in_pixels_of_224_inside_the_face():
    flow = np.zeros((2, 2, 2))
    flow[0, 0], flow[0, 1] = (3.0, 4.0), (6.0, 8.0)
    face = np.array([[1.0, 0.0], [1.0, 0.0]])
    length = np.linalg.norm(flow, axis=-1)
    pair = SimpleNamespace(truth=Truth(length, length * 9, face, flow))
    nothing = end_point_errors(np.zeros((2, 2, 2)), pair, 112)
    assert (nothing.moved, nothing.still) == (10.0, 0.0)
    assert end_point_errors(flow, pair, 112).moved == 0.0
    assert end_point_errors(-flow, pair, 224).moved == 10.0
    everywhere = end_point_errors(flow + (0.0, 1.0), pair, 224)
    assert (everywhere.moved, everywhere.still) == (1.0, 1.0)


def test_the_true_flow_moves_the_onsets_pixels_to_those_of_the_apex():
    clip = SyntheticClip(100001, 0, 0, CONDITIONS["clean"], 128, amplitudes=(3.0, 3.0))
    truth = clip.truth(clip.course.onset, clip.course.apex, 4)
    np.testing.assert_allclose(truth.displacement.max(), 3 * 128 / 224, rtol=0.3)
    assert (np.linalg.norm(truth.flow, axis=-1) <= truth.displacement + 1e-5).all()
    onset, apex = (clip.frame(i).mean(-1) for i in (clip.course.onset, clip.course.apex))
    down, right = np.gradient(onset)

    def likeness(flow):
        """Of the change and what it is to the first order: less the gradient along the movement."""
        x, y = np.moveaxis(flow.repeat(4, 0).repeat(4, 1), -1, 0)
        expected = -(right * x + down * y)
        where = np.hypot(right * x, down * y) > 2
        return np.corrcoef(expected[where], (apex - onset)[where])[0, 1]

    assert likeness(truth.flow) > 0.6 > 2 * likeness(truth.flow[..., ::-1])


def moved_to_the_right(subject):
    """The middle of a face moves by a pixel of 32, or 7 of 224."""
    random = np.random.default_rng(subject)
    onset = cv2.GaussianBlur(random.uniform(0, 255, (32, 32, 3)), (0, 0), 1.5)
    onset = ((onset - onset.min()) / np.ptp(onset) * 255).astype(np.uint8)
    apex = onset.copy()
    apex[8:24, 8:24] = onset[8:24, 7:23]
    moved = np.zeros((4, 4))
    moved[1:3, 1:3] = 1.0
    flow = np.stack([moved, 0 * moved], axis=-1)
    pair = BenchmarkPair(onset, apex, Truth(moved, 9 * moved, np.ones((4, 4)), flow), subject, 7.0)
    return pair, pair


def test_flows_are_compared_and_maps_are_refused(trained_run, tmp_path, capsys, monkeypatch):
    drawn = list(map(moved_to_the_right, range(4)))
    monkeypatch.setattr("mubert_jax.bench.flow.benchmark_pairs", lambda *_: drawn)
    output = tmp_path / "rows.json"
    flags = [f"--checkpoint={trained_run}", "--conditions", "clean", "--align=none"]
    run = ["bench", "flow", *flags, "--methods"]
    assert main([*run, "farneback", f"--output={output}"]) == 0
    rows = json.loads(output.read_text())
    whole = {row["method"]: row for row in rows if row["difficulty"] == "all"}
    assert list(whole)[:3] == ["no movement", "Farnebäck flow", "Farnebäck flow - face's median"]
    assert whole["no movement"]["moved"] == pytest.approx(7.0)
    assert whole["Farnebäck flow"]["moved"] < 5.0
    assert whole["Farnebäck flow"]["moved low"] < whole["Farnebäck flow"]["moved"]
    assert "end-point error, pixels" in capsys.readouterr().out
    assert main([*run, "eulerian"]) == 2
    assert "--methods eulerian: it gives no flow" in capsys.readouterr().err
    drawn[2:] = []
    assert main([*run, "farneback"]) == 2
    assert "nothing that moved shows in 3 people; add --subjects" in capsys.readouterr().err
