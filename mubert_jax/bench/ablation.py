"""`mubert ablate`: configs × seeds, each trained and scored on the synthetic benchmark."""

import csv
import dataclasses
import functools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

from mubert_jax.config import Config
from mubert_jax.config_parts import AblatePart
from mubert_jax.data.files import replacing, write_text
from mubert_jax.errors import UserError
from mubert_jax.motion_maps import chosen
from mubert_jax.objectives import make_objective
from mubert_jax.perception import emotions
from mubert_jax.perception.benchmark import (
    BenchmarkPair,
    Row,
    as_registered,
    baseline_reader,
    baseline_rows,
    benchmark_pairs,
    evaluate,
    learned_reader,
    mass_on_face,
)
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.registering import ByInterest, without_interest
from mubert_jax.perception.scores import Estimate
from mubert_jax.perception.trained import Trained
from mubert_jax.pretraining.run import run as pretrain
from mubert_jax.recognition.metrics import uf1
from mubert_jax.training.checkpoints import load_weights

BASELINES = chosen(("difference", "difference_compensated", "eulerian"))
NO_TRAINING = baseline_rows(BASELINES)
SCORES = ("auc_in_face", "auc", "null", "correlation")
SHOWN = "auc_in_face"
DRAWN = (
    ("DMA", SHOWN, "DMA: AUC inside the face"),
    ("DMA × POI", "auc", "DMA × POI: AUC over the frame"),
    ("DMA × POI", "null", "DMA × POI: null test (0 is best)"),
)
# The condition under which the emotions of synthetic people are told apart.
EMOTIONS_UNDER = "lab"
# The config, the method, the condition and the score of a row.
Key = tuple[str, str, str, str]


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Which conditions, on how many test subjects."""

    conditions: tuple[str, ...]
    subjects: int

    @functools.cache  # noqa: B019 (one benchmark per run)
    def pairs(
        self, condition: str, size: int, patch_size: int
    ) -> list[tuple[BenchmarkPair, BenchmarkPair]]:
        return list(benchmark_pairs(condition, self.subjects, size, patch_size))

    @functools.cache  # noqa: B019
    def labelled(self, size: int) -> emotions.Labelled:
        return emotions.labelled_pairs(EMOTIONS_UNDER, self.subjects, size)


def ablate(
    configs: Mapping[str, Annotated[Config, AblatePart]],
    seeds: int,
    workdir: Path,
    benchmark: Benchmark,
    console: Console,
) -> None:
    """Trains and scores what `workdir` does not hold yet, then writes the results.

    Every run is a folder NAME-seedS that `mubert pretrain` could continue; its scores are in
    scores.json. Started again after it was killed, it keeps finished runs as they are.

    Writes results.csv (every score with its interval), results.md (mean and sample standard
    deviation over the seeds) and results.png.

    Raises:
      UserError: a training or a benchmark raised it; the message names the config.
    """
    rows = []
    for name, config in configs.items():
        for seed in range(seeds):
            folder = workdir / f"{name}-seed{seed}"
            console.print(f"{name}, seed {seed}", highlight=False, markup=False)
            training = dataclasses.replace(config.training, seed=seed)
            config = dataclasses.replace(config, training=training)
            try:
                rows += _run(name, seed, config, folder, benchmark, console)
            except UserError as error:
                raise UserError(f"{name}, seed {seed}: {error}") from error
    read = {
        (
            config.model.image_size,
            config.model.patch_size,
            without_interest(config.perception.align),
        )
        for config in configs.values()
    }
    rows += [row for one in sorted(read) for row in _baselines(*one, benchmark)]
    write_results(rows, workdir)
    console.print((workdir / "results.md").read_text(), highlight=False, markup=False)


def _run(
    name: str, seed: int, config: Config, folder: Path, benchmark: Benchmark, console: Console
) -> list[dict[str, Any]]:
    finished = folder / "scores.json"
    asked = {"conditions": list(benchmark.conditions), "subjects": benchmark.subjects}
    if finished.exists():
        saved = json.loads(finished.read_text())
        if saved["benchmark"] == asked:
            return saved["rows"]
    pretrain(config, folder, console)
    rows = [{"config": name, "seed": seed, **row} for row in _score(folder, config, benchmark)]
    write_text(finished, json.dumps({"benchmark": asked, "rows": rows}, indent=1))
    return rows


def _score(folder: Path, config: Config, benchmark: Benchmark) -> Iterator[dict[str, Any]]:
    """Rows of the features and, of a model with DMA, of DMA, DMA × POI and POI.

    The frames of the maps are registered as the config says.
    """
    objective, (_, weights) = make_objective(config), load_weights(folder)
    labelled = benchmark.labelled(config.model.image_size)
    changes = emotions.token_changes(objective.encode, weights.params, weights.extra)
    yield _emotions("features", changes(labelled), labelled)
    if "dma" not in weights.params:
        return
    trained = Trained.of_run(folder)
    model, params = trained.model, trained.params
    perceiver = Perceiver(model, params, as_registered(config.perception), batch=1)
    read = learned_reader(perceiver, ByInterest(model, params))
    for condition in benchmark.conditions:
        pairs = benchmark.pairs(condition, config.model.image_size, config.model.patch_size)
        found = evaluate(read, pairs, (config.perception.align,))
        for row, difficulties in found.items():
            name = f"{row.method} × {row.times}" if row.times else row.method
            yield from _rows(condition, name, difficulties["all"])
        yield {
            "condition": condition,
            "method": "POI",
            "score": "mass on the face",
            "value": mass_on_face(perceiver, pairs),
        }


def _baselines(size: int, patch: int, align: str, benchmark: Benchmark) -> Iterator[dict[str, Any]]:
    """Rows without learning, whose frames are registered like those of the learned maps."""
    config = {"config": f"no training, {size} px, align={align}", "seed": 0}
    for condition in benchmark.conditions:
        pairs = benchmark.pairs(condition, size, patch)
        found = evaluate(baseline_reader(patch, BASELINES), pairs, (align,))
        for name in NO_TRAINING:
            for row in _rows(condition, name, found[Row(name, align)]["all"]):
                yield config | row
    labelled = benchmark.labelled(size)
    yield config | _emotions("difference", emotions.pixel_changes(labelled), labelled)


def _emotions(method: str, features: np.ndarray, labelled: emotions.Labelled) -> dict[str, Any]:
    found = emotions.recognition(features, labelled, uf1)
    return {"condition": EMOTIONS_UNDER, "method": method, "score": "UF1", **_bounds(found)}


def _rows(
    condition: str, method: str, estimates: Mapping[str, Estimate]
) -> Iterator[dict[str, Any]]:
    for score in SCORES:
        bounds = _bounds(estimates[score])
        yield {"condition": condition, "method": method, "score": score, **bounds}


def _bounds(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def write_results(rows: Sequence[Mapping[str, Any]], workdir: Path) -> None:
    """Writes results.csv, results.md and results.png from one row per score."""
    columns = ("config", "seed", "condition", "method", "score", "value", "low", "high")
    with replacing(workdir / "results.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    groups: dict[Key, list[float]] = {}
    for row in rows:
        key = row["config"], row["method"], row["condition"], row["score"]
        groups.setdefault(key, []).append(row["value"])
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    lines = list(dict.fromkeys((config, method) for config, method, *_ in groups))
    write_text(workdir / "results.md", _markdown(groups, conditions, lines))
    _picture(groups, conditions, lines, workdir / "results.png")


def _markdown(
    groups: Mapping[Key, list[float]], conditions: list[str], lines: list[tuple[str, str]]
) -> str:
    text = []
    for score, title in (
        (SHOWN, "AUC inside the face"),
        ("auc", "AUC over the frame"),
        ("null", "null test: energy without movement over energy with it (0 is best)"),
        ("mass on the face", "share of POI's scores on the face"),
        ("UF1", "five emotions, frozen features, one subject left out at a time"),
    ):
        kept, scored = _with_score(score, groups, conditions, lines)
        if not kept:
            continue
        text += [f"**{title}** (mean ± sample standard deviation over seeds)", ""]
        text += ["| config | map | " + " | ".join(scored) + " |"]
        text += ["| --- | --- |" + " ---: |" * len(scored)]
        for config, method in kept:
            cells = (_cell(groups.get((config, method, c, score))) for c in scored)
            text.append(f"| {config} | {method} | " + " | ".join(cells) + " |")
        text.append("")
    return "\n".join(text)


def _with_score(
    score: str,
    groups: Collection[Key],
    conditions: list[str],
    lines: list[tuple[str, str]],
) -> tuple[list[tuple[str, str]], list[str]]:
    """The lines and the conditions that have this score at all."""
    kept = [line for line in lines if any((*line, c, score) in groups for c in conditions)]
    return kept, [c for c in conditions if any((*line, c, score) in groups for line in kept)]


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _picture(
    groups: Mapping[Key, list[float]],
    conditions: list[str],
    lines: list[tuple[str, str]],
    path: Path,
):
    """A row per config, a column per map and score under the last condition, a dot per seed."""
    kept, (*_, condition) = _with_score(SHOWN, groups, conditions, lines)
    configs = list(dict.fromkeys(config for config, method in kept if method not in NO_TRAINING))
    baselines = [line for line in kept if line[1] in NO_TRAINING]
    figure, axes = plt.subplots(
        1,
        len(DRAWN),
        figsize=(2.0 + 3.0 * len(DRAWN), 1.6 + 0.28 * len(configs)),
        sharey=True,
        layout="constrained",
    )
    for axis, (method, score, title) in zip(axes, DRAWN, strict=True):
        for i, config in enumerate(configs):
            values = groups.get((config, method, condition, score), [])
            axis.plot(values, [i] * len(values), "o", color="tab:blue", alpha=0.6, markersize=6)
        for config, name in baselines:
            style = ("--", ":", "-.")[NO_TRAINING.index(name)]
            for value in groups.get((config, name, condition, score), ()):
                axis.axvline(value, color="tab:gray", linestyle=style, label=name)
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
        axis.set_ylim(len(configs) - 0.5, -0.5)
    axes[0].set_yticks(range(len(configs)), configs)
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"Under {condition!r}, one dot per seed", fontsize=11)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
