"""`mubert bench spot`: the stages of spotting, each by itself and all of them together."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from mubert_jax.data.lossless import write_lossless
from mubert_jax.perception.registering import by_ellipse
from mubert_jax.perception.trained import Trained
from mubert_jax.spotting.bumps import bumps
from mubert_jax.spotting.comparing import SIDE, Comparison, shares
from mubert_jax.spotting.energies import Lags
from mubert_jax.spotting.following import LONGEST_GAP
from mubert_jax.spotting.footage import Footage, footage, thinned, working_rate
from mubert_jax.spotting.found import found_in
from mubert_jax.spotting.readings import ByBumps
from mubert_jax.spotting.spotter import SpotOptions, Spotter, Spotting
from mubert_jax.synthetic.long_conditions import LONG_CONDITIONS
from mubert_jax.synthetic.long_video import LongVideo

# Who is drawn, and under which condition: nobody who is tested on, with all that happens.
SEED, SUBJECT, CONDITION, RATE = 1, 3, "all", 30.0
TOGETHER = "all of it, as `mubert spot`"
ONE_BATCH = "all of it, one batch at a time"


def bench_spot(
    trained: Trained | None,
    options: SpotOptions,
    video: Path | None,
    seconds: float,
    turns: int,
    console: Console,
) -> list[dict[str, Any]]:
    """Times the stages of spotting on the same frames, in turns.

    Args:
      trained: the model; None for methods without one.
      options: how it is spotted.
      video: a file; None draws a person, at the size of the frames that are compared.
      seconds: how much is drawn.
      turns: how many are timed, after one that compiles.
      console: where the progress is shown.

    Returns:
      A row per stage: frames per second of the median turn and per second of processor time, the
      share that its processor time has of that of `TOGETHER`, and how many processors it kept busy,
      both the median of the turns' ratios.
      Tables, pages and pictures are not timed.

    Raises:
      UserError: as `Spotter`; nothing in the video can be spotted.
    """
    size = trained.config.model.image_size if trained else SIDE
    with tempfile.TemporaryDirectory() as folder:
        path = video or _drawn(Path(folder), size, seconds, console)
        (recording,) = footage([path])
        stages = _stages(trained, options, recording)
        frames = sum(1 for _ in recording)
        walls, processors = ({name: list[float]() for name in stages} for _ in range(2))
        for turn in range(turns + 1):
            console.print(f"turn {turn} of {turns}", highlight=False)
            for name, stage in stages.items():
                start, used = time.perf_counter(), time.process_time()
                stage()
                if turn:  # the first one compiles
                    walls[name].append(time.perf_counter() - start)
                    processors[name].append(time.process_time() - used)
    whole = np.array(processors[TOGETHER])
    return [
        {
            "stage": name,
            "frames": frames,
            "frames/s": frames / float(np.median(walls[name])),
            "per processor second": frames / float(np.median(used)),
            "share": float(np.median(np.array(used) / whole)),
            "processors": float(np.median(np.array(used) / np.array(walls[name]))),
        }
        for name, used in processors.items()
    ]


def _drawn(folder: Path, size: int, seconds: float, console: Console) -> Path:
    console.print(f"Drawing {seconds:g} s", highlight=False)
    condition = LONG_CONDITIONS[CONDITION]
    made = LongVideo(SUBJECT, 0, SEED, condition.nuisances, condition.rates, size, RATE, seconds)
    return write_lossless(made, made.frames, made.fps, folder, "drawn")


class _Recorded(Comparison):
    """Another comparison, and all that it was asked for and gave."""

    def __init__(self, asked: Comparison):
        self._asked, self.size, self.grid = asked, asked.size, asked.grid
        self.looked: list[np.ndarray] = []
        self.compared: list[tuple[np.ndarray, ...]] = []
        self.moved: list[tuple[np.ndarray, np.ndarray]] = []

    def interest(self, frames_PxSxSx3: np.ndarray) -> np.ndarray:
        self.looked.append(frames_PxSxSx3)
        return self._asked.interest(frames_PxSxSx3)

    def __call__(
        self, before_PxSxSx3: np.ndarray, after_PxSxSx3: np.ndarray, interest_PxN: np.ndarray
    ) -> np.ndarray:
        self.compared.append((before_PxSxSx3, after_PxSxSx3, interest_PxN))
        moved_PxN = self._asked(*self.compared[-1])
        self.moved.append((moved_PxN, interest_PxN))
        return moved_PxN


def _stages(
    trained: Trained | None, options: SpotOptions, recording: Footage
) -> dict[str, Callable[[], object]]:
    """Name -> a function that does a stage with all frames, and waits for the end.

    What a stage reads is what spotting has given the same stage.
    """
    alone, together = (Spotter(trained, options, workers) for workers in (1, None))
    comparison, lags = together.comparison, Lags(working_rate(recording.fps, options.rate))
    floor, least = options.calibration.floor, options.least
    recorded, frames = _Recorded(comparison), list(recording)
    follower = together.follower(lags.rate)
    spotting = Spotting(recording, ByBumps(recorded, floor), options, lags, follower, workers=1)
    energies = list(spotting.measured())
    register: Any = jax.jit(by_ellipse)

    def follow():
        passed = thinned(iter(frames), lags.rate, LONGEST_GAP)
        return sum(1 for _ in together.follower(lags.rate)(passed))

    return {
        "decoding": lambda: sum(1 for _ in recording),
        "following the face": follow,
        "where POI looks": lambda: [comparison.interest(x) for x in recorded.looked],
        "registering": lambda: [np.asarray(register(*x[:2])) for x in recorded.compared],
        "comparing, registering in it": lambda: [comparison(*x) for x in recorded.compared],
        "parts of the face": lambda: [np.asarray(shares(*x)) for x in recorded.moved],
        "intervals": lambda: [found_in(x, bumps(x, floor, least)) for x in energies],
        ONE_BATCH: lambda: list(alone(recording)),
        TOGETHER: lambda: list(together(recording)),
    }
