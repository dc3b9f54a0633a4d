"""What each command reads of a config: the part that its `config` parameter is annotated by.

A part has sections and keys that are called as those of `Config`; what it does not name, its
command does not read: `only` keeps it from the command, and an override of it is refused. A key may
be read under a condition only (`config_values.given`), its own or that of the section around it.
"""

import dataclasses
import difflib
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from mubert_jax.config import (
    MICRON_BERT,
    AugmentationConfig,
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    PerceptionConfig,
    RecognitionConfig,
    RuntimeConfig,
    SwappingConfig,
    TrainingConfig,
    flatten,
)
from mubert_jax.config_values import Condition, from_values
from mubert_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Keys:
    """The keys of a section that are read: its `names`, or all but these; and of sections in it."""

    names: tuple[str, ...]
    but: bool
    inside: Mapping[str, "Keys"]

    def __contains__(self, name: str) -> bool:
        return name in self.inside or (name in self.names) != self.but


def some(*names: str, **inside: Keys) -> Keys:
    """Some keys of a section, and some of the sections `inside` it."""
    return Keys(names, False, inside)


def all_but(*names: str, **inside: Keys) -> Keys:
    """A section without some of its keys."""
    return Keys(names, True, inside)


def where(key: str, *values: object, but: tuple[str, ...] = ()) -> Condition:
    """A section is read where another key has one of the values; the names `but` in any case."""
    return Condition(key, values, but)


# Sections whose keys are those of an objective, of a recognizer network, of evaluators.
OPEN = ("objective.options", "recognition.options", "evaluation")
IN_MICRON_BERT = where(*MICRON_BERT)
FRESH = where("training.init_from", "")
READINGS = some("reads", "pool", "places")
# `check` ties them to the model's sizes.
TiedBlocks = Annotated[SwappingConfig, some("ratio", "min_block")]
TiedWarps = Annotated[LossConfig, some("warp_weight", warp=some("compressed"))]


@dataclasses.dataclass(frozen=True)
class PretrainPart:
    """`mubert pretrain`: all but how a recognizer is trained."""

    objective: ObjectiveConfig
    model: ModelConfig
    swapping: Annotated[SwappingConfig, IN_MICRON_BERT]
    augmentation: Annotated[AugmentationConfig, IN_MICRON_BERT]
    loss: Annotated[LossConfig, IN_MICRON_BERT]
    data: DataConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    perception: PerceptionConfig
    evaluation: dict
    runtime: RuntimeConfig


@dataclasses.dataclass(frozen=True)
class AblatePart(PretrainPart):
    """`mubert ablate`: pretrainings, whose seeds a flag gives."""

    training: Annotated[TrainingConfig, all_but("seed")]


@dataclasses.dataclass(frozen=True)
class Table6Part(AblatePart):
    """`mubert table6`: pretrainings and how their encoders recognize; flags give the seeds."""

    recognition: Annotated[
        RecognitionConfig,
        all_but(
            "target", "seeds", "network", "options", "features", "published", "copies", "optimism"
        ),
    ]


@dataclasses.dataclass(frozen=True)
class FinetunePart:
    """`mubert finetune`: a backbone from elsewhere brings its sizes and its reading with it."""

    data: Annotated[DataConfig, some("path")]
    training: Annotated[TrainingConfig, some("init_from", "seed")]
    recognition: RecognitionConfig
    model: Annotated[
        ModelConfig,
        all_but(recognizer=READINGS),
        where("training.init_from", "", but=("recognizer", "attention", "dtype")),
    ]
    swapping: Annotated[TiedBlocks, FRESH]
    loss: Annotated[TiedWarps, FRESH]
    perception: Annotated[PerceptionConfig, FRESH]


@dataclasses.dataclass(frozen=True)
class ImportPart:
    """`mubert import`: what the weights compute, with teacher or without, and how one looks."""

    model: ModelConfig
    swapping: TiedBlocks
    loss: Annotated[LossConfig, some("agreement", "dino", "crop")]
    data: Annotated[DataConfig, some("delta")]
    perception: PerceptionConfig


@dataclasses.dataclass(frozen=True)
class EncoderPart:
    """`mubert import` of an encoder that others trained: the frames that it is to read."""

    objective: Annotated[ObjectiveConfig, some("options")]
    model: Annotated[ModelConfig, some("image_size", "attention", "dtype")]


@dataclasses.dataclass(frozen=True)
class StepPart:
    """`mubert bench step`, `sizes`, `devices`: flags give the batch and the steps."""

    objective: ObjectiveConfig
    model: ModelConfig
    swapping: Annotated[SwappingConfig, IN_MICRON_BERT]
    augmentation: Annotated[AugmentationConfig, IN_MICRON_BERT]
    loss: Annotated[LossConfig, IN_MICRON_BERT]
    optimizer: OptimizerConfig
    training: Annotated[TrainingConfig, some("micro_batches", "seed")]


@dataclasses.dataclass(frozen=True)
class PodPart(StepPart):
    """`mubert bench pod`: a step, and how a pod splits it."""

    runtime: Annotated[RuntimeConfig, some("mesh", "sharding")]


@dataclasses.dataclass(frozen=True)
class CheckpointPart(StepPart):
    """`mubert bench checkpoint`: a step, and where its state lies."""

    runtime: Annotated[RuntimeConfig, some("mesh", "sharding", "keep_checkpoints")]


