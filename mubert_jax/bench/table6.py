"""`mubert table6`: Table 6 of the paper, every pretraining on the same frames, read alike.

An encoder is pretrained by each method, or not at all, and then recognizes the emotions of people
whom the recognizer never saw: a linear layer on the frozen encoder, and full fine-tuning.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import pandas as pd
from rich.console import Console

from mubert_jax.bench.table6_page import Score, Scored, write_table
from mubert_jax.bench.table6_rows import ENCODER, FROZEN, P_DMA, TOKENIZER, TUNED, VIT_S, Row
from mubert_jax.config import (
    LINEAR_PROBE,
    Config,
    DataConfig,
    ObjectiveConfig,
    RecognitionConfig,
    RecognizerConfig,
    TrainingConfig,
)
from mubert_jax.config_parts import Table6Part
from mubert_jax.errors import UserError
from mubert_jax.interop.importing import import_weights
from mubert_jax.objectives.vit_imagenet import Options
from mubert_jax.pretraining.run import run as pretrain
from mubert_jax.recognition.finetune import finetune
from mubert_jax.recognition.metrics import over_subjects, summarise
from mubert_jax.recognition.predictions import PREDICTIONS_FILE, Facts, Predictions
from mubert_jax.training.checkpoints import load_weights


def table6(
    configs: Mapping[str, Annotated[Config, Table6Part]],
    recognition: RecognitionConfig,
    rows: Sequence[Row],
    pairs: Path,
    seeds: int,
    workdir: Path,
    allow_contamination: bool,
    console: Console,
    given: Mapping[str, Path] = MappingProxyType({}),
) -> list[Scored]:
    """Pretrains and tests what `workdir` does not hold yet, then writes the table.

    Every pretraining is a folder RUN-seedS/pretrained and every recognizer a folder beside it; what
    is finished stays as it is. A row that fails leaves the others alone. Writes table6.md, .csv,
    .html and .png.

    Args:
      configs: by the name of a `Row.run`, and that of the tokenizer if a row needs one.
      recognition: the protocol of all recognizers, and the training of those that are fine-tuned.
      rows: those of the table, in its order.
      pairs: labelled pairs, as `mubert prepare` makes them.
      seeds: pretrainings of each row; a recognizer has its pretraining's seed.
      given: the weights of rows that have a `flag`, by their names, as `mubert import` takes them.

    Raises:
      UserError: no frames to pretrain on are named; every row failed.
    """
    config = next(iter(configs.values()))
    if any(row.config for row in rows) and not config.data.path:
        raise UserError(
            "config.data.path is empty; give the frames to pretrain on, a folder that mubert "
            "prepare made: --config.data.path=DIR"
        )
    scored, notes = [], []
    comparison = Comparison(recognition, pairs, seeds, workdir, allow_contamination, console, given)
    for row in rows:
        console.print(f"[bold]{row.title}[/bold]", highlight=False)
        try:
            scores, stamps = comparison.of(row, configs)
            scored.append(Scored(row, scores))
            notes += stamps
        except UserError as error:
            console.print(f"{row.title}: {error}", highlight=False, markup=False)
            scored.append(Scored(row, {}, str(error)))
    if all(found.failed for found in scored):
        raise UserError(f"no row could be measured; the first: {scored[0].failed}")
    notes.insert(0, _conditions(list(configs.values()), recognition, pairs, seeds))
    write_table(scored, list(dict.fromkeys(notes)), workdir)
    return scored


@dataclass(frozen=True)
class Comparison:
    """How every row is pretrained and tested; the fields are arguments of `table6`."""

    recognition: RecognitionConfig
    pairs: Path
    seeds: int
    workdir: Path
    allow_contamination: bool
    console: Console
    given: Mapping[str, Path]

    def of(
        self, row: Row, configs: Mapping[str, Config]
    ) -> tuple[dict[str, Score], tuple[str, ...]]:
        """The scores of a row by the way that it is read, and the stamps of their tables."""
        found: dict[str, list[Predictions]] = {}
        stamps: tuple[str, ...] = ()
        for seed in range(self.seeds):
            pretrained = self._imported(row, configs) if row.flag else None
            if row.config:
                pretrained = self._pretrained(row.run, configs, seed)
            for way in (FROZEN, TUNED) if row.reads in (ENCODER, P_DMA) else (FROZEN,):
                sizes = configs[row.run] if row.config else _without_dma(configs)
                config = self._recognizer(row, way, sizes, pretrained, seed)
                folder = self.workdir / f"{row.name}-seed{seed}" / way
                finetune(config, folder, self.allow_contamination, self.console, keep=False)
                facts = Facts.load(folder)
                stamps += facts.stamps
                predictions = Predictions.load(folder / PREDICTIONS_FILE, facts.classes)
                found.setdefault(way, []).append(predictions)
        return {way: _score(of_seeds) for way, of_seeds in found.items()}, stamps

    def _imported(self, row: Row, configs: Mapping[str, Config]) -> Path:
        """The run that holds a row's given weights, for frames of the size of all others."""
        if (file := self.given.get(row.name)) is None:
            raise UserError(f"its weights are not shipped; give them by {row.flag}=FILE")
        folder = self.workdir / row.name
        side = next(iter(configs.values())).model.image_size
        if not folder.exists():
            sized = [f"--config.model.image_size={side}"]
            import_weights(file, folder, sized, self.console)
        config, _ = load_weights(folder)
        if config.objective.name not in ("vit_imagenet", "moco_v3"):
            raise UserError(f"{file} holds no encoder of ImageNet; delete {folder}, give another")
        if row.name == VIT_S and not _is_vit_s(config):
            raise UserError(f"{file} holds no ViT-S; delete {folder} and give another")
        if config.model.image_size != side:
            raise UserError(
                f"{folder} was imported for images of {config.model.image_size} pixels, not "
                f"{side}; delete it"
            )
        return folder

    def _pretrained(self, run: str, configs: Mapping[str, Config], seed: int) -> Path:
        """The folder of a pretraining, which is finished there; BEiT's tokenizer comes first."""
        config, folder = configs[run], self.workdir / f"{run}-seed{seed}" / "pretrained"
        if config.objective.name == "beit" and not config.objective.options.get("tokenizer"):
            tokenizer = str(self._pretrained(TOKENIZER, configs, seed))
            options = config.objective.options | {"tokenizer": tokenizer}
            objective = dataclasses.replace(config.objective, options=options)
            config = dataclasses.replace(config, objective=objective)
        training = dataclasses.replace(config.training, seed=seed)
        config = dataclasses.replace(config, training=training, recognition=RecognitionConfig())
        pretrain(config, folder, self.console)
        return folder

    def _recognizer(
        self, row: Row, way: str, sizes: Config, pretrained: Path | None, seed: int
    ) -> Config:
        """The config of a recognizer; on a frozen encoder it has the linear probe's training."""
        if way == TUNED:
            network = {ENCODER: "encoder", P_DMA: "micron_bert"}[row.reads]
            recognition = dataclasses.replace(self.recognition, network=network)
        else:
            features = "backbone" if row.reads == P_DMA else row.reads
            recognition = RecognitionConfig(
                protocol=self.recognition.protocol, network=LINEAR_PROBE, features=features
            )
        return dataclasses.replace(
            sizes,
            data=DataConfig(path=str(self.pairs)),
            model=dataclasses.replace(sizes.model, recognizer=RecognizerConfig()),
            training=TrainingConfig(init_from=str(pretrained or ""), seed=seed),
            recognition=dataclasses.replace(recognition, seeds=(seed,)),
        )


