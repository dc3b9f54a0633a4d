"""Pretraining methods. A new one is a file here, with one subclass of `Objective`.

Its module's name is what `config.objective.name` takes.
"""

import dataclasses
import importlib
import inspect
import pkgutil

from mubert_jax.config import Config
from mubert_jax.config_values import unknown
from mubert_jax.models.device import settled
from mubert_jax.training.objective import Objective


def names() -> list[str]:
    """What `config.objective.name` may be."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def make_objective(config: Config, device=None) -> Objective:
    """The objective that a config names, for a device as `models.device.settled` takes one.

    Raises:
      UserError: no such objective, or options that it does not have.
    """
    name = config.objective.name
    if name not in names():
        raise unknown(f"config.objective.name {name!r}", name, names())
    module = importlib.import_module(f"{__name__}.{name}")
    config = dataclasses.replace(config, model=settled(config.model, device))
    return _objective_of(module)(config)


def _objective_of(module) -> type[Objective]:
    (found,) = (
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Objective) and member.__module__ == module.__name__
    )
    return found
