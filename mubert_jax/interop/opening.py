"""Trained weights, for every command: from a run's folder, an exported file, or the package."""

import dataclasses
import filecmp
from pathlib import Path

from mubert_jax import config as config_lib
from mubert_jax.data.people import SYNTHETIC, Person
from mubert_jax.errors import UserError
from mubert_jax.interop import files
from mubert_jax.interop.torch_weights import from_official
from mubert_jax.models.device import for_any_device
from mubert_jax.models.micron_bert import build_model
from mubert_jax.objectives import kind_of
from mubert_jax.objectives.micron_bert import MicronBertObjective
from mubert_jax.paths import SHIPPED
from mubert_jax.perception.trained import Trained
from mubert_jax.training.checkpoints import load_seen
from mubert_jax.training.contamination import Seen

# The people whom the weights in the package were trained on: 500 synthetic ones of seed 0, see the
# weights' CARD.md.
SHIPPED_PEOPLE = tuple(Person.elsewhere(f"{SYNTHETIC}0", f"s{number:06d}") for number in range(500))
SHIPPED_FILE = Path(__file__).parent.parent / "weights" / "motion.safetensors"


def open_trained(
    checkpoint: str | Path, extra: bool = False, any_objective: bool = False
) -> Trained:
    """The model in a run's folder or in a file of `mubert export`; `SHIPPED` is the package's own.

    Args:
      extra: Whether to read what a run's objective keeps beside the parameters, too.
      any_objective: Whether a run of another objective will do, of which `Trained` has parameters
        that are not those of its model.

    Raises:
      UserError: There is no checkpoint, the file is damaged, it is not one of our own exports, or
        the run is of another objective.
    """
    path = located(checkpoint)
    trained = _of_file(path) if path.is_file() else Trained.of_run(path, extra)
    if not any_objective and not trained.has_all_parts:
        raise UserError(
            f"{path} was pretrained with config.objective.name={trained.config.objective.name!r}: "
            "it has no DMA to look through; mubert finetune reads its encoder with "
            "--config.recognition.network=encoder, or with linear_probe and "
            "--config.recognition.features=encoder"
        )
    return trained


def open_seen(checkpoint: str | Path) -> Seen:
    """Whose faces the weights that `open_trained` would open have seen."""
    path = located(checkpoint)
    return _of_file(path).seen if path.is_file() else load_seen(path)


def located(checkpoint: str | Path) -> Path:
    """The file or folder that `checkpoint` stands for."""
    return SHIPPED_FILE if checkpoint == SHIPPED else Path(checkpoint)


def _of_file(path: Path) -> Trained:
    file = files.read(path)
    if file.description is None:
        raise UserError(
            f"{path} was not written by `mubert export`; convert it first: "
            f"mubert import --input={path} --workdir=DIR"
        )
    config = config_lib.build(file.description.config)
    if not issubclass(kind_of(config), MicronBertObjective):
        raise UserError(
            f"{path} holds the weights of a run with config.objective.name="
            f"{config.objective.name!r}, no Micron-BERT's; give the run's folder"
        )
    config = dataclasses.replace(config, model=for_any_device(config.model))
    weights, _ = from_official(config, file.tensors, str(path))
    emotions = file.description.emotions
    return Trained(
        config,
        build_model(config),
        weights.params,
        file.description.scale,
        seen_of(path, file.description),
        tuple(emotions) if emotions else None,
        weights.extra,
    )


def seen_of(path: Path, description: files.Description | None) -> Seen:
    """Whose faces the weights in a file have seen; a copy of the package's own is known as such."""
    if filecmp.cmp(path, SHIPPED_FILE, shallow=False):
        return Seen.of(SHIPPED_PEOPLE)
    return Seen.from_json(None if description is None else description.seen, path.name)
