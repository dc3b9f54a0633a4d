"""`mubert bench spot`: the stages of spotting on the same frames."""

import json

import pytest
from spotting.test_spot import FRAMES, Differences, write

from mubert_jax.bench import spot
from mubert_jax.cli import main
from mubert_jax.spotting import spotter


def rows_of(tmp_path, *flags):
    output = tmp_path / "rows.json"
    assert main(["bench", "spot", "--steps=1", f"--output={output}", *flags]) == 0
    rows = {row["stage"]: row for row in json.loads(output.read_text())}
    assert list(rows)[-2:] == [spot.ONE_BATCH, spot.TOGETHER] and len(rows) == 9
    assert rows[spot.TOGETHER]["share"] == 1
    assert all(row["frames/s"] > 0 for row in rows.values())
    return rows


def test_every_stage_is_timed_on_the_same_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(spotter, "ByMotionMap", Differences)
    monkeypatch.setattr(spot, "by_ellipse", lambda onset, apex: apex)  # takes long to compile
    video = write(tmp_path / "a.avi")
    rows = rows_of(tmp_path, f"--video={video}", "--crop=none", "--method=difference")
    assert {row["frames"] for row in rows.values()} == {FRAMES}


def test_a_stage_gets_what_spotting_has_given_it(tmp_path, monkeypatch):
    """What is compared in a stage is what is compared in all of it."""
    asked = []

    class Asked(Differences):
        def __call__(self, before, after, interest):
            asked.append(before.tobytes())
            return super().__call__(before, after, interest)

    monkeypatch.setattr(spotter, "ByMotionMap", Asked)
    options = spotter.SpotOptions(method="difference", crop="none")
    (recording,) = spot.footage([write(tmp_path / "a.avi")])
    stages = spot._stages(None, options, recording)
    given = {}
    for name in ("comparing, registering in it", spot.ONE_BATCH):
        asked.clear()
        stages[name]()
        given[name] = list(asked)
    assert given[spot.ONE_BATCH] and len({tuple(x) for x in given.values()}) == 1


@pytest.mark.slow
def test_a_person_is_drawn_for_a_model(tmp_path, trained_run):
    rows = rows_of(tmp_path, "--seconds=20", f"--checkpoint={trained_run}")
    assert {row["frames"] for row in rows.values()} == {600}
