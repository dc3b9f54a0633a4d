"""`mubert table6`: Table 6 of the paper, every pretraining on the same frames, read alike.

An encoder is pretrained by each method, or not at all, and then recognizes the emotions of people
whom the recognizer never saw: a linear layer on the frozen encoder, and full fine-tuning.
"""

import base64
import dataclasses
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rich.console import Console

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
from mubert_jax.data.files import replacing, write_text
from mubert_jax.errors import UserError
from mubert_jax.interop.importing import import_weights
from mubert_jax.objectives.vit_imagenet import Options
from mubert_jax.pretraining.run import run as pretrain
from mubert_jax.recognition.finetune import finetune
from mubert_jax.recognition.metrics import over_subjects, summarise
from mubert_jax.recognition.predictions import PREDICTIONS_FILE, Facts, Predictions
from mubert_jax.training.checkpoints import load_weights

# What a recognizer reads: how the tokens of any encoder change, or P_dma as in the paper.
ENCODER, P_DMA = "encoder", "dma"
FROZEN, TUNED = "frozen", "fine-tuned"
TOKENIZER, VIT_S, MOCO_V3 = "vq_tokenizer", "vit_s", "moco_v3_imagenet"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
      name: of its folder.
      title: as the table calls it.
      config: the file of configs/ that pretrains it; "" for none.
      reads: what its recognizers read, `ENCODER`, `P_DMA` or a motion map.
      paper: UF1 and UAR in percent on CAS(ME)³, as Table 6 gives them.
      small: overrides of keys at the small size.
      flag: the flag of `mubert table6` that gives its weights, which nothing here pretrains.
    """

    name: str
    title: str
    config: str = ""
    reads: str = ENCODER
    paper: tuple[float, float] | None = None
    small: Mapping[str, object] = field(default_factory=dict)
    flag: str = ""

    @property
    def run(self) -> str:
        """The name of its pretraining, which several rows may share."""
        return Path(self.config).stem


_MOCO = {"objective.options.hidden": 512, "objective.options.output": 128}
_LARS = _MOCO | {"optimizer.learning_rate": 0.3}
ROWS = (
    Row("difference", "frame difference, no network", reads="difference"),
    Row("farneback", "Farnebäck flow, no network", reads="farneback"),
    Row("untrained", "the encoder, untrained"),
    Row(VIT_S, "ViT-S, ImageNet", paper=(20.34, 18.76), flag="--vit-s"),
    Row(MOCO_V3, "MoCo v3, ImageNet, its authors' weights", flag="--moco-v3"),
    Row(
        "moco_v3_r50",
        "MoCo v3, ResNet-50",
        "configs/baselines/moco_v3_r50.py",
        paper=(19.12, 17.36),
        small=_LARS,
    ),
    Row(
        "moco_v3_r101",
        "MoCo v3, ResNet-101",
        "configs/baselines/moco_v3_r101.py",
        paper=(20.14, 18.52),
        small=_LARS,
    ),
    Row("moco_v3", "MoCo v3", "configs/baselines/moco_v3.py", paper=(22.13, 19.34), small=_MOCO),
    Row("beit", "BEiT", "configs/baselines/beit.py", paper=(23.54, 19.89)),
    Row("mae", "MAE", "configs/baselines/mae.py", paper=(23.86, 20.87)),
    Row("mb1", "μ-BERT (MB1)", "configs/ablations/mb1.py", paper=(25.27, 22.96)),
    Row("mb2", "μ-BERT (MB2), DMA: P_dma", "configs/ablations/mb2.py", P_DMA, (27.35, 26.18)),
    Row("mb2-tokens", "the same, read like the others", "configs/ablations/mb2.py"),
    Row(
        "mb3", "μ-BERT (MB3), DMA and POI: P_dma", "configs/ablations/mb3.py", P_DMA, (32.64, 32.54)
    ),
    Row("mb3-tokens", "the same, read like the others", "configs/ablations/mb3.py"),
)
# Sizes for two CPU cores: half the paper's side, a quarter of its width.
SMALL: Mapping[str, object] = {
    "model.image_size": 112,
    "model.dim": 128,
    "model.decoder.dim": 128,
    "model.decoder.depth": 2,
    "swapping.min_block": 8,
    "loss.crop.local_size": 48,
    "loss.crop.local_crops": 2,
    "loss.dino.hidden_dim": 256,
    "loss.dino.bottleneck_dim": 64,
    "data.delta": (3, 8),
    "training.batch_size": 16,
    "training.steps": 300,
    "optimizer.learning_rate": 1e-3,
    "optimizer.warmup_steps": 30,
}
# What the tokenizer and BEiT have beside that.
_OWN = {
    TOKENIZER: {"objective.options.codes": 512, "objective.options.width": 128},
    "beit": {"objective.options.min_block": 16},
}


@dataclass(frozen=True)
class Score:
    """UF1 and UAR of a recognizer, from 0 to 1, and their 95 % intervals over people."""

    uf1: float
    uar: float
    of_uf1: tuple[float, float]
    of_uar: tuple[float, float]


@dataclass(frozen=True)
class Scored:
    """A row and what was measured of it; `failed` says why there is nothing."""

    row: Row
    scores: Mapping[str, Score]
    failed: str = ""


def overrides_at_small_size(run: str, small: Mapping[str, object]) -> list[str]:
    """The overrides of a pretraining, as the command line has them; `small` are the row's own."""
    together = {**SMALL, **_OWN.get(run, {}), **small}
    return [f"--config.{key}={value}" for key, value in together.items()]


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
    notes.insert(0, _conditions(config, recognition, pairs, seeds))
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


