"""`mubert prepare casme2` and the like: annotated clips in, a data set of pair records out."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from mubert_jax.data.labelled.collected import Collected
from mubert_jax.data.labelled.options import PairOptions
from mubert_jax.data.labelled.report import PairsReport, save_report
from mubert_jax.data.labelled.writing import PairWriter
from mubert_jax.data.plan import Plan
from mubert_jax.data.prepare import Frames, make_set
from mubert_jax.data.report import ClipReport
from mubert_jax.data.sets import load_set

Where = str | os.PathLike | Mapping[str, str | os.PathLike] | None


class Pairs(Frames):
    """What is particular to a `pairs` set of these clips."""

    kind = "pairs"
    writer = PairWriter

    def __init__(self, source: str, collected: Collected):
        self.emotions = collected.classes
        self._source = source
        self._collected = collected

    def save_report(self, output: Path, clips: list[ClipReport]) -> None:
        title = f"{self._source}, {len(self.emotions)} classes"
        save_report(output, title, self._collected, clips)

    def load_report(self, output: Path) -> PairsReport:
        return PairsReport.load(output, self._collected)

    def describe(self, report: PairsReport, source: str) -> str:
        return f"Onset and apex of {report.kept} clips, made by `mubert prepare {source}`."


def prepare_pairs(
    source: str,
    input: Where,
    output: str | os.PathLike,
    options: PairOptions | None = None,
    annotation: Where = None,
    console: Console | None = None,
) -> PairsReport:
    """Makes a `pairs` data set of every clip that can be used; restarts as `prepare` does.

    Args:
      source: name of a module in `mubert_jax.data.sets` that defines `SET`.
      input: the folder with the frames; for a composite, one by the name of each member; for
        "pairs", what the paths of the table are relative to, the table's folder if None.
      output: folder for the data set; new, empty, or begun by the same command.
      options: the classes, and how to crop and store.
      annotation: the sheet (by member for a composite); None looks for it in the input.
      console: where progress is shown; stderr if not given.

    Raises:
      UserError: as `prepare`, and as `LabelledSet.collect`.
    """
    options = options or PairOptions()
    collected = load_set(source).SET.collect(_paths(input), _paths(annotation), options)
    return store(source, _shown(input, annotation), collected, output, options, console)


def store(
    source: str,
    input: object,
    collected: Collected,
    output: str | os.PathLike,
    options: PairOptions,
    console: Console | None,
) -> PairsReport:
    """Makes the data set of what was `collected`; the plan names `input`. As `prepare_pairs`."""
    clips = sorted(collected.clips, key=lambda clip: clip.name)
    plan = Plan.make(source, input, options, clips)
    content = f"{len(clips)} clips ({collected.fingerprint})"
    plan = replace(plan, options=plan.options | {"annotation": content})
    recipe, console = Pairs(source, collected), console or Console(stderr=True)
    return make_set(recipe, plan, clips, Path(output), options, console)


def _paths(where: Where) -> Path | dict[str, Path] | None:
    if isinstance(where, Mapping):
        return {name: Path(path).expanduser() for name, path in where.items()}
    return None if where is None else Path(where)


def _shown(input: Where, annotation: Where) -> Path | str:
    if isinstance(input, Mapping):
        return " ".join(f"{name}={Path(path).resolve()}" for name, path in sorted(input.items()))
    return Path(annotation).parent if input is None else Path(input)
