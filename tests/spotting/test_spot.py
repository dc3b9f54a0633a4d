"""`mubert spot`, from videos to tables and pages; the command with a stand-in for a method."""

import json
import re

import cv2
import numpy as np
import pandas as pd
import pytest

import mubert_jax as mb
from mubert_jax.cli import flags, main, spot
from mubert_jax.spotting import pictures, recordings, spotter
from mubert_jax.spotting.calibration import CALIBRATIONS
from mubert_jax.spotting.comparing import METHODS, Comparison
from mubert_jax.spotting.intervals import read_intervals, read_recordings

RATE, FRAMES = 12.0, 60


def write(path, frames=FRAMES, fps=RATE, seed=0):
    """A picture that stands still, but for a patch of it in frames 30 to 33."""
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    still = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    shown = still.copy()
    shown[12:20, 12:20] = 255 - shown[12:20, 12:20]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (32, 32))
    for number in range(frames):
        writer.write(shown if 30 <= number <= 33 else still)
    writer.release()
    return path


class Differences(Comparison):
    """A stand-in for a method, which compiles nothing: what changes in each of 4 × 4 patches."""

    size, grid = 32, 4

    def __init__(self, method):
        assert method == "difference"

    def interest(self, frames):
        return np.ones((len(frames), 16), np.float32)

    def __call__(self, before, after, interest):
        change = np.abs(after.astype(np.float32) - before).mean(-1)
        return change.reshape(-1, 4, 8, 4, 8).mean((2, 4)).reshape(-1, 16) * interest


@pytest.fixture(scope="module", autouse=True)
def stand_in():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spotter, "ByMotionMap", Differences)
        yield


@pytest.fixture(scope="module")
def spotted(tmp_path_factory):
    """The folder of a run over two videos, and the words that made it."""
    folder = tmp_path_factory.mktemp("spot")
    for name in ("s1/a.avi", "s2/<b>.avi"):
        write(folder / "videos" / name)
    words = ["spot", "--input", str(folder / "videos"), "--output", str(folder / "out")]
    words += ["--method=difference", "--crop=none", "--threshold=5"]
    assert main(words) == 0
    return folder / "out", words


def test_every_video_has_its_tables(spotted):
    out, _ = spotted
    assert {path.name for path in out.iterdir()} == {
        "intervals.csv",
        "videos.csv",
        *(f"{name}.{kind}" for name in ("s1_a", "s2_<b>") for kind in ("csv", "json", "html")),
    }
    facts = json.loads((out / "s1_a.json").read_text())
    places = [(row["onset"], row["offset"]) for row in facts["intervals"]]
    assert any(first <= 31 <= last for first, last in places), facts
    assert facts["stretches"] == [{"first": 0, "last": FRAMES - 1}] and facts["holes"] == []
    assert facts["settings"]["threshold"] == 5
    table = (out / "s1_a.csv").read_text().splitlines()
    assert table[0].endswith("onset s,apex s,offset s") and len(table) == len(places) + 1
    lengths = read_recordings(out / "videos.csv")
    assert {key: (x.frames, x.fps) for key, x in lengths.items()} == {
        ("s1", "a"): (FRAMES, RATE),
        ("s2", "<b>"): (FRAMES, RATE),
    }


def test_evaluate_reads_what_was_spotted(spotted, tmp_path, capsys):
    out, _ = spotted
    (tmp_path / "truth.csv").write_text("subject,video,onset,offset,type\ns1,a,29,34,micro\n")
    words = ["evaluate", f"--spotting={tmp_path / 'truth.csv'}", f"--videos={out / 'videos.csv'}"]
    words += [f"--predictions={out / 'intervals.csv'}", f"--output={tmp_path / 'report'}"]
    assert main(words) == 0
    assert "false alarms per minute" in capsys.readouterr().out


