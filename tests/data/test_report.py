"""What `mubert prepare` shows of progress and outcome, and the rates of `mubert bench input`."""

import io
import subprocess
import sys

from rich.console import Console

from mubert_jax.data.frames import FramePairs
from mubert_jax.data.plan import PrepareOptions
from mubert_jax.data.prepare import prepare
from mubert_jax.data.progress import ClipProgress
from mubert_jax.data.rates import decode_rate, pipeline_rate
from mubert_jax.data.report import ClipReport, PrepareReport, write_report


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    out = io.StringIO()
    now = [0.0]
    monkeypatch.setattr("mubert_jax.data.progress.time.monotonic", lambda: now[0])
    with ClipProgress(Console(file=out, width=80), {"a": 3, "b": 3}) as progress:
        for frame in range(6):
            now[0] += 4.0
            progress.frame()
            if frame == 2:
                progress.clip("a", 3)
    assert out.getvalue().splitlines() == [
        "0/2 clips  3 frames  0 frames/s",
        "1/2 clips  6 frames  0 frames/s",
    ]


def test_the_bar_is_full_when_all_work_is_done_and_not_before():
    """However few of the expected frames there were."""
    with ClipProgress(Console(file=io.StringIO()), {"a": 3, "b": 4}, work=1.5) as progress:
        (bar,) = progress._bar.tasks
        for _ in range(3):
            progress.frame()
        progress.further(1.5)
        progress.clip("a", 4.5)
        assert bar.completed == 4.5 and not bar.finished
        progress.frame()
        progress.clip("b", 1)
        assert bar.completed == bar.total == 10.5


def test_a_terminal_gets_a_bar_that_goes_when_done(make_video, tmp_path):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    video = make_video(tmp_path / "x.avi", 5)
    report = prepare(
        "video", video, tmp_path / "out", PrepareOptions(size=32, crop="none"), console
    )
    written, up, erased = out.getvalue().rpartition("\x1b[1A")
    assert "1/1 clips" in written and (up + erased).endswith("\x1b[1A\x1b[2K")
    assert report.frames == 5


PREPARE_ON_A_TERMINAL = """
import sys
from rich.console import Console
from mubert_jax.data import prepare
from mubert_jax.data.plan import PrepareOptions

start = prepare.ClipProgress.__enter__
def check_then_start(self):
    assert "tensorflow_datasets" in sys.modules
    return start(self)
prepare.ClipProgress.__enter__ = check_then_start
console = Console(force_terminal=True)
options = PrepareOptions(size=32, crop="none")
prepare.prepare("frames", sys.argv[1], sys.argv[2], options, console)
"""


def test_no_thread_runs_while_the_protos_are_imported(frame_input, tmp_path):
    """Their import replaces `__import__` for a while, which broke the thread of the bar."""
    command = [sys.executable, "-c", PREPARE_ON_A_TERMINAL, str(frame_input), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_video_that_ends_early_is_kept_and_listed(make_video, tmp_path, quiet, monkeypatch):
    video = make_video(tmp_path / "x.avi", 5)
    monkeypatch.setattr("mubert_jax.data.clips.announced_frames", lambda path: 50)
    options = PrepareOptions(size=32, crop="none")
    report = prepare("video", video, tmp_path / "out", options, quiet)
    assert report.noted == (("x", "5 frames could be read, its file announces 50"),)
    assert "1 clip kept, but odd" in "\n".join(report.lines())


def test_dropped_clips_are_told_by_reason(tmp_path):
    many = [ClipReport(f"c{n}", "s", "dropped", f"in/c{n}/img{n}.png: no image") for n in range(30)]
    one = ClipReport("d", "s", "dropped", "no face")
    write_report(tmp_path, [one, *many])
    report = PrepareReport.load(tmp_path)
    assert len(report.dropped) == 31
    assert report.lines()[-2:] == ["  c0 and 29 more: in/c0/img0.png: no image", "  d: no face"]


def test_a_long_list_of_reasons_is_shortened(tmp_path):
    reasons = ["abcdefghijklmnopqrstuvwxyz"[n] * 3 for n in range(26)]
    write_report(tmp_path, [ClipReport("c", "s", "dropped", reason) for reason in reasons])
    assert PrepareReport.load(tmp_path).lines()[-1] == "  and 6 more reasons"


def test_rates_count_images_a_second(tmp_path, write_shards):
    folder = write_shards(tmp_path / "set", [[("a/x", list(range(20)))]])
    pairs = FramePairs(folder, image_size=8)
    assert decode_rate(pairs, seconds=0.1, threads=2) > 100
    assert pipeline_rate(pairs, seconds=0.1, threads=2, batch_size=4) > 10
