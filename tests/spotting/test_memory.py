"""Spotting takes as much memory for hours as for minutes.

    MUBERT_SPOT_MINUTES="6 60" pytest -m slow tests/spotting/test_memory.py -s

runs an hour at 200 frames per second; without it, a tenth of that.
"""

import dataclasses
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mubert_jax.data.lossless import write_lossless
from mubert_jax.interop.opening import SHIPPED, open_trained
from mubert_jax.spotting.footage import Footage, Frame, footage
from mubert_jax.spotting.recordings import spot_recordings
from mubert_jax.spotting.spotter import SpotOptions, Spotter
from mubert_jax.synthetic.long_video import LongVideo

FPS, SECONDS = 200.0, 20.0
# GB in all, and MB from a length to one ten times as long. What is kept of each look at the face is
# 20 bytes, which makes 5 MB per hour, and findings have tables and pages.
MOST, MORE = 1.5, 60.0


@dataclasses.dataclass(frozen=True)
class Repeated(Footage):
    """A short recording again and again; it is read anew each time, and never held."""

    times: int = 1

    @property
    def expected(self):
        return super().expected * self.times

    def __iter__(self):
        number, start = 0, 0.0
        for _ in range(self.times):
            last = None
            for last in super().__iter__():
                yield Frame(number + last.number, start + last.seconds, last.image)
            number, start = number + last.number + 1, start + last.seconds + 1 / self.fps


def spot(video, minutes, method, output):
    """Spots `minutes` of it, and says what that took."""
    (short,) = footage([video])
    values = {field.name: getattr(short, field.name) for field in dataclasses.fields(short)}
    whole = Repeated(**values, times=max(1, round(minutes * 60 / SECONDS)))
    options = SpotOptions(method=method, crop="none")
    trained = open_trained(SHIPPED) if method == "dma" else None
    spotter = Spotter(trained, options)
    spot_recordings([whole], spotter, output, {"method": method}, None, Console(quiet=True))
    facts = json.loads((output / f"{whole.video}.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    page = (output / f"{whole.video}.html").stat().st_size / 1e6
    print(json.dumps({"frames": facts["frames"], "MB": peak, "page MB": page}))


@pytest.mark.slow
def test_an_hour_takes_no_more_memory_than_minutes(tmp_path):
    made = LongVideo(3, 0, 1, fps=FPS, seconds=SECONDS)
    video = write_lossless(made, made.frames, FPS, tmp_path, "short")
    lengths = [float(x) for x in os.environ.get("MUBERT_SPOT_MINUTES", "0.6 6").split()]
    method = os.environ.get("MUBERT_SPOT_METHOD", "dma")
    took = []
    for number, minutes in enumerate(lengths):
        words = [sys.executable, __file__, video, str(minutes), method, tmp_path / str(number)]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        took.append(json.loads(said.splitlines()[-1]))
        print(took[-1])
    assert took[-1]["frames"] >= 0.9 * lengths[-1] * 60 * FPS
    assert took[-1]["MB"] < 1000 * MOST
    assert took[-1]["MB"] - took[0]["MB"] < MORE


if __name__ == "__main__":
    spot(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
