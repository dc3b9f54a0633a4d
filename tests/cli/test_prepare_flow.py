"""`mubert prepare flow` as it is typed."""

import cv2
import numpy as np
import pytest

from mubert_jax.cli import main
from mubert_jax.data.flow_set import FlowSet


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """2 synthetic people × 3 clips, 32×32."""
    folder = tmp_path_factory.mktemp("drawn") / "pairs"
    people = ["--subjects=2", "--clips=3", "--size=32", "--frames=8", "--conditions", "clean"]
    assert main(["prepare", "synthetic", "--classes=5", f"--output={folder}", *people]) == 0
    return folder


def refused(capsys, *words):
    """The line on stderr; the code is 2, returned or, by argparse, raised."""
    try:
        code = main([*words])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1, error
    return error


def test_pairs_to_maps_to_files_and_back(drawn, tmp_path, capsys, monkeypatch):
    words = ["prepare", "flow", f"--input={drawn}", f"--output={tmp_path / 'flow'}"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "6 clips found, 6 kept, 0 dropped; 2 subjects" in said and "flow.png" in said
    assert "Next: mubert finetune" in said
    assert cv2.imread(str(tmp_path / "flow" / "flow.png")) is not None
    assert main(words) == 0 and "already" in capsys.readouterr().out
    monkeypatch.setattr("mubert_jax.perception.flow_picture.draw", lambda *_: None)
    back = ["prepare", "flow", f"--input={tmp_path / 'flow'}", "--layout=published"]
    assert main([*back, f"--output={tmp_path / 'back'}"]) == 0
    found, again = FlowSet(tmp_path / "flow"), FlowSet(tmp_path / "back")
    assert again.clip == found.clip and again.label.tolist() == found.label.tolist()
    assert np.abs(again.flow - found.flow).max() <= 0.5
    assert not (tmp_path / "back" / "three_norm_u_v_os").exists()


def test_pixels_have_no_levels_to_export(drawn, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mubert_jax.perception.flow_picture.draw", lambda *_: None)
    words = ["prepare", "flow", f"--input={drawn}", "--normalise=pixels", "--method=dis"]
    assert main([*words, f"--output={tmp_path / 'flow'}", "--size=14"]) == 0
    assert FlowSet(tmp_path / "flow").flow.shape == (6, 14, 14, 3)
    assert not (tmp_path / "flow" / "three_norm_u_v_os").exists()
    line = refused(capsys, *words, f"--output={tmp_path / 'other'}", "--export=png")
    assert "take --normalise=per-channel" in line and not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (["--method=farnebak"], "unknown --method 'farnebak'; did you mean 'farneback'?"),
        (["--method=tvl1", "--checkpoint=x"], "--checkpoint is for --method=displacement"),
        (["--layout=published", "--method=dis"], "--method does not go with --layout=published"),
        (["--layout=published", "--size=28"], "--size does not go with --layout=published"),
        (["--layout=published"], "no recorded flow (looked for SUBJECT/u_test/LABEL/NAME.png)"),
        (["--metod=dis"], "unknown argument --metod=dis; did you mean '--method'?"),
        (["--crop=none"], "unknown argument --crop=none"),
        (["--input=/absent"], "/absent: no such data-set folder"),
        (["--layout=mine"], "argument --layout: invalid choice: 'mine'"),
        (["--size=0"], "argument --size: 0: choose 1 or more"),
    ],
)
def test_what_it_does_not_take_is_one_line(drawn, tmp_path, capsys, words, said):
    out = f"--output={tmp_path / 'out'}"
    assert said in refused(capsys, "prepare", "flow", f"--input={drawn}", out, *words)
    assert not (tmp_path / "out").exists()


def test_it_goes_first_and_has_a_help_of_its_own(capsys):
    line = refused(capsys, "prepare", "--input=x", "--output=y", "flow")
    assert "flow goes first: mubert prepare flow --input=DIR" in line
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "flow", "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0 and "mubert prepare flow --input=data/casme2" in text
    assert len(text.splitlines()) < 45 and "--motions" not in text