def test_a_page_needs_nothing_else_and_escapes_names(spotted):
    out, _ = spotted
    text = (out / "s2_<b>.html").read_text()
    assert not re.search(r"(src|href)=.http|https?://(?!www\.w3\.org/2000/svg)|@import|url\(", text)
    assert "<b>" not in re.sub(r"<script>.*</script>", "", text, flags=re.S)
    data = json.loads(re.search(r"const data = (.*);\n", text)[1])
    facts = json.loads((out / "s2_<b>.json").read_text())
    assert data["seconds"] == FRAMES / RATE and data["threshold"] == 5
    assert len(data["found"]) == sum(
        len(facts[key]) for key in ("intervals", "blinks", "speech", "below the threshold")
    )
    for place, one in enumerate(data["found"]):
        numbers = {x["number"] for x in data["pictures"] if x["of"] == place}
        assert {one["onset"], one["apex"], one["offset"]} <= numbers
    between = [x for x in data["pictures"] if x["of"] is None]
    assert between and all(x["face"].startswith("data:image/jpeg") for x in data["pictures"])
    assert any(x["heat"] for x in data["pictures"]) and not between[0]["heat"]
    (curve,) = data["curves"]
    peak = curve["seconds"][int(np.argmax(curve["score"]))]
    assert 29 / RATE <= peak <= 34 / RATE
    for style in ("prefers-color-scheme: dark", "max-width: 760px", 'type="range"'):
        assert style in text


