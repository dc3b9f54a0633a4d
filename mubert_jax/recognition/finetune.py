"""`mubert finetune`: from labelled pairs and a backbone to the report, and a recognizer to keep."""

import contextlib
import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np
from rich.console import Console

from mubert_jax.config import Config
from mubert_jax.config_checks import check
from mubert_jax.config_parts import FinetunePart
from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.data.plan import Plan
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import open_trained
from mubert_jax.models.device import check_attention
from mubert_jax.models.micron_bert import MicronBert, build_model, init_params
from mubert_jax.perception import render
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.trained import Trained
from mubert_jax.recognition import contamination
from mubert_jax.recognition.cross_validation import check_folds, cross_validate, fit_all
from mubert_jax.recognition.evaluate import MAPS_FOLDER, evaluate_run
from mubert_jax.recognition.inputs import check_features
from mubert_jax.recognition.kept import RESUME
from mubert_jax.recognition.predictions import Predictions
from mubert_jax.recognition.published import published
from mubert_jax.recognition.report import Report
from mubert_jax.recognition.summary import hardest
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.contamination import Seen

HARDEST = 8


def finetune(
    config: FinetunePart, workdir: Path, allow_contamination: bool, console: Console
) -> Report:
    """Cross-validates, reports, and keeps a recognizer that was trained on everyone.

    The backbone, its sizes included, is that of `training.init_from`: a run, an export, `shipped`;
    without one it is fresh, of the config's sizes.

    Raises:
      UserError: no such pairs or backbone; the protocol does not fit; the backbone has seen a
        tested subject and `allow_contamination` is not said; the folder holds another run.
    """
    if not config.data.path:
        raise UserError(
            "config.data.path is empty; give a folder of labelled pairs, such as mubert prepare "
            "casme2 makes: --config.data.path=DIR"
        )
    check_features(config.recognition.features)
    if config.recognition.published:
        published(config.recognition.published)
    source = config.training.init_from
    trained = open_trained(source) if source else None
    size = trained.config.model.image_size if trained else config.model.image_size
    stored = stored_options(Path(config.data.path))
    if trained and stored.get("size", size) != size:
        raise UserError(
            f"{config.data.path} holds images of {stored['size']} pixels, {source} looks at "
            f"{size}; run mubert prepare with --size={size} into a new folder, or take another "
            "config.training.init_from"
        )
    pairs = LabelledPairs(config.data.path, size)
    config = _with_backbone(config, trained, len(pairs.classes), stored.get("align"))
    tested = check_folds(config, pairs)
    people = dict(zip(pairs.subject, pairs.people, strict=True))
    seen = trained.seen if trained else Seen()
    found = {pairs.subject[row]: people[pairs.subject[row]] for row in np.flatnonzero(tested)}
    stamps = contamination.stamps(seen, source, found, allow_contamination)
    check_attention(config.model)
    model, params = _start(config, trained)
    predictions = cross_validate(
        config, model, params, pairs, workdir, stamps, console, pairs.notes
    )
    if trained and trained.config.model.dma.kind != "none":
        _draw_hardest(predictions, pairs, trained, workdir / MAPS_FOLDER)
    if keeps(config) and not (workdir / "checkpoints").exists():
        console.print("The recognizer to keep: all subjects", highlight=False)
        kept = fit_all(config, model, params, pairs)
        _keep(config, kept, workdir, seen | Seen.of(pairs.people))
    return evaluate_run(workdir)


def keeps(config: Config) -> bool:
    """Whether the run leaves a recognizer: what it reads is the model's, not to compare with."""
    return config.recognition.backbone == "full" or config.recognition.features == "backbone"


def stored_options(directory: Path) -> dict:
    """How `mubert prepare` cropped and registered the pairs; empty where it is not known."""
    with contextlib.suppress(UserError):
        if plan := Plan.load(directory):
            return plan.options
    return {}


def _keep(config: Config, params: dict, workdir: Path, seen: Seen):
    """Under its final name only when it is whole."""
    with TemporaryDirectory(dir=workdir, prefix=".keeping-") as folder:
        source = f"a fine-tuning on {config.data.path}"
        save_imported(Path(folder), config, Weights(params), source, seen)
        (Path(folder) / "checkpoints").rename(workdir / "checkpoints")


def _with_backbone(
    config: Config, trained: Trained | None, classes: int, align: str | None
) -> Config:
    """The config with the backbone's sizes, a recognizer, and the registration of the pairs.

    Raises:
      UserError: the recognizer reads what the backbone does not have.
    """
    of_backbone = trained.config if trained else config
    recognizer = dataclasses.replace(config.model.recognizer, classes=classes)
    changed = dataclasses.replace(
        config,
        model=dataclasses.replace(
            of_backbone.model,
            recognizer=recognizer,
            attention=config.model.attention,
            dtype=config.model.dtype,
        ),
        data=dataclasses.replace(config.data, delta=of_backbone.data.delta),
        swapping=of_backbone.swapping,
        loss=dataclasses.replace(of_backbone.loss, agreement="none"),
        perception=dataclasses.replace(
            of_backbone.perception, align=align or of_backbone.perception.align
        ),
    )
    check(changed)
    return changed


def _start(config: Config, trained: Trained | None) -> tuple[MicronBert, dict]:
    model = build_model(config)
    fresh = jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()
    if trained is None:
        return model, fresh
    taken = {name: trained.params[name] for name in fresh if name != "recognizer"}
    return model, fresh | taken


def _draw_hardest(predictions: Predictions, pairs: LabelledPairs, trained: Trained, folder: Path):
    """What DMA and POI see of the clips that were wrong with most confidence, a PNG each."""
    rows = {who: i for i, who in enumerate(zip(pairs.subject, pairs.clip, strict=True))}
    perceiver = Perceiver(trained.model, trained.params, trained.config.perception, batch=1)
    with writing_errors(folder, RESUME):
        folder.mkdir(exist_ok=True)
        for clip in hardest(predictions, HARDEST):
            row = rows[clip.subject, clip.clip]
            maps = perceiver(pairs.onset[row : row + 1], pairs.apex[row : row + 1])
            limit = trained.scale or float(np.percentile(maps.dma, 99)) or 1.0
            learned = render.learned(maps, limit, "m")
            columns = [*render.frames(maps), render.difference(maps), *learned]
            name = f"{clip.subject}_{clip.clip}".replace("/", "_")
            title = f"{clip.truth}, taken for {clip.taken_for}"
            with replacing(folder / f"{name}.png") as temporary:
                render.panel(columns, maps.apex, [title], temporary)
