"""DALL-E's encoder, as distributed in encoder.pkl, as a run of `objectives.dalle_tokenizer`."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from mubert_jax.config import Config, ModelConfig, ObjectiveConfig
from mubert_jax.errors import UserError
from mubert_jax.models import dalle
from mubert_jax.training.objective import Params


def is_dalle(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether these are the tensors of such an encoder, of any size."""
    return {"blocks.input.w", "blocks.output.conv.w"} <= tensors.keys()


def as_run(tensors: Mapping[str, np.ndarray], source: str) -> tuple[Config, Params]:
    """Config and parameters of a tokenizer.

    Raises:
      UserError: a tensor is missing, or has another number of dimensions.
    """
    try:
        sizes, params = dalle.from_state_dict(tensors)
    except (KeyError, ValueError) as error:
        raise UserError(f"{source} holds no whole encoder of DALL-E: {error}") from error
    objective = ObjectiveConfig(name="dalle_tokenizer", options=dataclasses.asdict(sizes))
    model = ModelConfig(patch_size=sizes.stride)
    return Config(objective=objective, model=model), {"encoder": params}
