"""ResNets under torchvision's names as runs of `objectives.moco_v3`."""

from collections.abc import Mapping

import numpy as np

from mubert_jax.config import Config, ObjectiveConfig
from mubert_jax.errors import UserError
from mubert_jax.models import torchvision
from mubert_jax.models.resnet import DEPTHS
from mubert_jax.training.checkpoints import Weights

# How MoCo v3 trains a ResNet, where that differs from a Vision Transformer.
OPTIONS = {"temperature": 1.0, "momentum": 0.996, "crop_scale": (0.2, 1.0)}


def is_resnet(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether these are the tensors of a ResNet, of any depth, under torchvision's names."""
    return {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight"} <= tensors.keys()


def as_run(tensors: Mapping[str, np.ndarray], source: str) -> tuple[Config, Weights]:
    """The config of a run whose backbone is the ResNet, and its weights; `fc.*` is left out.

    Raises:
      UserError: it is neither a ResNet-50 nor a ResNet-101, or tensors are missing.
    """
    depths = torchvision.depths_of_resnet(tensors)
    kind = next((name for name, known in DEPTHS.items() if known == depths), None)
    if kind is None or "layer1.0.conv3.weight" not in tensors:
        raise UserError(
            f"{source} holds a ResNet with {', '.join(map(str, depths))} blocks in its stages; "
            f"those that are known here are {' and '.join(DEPTHS)}"
        )
    try:
        variables = torchvision.resnet(tensors)
        weights = Weights(
            {"encoder": variables["params"]}, {"statistics": variables["batch_stats"]}
        )
    except (KeyError, ValueError) as error:
        raise UserError(f"{source} holds no whole {kind}: {error}") from error
    objective = ObjectiveConfig(name="moco_v3", options={"backbone": kind, **OPTIONS})
    return Config(objective=objective), weights
