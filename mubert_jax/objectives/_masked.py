"""What objectives that mask patches and read them through μ-BERT's encoder have in common."""

import flax.struct
import jax
import numpy as np

from mubert_jax.config import Config
from mubert_jax.models import timm
from mubert_jax.models.micron_bert import MicronEncoder, compute_dtype
from mubert_jax.training.objective import Objective, Params


@flax.struct.dataclass
class MaskedViews:
    """Normalised images (B, H, W, 3), and which of their patches are masked, (B, N) boolean."""

    images: jax.Array
    masked: jax.Array


class OnEncoder(Objective):
    """An objective whose `encoder`, with the parameters of that name, is μ-BERT's."""

    layout = timm.LAYOUT

    def __init__(self, config: Config):
        super().__init__(config)
        self.encoder = MicronEncoder(config.model, compute_dtype(config.model))

    def encode(self, params: Params, extra: dict, images: jax.Array) -> jax.Array:
        return self.encoder.bind({"params": params["encoder"]})(images).tokens

    def to_take_away(self, params: Params, extra: dict) -> dict[str, np.ndarray]:
        return timm.of_micron_encoder(params["encoder"], self.config.model)