def test_names_of_digits_stay_names(spotted, tmp_path):
    write(tmp_path / "in/007/0101.avi")
    words = ["spot", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main([*words, *spotted[1][5:]]) == 0
    for name in ("intervals.csv", "007_0101.csv"):
        found = read_intervals(tmp_path / "out" / name, spotted=True)
        assert {one.recording for one in found} == {("007", "0101")}


def test_a_recording_that_is_gone_at_the_second_look_keeps_its_tables(
    spotted, tmp_path, monkeypatch
):
    path = write(tmp_path / "a.avi")
    really = recordings.second_look
    monkeypatch.setattr(recordings, "second_look", lambda *x: path.unlink() or really(*x))
    monkeypatch.setattr(recordings, "_identity", lambda one: {})
    words = ["spot", "--video", str(path), "--output", str(tmp_path / "out"), *spotted[1][5:]]
    assert main(words) == 0
    assert read_intervals(tmp_path / "out/a.csv", spotted=True)


def test_several_at_the_same_time_give_the_same(spotted, tmp_path):
    out, words = spotted
    again = [*words[:4], str(tmp_path / "out"), *words[5:], "--jobs=2"]
    assert main(again) == 0
    for path in out.iterdir():
        mine = (tmp_path / "out" / path.name).read_bytes()
        assert mine == path.read_bytes(), path


def test_one_that_cannot_be_spotted_stops_no_other(spotted, tmp_path, capsys):
    out, words = spotted
    write(tmp_path / "in/s1/a.avi")
    write(tmp_path / "in/s0/short.avi", frames=5)
    again = ["spot", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main([*again, *words[5:], "--jobs=2"]) == 0
    assert "too short for an expression" in "".join(capsys.readouterr())
    assert (tmp_path / "out/s1_a.csv").read_text() == (out / "s1_a.csv").read_text()
    assert len(read_recordings(tmp_path / "out/videos.csv")) == 1


def test_an_unforeseen_error_leaves_no_thread_behind(spotted, tmp_path, monkeypatch):
    _, words = spotted
    monkeypatch.setattr(recordings, "page", lambda *x: 1 / 0)
    again = [*words[:4], str(tmp_path / "out"), *words[5:], "--jobs=2"]
    with pytest.raises(ZeroDivisionError):
        main(again)
    assert not list((tmp_path / "out").glob("*.json"))


def test_a_restart_keeps_what_is_there_and_others_settings_do_not(spotted, monkeypatch):
    out, words = spotted
    done = []
    really = recordings._spot
    monkeypatch.setattr(
        recordings, "_spot", lambda one, *x: done.append(one.video) or really(one, *x)
    )
    before = (out / "intervals.csv").read_text()
    (out / "s1_a.html").unlink()
    assert main(words) == 0 and done == ["a"]
    assert (out / "intervals.csv").read_text() == before
    assert main([*words, "--threshold=1e9"]) == 0 and done == ["a", "a", "<b>"]
    assert len((out / "intervals.csv").read_text().splitlines()) == 1


def test_a_recognizer_names_every_interval(spotted, tmp_path, monkeypatch):
    seen = []

    def recognise(onset, apex):
        seen.append((onset.shape, apex.shape))
        return {"surprise": 0.75, "others": 0.25}

    monkeypatch.setattr(spot, "_recognizer", lambda run, size: recognise)
    video = spotted[0].parent / "videos/s1/a.avi"
    words = ["spot", "--video", str(video), "--output", str(tmp_path), *spotted[1][5:]]
    assert main([*words, "--recognizer=run"]) == 0
    found = read_intervals(tmp_path / "intervals.csv", spotted=True)
    assert {one.emotion for one in found} == {"surprise"}
    assert set(seen) == {((32, 32, 3), (32, 32, 3))} and len(seen) == len(found)
    for name in ("intervals.csv", "a.csv"):
        table = pd.read_csv(tmp_path / name)
        assert set(table["probability_surprise"]) == {0.75} and len(table) == len(found)
    facts = json.loads((tmp_path / "a.json").read_text())
    assert facts["intervals"][0]["probabilities"] == {"surprise": 0.75, "others": 0.25}


def test_a_recognizer_names_those_without_pictures_too(spotted, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST", 0)
    monkeypatch.setattr(spot, "_recognizer", lambda run, size: lambda *pair: {"surprise": 1.0})
    video = spotted[0].parent / "videos/s1/a.avi"
    words = ["spot", "--video", str(video), "--output", str(tmp_path), *spotted[1][5:]]
    assert main([*words, "--recognizer=run"]) == 0
    found = read_intervals(tmp_path / "intervals.csv", spotted=True)
    assert found and {one.emotion for one in found} == {"surprise"}


def test_every_method_is_known_to_the_command_and_calibrated():
    assert flags.SPOTTING_METHODS == METHODS and set(CALIBRATIONS) == set(METHODS)
    for one in CALIBRATIONS.values():
        rates = sorted(one.thresholds)
        scores = [one.threshold(rate) for rate in (rates[0] / 9, *rates, rates[-1] * 9)]
        assert scores == sorted(scores, reverse=True)
        np.testing.assert_allclose(scores[1:-1], [one.thresholds[rate] for rate in rates])


def test_a_prepared_set_is_not_written_over(tmp_path, capsys):
    words = ["spot", "--input", str(tmp_path), "--output", str(tmp_path / "x/..")]
    assert main([*words, "--method=difference"]) == 2
    assert "is what is read" in capsys.readouterr().err


def test_a_model_spots_from_python(spotted, trained_run):
    video = spotted[0].parent / "videos/s1/a.avi"
    found = list(mb.load(trained_run).spot(video, crop="none", threshold=1e-4))
    assert any(one.onset <= 31 <= one.offset for one in found)


@pytest.mark.parametrize(
    "frames, flags, said",
    [
        (FRAMES, ["--crop=face"], "no face found"),
        (5, ["--crop=none"], "too short for an expression"),
        (FRAMES, ["--crop=none", "--fps=2"], "too slow for micro-expressions"),
        (FRAMES, ["--crop=none", "--rate=5"], "too slow for micro-expressions"),
        (FRAMES, ["--crop=none", "--threshold=1", "--false-alarms=1"], "give either --threshold"),
    ],
)
def test_what_cannot_be_spotted_is_one_line(tmp_path, capsys, frames, flags, said):
    video = write(tmp_path / "v/a.avi", frames)
    words = ["spot", "--video", str(video), "--output", str(tmp_path / "out")]
    assert main([*words, "--method=difference", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.glob("out/*"))
