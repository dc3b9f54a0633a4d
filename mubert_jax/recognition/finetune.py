"""`mubert finetune`: from labelled pairs and a backbone to the report, and a recognizer to keep."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, ClassVar

import jax
import numpy as np
import pandas as pd
from rich.console import Console

from mubert_jax.config import Config, RecognitionConfig, RecognizerConfig, flatten
from mubert_jax.config_checks import check
from mubert_jax.config_parts import FinetunePart
from mubert_jax.data.files import replacing, writing_errors
from mubert_jax.data.flow_set import FlowSet, is_flow_set
from mubert_jax.data.labelled.action_units import SHOWN, UNKNOWN
from mubert_jax.data.labelled_clips import LabelledClips
from mubert_jax.data.pairs import LabelledPairs
from mubert_jax.data.plan import Plan
from mubert_jax.errors import UserError
from mubert_jax.interop.opening import open_trained
from mubert_jax.models.device import check_attention
from mubert_jax.models.micron_bert import build_model, init_params
from mubert_jax.objectives import make_objective
from mubert_jax.perception import render
from mubert_jax.perception.maps import Perceiver
from mubert_jax.perception.trained import Trained
from mubert_jax.recognition import contamination
from mubert_jax.recognition.backbone import Backbone, Encoder
from mubert_jax.recognition.cost import metered
from mubert_jax.recognition.cross_validation import (
    CrossValidated,
    check_folds,
    cross_validate,
    fit_all,
)
from mubert_jax.recognition.inputs import APEX_ALONE, Inputs, digest_of_clips, version_of
from mubert_jax.recognition.kept_folds import RESUME, KeptFolds
from mubert_jax.recognition.magnified import magnified
from mubert_jax.recognition.metrics import hardest
from mubert_jax.recognition.network import Network
from mubert_jax.recognition.networks import make_network
from mubert_jax.recognition.optimism import OPTIMISM_FILE, Optimism
from mubert_jax.recognition.predictions import CURVES_FILE, PREDICTIONS_FILE, Facts, Predictions
from mubert_jax.recognition.published import published
from mubert_jax.recognition.report import MAPS_FOLDER, Report, evaluate_run
from mubert_jax.recognition.stored_flow import open_flow, seen_by_method
from mubert_jax.training.checkpoints import Weights, save_imported
from mubert_jax.training.contamination import Seen
from mubert_jax.training.objective import Params

INPUTS_FOLDER = "inputs"
CHOSEN_FILE = "chosen.csv"
VARIED = {"learning_rate": "learning_rate_factors", "epochs": "epochs_factors"}
# Clips whose maps are drawn: a choice, as many as a report shows without growing long.
HARDEST = 8
OPTIONS = "recognition.options"
# Keys that may change between two starts of one run.
FREE = (
    "recognition.published",
    "recognition.folds_at_once",
    "recognition.seeds",
    "recognition.optimism",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Unit:
    """An action unit: its name, and per clip what `action_units.marks` says of it, (P,)."""

    name: str
    marks: np.ndarray
    PRESENT: ClassVar[str] = "shown"
    CLASSES: ClassVar[tuple[str, ...]] = ("not shown", PRESENT)

    def of(self, pairs: LabelledPairs) -> LabelledPairs:
        """The clips of which it is known, with this unit as their class."""
        rows = np.flatnonzero(self.marks != UNKNOWN)
        found = pairs.relabelled(rows, self.marks[rows] == SHOWN, self.CLASSES)
        if left := len(pairs) - len(rows):
            note = f"{left} clips whose action units are not known, or not for sure, are left out"
            found.notes = [*pairs.notes, note]
        return found


def finetune(
    config: Annotated[Config, FinetunePart],
    workdir: Path,
    allow_contamination: bool,
    console: Console,
    keep: bool = True,
    unit: Unit | None = None,
    inputs_folder: Path | None = None,
) -> Report:
    """Cross-validates, reports, and, with `keep`, keeps a recognizer that is trained on everyone.

    The backbone and its sizes come from `training.init_from`: a run, an export or `shipped`;
    without it the backbone is fresh and has the config's sizes.

    Args:
      unit: The action unit that is recognized, in the place of emotions.
      inputs_folder: Where computed inputs are stored; by default in `workdir`.

    Raises:
      UserError: no such pairs, backbone or network; the protocol does not fit; the backbone has
        seen a tested subject and `allow_contamination` is false; the folder holds another run.
    """
    if not config.data.path:
        raise UserError(
            "config.data.path is empty; give a folder of labelled pairs, such as mubert prepare "
            "casme2 makes: --config.data.path=DIR"
        )
    asked = make_network(config)
    if config.recognition.published:
        published(config.recognition.published)
    config, pairs, trained = _opened(config, asked, unit)
    recognition, source = config.recognition, config.training.init_from
    seen = trained.seen if trained else Seen()
    if isinstance(pairs, FlowSet):
        seen, source = seen_by_method(pairs), f"{pairs.info.method} of {config.data.path}"
    folds = recognition.protocol, recognition.seeds, recognition.weight_decay
    varied = variants(recognition)
    tested = check_folds(pairs, *folds, len(varied))
    found = {pairs.subject[row]: pairs.people[row] for row in np.flatnonzero(tested)}
    stamps = contamination.stamps(seen, source, found, allow_contamination)
    check_attention(config.model)
    backbone = _backbone(config, trained, isinstance(pairs, FlowSet))
    network = make_network(config, backbone)
    kept = KeptFolds(workdir, _plan(config, backbone, pairs, network.reads), _texts(Config()))
    stored_inputs = inputs_folder or workdir / INPUTS_FOLDER
    inputs = Inputs(pairs, backbone, recognition, stored_inputs)
    learners = [
        partial(
            make_network(dataclasses.replace(config, recognition=one), backbone).learner, inputs
        )
        for one in varied
    ]
    with metered(workdir):
        crossed = cross_validate(
            learners[0],
            pairs,
            *folds,
            kept,
            console,
            network.folds_at_once,
            recognition.optimism,
            learners[1:],
        )
    _leave(config, network, crossed, workdir, stamps, pairs.notes)
    of_frames = isinstance(pairs, LabelledPairs) and unit is None
    if trained and "dma" in trained.params and of_frames:
        _draw_hardest(crossed.predictions, pairs, trained, workdir / MAPS_FOLDER)
    # A recognizer that is kept is asked about pairs.
    keep = keep and recognition.clip_pooling == APEX_ALONE
    if keep and network.predicts and not (workdir / "checkpoints").exists():
        console.print("The recognizer to keep: all subjects", highlight=False)
        decays = recognition.weight_decay
        params = fit_all(learners[0], pairs, recognition.seeds[0], decays, learners[1:])
        _keep(config, network.weights(params), workdir, seen | Seen.of(pairs.people))
    return evaluate_run(workdir)


def variants(recognition: RecognitionConfig) -> list[RecognitionConfig]:
    """All combinations of learning rate and epochs among which each fold chooses."""
    return [
        dataclasses.replace(
            recognition,
            learning_rate=rate * recognition.learning_rate,
            epochs=max(1, round(share * recognition.epochs)),
        )
        for rate in recognition.learning_rate_factors
        for share in recognition.epochs_factors
    ]


def _opened(
    config: Config, asked: Network, unit: Unit | None
) -> tuple[Config, LabelledClips, Trained | None]:
    """The config with the backbone's sizes, the clips, and the backbone unless it is fresh.

    There is no backbone where flow is stored.
    """
    magnification = config.recognition.magnification
    pooling = config.recognition.clip_pooling
    if pooling != APEX_ALONE and magnification:
        raise UserError(
            "config.recognition.magnification is of the apex alone; it does not go with "
            f"config.recognition.clip_pooling={pooling}"
        )
    if is_flow_set(Path(config.data.path)):
        if magnification:
            raise UserError(
                f"{config.data.path} holds flow, which is not magnified; give the pairs it was "
                "made of, or config.recognition.magnification=0"
            )
        if pooling != APEX_ALONE:
            raise UserError(
                f"{config.data.path} holds flow from onset to apex, which cannot be pooled over a "
                "clip; give the pairs it was made of, or config.recognition.clip_pooling=none"
            )
        if unit:
            raise UserError(
                f"{config.data.path} holds flow and no action units; give the labelled pairs that "
                "it was made of"
            )
        clips = open_flow(config, asked)
        recognizer = RecognizerConfig(classes=len(clips.classes))
        model = dataclasses.replace(config.model, recognizer=recognizer)
        return dataclasses.replace(config, model=model), clips, None
    source = config.training.init_from
    trained = open_trained(source, True, asked.any_objective) if source else None
    size = trained.config.model.image_size if trained else config.model.image_size
    stored = stored_options(Path(config.data.path))
    if trained and stored.get("size", size) != size:
        raise UserError(
            f"{config.data.path} holds images of {stored['size']} pixels, {source} looks at "
            f"{size}; run mubert prepare with --size={size} into a new folder, or take another "
            "config.training.init_from"
        )
    pairs = LabelledPairs(config.data.path, size)
    if pooling != APEX_ALONE and not all(pairs.clip_frames):
        raise UserError(
            f"{config.data.path} holds onset and apex alone; run mubert prepare with "
            "--clip-frames=8 into a new folder, or set config.recognition.clip_pooling=none"
        )
    pairs.onset, pairs.apex = magnified(pairs.onset, pairs.apex, magnification)
    pairs = unit.of(pairs) if unit else pairs
    config = _with_backbone(config, trained, len(pairs.classes), stored.get("align"))
    return config, pairs, trained


def stored_options(directory: Path) -> dict:
    """The options with which `mubert prepare` made the pairs; {} if they are not known."""
    with contextlib.suppress(UserError):
        if plan := Plan.load(directory):
            return plan.options
    return {}


def _plan(
    config: Config, backbone: Backbone, pairs: LabelledClips, reads: Sequence[str] = ()
) -> dict[str, str]:
    """Everything that determines a fold: keys of the config, a digest of pairs and weights.

    Args:
      reads: the inputs of the network, whose motion maps may have weights, too.
    """
    names = (pairs.classes, pairs.dataset, pairs.subject, pairs.clip)
    digest = hashlib.sha256(json.dumps([list(map(str, column)) for column in names]).encode())
    other = (backbone.other.params, backbone.other.extra) if backbone.other else ()
    weights = jax.tree.leaves((backbone.params, other))
    seen = [getattr(pairs, name) for name in ("flow", "onset", "apex") if hasattr(pairs, name)]
    for array in (pairs.label, *seen, *weights):
        digest.update(np.ascontiguousarray(array).tobytes())
    for name in reads:
        digest.update(version_of(name).encode())
    if config.recognition.clip_pooling != APEX_ALONE and isinstance(pairs, LabelledPairs):
        digest.update(digest_of_clips(pairs.clip_frames).encode())
    return _texts(config) | {"pairs and pretrained weights": digest.hexdigest()[:16]}


def _texts(config: Config) -> dict[str, str]:
    """Key -> value as text, for all keys of the config that determine a fold."""
    texts = {
        key: repr(value)
        for key, value in flatten(config).items()
        if key.startswith(("recognition.", "model.", "objective.")) and key not in FREE
    }
    texts = {key: text for key, text in texts.items() if not key.startswith(f"{OPTIONS}.")}
    return texts | {OPTIONS: repr(config.recognition.options)}


def _leave(
    config: Config,
    network: Network,
    crossed: CrossValidated,
    workdir: Path,
    stamps: list[str],
    notes: list[str],
):
    """Writes the files that `mubert evaluate` reads."""
    recognition, predictions = config.recognition, crossed.predictions
    with writing_errors(workdir, RESUME):
        predictions.save(workdir / PREDICTIONS_FILE)
        with replacing(workdir / CURVES_FILE) as temporary:
            crossed.curves.to_csv(temporary, index=False)
        with replacing(workdir / CHOSEN_FILE) as temporary:
            _chosen(crossed, recognition).to_csv(temporary, index=False)
        if crossed.picked:
            Optimism.of(predictions, crossed.picked).save(workdir / OPTIMISM_FILE)
        else:  # of another start, under other seeds perhaps
            (workdir / OPTIMISM_FILE).unlink(missing_ok=True)
        Facts(
            classes=predictions.classes,
            protocol=recognition.protocol,
            published=recognition.published or None,
            stamps=tuple(stamps),
            warnings=tuple(dict.fromkeys((*notes, *crossed.warnings))),
            method=network.title or recognition.network,
            reference=network.reference,
            published_as=network.published_as,
        ).save(workdir)


def _chosen(crossed: CrossValidated, recognition: RecognitionConfig) -> pd.DataFrame:
    """What each fold chose: columns seed, fold, weight_decay, and of `VARIED` what varies."""
    varied = variants(recognition)
    of_folds = [varied[number] for number in crossed.chosen["learner"]]
    asked = [name for name, key in VARIED.items() if len(getattr(recognition, key)) > 1]
    columns = {name: [getattr(one, name) for one in of_folds] for name in asked}
    return crossed.chosen.drop(columns="learner").assign(**columns)


def _keep(config: Config, params: Params, workdir: Path, seen: Seen):
    """Saves the recognizer; the folder gets its final name only when it is complete."""
    with TemporaryDirectory(dir=workdir, prefix=".keeping-") as folder:
        source = f"a fine-tuning on {config.data.path}"
        save_imported(Path(folder), config, Weights(params), source, seen)
        (Path(folder) / "checkpoints").rename(workdir / "checkpoints")


def _with_backbone(
    config: Config, trained: Trained | None, classes: int, align: str | None
) -> Config:
    """The config with the backbone's sizes, a recognizer, and the registration of the pairs.

    Raises:
      UserError: the recognizer reads something that the backbone lacks.
    """
    of_backbone = trained.config if trained else config
    asked = config.model.recognizer
    if trained and not trained.has_all_parts:  # and so nothing reads what a recognizer would read
        asked = RecognizerConfig()
    recognizer = dataclasses.replace(asked, classes=classes)
    changed = dataclasses.replace(
        config,
        objective=of_backbone.objective,
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


def _backbone(config: Config, trained: Trained | None, unread: bool = False) -> Backbone:
    """The backbone; one without weights where nothing reads it."""
    model = build_model(config)
    if unread:
        return Backbone(model, {})
    fresh = jax.jit(lambda: init_params(model, jax.random.key(config.training.seed)))()
    if trained is None:
        return Backbone(model, fresh)
    if not trained.has_all_parts:
        encode = make_objective(config).encode
        encoder = Encoder(encode, trained.params["encoder"], trained.extra, repr(config.objective))
        return Backbone(model, fresh, encoder)
    taken = {name: trained.params[name] for name in fresh if name != "recognizer"}
    return Backbone(model, fresh | taken)


def _draw_hardest(predictions: Predictions, pairs: LabelledPairs, trained: Trained, folder: Path):
    """Draws a PNG of what DMA and POI see for each of the most confidently wrong clips."""
    rows = {who: i for i, who in enumerate(zip(pairs.subject, pairs.clip, strict=True))}
    as_prepared = dataclasses.replace(trained.config.perception, align="none")
    perceiver = Perceiver(trained.model, trained.params, as_prepared, batch=1)
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
                render.panel(columns, list(maps.apex), [title], temporary)
