"""Pretraining methods. A new one is a file here, with one subclass of `Objective`.

Its file's name is what `config.objective.name` takes.
"""

import dataclasses
import sys

import jax

from mubert_jax import discovery
from mubert_jax.config import Config
from mubert_jax.models.device import settled
from mubert_jax.training.objective import Objective


def kind_of(config: Config) -> type[Objective]:
    """The class of the objective that a config names; UserError if there is none."""
    return discovery.find(
        sys.modules[__name__], config.objective.name, Objective, "config.objective.name"
    )


def make_objective(config: Config, device: jax.Device | None = None) -> Objective:
    """The objective that a config names, on a device as `models.device.settled` takes it.

    Raises:
      UserError: no such objective, or options that it does not have.
    """
    kind = kind_of(config)
    return kind(dataclasses.replace(config, model=settled(config.model, device)))
