"""A trained μ-BERT, wherever it comes from: all that looking at frames requires."""

import dataclasses
from pathlib import Path

from mubert_jax.config import Config
from mubert_jax.models.micron_bert import MicronBert, build_model
from mubert_jax.objectives import kind_of
from mubert_jax.objectives.micron_bert import MicronBertObjective
from mubert_jax.perception.maps import load_scale
from mubert_jax.training.checkpoints import Weights, load_seen, load_weights, run_folder
from mubert_jax.training.contamination import Seen
from mubert_jax.training.objective import Params


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A model and its weights.

    Attributes:
      config: The config that it was trained with.
      model, params: The model and its weights.
      scale: The movement at full colour, measured on the training pairs; None if it was not
        measured.
      seen: Whose faces the weights have seen.
      emotions: The names of a recognizer's classes, where an exported file has them.
      extra: What the objective kept beside the parameters, if it was asked for.
    """

    config: Config
    model: MicronBert
    params: Params
    scale: float | None
    seen: Seen
    emotions: tuple[str, ...] | None = None
    extra: dict = dataclasses.field(default_factory=dict)

    @property
    def has_all_parts(self) -> bool:
        """Whether these are a Micron-BERT's weights, not those of another objective's network."""
        return issubclass(kind_of(self.config), MicronBertObjective)

    @property
    def weights(self) -> Weights:
        return Weights(self.params, self.extra)

    @classmethod
    def of_run(cls, folder: Path, extra: bool = False) -> "Trained":
        """What a pretraining or an import left in `folder`; UserError if nothing did."""
        config, weights = load_weights(folder, extra)
        return cls(
            config,
            build_model(config),
            weights.params,
            load_scale(run_folder(folder)),
            load_seen(folder),
            extra=weights.extra,
        )
