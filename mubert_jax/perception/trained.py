"""A trained μ-BERT, wherever it came from: all that looking at frames needs."""

import dataclasses
from pathlib import Path

from mubert_jax.config import Config
from mubert_jax.models.micron_bert import MicronBert
from mubert_jax.perception.maps import load_scale
from mubert_jax.training.checkpoints import load_model, load_seen, run_folder
from mubert_jax.training.seen import Seen


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A model and its weights.

    Attributes:
      config: as it was trained.
      model, params: what it computes, and with which weights.
      scale: movement at full colour, measured on the training pairs; None where it was not.
      seen: whose faces the weights have seen.
    """

    config: Config
    model: MicronBert
    params: dict
    scale: float | None
    seen: Seen

    @classmethod
    def of_run(cls, folder: Path) -> "Trained":
        """What a pretraining or an import left in `folder`; UserError if nothing did."""
        config, model, params = load_model(folder)
        return cls(config, model, params, load_scale(run_folder(folder)), load_seen(folder))