def _conditions(config: Config, recognition: RecognitionConfig, pairs: Path, seeds: int) -> str:
    training = config.training
    length = f"{training.steps} steps" if training.steps else f"{training.epochs:g} epochs"
    on = config.data.path or "nothing"
    return (
        f"Pretrained on {on} ({length}, batches of {training.batch_size}, images of "
        f"{config.model.image_size} pixels), tested on {pairs} ({recognition.protocol}), {seeds} "
        "seed(s). Frozen: a linear layer on the encoder as it was pretrained. Fine-tuned: "
        f"{recognition.epochs} epochs. All figures are in percent; intervals are 95 % over people. "
        "The paper's figures are on CAS(ME)³, 7 classes, and are not comparable with others."
    )


COLUMNS = (
    "method",
    "frozen: UF1",
    "frozen: UAR",
    "fine-tuned: UF1",
    "fine-tuned: UAR",
    "the paper: UF1",
    "the paper: UAR",
)


def cells(found: Scored) -> list[str]:
    """A value per name in `COLUMNS`, in percent."""

    def of(way: str) -> list[str]:
        if way not in found.scores:
            return ["", ""]
        score = found.scores[way]
        pairs = (score.uf1, score.of_uf1), (score.uar, score.of_uar)
        return [f"{100 * x:.1f} [{100 * low:.1f}, {100 * high:.1f}]" for x, (low, high) in pairs]

    paper = [f"{value:.2f}" for value in found.row.paper] if found.row.paper else ["", ""]
    title = found.row.title + (f" (failed: {found.failed})" if found.failed else "")
    return [title, *of(FROZEN), *of(TUNED), *paper]


def write_table(scored: Sequence[Scored], notes: Sequence[str], workdir: Path) -> None:
    """Writes table6.md, table6.csv, table6.png and table6.html, which holds the picture."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    lines += ["| " + " | ".join(cells(found)) + " |" for found in scored]
    write_text(workdir / "table6.md", "\n".join([*lines, "", *notes]) + "\n")
    numbers = [
        {
            "row": found.row.name,
            "way": way,
            "uf1": score.uf1,
            "uf1_low": score.of_uf1[0],
            "uf1_high": score.of_uf1[1],
            "uar": score.uar,
            "uar_low": score.of_uar[0],
            "uar_high": score.of_uar[1],
        }
        for found in scored
        for way, score in found.scores.items()
    ]
    with replacing(workdir / "table6.csv") as temporary:
        pd.DataFrame(numbers).to_csv(temporary, index=False, float_format="%.4f")
    _picture(scored, workdir / "table6.png")
    write_text(workdir / "table6.html", _page(scored, notes, workdir / "table6.png"))


def _picture(scored: Sequence[Scored], path: Path):
    """UF1 with its interval per row and way; the paper's, on other data, beside it."""
    figure, (ours, papers) = plt.subplots(
        1,
        2,
        figsize=(9.5, 1.4 + 0.36 * len(scored)),
        sharey=True,
        width_ratios=(3, 1.4),
        layout="constrained",
    )
    for offset, way, color in ((-0.14, FROZEN, "tab:blue"), (0.14, TUNED, "tab:orange")):
        there = [(i, x.scores[way]) for i, x in enumerate(scored) if way in x.scores]
        if not there:
            continue
        values = np.array([score.uf1 for _, score in there])
        bounds = np.array([score.of_uf1 for _, score in there])
        errors = np.nan_to_num(np.abs(bounds - values[:, None]).T)
        places = [i + offset for i, _ in there]
        label = {FROZEN: "linear layer on the frozen encoder", TUNED: "full fine-tuning"}[way]
        ours.errorbar(
            100 * values,
            places,
            xerr=100 * errors,
            fmt="o",
            color=color,
            capsize=2.5,
            label=label,
        )
    there = [(i, x.row.paper[0]) for i, x in enumerate(scored) if x.row.paper]
    papers.plot([value for _, value in there], [i for i, _ in there], "D", color="tab:gray")
    ours.set_yticks(range(len(scored)), [found.row.title for found in scored])
    ours.set_ylim(len(scored) - 0.5, -0.5)
    ours.set_title("UF1 in %, 95 % over people", fontsize=10)
    papers.set_xlim(left=0)
    papers.set_title("the paper, on CAS(ME)³", fontsize=10)
    for axis in (ours, papers):
        axis.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    plt.close(figure)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Table 6</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; }}
body {{ padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .7rem; border-bottom: 1px solid #8884; }}
th, td {{ text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; white-space: normal; min-width: 10rem; }}
td:nth-last-child(-n+2) {{ opacity: .65; }}
img {{ max-width: 100%; background: white; border-radius: .4rem; }}
</style>
<h1>Table 6: recognition by pretraining, in percent</h1>
<div class="wide"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
{notes}
<p><img alt="UF1 of every row, with intervals over people" src="data:image/png;base64,{picture}">
</html>
"""


def _page(scored: Sequence[Scored], notes: Sequence[str], picture: Path):
    def row(values: Sequence[str], kind: str) -> str:
        return "".join(f"<{kind}>{html.escape(value)}</{kind}>" for value in values)

    return _PAGE.format(
        head=row(COLUMNS, "th"),
        body="\n".join(f"<tr>{row(cells(found), 'td')}</tr>" for found in scored),
        notes="\n".join(f"<p>{html.escape(note)}" for note in notes),
        picture=base64.b64encode(picture.read_bytes()).decode(),
    )