def _is_vit_s(config: Config) -> bool:
    options, known = config.objective.options, Options()
    return (options.get("dim"), options.get("heads")) == (known.dim, known.heads)


def _without_dma(configs: Mapping[str, Config]) -> Config:
    """A config of the encoder that all rows share, whichever rows there are."""
    config = next(iter(configs.values()))
    model = config.model
    return dataclasses.replace(
        config,
        objective=ObjectiveConfig(),
        model=dataclasses.replace(
            model,
            dma=dataclasses.replace(model.dma, kind="none"),
            poi=dataclasses.replace(model.poi, enabled=False),
        ),
    )


def _score(of_seeds: Sequence[Predictions]) -> Score:
    """The mean over the seeds, and the interval over people of that mean."""
    tables = [found.table.assign(seed=seed) for seed, found in enumerate(of_seeds)]
    together = Predictions(pd.concat(tables, ignore_index=True), of_seeds[0].classes)
    summary, intervals = summarise(together), over_subjects(together)

    def interval(name: str) -> tuple[float, float]:
        low, high = map(float, intervals[name])
        return low, high

    uf1, uar = (float(summary.values(name).mean()) for name in ("uf1", "uar"))
    return Score(uf1, uar, interval("uf1"), interval("uar"))


def _length(training: TrainingConfig) -> str:
    return f"{training.steps} steps" if training.steps else f"{training.epochs:g} epochs"


def _conditions(
    configs: Sequence[Config], recognition: RecognitionConfig, pairs: Path, seeds: int
) -> str:
    config = configs[0]
    training = config.training
    length = " or ".join(dict.fromkeys(_length(one.training) for one in configs))
    on = config.data.path or "nothing"
    return (
        f"Pretrained on {on} ({length}, batches of {training.batch_size}, images of "
        f"{config.model.image_size} pixels), tested on {pairs} ({recognition.protocol}), {seeds} "
        "seed(s). Frozen: a linear layer on the encoder as it was pretrained. Fine-tuned: "
        f"{recognition.epochs} epochs. All figures are in percent; intervals are 95 % over people. "
        "The paper's figures are on CAS(ME)³, 7 classes, and are not comparable with others."
    )
