"""What each command reads of a config: the type of its `config` parameter.

A part has sections and keys that are called as those of `Config`; what it does not name, its
command does not read: `only` keeps it from the command, and an override of it is refused. A key may
be read under a condition only (`config_values.given`), its own or that of the section around it.
"""

import dataclasses
import difflib
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence

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
    RecognizerConfig,
    RuntimeConfig,
    SwappingConfig,
    TrainingConfig,
    WarpConfig,
    flatten,
)
from mubert_jax.config_values import Condition, from_values, given
from mubert_jax.errors import UserError


def some(section: type, *names: str, **inside: type) -> type:
    """A part of a section of `Config`: some of its keys, and parts of sections `inside` it."""
    hints = typing.get_type_hints(section)
    kept = [f for f in dataclasses.fields(section) if f.name in (*names, *inside)]
    fields = [(f.name, inside.get(f.name, hints[f.name]), _copy(f)) for f in kept]
    return dataclasses.make_dataclass(f"Part of {section.__name__}", fields, frozen=True)


def all_but(section: type, *names: str, **inside: type) -> type:
    """A section of `Config` without some of its keys."""
    kept = (f.name for f in dataclasses.fields(section) if f.name not in names)
    return some(section, *kept, **inside)


def _copy(field):
    return dataclasses.field(default=field.default, metadata=field.metadata)


# Sections whose keys are those of an objective, of a recognizer network, of evaluators.
OPEN = ("objective.options", "recognition.options", "evaluation")
FRESH = ("training.init_from", "")
# `check` ties them to the model's sizes.
TIED_BLOCKS = some(SwappingConfig, "ratio", "min_block")
TIED_WARPS = some(
    LossConfig,
    "warp_weight",
    warp=some(WarpConfig, "compressed"),
)
READINGS = some(RecognizerConfig, "reads", "pool")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainPart:
    """`mubert pretrain`: all but how a recognizer is trained."""

    objective: ObjectiveConfig
    model: ModelConfig
    swapping: SwappingConfig = given(None, *MICRON_BERT)
    augmentation: AugmentationConfig = given(None, *MICRON_BERT)
    loss: LossConfig = given(None, *MICRON_BERT)
    data: DataConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    perception: PerceptionConfig
    evaluation: dict
    runtime: RuntimeConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblatePart(PretrainPart):
    """`mubert ablate`: pretrainings, whose seeds a flag gives."""

    training: all_but(TrainingConfig, "seed")


@dataclasses.dataclass(frozen=True)
class FinetunePart:
    """`mubert finetune`: a backbone from elsewhere brings its sizes and its reading with it."""

    data: some(DataConfig, "path")
    training: some(TrainingConfig, "init_from", "seed")
    recognition: RecognitionConfig
    model: all_but(ModelConfig, recognizer=READINGS) = given(
        None, *FRESH, but=("recognizer", "attention", "dtype")
    )
    swapping: TIED_BLOCKS = given(None, *FRESH)
    loss: TIED_WARPS = given(None, *FRESH)
    perception: PerceptionConfig = given(None, *FRESH)


@dataclasses.dataclass(frozen=True)
class ImportPart:
    """`mubert import`: what the weights compute, with teacher or without, and how one looks."""

    model: ModelConfig
    swapping: TIED_BLOCKS
    loss: some(LossConfig, "agreement", "dino", "crop")
    data: some(DataConfig, "delta")
    perception: PerceptionConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepPart:
    """`mubert bench step`, `sizes`, `devices`: flags give the batch and the steps."""

    objective: ObjectiveConfig
    model: ModelConfig
    swapping: SwappingConfig = given(None, *MICRON_BERT)
    augmentation: AugmentationConfig = given(None, *MICRON_BERT)
    loss: LossConfig = given(None, *MICRON_BERT)
    optimizer: OptimizerConfig
    training: some(TrainingConfig, "micro_batches", "seed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointPart(StepPart):
    """`mubert bench checkpoint`: a step, and where its state lies."""

    runtime: some(RuntimeConfig, "mesh", "sharding", "keep_checkpoints")


@dataclasses.dataclass(frozen=True)
class FoldsPart:
    """`mubert bench folds`: heads, and copies of a backbone, that learn from noise."""

    model: all_but(ModelConfig, recognizer=READINGS)
    swapping: TIED_BLOCKS
    loss: TIED_WARPS
    training: some(TrainingConfig, "seed")
    recognition: all_but(
        RecognitionConfig,
        *("protocol", "seeds", "network", "options", "features", "head_epochs", "published"),
    )


@dataclasses.dataclass(frozen=True)
class InputPart:
    """`mubert bench input`: the side of the frames."""

    model: some(ModelConfig, "image_size", "patch_size")
    swapping: TIED_BLOCKS
    loss: TIED_WARPS


@dataclasses.dataclass(frozen=True)
class NoPart:
    """A command that reads no config."""


def read_by(function: Callable) -> type:
    """The part of a config that a function reads: the type of its `config` or `configs`."""
    hints = typing.get_type_hints(function)
    kind = hints.get("config") or hints.get("configs", NoPart)
    return typing.get_args(kind)[-1] if typing.get_args(kind) else kind


def keys_of(part: type) -> dict[str, tuple[Condition, ...]]:
    """Dotted key -> the conditions under which it is read, all of which must hold.

    A condition on a key that the command does not read is none: the command decides.
    """
    found = dict(_keys(part, "", ()))
    return {key: tuple(c for c in of if c.key in found) for key, of in found.items()}


def _keys(part, prefix, around) -> Iterator[tuple[str, tuple[Condition, ...]]]:
    hints = typing.get_type_hints(part)
    for field in dataclasses.fields(part):
        own = field.metadata.get("given")
        conditions = [c for c in around if not c.excepts(f"{prefix}{field.name}")]
        if own:
            conditions.append(dataclasses.replace(own, section=f"{prefix}{field.name}"))
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _keys(hints[field.name], f"{prefix}{field.name}.", conditions)
        else:
            yield f"{prefix}{field.name}", tuple(conditions)


def only(config: Config, part: type) -> Config:
    """The config with the keys of `part`, and everything else at its defaults."""
    read, values = keys_of(part), {}
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
):
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
        if _unbroken(read[key], configs):
            continue
        condition = _broken(read[key], configs[0])
        raise UserError(
            f"--config.{key}: it is read only {condition}, and here that is "
            f"{flatten(configs[0])[condition.key]!r}"
        )


def section_or_key(key: str) -> str:
    """The key itself; of the keys in an open section the section, whose owner knows them."""
    return next((open for open in OPEN if key.startswith(f"{open}.")), key)


def _unbroken(conditions, configs) -> bool:
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
