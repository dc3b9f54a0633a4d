"""`mubert finetune`: from labelled pairs and a backbone to the report, and a recogniser to keep."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
from rich.console import Console

from mubert_jax.config import Config
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import open_trained
from mubert_jax.models.micron_bert import MicronBert, build_model
from mubert_jax.perception import render
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.trained import Trained
from mubert_jax.recognition import leak
from mubert_jax.recognition.crossval import cross_validate, fit_all
from mubert_jax.recognition.evaluate import MAPS_FOLDER, evaluate_run
from mubert_jax.recognition.predictions import Predictions
from mubert_jax.recognition.report import Report
from mubert_jax.recognition.summary import hardest
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.state import init_params

HARDEST = 8


def finetune(config: Config, workdir: Path, allow_leak: bool, console: Console) -> Report:
    """Cross-validates, reports, and keeps a recogniser that was trained on everyone.

    The backbone, its sizes included, is that of `training.init_from`: a run, an export, `shipped`;
    without one it is fresh, of the config's sizes.

    Raises:
      UserError: no such pairs or backbone; the protocol does not fit; the backbone has seen a
        tested subject and `allow_leak` is not said; the folder holds another run.
    """
    if not config.data.path:
        raise UserError(
            "config.data.path is empty; give a folder of labelled pairs, such as mubert prepare "
            "casme2 makes: --config.data.path=DIR"
        )
    source = config.training.init_from
    trained = open_trained(source) if source else None
    size = trained.config.model.image_size if trained else config.model.image_size
    pairs = LabelledPairs(config.data.path, size)
    config = _with_backbone(config, trained, len(pairs.classes))
    tested = set(pairs.subject)
    stamps = leak.stamps(trained.config if trained else None, source, tested, allow_leak)
    model, params = _start(config, trained)
    predictions = cross_validate(config, model, params, pairs, workdir, stamps, console)
    if trained and trained.config.model.dma.kind != "none":
        _draw_hardest(predictions, pairs, trained, workdir / MAPS_FOLDER)
    learns = config.recognition.features == "backbone"
    if learns and not (workdir / "checkpoints").exists():
        console.print("The recogniser to keep: all subjects", highlight=False)
        kept = fit_all(config, model, params, pairs)
        save_imported(workdir, config, Weights(kept), f"a fine-tuning on {config.data.path}")
    return evaluate_run(workdir)


def _with_backbone(config: Config, trained: Trained | None, classes: int) -> Config:
    """The config with the backbone's sizes, and a recogniser of so many classes."""
    model = trained.config.model if trained else config.model
    recognizer = dataclasses.replace(config.model.recognizer, classes=classes)
    model = dataclasses.replace(
        model, recognizer=recognizer, attention=config.model.attention, dtype=config.model.dtype
    )
    perception = trained.config.perception if trained else config.perception
    loss = dataclasses.replace(config.loss, agreement="none")
    return dataclasses.replace(config, model=model, perception=perception, loss=loss)


def _start(config: Config, trained: Trained | None) -> tuple[MicronBert, dict]:
    model = build_model(config)
    fresh = jax.jit(lambda: init_params(config, model))()
    if trained is None:
        return model, fresh
    taken = {name: trained.params[name] for name in fresh if name != "recognizer"}
    return model, fresh | taken


def _draw_hardest(predictions: Predictions, pairs: LabelledPairs, trained: Trained, folder: Path):
    """What DMA and POI see of the clips that were wrong with most confidence, a PNG each."""
    folder.mkdir(exist_ok=True)
    rows = {who: i for i, who in enumerate(zip(pairs.subject, pairs.clip, strict=True))}
    perceiver = Perceiver(trained.model, trained.params, trained.config.perception, batch=1)
    for clip in hardest(predictions, HARDEST):
        row = rows[clip.subject, clip.clip]
        maps = perceiver(pairs.onset[row : row + 1], pairs.apex[row : row + 1])
        limit = trained.scale or float(np.percentile(maps.dma, 99))
        columns = [*render.frames(maps), render.difference(maps), *render.learned(maps, limit, "m")]
        person = clip.subject.removeprefix(f"{clip.dataset}/")
        name = re.sub(r"[/\s]", "_", f"{clip.dataset}_{person}_{clip.clip}")
        title = f"{clip.truth}, taken for {clip.taken_for}"
        render.panel(columns, maps.apex, [title], folder / f"{name}.png")