@dataclasses.dataclass(frozen=True)
class FoldsPart:
    """`mubert bench folds`: heads, and copies of a backbone, that learn from noise."""

    model: Annotated[ModelConfig, all_but(recognizer=READINGS)]
    swapping: TiedBlocks
    loss: TiedWarps
    training: Annotated[TrainingConfig, some("seed")]
    recognition: Annotated[
        RecognitionConfig,
        all_but(
            "target",
            "protocol",
            "seeds",
            "network",
            "options",
            "features",
            "head_epochs",
            "published",
            "optimism",
            "learning_rate_factors",
            "epochs_factors",
            "clip_pooling",
        ),
    ]


@dataclasses.dataclass(frozen=True)
class InputPart:
    """`mubert bench input`: the side of the frames."""

    model: Annotated[ModelConfig, some("image_size", "patch_size")]
    swapping: TiedBlocks
    loss: TiedWarps


@dataclasses.dataclass(frozen=True)
class NoPart:
    """A command that reads no config."""


def read_by(function: Callable) -> type:
    """The part of a config that a function reads: what its `config` or `configs` is annotated by.

    `config: Annotated[Config, StepPart]`; `configs` holds several of them.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    hint = hints.get("config") or hints.get("configs", Annotated[Config, NoPart])
    while typing.get_origin(hint) is not Annotated:
        hint = typing.get_args(hint)[-1]
    return typing.get_args(hint)[1]


def keys_of(part: type) -> dict[str, tuple[Condition, ...]]:
    """Dotted key -> the conditions under which it is read, all of which must hold.

    A condition on a key that the command does not read is none: the command decides.
    """
    found = dict(_keys(part, all_but(), "", ()))
    return {key: tuple(c for c in of if c.key in found) for key, of in found.items()}


def _keys(
    section: type, kept: Keys, prefix: str, around: tuple[Condition, ...]
) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    hints = typing.get_type_hints(section, include_extras=True)
    for field in dataclasses.fields(section):
        if field.name not in kept:
            continue
        key = f"{prefix}{field.name}"
        kind, *said = _annotations(hints[field.name])
        own = [x for x in (*said, field.metadata.get("given")) if isinstance(x, Condition)]
        conditions = (
            *(c for c in around if not c.excepts(key)),
            *(dataclasses.replace(c, section=key) for c in own),
        )
        if dataclasses.is_dataclass(kind):
            inside = [x for x in said if isinstance(x, Keys)] or [all_but()]
            yield from _keys(kind, kept.inside.get(field.name, inside[0]), f"{key}.", conditions)
        else:
            yield key, conditions


def _annotations(hint: object) -> tuple:
    """What `Annotated` annotates and by what; of any other hint the hint alone."""
    return typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)


def only(config: Config, part: type) -> Config:
    """The config with the keys of `part`, and everything else at its defaults."""
    read = keys_of(part)
    values: dict[str, Any] = {}
    for key, value in flatten(config).items():
        if section_or_key(key) in read:
            *sections, name = key.split(".")
            node = values
            for section in sections:
                node = node.setdefault(section, {})
            node[name] = value
    return from_values(Config, values, "config")


def refuse_unread(
    part: type, overrides: Iterable[str], configs: Sequence[Config], flags: Iterable[str] = ()
) -> None:
    """Raises UserError for the first overridden key that none of the configs has a use for.

    Args:
      part: what the command reads.
      overrides: dotted keys.
      configs: what the command was given.
      flags: names of the command's flags, which may be what was meant.
    """
    read = keys_of(part)
    for key in map(section_or_key, overrides):
        if key not in read:
            hint = _nearest(key, [k for k in read if _unbroken(read[k], configs)], flags)
            raise UserError(f"--config.{key}: this command does not read it; {hint}")
        broken = [_broken(read[key], config) for config in configs]
        if (condition := broken[0]) and all(broken):
            raise UserError(
                f"--config.{key}: it is read only {condition}, and here that is "
                f"{flatten(configs[0])[condition.key]!r}"
            )


def section_or_key(key: str) -> str:
    """The key itself; of the keys in an open section the section, whose owner knows them."""
    return next((open for open in OPEN if key.startswith(f"{open}.")), key)


def _unbroken(conditions: Iterable[Condition], configs: Iterable[Config]) -> bool:
    """Whether some config fulfils the conditions."""
    return any(_broken(conditions, config) is None for config in configs)


def _broken(conditions: Iterable[Condition], config: Config) -> Condition | None:
    known = flatten(config)
    return next((condition for condition in conditions if not condition.holds(known)), None)


def _nearest(key: str, read: Iterable[str], flags: Iterable[str]) -> str:
    """What may have been meant: a key of the same name elsewhere, a flag, or something like it."""
    name = key.rsplit(".", 1)[-1]
    meant = {f"--{flag.replace('_', '-')}": flag for flag in flags}
    meant |= {f"--config.{other}": other.rsplit(".", 1)[-1] for other in read}
    if close := difflib.get_close_matches(name, meant.values(), n=1, cutoff=0.75):
        words = [word for word, other in meant.items() if other == close[0]]
        return f"did you mean {difflib.get_close_matches(key, words, n=1, cutoff=0)[0]}?"
    sections = sorted({f"config.{other.split('.')[0]}" for other in read})
    return f"it reads keys of {', '.join(sections)}" if sections else "it takes no config"
