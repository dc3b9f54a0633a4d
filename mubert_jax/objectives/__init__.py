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


def make_objective(config: Config, device: jax.Device | None = None) -> Objective:
    """The objective that a config names, on a device as `models.device.settled` takes it.

    Raises:
      UserError: no such objective, or options that it does not have.
    """
    package = sys.modules[__name__]
    kind = discovery.find(package, config.objective.name, Objective, "config.objective.name")
    return kind(dataclasses.replace(config, model=settled(config.model, device)))
