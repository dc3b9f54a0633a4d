"""`mubert bench calibration`: which scores false alarms have on people who express nothing."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from mubert_jax.data.lossless import write_lossless
from mubert_jax.errors import UserError
from mubert_jax.perception.trained import Trained
from mubert_jax.spotting.footage import footage
from mubert_jax.spotting.spotter import SpotOptions, Spotter
from mubert_jax.synthetic.long_conditions import LONG_CONDITIONS
from mubert_jax.synthetic.long_video import LongVideo
from mubert_jax.synthetic.nuisances import Nuisances

# People of this seed are never tested on.
SEED = 1
_WORSE = dataclasses.replace(
    LONG_CONDITIONS["all"].nuisances,
    drift=10.0,
    turn=3.0,
    gain=0.1,
    gradient=0.1,
    flicker=0.02,
    noise=4.0,
    quality=50,
)
# What else changes, in turn, from person to person: nobody expresses anything, and all blink.
NUISANCES: tuple[Nuisances, ...] = (
    LONG_CONDITIONS["all"].nuisances,
    LONG_CONDITIONS["drift"].nuisances,
    _WORSE,
    _WORSE,
)
# What is reported of false alarms per minute; the highest scores are too few for less.
RATES = (0.25, 0.5, 0.75, 1.0, 2.0)


def bench_calibration(
    trained: Trained | None,
    options: SpotOptions,
    people: int,
    first: int,
    seconds: float,
    console: Console,
) -> list[dict[str, Any]]:
    """Spots drawn people who express nothing, and sorts the scores of what is found all the same.

    Args:
      trained: the model; None for methods without one.
      options: how they are spotted; a low threshold, below which scores are not counted.
      people: how many are drawn, of seed `SEED`, with `NUISANCES` in turn.
      first: the number of the first of them.
      seconds: of each.
      console: where the progress is shown.

    Returns:
      A row per rate of `RATES` that so many minutes can tell: the false alarms per minute, the
      score of the last one that is let through, that which `mubert spot` has
      (`spotting.calibration`), and what E is at the shortest lag, at its lower quartile.

    Raises:
      UserError: there are no minutes to count in.
    """
    spotter = Spotter(trained, options)
    scores, quiet = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(people):
            console.print(f"{number + 1} of {people} people", highlight=False)
            made = _still(first + number, number, spotter.comparison.size, seconds)
            path = write_lossless(made, made.frames, made.fps, Path(folder), f"{number}")
            (recording,) = footage([path])
            spotting = spotter(recording)
            for measured in spotting.measured():
                lag = measured.lags.shortest
                quiet.append(float(np.quantile(measured.energy[lag], 0.25)))
                found = spotter.method.found(measured, options.least)
                scores += [one.score for one in found if one.is_expression]
            path.unlink()
    minutes = people * seconds / 60
    rows = [
        {
            "false alarms per minute": count / minutes,
            "score": score,
            "as shipped": options.calibration.threshold(count / minutes),
            "E at rest": float(np.median(quiet)),
            "minutes": minutes,
        }
        for count, score in _last_let_through(scores, minutes)
    ]
    if not rows:
        raise UserError(
            f"{len(scores)} false alarms in {minutes:.2g} minutes tell no rate; take more people, "
            "more seconds, or a lower --threshold"
        )
    return rows


def _last_let_through(scores: Sequence[float], minutes: float) -> list[tuple[int, float]]:
    """How many false alarms are let through, and the score of the last of them, for each rate."""
    ordered = sorted(scores, reverse=True)
    counts = {round(rate * minutes) for rate in RATES}
    return [(n, ordered[n - 1]) for n in sorted(counts) if 1 <= n <= len(ordered)]


def _still(subject: int, number: int, size: int, seconds: float) -> LongVideo:
    """Somebody who expresses nothing."""
    nuisances = NUISANCES[number % len(NUISANCES)]
    rates = LONG_CONDITIONS["still"].rates
    return LongVideo(subject, 0, SEED, nuisances, rates, size, seconds=seconds)
